/** The files of the host with server blocks that Proxy Manager did not write, with what their includes contain. */
import { dirname } from 'node:path'
import { absolutePath, type ConfigurationTree, expandInclude } from '../nginx/config/include.ts'
import type { ReadDirective } from '../nginx/config/parse.ts'

/** A directive and the file that it is in; in a block, the directives of an included file are in the place of the include. */
export interface Located extends ReadDirective {
  /** As {@link SiteFile.name}. */
  readonly file: string
  readonly block?: readonly Located[]
}

/** A file in the `http` context that has a server block. */
export interface SiteFile {
  /** Its path from the directory of the main file, such as `sites-enabled/shop`; if it is somewhere else, its whole path. */
  readonly name: string
  /** As NGINX opens it. */
  readonly path: string
  readonly directives: readonly Located[]
  /** The text of the file and of each that it includes, by path. */
  readonly texts: ReadonlyMap<string, string>
  /** Why the file cannot be taken away; `undefined` if NGINX does not expect it. */
  readonly fixed: string | undefined
}

export interface HostSites {
  readonly files: readonly SiteFile[]
  /** The directives directly in the `http` block, but for those in the files above. */
  readonly http: readonly Located[]
}

interface Reader {
  readonly mainPath: string
  readonly tree: ConfigurationTree
}

/** Reads them from the main file. Files for which `isOwn` is true, since Proxy Manager wrote them, are skipped. */
export function readSites(mainPath: string, tree: ConfigurationTree, isOwn: (path: string) => boolean): HostSites {
  const reader = { mainPath, tree }
  const files = new Map<string, SiteFile>()
  const http: Located[] = []
  const visitHttp = (
    directives: readonly ReadDirective[],
    path: string,
    fixed?: string,
    open: readonly string[] = [],
  ) => {
    const texts = new Map<string, string>()
    const located = locate(reader, directives, path, texts)
    if (directives.some(({ name }) => name === 'server')) {
      const known = files.has(path) ? 'it is included more than once' : fixed
      files.set(path, { name: nameOf(path, mainPath), path, directives: located, texts, fixed: known })
    } else {
      http.push(...located.filter(({ name }) => name !== 'include'))
    }
    for (const directive of directives)
      for (const included of includedBy(reader, directive)) {
        if (open.includes(included) || isOwn(included)) continue
        const isNamed = absolutePath(directive.args[0] ?? '', mainPath) === included
        const place = `${nameOf(path, mainPath)}, line ${directive.line},`
        const reason = isNamed ? `${place} includes it by its name` : undefined
        visitHttp(tree.read(included)?.directives ?? [], included, reason, [...open, included])
      }
  }
  const visitMain = (path: string, open: readonly string[]): void => {
    for (const directive of tree.read(path)?.directives ?? []) {
      if (directive.name === 'http') visitHttp(directive.block ?? [], path, 'the http block itself is in it', [path])
      for (const included of includedBy(reader, directive))
        if (!open.includes(included)) visitMain(included, [...open, included])
    }
  }
  visitMain(mainPath, [mainPath])
  return { files: [...files.values()], http }
}

/** The directives of a file with their place; `texts` gets the file and those that its blocks include. */
function locate(
  reader: Reader,
  directives: readonly ReadDirective[],
  path: string,
  texts: Map<string, string>,
  open: readonly string[] = [],
): Located[] {
  const file = nameOf(path, reader.mainPath)
  texts.set(path, reader.tree.read(path)?.text ?? '')
  return directives.flatMap(({ block, ...directive }): Located[] => {
    const isInBlock = open.length > 0
    const included = isInBlock ? includedBy(reader, directive).filter((one) => !open.includes(one)) : []
    if (isInBlock && directive.name === 'include')
      return included.flatMap((one): Located[] => {
        const read = reader.tree.read(one)
        if (read === undefined) return [{ ...directive, file }]
        return locate(reader, read.directives, one, texts, [...open, one])
      })
    if (block === undefined) return [{ ...directive, file }]
    return [{ ...directive, file, block: locate(reader, block, path, texts, isInBlock ? open : [path]) }]
  })
}

function includedBy({ mainPath, tree }: Reader, directive: ReadDirective): readonly string[] {
  return directive.name === 'include' ? expandInclude(directive, mainPath, tree) : []
}

/** The name of a file, as {@link SiteFile.name}. */
export function nameOf(path: string, mainPath: string): string {
  const folder = `${dirname(mainPath)}/`
  return path.startsWith(folder) ? path.slice(folder.length) : path
}
