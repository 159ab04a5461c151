/** The addresses of an upstream, and whether it may have them: checked before a change is queued. */
import { ProxyManagerError } from '../errors.ts'
import type { Host } from '../host/host.ts'
import { embeddedIpv4, ipFamily, isLoopback } from '../net/address.ts'
import { isForbiddenAddress, isMetadataName } from './forbidden-address.ts'
import { dnsServers, type ResolvedUpstream, type Upstream } from './upstream.ts'

type ResolverHost = Pick<Host, 'settings' | 'network'>

const LOOKUP_TIMEOUT_MS = 5000
/** For a name of the hosts file, DNS is queried only to refuse what a route may not lead to. */
const LISTED_TIMEOUT_MS = 1000
const UNRESOLVABLE =
  'Correct the name, or pass the address as upstream_host: names are looked up in the hosts file and in DNS, not in other sources of NSS'

/**
 * Resolves an upstream and rejects forbidden addresses. `probed` are the addresses for a health check.
 * @throws {ProxyManagerError} UPSTREAM_FORBIDDEN, UPSTREAM_UNRESOLVABLE
 */
export async function resolveUpstream(
  host: ResolverHost,
  upstream: Upstream,
): Promise<ResolvedUpstream & { readonly probed: readonly string[] }> {
  const { host: name } = upstream
  checkName(upstream)
  const literal = ipFamily(name) !== undefined ? [name] : name === 'localhost' ? loopbacks(host) : undefined
  if (literal !== undefined) {
    checkAddresses(host, upstream, literal)
    return { addresses: literal, resolvers: [], probed: literal }
  }
  const resolvers = dnsServers(host.settings, host.network.systemResolvers())
  const listed = host.network.hostsFile(name)
  const [asHost, asNginx] = await Promise.all([
    listed.length > 0 ? listed : host.network.lookup(name, LOOKUP_TIMEOUT_MS),
    resolvers.length === 0
      ? []
      : host.network.query(name, resolvers, listed.length > 0 ? LISTED_TIMEOUT_MS : LOOKUP_TIMEOUT_MS),
  ])
  if (asHost.length === 0 && asNginx.length === 0) throw unresolvable(upstream)
  // NGINX resolves by DNS only, without the hosts file and search domains: what only these know is rendered as addresses.
  const isByNginx = listed.length === 0 && asNginx.length > 0
  const resolved = isByNginx ? { addresses: null, resolvers } : { addresses: asHost, resolvers: [] }
  checkAddresses(host, upstream, [...asNginx, ...asHost])
  return { ...resolved, probed: isByNginx ? asNginx : asHost }
}

/**
 * Resolves each of several upstreams. Among them `localhost` is 127.0.0.1 only: NGINX would try a second address of the same droplet before another
 * droplet.
 * @throws {ProxyManagerError} as {@link resolveUpstream}
 */
export async function resolveEach(
  host: ResolverHost,
  upstreams: readonly Upstream[],
): Promise<readonly (ResolvedUpstream & { readonly probed: readonly string[] })[]> {
  const only = upstreams.length === 1
  return await Promise.all(
    upstreams.map(async (upstream) => {
      const resolved = await resolveUpstream(host, upstream)
      const loopback = ['127.0.0.1']
      return only || upstream.host !== 'localhost' ? resolved : { ...resolved, addresses: loopback, probed: loopback }
    }),
  )
}

/**
 * The addresses to which NGINX sends the requests of a route now: those in its file, or what its resolvers answer.
 * @throws {ProxyManagerError} UPSTREAM_FORBIDDEN, UPSTREAM_UNRESOLVABLE
 */
export async function servedAddresses(
  host: ResolverHost,
  upstream: Upstream,
  { addresses, resolvers }: ResolvedUpstream,
): Promise<readonly string[]> {
  checkName(upstream)
  const found = addresses ?? (await host.network.query(upstream.host, resolvers, LOOKUP_TIMEOUT_MS))
  if (found.length === 0) throw unresolvable(upstream)
  checkAddresses(host, upstream, found)
  return found
}

/** @throws {ProxyManagerError} UPSTREAM_FORBIDDEN if no route may lead to a host of this name */
function checkName(upstream: Upstream): void {
  if (isMetadataName(upstream.host)) throw forbidden(upstream, "The upstream is a cloud's metadata service")
}

/** @throws {ProxyManagerError} UPSTREAM_FORBIDDEN if no route may lead to one of the addresses */
function checkAddresses(host: ResolverHost, upstream: Upstream, addresses: readonly string[]): void {
  const { PROXY_MANAGER_PORT, NGINX_HTTP_PORT, NGINX_HTTPS_PORT } = host.settings
  const own = new Set(host.network.localAddresses())
  for (const address of addresses) {
    if (isForbiddenAddress(address)) throw forbidden(upstream, 'The upstream resolves to a reserved address')
    const isHere = isLoopback(address) || own.has(address) || own.has(unwrapIpv4(address))
    if (isHere && upstream.port === PROXY_MANAGER_PORT) throw forbidden(upstream, 'The upstream is this API itself')
    if (isHere && [NGINX_HTTP_PORT, NGINX_HTTPS_PORT].includes(upstream.port))
      throw forbidden(upstream, 'The upstream is NGINX itself')
  }
}

function loopbacks({ network }: ResolverHost): readonly string[] {
  return network.hasIpv6() ? ['127.0.0.1', '::1'] : ['127.0.0.1']
}

function unwrapIpv4(address: string): string {
  return (ipFamily(address) === 6 ? embeddedIpv4(address) : undefined) ?? address
}

function unresolvable({ url }: Upstream): ProxyManagerError {
  return new ProxyManagerError('UPSTREAM_UNRESOLVABLE', { details: { upstream: url, remedy: UNRESOLVABLE } })
}

function forbidden(upstream: Upstream, message: string): ProxyManagerError {
  return new ProxyManagerError('UPSTREAM_FORBIDDEN', { message, details: { upstream: upstream.url } })
}
