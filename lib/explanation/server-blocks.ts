/** Every server block of NGINX's configuration in its order, with what its includes contain. */
import { absolutePath, type ConfigurationTree, expandInclude } from '../nginx/config/include.ts'
import { type Listen, readListen } from '../nginx/config/listen.ts'
import type { ReadDirective } from '../nginx/config/parse.ts'

/** A directive and the path of its file; the directives of an included file are in the place of the include. */
export interface PlacedDirective extends ReadDirective {
  readonly path: string
  readonly block?: readonly PlacedDirective[]
}

export interface ServerBlock {
  readonly at: PlacedDirective
  /** The arguments of `server_name`: in lower case, except regular expressions. */
  readonly names: readonly string[]
  readonly listens: readonly Listen[]
  readonly directives: readonly PlacedDirective[]
  /** The directives of the `http` block that it inherits. */
  readonly http: readonly PlacedDirective[]
}

/** Reads them from the main file. */
export function readServerBlocks(mainPath: string, tree: ConfigurationTree): readonly ServerBlock[] {
  const place = (directives: readonly ReadDirective[], path: string, open: readonly string[]): PlacedDirective[] =>
    directives.flatMap(({ block, ...directive }): PlacedDirective[] => {
      if (directive.name !== 'include')
        return [{ ...directive, path, ...(block === undefined ? {} : { block: place(block, path, open) }) }]
      return expandInclude(directive, mainPath, tree)
        .filter((file) => !open.includes(file))
        .flatMap((file) => place(tree.read(file)?.directives ?? [], file, [...open, file]))
    })
  const http = place(tree.read(mainPath)?.directives ?? [], mainPath, [mainPath])
    .filter(({ name }) => name === 'http')
    .flatMap(({ block = [] }) => block)
  return http.filter(({ name }) => name === 'server').map((server) => serverBlock(server, http))
}

function serverBlock(at: PlacedDirective, http: readonly PlacedDirective[]): ServerBlock {
  const directives = at.block ?? []
  const listed = argumentsOf(directives, 'listen')
  return {
    at,
    names: argumentsOf(directives, 'server_name').flatMap((names) =>
      names.map((name) => (name.startsWith('~') ? name : name.toLowerCase())),
    ),
    listens: listed.length === 0 ? readListen(['80']) : listed.flatMap(readListen),
    directives,
    http,
  }
}

/** The arguments of each directive of this name. */
export function argumentsOf(directives: readonly PlacedDirective[], name: string): readonly (readonly string[])[] {
  return directives.flatMap((directive) => (directive.name === name ? [directive.args] : []))
}

/** The files of the certificates that a block presents; `undefined` if one of them depends on the request. */
export function certificateFiles({ directives, http }: ServerBlock, mainPath: string): readonly string[] | undefined {
  const own = argumentsOf(directives, 'ssl_certificate')
  const files = (own.length > 0 ? own : argumentsOf(http, 'ssl_certificate')).map(([file = '']) => file)
  if (files.some((file) => /[$]|^data:/.test(file))) return undefined
  return files.map((file) => absolutePath(file, mainPath))
}
