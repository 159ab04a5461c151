/** The candidate: the host's configuration as it would be after a change, without touching any live file. */
import { basename } from 'node:path'
import {
  absolutePath,
  byBytes,
  type ConfigurationTree,
  expandInclude,
  includeOf,
  includesSites,
  isSameFolder,
} from './include.ts'
import type { ReadDirective } from './parse.ts'

/** What `nginx -t -c` tests: the text of the main file's copy, and copies of the included files that had to be rewritten. */
export interface Candidate {
  readonly main: string
  /** Name in the staging directory -> text. */
  readonly nested: ReadonlyMap<string, string>
}

export interface CandidateOptions {
  readonly mainPath: string
  readonly sitesEnabled: string
  /** The directory of the nested copies. */
  readonly stagingFolder: string
  /** A pid file of the candidate's own: `nginx -t` creates an empty one if it is missing, after which `-s reload` fails. */
  readonly pidPath: string
  /** Names in sites-enabled -> the staged text's path, or null if the change removes the name. */
  readonly changed: ReadonlyMap<string, string | null>
  /** Files that the change removes from other directories, as the includes name them. */
  readonly removed?: ReadonlySet<string>
  /** Names in sites-enabled that {@link CandidateOptions.placeholder} replaces. */
  readonly skippedFiles?: ReadonlySet<string>
  /** A text in place of those. */
  readonly placeholder?: string
}

/**
 * Rewrites the main file and those included files that lead to sites-enabled: the include of sites-enabled becomes one `include` per enabled
 * file, in the glob's order, changed ones with the path of the staged text; `pid` names another file. Everything else stays byte-identical, and
 * every line keeps its number, so that the lines in NGINX's messages are those of the real file.
 */
export function renderCandidate(options: CandidateOptions, tree: ConfigurationTree): Candidate {
  const rewriting: Rewriting = { options, tree, nested: new Map(), hasPid: false }
  const main = rewriteFile(rewriting, options.mainPath, []) ?? tree.read(options.mainPath)?.text ?? ''
  const { hasPid, nested } = rewriting
  return { main: hasPid ? main : `pid ${quote(options.pidPath)}; ${main}`, nested }
}

const PLACEHOLDER = 'accepted.conf'

interface Rewriting {
  readonly options: CandidateOptions
  readonly tree: ConfigurationTree
  /** Copies so far. */
  readonly nested: Map<string, string>
  /** A `pid` directive was found and replaced. */
  hasPid: boolean
}

/** The text of a file's copy; `undefined` if it can stay as it is. `open` are the files that include it: NGINX rejects a loop by itself. */
function rewriteFile(rewriting: Rewriting, path: string, open: readonly string[]): string | undefined {
  const file = rewriting.tree.read(path)
  if (file === undefined || open.includes(path)) return undefined
  const edits = editsIn(rewriting, file.text, file.directives, [...open, path], true)
  if (edits.length === 0) return undefined
  let text = ''
  let copied = 0
  for (const edit of edits) {
    text += file.text.slice(copied, edit.start) + edit.text
    copied = edit.end
  }
  return text + file.text.slice(copied)
}

function editsIn(
  rewriting: Rewriting,
  text: string,
  directives: readonly ReadDirective[],
  open: readonly string[],
  isTop: boolean,
): Edit[] {
  return directives.flatMap((directive) => {
    if (directive.name === 'http') return editsIn(rewriting, text, directive.block ?? [], open, false)
    if (isTop && directive.name === 'pid') {
      rewriting.hasPid = true
      return [editOf(text, directive, `pid ${quote(rewriting.options.pidPath)};`)]
    }
    const lines = directive.name === 'include' ? rewriteInclude(rewriting, directive, open) : undefined
    return lines === undefined ? [] : [editOf(text, directive, lines.join(' '))]
  })
}

/** The includes that replace one; `undefined` if it can stay as it is. */
function rewriteInclude(rewriting: Rewriting, include: ReadDirective, open: readonly string[]): string[] | undefined {
  const { options, tree, nested } = rewriting
  if (includesSites(include, options.mainPath, options.sitesEnabled, tree)) return includeEnabled(rewriting, include)
  const found = expandInclude(include, options.mainPath, tree)
  const files = found.filter((file) => options.removed?.has(file) !== true)
  const rewritten = files.map((file) => rewriteFile(rewriting, file, open))
  if (files.length === found.length && rewritten.every((text) => text === undefined)) return undefined
  return files.map((file, i) => {
    const text = rewritten[i]
    if (text === undefined) return `include ${quote(includeOf(file))};`
    const name = `${nested.size}-${basename(file)}`
    nested.set(name, text)
    return `include ${quote(`${options.stagingFolder}/${name}`)};`
  })
}

/** One include per file that will be enabled, and the placeholder. */
function includeEnabled({ options, tree, nested }: Rewriting, include: ReadDirective): string[] {
  const { changed, sitesEnabled, skippedFiles, placeholder } = options
  const created = [...changed].flatMap(([name, path]) => (path === null ? [] : [name]))
  const names = new Set([...tree.list(sitesEnabled), ...created])
  const listed = {
    list: (folder: string) => (isSameFolder(folder, sitesEnabled, tree) ? [...names] : tree.list(folder)),
  }
  const found = expandInclude(include, options.mainPath, listed).map((path) => basename(path))
  const included = [...new Set(found)].sort(byBytes).flatMap((name) => {
    const staged = changed.get(name)
    return staged === null || skippedFiles?.has(name) === true
      ? []
      : [`include ${quote(staged ?? includeOf(absolutePath(`${sitesEnabled}/${name}`, '/')))};`]
  })
  if (placeholder === undefined) return included
  nested.set(PLACEHOLDER, placeholder)
  return [...included, `include ${quote(`${options.stagingFolder}/${PLACEHOLDER}`)};`]
}

interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
}

/** Replaces a directive by other text, with as many line ends as the directive had. */
function editOf(text: string, { start, end }: ReadDirective, replacement: string): Edit {
  const lineEnds = text.slice(start, end).replace(/[^\n]/g, '')
  return { start, end, text: replacement + lineEnds }
}

function quote(path: string): string {
  return `"${path.replace(/[\\"]/g, '\\$&')}"`
}
