/** The part of the host's own configuration that changes depend on: read from the main file through all its includes. */
import { basename, dirname } from 'node:path'
import { absolutePath, type ConfigurationTree, expandInclude, includesSites } from './include.ts'
import { type Listen, readListen } from './listen.ts'
import type { ReadDirective } from './parse.ts'

/** A server block that Proxy Manager did not write. */
export interface UnmanagedServer {
  readonly names: readonly string[]
  readonly listens: readonly Listen[]
  /** The file's name without directories, for messages. */
  readonly file: string
  readonly line: number
}

export interface HostConfiguration {
  readonly mainPath: string
  /** Every file that was read, the main one first; without those of Proxy Manager. */
  readonly files: readonly string[]
  /** The directories from which `http` includes files, as far as they are no patterns. */
  readonly folders: readonly string[]
  /** Whether sites-enabled is included inside `http`, with a pattern that our file names match. */
  readonly includesSitesEnabled: boolean
  readonly servers: readonly UnmanagedServer[]
  /** Directives directly inside the `http` block (in any file), by name, with the arguments of the last one. */
  readonly httpDirectives: ReadonlyMap<string, readonly string[]>
  /** Names of directives at the top level, such as `worker_shutdown_timeout`. */
  readonly mainDirectives: ReadonlySet<string>
  /** Names of dynamic modules that are loaded, such as `ngx_stream_module`. */
  readonly loadedModules: ReadonlySet<string>
  /** The first argument of each `error_log` at the top level, in order: the master logs to all of them. None: the built-in default. */
  readonly errorLogs: readonly string[]
  /** The argument of `pid`; `undefined` for the built-in default. */
  readonly pid: string | undefined
}

/**
 * Reads the host's configuration from its main file. Files for which `isOwn` is true, since Proxy Manager wrote them, are skipped.
 * Returns `undefined` if the main file cannot be read.
 */
export function readHostConfiguration(
  mainPath: string,
  sitesEnabled: string,
  tree: ConfigurationTree,
  isOwn: (path: string) => boolean,
): HostConfiguration | undefined {
  if (tree.read(mainPath) === undefined) return undefined
  const files = new Set<string>()
  const servers: UnmanagedServer[] = []
  const httpDirectives = new Map<string, readonly string[]>()
  const mainDirectives = new Set<string>()
  const loadedModules = new Set<string>()
  const includes: ReadDirective[] = []
  const errorLogs: string[] = []
  let pid: string | undefined

  /** `open` are the files that include this one: in a loop NGINX would run out of file descriptors. */
  const visitFile = (path: string, context: string, open: readonly string[]): void => {
    if (open.includes(path) || isOwn(path)) return
    files.add(path)
    visit(tree.read(path)?.directives ?? [], path, context, [...open, path])
  }
  const visit = (
    directives: readonly ReadDirective[],
    path: string,
    context: string,
    open: readonly string[],
  ): void => {
    for (const directive of directives) {
      if (directive.name === 'include') {
        if (context === 'http') includes.push(directive)
        for (const included of expandInclude(directive, mainPath, tree)) visitFile(included, context, open)
        continue
      }
      if (context === 'main') mainDirectives.add(directive.name)
      if (context === 'http') httpDirectives.set(directive.name, directive.args)
      if (context === 'main' && directive.name === 'load_module')
        loadedModules.add(basename(directive.args[0] ?? '', '.so'))
      if (context === 'main' && directive.name === 'error_log') errorLogs.push(directive.args[0] ?? '')
      if (context === 'main' && directive.name === 'pid') pid = directive.args[0]
      if (context === 'main' && directive.name === 'http') visit(directive.block ?? [], path, 'http', open)
      if (context === 'http' && directive.name === 'server') {
        servers.push(readServer(directive, path, mainPath, tree, (file) => void files.add(file)))
      }
    }
  }
  visitFile(mainPath, 'main', [])
  return {
    mainPath,
    files: [...files],
    folders: [...new Set(includes.map(({ args }) => dirname(absolutePath(args[0] ?? '', mainPath))))],
    includesSitesEnabled: includes.some((include) => includesSites(include, mainPath, sitesEnabled, tree)),
    servers,
    httpDirectives,
    mainDirectives,
    loadedModules,
    errorLogs,
    pid,
  }
}

function readServer(
  server: ReadDirective,
  path: string,
  mainPath: string,
  tree: ConfigurationTree,
  onInclude: (path: string) => void,
): UnmanagedServer {
  const names: string[] = []
  const listens: Listen[] = []
  const visit = (directives: readonly ReadDirective[], open: readonly string[]): void => {
    for (const directive of directives) {
      if (directive.name === 'server_name') names.push(...directive.args.map((name) => name.toLowerCase()))
      if (directive.name === 'listen') listens.push(...readListen(directive.args))
      if (directive.name === 'include') {
        for (const included of expandInclude(directive, mainPath, tree)) {
          onInclude(included)
          if (!open.includes(included)) visit(tree.read(included)?.directives ?? [], [...open, included])
        }
      }
    }
  }
  visit(server.block ?? [], [path])
  const hasListen = (server.block ?? []).some((directive) => directive.name === 'listen') || listens.length > 0
  return {
    names,
    listens: hasListen ? listens : [{ address: '*', port: 80, options: [] }],
    file: basename(path),
    line: server.line,
  }
}

/** The remedy if sites-enabled is not included. */
export function missingInclude(sitesEnabled: string): string {
  return `Add "include ${sitesEnabled}/*;" to the http block of NGINX's main configuration`
}
