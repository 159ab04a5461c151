/** Includes: which files belong to an NGINX configuration, and in which order. */
import { basename, dirname, posix } from 'node:path'
import type { ReadDirective } from './parse.ts'

/** The host's files: texts and directory listings. */
export interface ConfigurationTree {
  /** The directives of a file; `undefined` if it cannot be read. */
  read(path: string): ConfigurationFile | undefined
  /** The names in a directory, in no particular order; none if it cannot be read. */
  list(folder: string): readonly string[]
  /** The path without symlinks; `undefined` if it does not exist. */
  realPath(path: string): string | undefined
}

export interface ConfigurationFile {
  readonly text: string
  readonly directives: readonly ReadDirective[]
}

/** File names that the pattern of the include has to match. */
const OUR_NAMES = ['000-proxy-manager.conf', 'fpai-a.conf']

/** Whether an include covers our files: its directory is sites-enabled and its pattern matches their names. */
export function includesSites(
  include: ReadDirective,
  mainPath: string,
  sitesEnabled: string,
  tree: Pick<ConfigurationTree, 'realPath'>,
): boolean {
  const pattern = absolutePath(include.args[0] ?? '', mainPath)
  const name = basename(pattern)
  return (
    isGlob(name) &&
    // With a slash at its end a pattern matches only directories.
    !pattern.endsWith('/') &&
    OUR_NAMES.every((own) => globToRegExp(name).test(own)) &&
    isSameFolder(dirname(pattern), sitesEnabled, tree)
  )
}

/**
 * The files that an include names, in NGINX's order: glob(3) sorts by bytes and skips dot-files unless the pattern starts with a dot;
 * relative paths start at the main file's directory (ngx_conf_include).
 */
export function expandInclude(
  include: ReadDirective,
  mainPath: string,
  tree: Pick<ConfigurationTree, 'list'>,
): string[] {
  const path = absolutePath(include.args[0] ?? '', mainPath)
  if (!isGlob(path)) return [path]
  let folders = ['']
  for (const segment of path.split('/').filter((name) => name !== '')) {
    folders = folders.flatMap((folder) => {
      if (!isGlob(segment)) return [`${folder}/${segment}`]
      const matches = globToRegExp(segment)
      const names = tree.list(folder === '' ? '/' : folder).filter((name) => matches.test(name))
      return names.sort(byBytes).map((name) => `${folder}/${name}`)
    })
  }
  return folders
}

/** Whether two paths are one directory: spelled with `//` or `/./`, or through a symlink. */
export function isSameFolder(a: string, b: string, tree: Pick<ConfigurationTree, 'realPath'>): boolean {
  const [one, other] = [trimSlash(posix.normalize(a)), trimSlash(posix.normalize(b))]
  return one === other || (tree.realPath(one) ?? one) === (tree.realPath(other) ?? other)
}

/**
 * The argument of an `include` that names just this file. A name with glob characters is a pattern for NGINX; a byte that is no UTF-8, which was
 * read as U+FFFD, matches a set without ASCII (NGINX runs in the C locale).
 */
export function includeOf(path: string): string {
  if (!isGlob(path) && !path.includes('\ufffd')) return path
  return path.replace(/[*?[\\]/g, '\\$&').replaceAll('\ufffd', '[!!-~]')
}

/** Resolves a path of the configuration as NGINX does: relative ones start at the main file's directory. */
export function absolutePath(path: string, mainPath: string): string {
  return path.startsWith('/') ? path : `${trimSlash(dirname(mainPath))}/${path}`
}

/** The order of glob(3) in the C locale (by code unit, which is by byte for every name below U+D800). */
export function byBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function isGlob(path: string): boolean {
  return /[*?[]/.test(path)
}

function globToRegExp(glob: string): RegExp {
  const source = glob.replace(
    /\[([!^]?)(\]?[^\]]*)\]|[*?]|[.+^${}()|[\]\\]/g,
    (part, negated?: string, set?: string) => {
      if (part === '*') return '[^/]*'
      if (part === '?') return '[^/]'
      if (set === undefined) return `\\${part}`
      return `[${negated === '' ? '' : '^'}${set.replace(/[[\]\\^]/g, '\\$&')}]`
    },
  )
  try {
    return new RegExp(glob.startsWith('.') ? `^${source}$` : `^(?!\\.)${source}$`)
  } catch {
    // A reversed range, such as [z-a], matches nothing.
    return /(?!)/
  }
}

function trimSlash(path: string): string {
  return path.replace(/\/+$/, '')
}
