/** The addresses of an upstream, and whether it may have them: checked before a change is queued. */
import { ProxyManagerError } from '../errors.ts'
import type { Host } from '../host/host.ts'
import { embeddedIpv4, ipFamily, isLoopback } from '../net/address.ts'
import { isForbiddenAddress, isMetadataName } from './forbidden-address.ts'
import { dnsServers, type ResolvedUpstream, type Upstream } from './upstream.ts'

type ResolverHost = Pick<Host, 'settings' | 'network'>

const LOOKUP_TIMEOUT_MS = 5000

/**
 * Resolves an upstream and rejects forbidden addresses. `probed` are the addresses for a health check.
 * @throws {ProxyManagerError} UPSTREAM_FORBIDDEN, UPSTREAM_UNRESOLVABLE
 */
export async function resolveUpstream(
  host: ResolverHost,
  upstream: Upstream,
): Promise<ResolvedUpstream & { readonly probed: readonly string[] }> {
  const { host: name } = upstream
  if (isMetadataName(name)) throw forbidden(upstream, "The upstream is a cloud's metadata service")
  if (ipFamily(name) !== undefined) return checkAddresses(host, upstream, { addresses: [name], resolvers: [] }, [name])
  if (name === 'localhost') {
    const addresses = host.network.hasIpv6() ? ['127.0.0.1', '::1'] : ['127.0.0.1']
    return checkAddresses(host, upstream, { addresses, resolvers: [] }, addresses)
  }
  const resolvers = dnsServers(host.settings, host.network.systemResolvers())
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
  // The name is only in the host's own files, which NGINX's resolver does not read: the addresses are rendered.
  return checkAddresses(host, upstream, { addresses: asHost, resolvers: [] }, asHost)
}

function checkAddresses(
  host: ResolverHost,
  upstream: Upstream,
  resolved: ResolvedUpstream,
  addresses: readonly string[],
) {
  const { PROXY_MANAGER_PORT, NGINX_HTTP_PORT, NGINX_HTTPS_PORT } = host.settings
  const own = new Set(host.network.localAddresses())
  for (const address of addresses) {
    if (isForbiddenAddress(address)) throw forbidden(upstream, 'The upstream resolves to a reserved address')
    const isHere = isLoopback(address) || own.has(address) || own.has(unwrapIpv4(address))
    if (isHere && upstream.port === PROXY_MANAGER_PORT) throw forbidden(upstream, 'The upstream is this API itself')
    if (isHere && [NGINX_HTTP_PORT, NGINX_HTTPS_PORT].includes(upstream.port))
      throw forbidden(upstream, 'The upstream is NGINX itself')
  }
  return { ...resolved, probed: addresses }
}

function unwrapIpv4(address: string): string {
  return (ipFamily(address) === 6 ? embeddedIpv4(address) : undefined) ?? address
}

function forbidden(upstream: Upstream, message: string): ProxyManagerError {
  return new ProxyManagerError('UPSTREAM_FORBIDDEN', { message, details: { upstream: upstream.url } })
}
