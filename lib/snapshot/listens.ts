/** What our server blocks listen on, on the host as it is now. */
import type { Host } from '../host/host.ts'
import type { UnmanagedServer } from '../nginx/config/host-config.ts'
import type { ConfigurationTree } from '../nginx/config/include.ts'
import { canonical, isIpv6, isWildcard, type Listen, listenName, readListen } from '../nginx/config/listen.ts'
import { listensIn, ownListens } from '../nginx/config/listens.ts'
import type { ListensOf } from '../nginx/endpoints.ts'
import { routeFileName, SHARED_FILE } from '../route/droplet-name.ts'
import type { Snapshot } from './snapshot.ts'

type Listening = Pick<UnmanagedServer, 'listens'>

const LOOKUP_TIMEOUT_MS = 1000
const KEPT_MS = 60_000

/**
 * Makes a resolver of the names in `listen` directives, which NGINX resolves when it reads them. A name that does not resolve stays as it is; what
 * was found is kept for a minute.
 */
export function listenResolver({
  clock,
  network,
}: Pick<Host, 'clock' | 'network'>): <T extends Listening>(servers: readonly T[]) => Promise<readonly T[]> {
  const known = new Map<string, { readonly addresses: readonly string[]; readonly atMs: number }>()
  const resolve = async (name: string): Promise<void> => {
    const kept = known.get(name)
    if (kept !== undefined && clock.monotonicMs() - kept.atMs < KEPT_MS) return
    const addresses = await network.lookup(name, LOOKUP_TIMEOUT_MS)
    known.set(name, { addresses: addresses.map(canonical), atMs: clock.monotonicMs() })
  }
  const addressesOf = (listen: Listen): Listen[] => {
    const addresses = known.get(listenName(listen) ?? '')?.addresses ?? []
    return addresses.length === 0 ? [listen] : [...new Set(addresses)].map((address) => ({ ...listen, address }))
  }
  return async (servers) => {
    const names = new Set(servers.flatMap(({ listens }) => listens.flatMap((listen) => listenName(listen) ?? [])))
    if (names.size === 0) return servers
    await Promise.all([...names].map(resolve))
    return servers.map((server) => ({ ...server, listens: server.listens.flatMap(addressesOf) }))
  }
}

/** What our own files make NGINX listen on now. */
export function boundListens(
  tree: Pick<ConfigurationTree, 'read'>,
  { shared, routes }: Pick<Snapshot, 'shared' | 'routes'>,
  sitesEnabled: string,
): Listen[] {
  if (shared?.enabled !== true) return []
  // Any will do; the file of a domain with many mounts takes long to parse.
  const candidates = [...routes].filter(([, { record, enabled }]) => enabled && record.certificate !== null)
  const secured = candidates.find(([, { mounts }]) => mounts === undefined) ?? candidates[0]
  const files = [SHARED_FILE, ...(secured === undefined ? [] : [routeFileName(secured[0])])]
  return files.flatMap((name) => listensIn(tree.read(`${sitesEnabled}/${name}`)?.directives ?? []))
}

/** The arguments of our `listen` directives. */
export function listensOf(
  { network, settings }: Pick<Host, 'network' | 'settings'>,
  servers: readonly UnmanagedServer[],
  bound: readonly Listen[],
): ListensOf {
  const own = network.localAddresses()
  return ownListens(
    servers,
    { http: settings.NGINX_HTTP_PORT, https: settings.NGINX_HTTPS_PORT },
    {
      bound,
      hasIpv6: network.hasIpv6(),
      isLocal: (address) => address.startsWith('127.') || own.includes(address),
    },
  )
}

/**
 * Whether something else than the server blocks of NGINX listens where our HTTPS blocks would have to: another process, or a `stream` block. NGINX's
 * test does not find that out (it ignores EADDRINUSE), and its master rejects the configuration then.
 */
export function isHttpsTaken(
  { network, settings }: Pick<Host, 'network' | 'settings'>,
  { httpsListens }: Pick<ListensOf, 'httpsListens'>,
  servers: readonly UnmanagedServer[],
  bound: readonly Listen[],
): boolean {
  const port = settings.NGINX_HTTPS_PORT
  const nginx = [...servers.flatMap(({ listens }) => listens), ...bound].filter((listen) => listen.port === port)
  const isNginx = (address: string) => nginx.some((listen) => listen.address === address)
  const needed = httpsListens
    .flatMap((listen) => readListen(listen.split(' ')))
    .filter((listen) => !isNginx(listen.address) && !isNginx(isIpv6(listen) ? '[::]' : '*'))
  if (needed.length === 0) return false
  const others = network
    .listeners(port)
    .map(canonical)
    .filter((address) => !isNginx(address))
  return needed.some((listen) => others.some((address) => isConflict(listen, { address })))
}

/** Two sockets of one port (bind(2)); one that is bound to `::` usually accepts IPv4, too. */
function isConflict(wanted: Pick<Listen, 'address'>, held: Pick<Listen, 'address'>): boolean {
  if (isIpv6(wanted) !== isIpv6(held)) return held.address === '[::]'
  return isWildcard(wanted) || isWildcard(held) || wanted.address === held.address
}
