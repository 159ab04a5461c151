/** Where a route may lead, and whether anybody answers there: asked before a change is queued. */
import { ProxyManagerError } from '../errors.ts'
import type { Host } from '../host/host.ts'
import { embeddedIpv4, ipFamily, isLoopback } from '../net/address.ts'
import { resolverAddress } from '../net/dns-server.ts'
import { isForbiddenAddress, isMetadataName } from './forbidden-address.ts'
import type { ResolvedUpstream, Upstream } from './upstream.ts'

const LOOKUP_TIMEOUT_MS = 5000

/**
 * Resolves an upstream and refuses addresses that no route may lead to.
 * @throws {ProxyManagerError} UPSTREAM_FORBIDDEN, UPSTREAM_UNRESOLVABLE
 */
export async function resolveUpstream(
  host: Host,
  upstream: Upstream,
): Promise<ResolvedUpstream & { readonly probed: readonly string[] }> {
  const { host: name } = upstream
  if (isMetadataName(name)) throw forbidden(upstream, "a cloud's metadata service")
  if (ipFamily(name) !== undefined) return checkAddresses(host, upstream, { addresses: [name], resolvers: [] }, [name])
  if (name === 'localhost') {
    const addresses = host.network.hasIpv6() ? ['127.0.0.1', '::1'] : ['127.0.0.1']
    return checkAddresses(host, upstream, { addresses, resolvers: [] }, addresses)
  }
  const configured = host.settings.DNS_SERVERS.length > 0 ? host.settings.DNS_SERVERS : host.network.systemResolvers()
  const resolvers = configured.map(resolverAddress)
  const [asHost, asNginx] = await Promise.all([
    host.network.lookup(name, LOOKUP_TIMEOUT_MS),
    resolvers.length === 0 ? [] : host.network.query(name, resolvers, LOOKUP_TIMEOUT_MS),
  ])
  if (asNginx.length > 0)
    return checkAddresses(host, upstream, { addresses: null, resolvers }, [...new Set([...asNginx, ...asHost])])
  if (asHost.length === 0) {
    throw new ProxyManagerError('UPSTREAM_UNRESOLVABLE', {
      details: { upstream: upstream.url, remedy: 'Correct the name, or pass the address as upstream_host' },
    })
  }
  // Known to the host's own files alone, where NGINX's resolver never looks: the addresses are written out.
  return checkAddresses(host, upstream, { addresses: asHost, resolvers: [] }, asHost)
}

function checkAddresses(host: Host, upstream: Upstream, resolved: ResolvedUpstream, addresses: readonly string[]) {
  const { PROXY_MANAGER_PORT, NGINX_HTTP_PORT, NGINX_HTTPS_PORT } = host.settings
  const own = new Set(host.network.localAddresses())
  for (const address of addresses) {
    if (isForbiddenAddress(address)) throw forbidden(upstream, 'an address at which no droplet lives')
    const isHere = isLoopback(address) || own.has(address) || own.has(embeddedIpv4IfAny(address))
    if (isHere && upstream.port === PROXY_MANAGER_PORT) throw forbidden(upstream, 'this API itself')
    if (isHere && [NGINX_HTTP_PORT, NGINX_HTTPS_PORT].includes(upstream.port)) throw forbidden(upstream, 'NGINX itself')
  }
  return { ...resolved, probed: addresses }
}

function embeddedIpv4IfAny(address: string): string {
  return (ipFamily(address) === 6 ? embeddedIpv4(address) : undefined) ?? address
}

function forbidden(upstream: Upstream, what: string): ProxyManagerError {
  return new ProxyManagerError('UPSTREAM_FORBIDDEN', {
    message: `The upstream leads to ${what}`,
    details: { upstream: upstream.url },
  })
}
