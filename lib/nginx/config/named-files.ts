/** Which files a configuration names: what NGINX reads must not be taken away. */
import { basename } from 'node:path'
import { absolutePath, type ConfigurationTree, expandInclude } from './include.ts'
import type { ReadDirective } from './parse.ts'

/** A path in an argument of a directive. */
export interface NamedFile {
  /** As NGINX opens it, and without symlinks. */
  readonly paths: readonly string[]
  /** What it can become, if it contains variables. */
  readonly pattern: RegExp | undefined
  /** The name of the file that names it, without directories, and the line. */
  readonly file: string
  readonly line: number
}

/** Directives with a path that may be relative to the main file's directory. An absolute path counts in every directive, such as `map`. */
const TAKES_PATH = /certificate|_file$|^ssl_|^(root|alias)$/
/** NGINX opens the files of these at each handshake, and their paths may contain variables. */
const TAKES_VARIABLES = /ssl_certificate/
const VARIABLE = /\$(?:\{\w+\}|\w+)/
const CERTIFICATE_FILES = ['cert.pem', 'chain.pem', 'fullchain.pem', 'privkey.pem']

/** The files that a configuration names: in any directive of these files, the main one first, or of one that they include; without what is skipped. */
export function namedFiles(
  [mainPath = '', ...others]: readonly string[],
  tree: ConfigurationTree,
  isSkipped: (path: string) => boolean,
): readonly NamedFile[] {
  const named: NamedFile[] = []
  const seen = new Set<string>()
  const visitFile = (file: string): void => {
    if (seen.has(file) || isSkipped(file)) return
    seen.add(file)
    visit(tree.read(file)?.directives ?? [], file)
  }
  const visit = (directives: readonly ReadDirective[], file: string): void => {
    for (const directive of directives) {
      if (directive.name === 'include')
        for (const included of expandInclude(directive, mainPath, tree)) visitFile(included)
      for (const argument of directive.args) {
        if (!argument.startsWith('/') && !TAKES_PATH.test(directive.name)) continue
        const isPattern = VARIABLE.test(argument)
        if (isPattern && !TAKES_VARIABLES.test(directive.name)) continue
        const path = argument.startsWith('$') ? argument : absolutePath(argument, mainPath)
        const paths = [path, tree.realPath(path) ?? path]
        named.push({
          paths,
          pattern: isPattern ? patternOf(path) : undefined,
          file: basename(file),
          line: directive.line,
        })
      }
      visit(directive.block ?? [], file)
    }
  }
  for (const file of [mainPath, ...others]) visitFile(file)
  return named
}

/** The first that names one of these files or directories, or a file in one of them; in a path with variables, a certificate's file. */
export function readerOf(named: readonly NamedFile[], wanted: readonly string[]): NamedFile | undefined {
  return named.find(({ paths, pattern }) =>
    wanted.some(
      (place) =>
        paths.some((path) => `${path}/`.startsWith(`${place}/`)) ||
        CERTIFICATE_FILES.some((name) => pattern?.test(`${place}/${name}`)),
    ),
  )
}

function patternOf(path: string): RegExp {
  const literals = path.split(new RegExp(VARIABLE, 'g')).map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${literals.join('.*')}$`)
}
