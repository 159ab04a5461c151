/** Which server block owns a name, which addresses to listen on, which default servers exist. */
import type { UnmanagedServer } from './host-config.ts'
import { isIpv6, isWildcard, type Listen, listenArgument, readListen } from './listen.ts'
import type { ReadDirective } from './parse.ts'

/**
 * The hand-written server block that already serves a domain on one of these ports, if any. Wildcards and regular expressions do not count:
 * an exact name takes precedence over them.
 */
export function ownerOf(
  domain: string,
  servers: readonly UnmanagedServer[],
  ports: readonly number[],
): UnmanagedServer | undefined {
  return servers.find(
    (server) =>
      server.listens.some((listen) => ports.includes(listen.port)) &&
      server.names.some((name) => name === domain || name === `.${domain}` || name === `${domain}.`),
  )
}

export interface ListenFacts {
  readonly hasIpv6: boolean
  /** What our own files make NGINX listen on now. */
  readonly bound: readonly Listen[]
  /** The address of a specific `listen` of ours, without brackets, is one of this host's. */
  readonly isLocal: (address: string) => boolean
}

/** The `listen` arguments of our server blocks on both ports; if nobody listens for HTTPS, its addresses are those for HTTP. */
export function ownListens(
  servers: readonly UnmanagedServer[],
  { http, https }: { readonly http: number; readonly https: number },
  facts: ListenFacts,
): { readonly httpListens: string[]; readonly httpsListens: string[] } {
  const listens = servers.flatMap((server) => server.listens)
  const isUnknown = !isIn(https, listens) && !isIn(https, facts.bound)
  const onHttp = [...listens, ...facts.bound].filter(({ port }) => port === http)
  const isSpecific = isUnknown && onHttp.length > 0 && !onHttp.some(isWildcard)
  const alsoHttps = isSpecific ? onHttp.map(({ address }) => ({ address, port: https, options: [] })) : []
  return {
    httpListens: listenArguments(listens, http, ['http2', 'proxy_protocol'], facts),
    httpsListens: listenArguments([...listens, ...alsoHttps], https, ['ssl', 'http2', 'proxy_protocol'], facts),
  }
}

function isIn(port: number, listens: readonly Listen[]): boolean {
  return listens.some((listen) => listen.port === port)
}

/**
 * The `listen` arguments with which our server blocks are reached on a port. If a wildcard is bound, or nothing: the wildcards, and every specific
 * address that the host's own blocks listen on, since NGINX matches names only among the blocks of the most specific address ("How nginx
 * processes a request"). If only specific addresses are bound, those: NGINX could not bind the wildcard beside them (bind(2), EADDRINUSE).
 */
function listenArguments(
  listens: readonly Listen[],
  port: number,
  protocols: readonly string[],
  facts: ListenFacts,
): string[] {
  const onPort = (found: readonly Listen[]) => found.filter((listen) => listen.port === port)
  const [own, isLocal] = [onPort(facts.bound), facts.isLocal]
  const host = onPort(listens)
  // If only our own files name specific addresses, and no wildcard, those are kept while they exist: NGINX holds their sockets.
  const isOnlyOurs = host.length === 0 && !own.some(isWildcard)
  const kept = own.filter((listen) => isWildcard(listen) || (isOnlyOurs && isLocal(bare(listen))))
  const known = [...host, ...kept]
  const isSpecific = known.length > 0 && !known.some(isWildcard)
  const isDualStack = host.some((listen) => listen.address === '[::]' && listen.options.includes('ipv6only=off'))
  const needsWildcard = (family: (listen: Listen) => boolean) =>
    !isSpecific && (known.some((listen) => isWildcard(listen) && family(listen)) || !known.some(family))
  const wildcards = [
    ...(needsWildcard((listen) => !isIpv6(listen)) && !isDualStack ? ['*'] : []),
    ...(isDualStack || (facts.hasIpv6 && needsWildcard(isIpv6)) ? ['[::]'] : []),
  ]
  const addresses = new Set([
    ...wildcards,
    ...known.filter((listen) => !isWildcard(listen)).map(({ address }) => address),
  ])
  return [...addresses].map((address) => {
    // NGINX has one set of protocols for each socket, and warns of blocks that differ (since 1.23.4, ngx_http_add_addresses).
    const set = host.filter((listen) => listen.address === address).flatMap(({ options }) => options)
    return [listenArgument({ address, port }), ...protocols.filter((option) => set.includes(option))].join(' ')
  })
}

function bare({ address }: Listen): string {
  return address.replace(/^\[|\]$/g, '')
}

/** Those of our `listen` arguments for which the host has no default server of its own: NGINX rejects a second one. */
export function withoutDefaultServer(own: readonly string[], servers: readonly UnmanagedServer[]): string[] {
  const isDefault = (listen: Listen) => listen.options.includes('default_server') || listen.options.includes('default')
  const taken = servers.flatMap((server) => server.listens.filter(isDefault))
  return own.filter((argument) => {
    const [listen] = readListen(argument.split(' '))
    return !taken.some(({ address, port }) => address === listen?.address && port === listen.port)
  })
}

/** What the server blocks among these directives, those of a file of ours, listen on. */
export function listensIn(directives: readonly ReadDirective[]): Listen[] {
  return directives
    .filter(({ name }) => name === 'server')
    .flatMap(({ block }) => block ?? [])
    .flatMap(({ name, args }) => (name === 'listen' ? readListen(args) : []))
}

/** Hand-written blocks meant as default servers, but without `default_server`: our catch-all receives the unknown names instead of them. */
export function implicitDefaultServers(servers: readonly UnmanagedServer[], port: number): readonly UnmanagedServer[] {
  return servers.filter(
    ({ names, listens }) =>
      (names.length === 0 || names.includes('_') || names.includes('')) &&
      listens.some(
        (listen) => listen.port === port && !listen.options.some((option) => /^default(_server)?$/.test(option)),
      ),
  )
}
