/** The candidate: the host's configuration as it would be after a change, without touching any live file. */
import { absolutePath, baseName, byBytes, type ConfigurationTree, expandInclude, includesSites } from './include.ts'
import type { ReadDirective } from './parse.ts'

/** What `nginx -t -c` is pointed at: the text of the main copy, and copies of included files that had to be rewritten. */
export interface Candidate {
  readonly main: string
  /** Name within the staging folder -> text. */
  readonly nested: ReadonlyMap<string, string>
}

export interface CandidateOptions {
  readonly mainPath: string
  readonly sitesEnabled: string
  /** The folder in which nested copies will stand. */
  readonly stagingFolder: string
  /** A pid file of the candidate's own: `nginx -t` creates an empty one where there is none, after which `-s reload` fails. */
  readonly pidPath: string
  /** Names in sites-enabled -> the staged text's path, or null where the change removes the name. */
  readonly changed: ReadonlyMap<string, string | null>
  /** Names in sites-enabled that {@link CandidateOptions.placeholder} stands in for. */
  readonly skippedFiles?: ReadonlySet<string>
  /** A text in place of those. */
  readonly placeholder?: string
}

/**
 * Rewrites the main file and those included files that lead to sites-enabled: the include of sites-enabled becomes one `include` per enabled
 * file, in the glob's order, changed ones pointing at the staged text; `pid` names another file. Everything else stays to the byte, and every
 * line keeps its number, so that NGINX's words about a line are true of the real file.
 */
export function renderCandidate(options: CandidateOptions, tree: ConfigurationTree): Candidate {
  const nested = new Map<string, string>()
  let hasPid = false

  /** `open` are the files that lead here: one that includes itself stays as it is, for NGINX to refuse. */
  const rewrite = (path: string, open: readonly string[]): string | undefined => {
    const file = tree.read(path)
    if (file === undefined || open.includes(path)) return undefined
    const edits: Edit[] = []
    const visit = (directives: readonly ReadDirective[], isTop: boolean): void => {
      for (const directive of directives) {
        if (directive.name === 'http') visit(directive.block ?? [], false)
        if (isTop && directive.name === 'pid') {
          hasPid = true
          edits.push(editOf(file.text, directive, `pid ${quote(options.pidPath)};`))
        }
        if (directive.name === 'include') {
          const lines = rewriteInclude(directive, [...open, path])
          if (lines !== undefined) edits.push(editOf(file.text, directive, lines.join(' ')))
        }
      }
    }
    visit(file.directives, true)
    if (edits.length === 0) return undefined
    let text = ''
    let copied = 0
    for (const edit of edits) {
      text += file.text.slice(copied, edit.start) + edit.text
      copied = edit.end
    }
    return text + file.text.slice(copied)
  }

  const rewriteInclude = (include: ReadDirective, open: readonly string[]): string[] | undefined => {
    if (includesSites(include, options.mainPath, options.sitesEnabled)) return includeEnabled(include)
    const files = expandInclude(include, options.mainPath, tree)
    const rewritten = files.map((file) => rewrite(file, open))
    if (rewritten.every((text) => text === undefined)) return undefined
    return files.map((file, i) => {
      const text = rewritten[i]
      if (text === undefined) return `include ${quote(file)};`
      const name = `${nested.size}-${baseName(file)}`
      nested.set(name, text)
      return `include ${quote(`${options.stagingFolder}/${name}`)};`
    })
  }

  const includeEnabled = (include: ReadDirective): string[] => {
    const created = [...options.changed].flatMap(([name, path]) => (path === null ? [] : [name]))
    const names = new Set([...tree.list(options.sitesEnabled), ...created])
    const listed = { list: (folder: string) => (folder === options.sitesEnabled ? [...names] : tree.list(folder)) }
    const included = expandInclude(include, options.mainPath, listed)
      .map(baseName)
      .sort(byBytes)
      .flatMap((name) => {
        const staged = options.changed.get(name)
        return staged === null || options.skippedFiles?.has(name) === true
          ? []
          : [`include ${quote(staged ?? absolutePath(`${options.sitesEnabled}/${name}`, '/'))};`]
      })
    if (options.placeholder === undefined) return included
    nested.set(PLACEHOLDER, options.placeholder)
    return [...included, `include ${quote(`${options.stagingFolder}/${PLACEHOLDER}`)};`]
  }

  const main = rewrite(options.mainPath, []) ?? tree.read(options.mainPath)?.text ?? ''
  return { main: hasPid ? main : `pid ${quote(options.pidPath)}; ${main}`, nested }
}

const PLACEHOLDER = 'accepted.conf'

interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
}

/** Puts other text in a directive's place, with as many line ends as the directive had. */
function editOf(text: string, { start, end }: ReadDirective, replacement: string): Edit {
  const lineEnds = text.slice(start, end).replace(/[^\n]/g, '')
  return { start, end, text: replacement + lineEnds }
}

function quote(path: string): string {
  return `"${path.replace(/[\\"]/g, '\\$&')}"`
}
