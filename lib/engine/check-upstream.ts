/** Where a route may lead, and whether anybody answers there: asked before a change is queued. */
import { embeddedIpv4, ipFamily, isForbiddenAddress, isLoopback, isMetadataName } from '../core/address.ts'
import type { PutChange, ResolvedUpstream, UpstreamHealth } from '../core/change.ts'
import { ProxyManagerError } from '../core/errors.ts'
import type { ProxySpec } from '../core/proxy.ts'
import { resolverAddress } from '../core/settings.ts'
import { type Upstream, upstreamOf } from '../core/upstream.ts'
import type { Host } from './host.ts'

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

/** Probes the first address that answers; the health is that of the best answer. */
export async function probeUpstream(
  host: Host,
  upstream: Upstream,
  path: string,
  addresses: readonly string[],
): Promise<UpstreamHealth & { readonly probe: unknown }> {
  const timeoutMs = host.settings.HEALTH_CHECK_TIMEOUT_MS
  const checkedAt = new Date(host.clock.nowMs()).toISOString()
  const attempts: unknown[] = []
  for (const address of addresses) {
    const { scheme, port, authority } = upstream
    const answer = await host.probe.get({ scheme, address, port, host: authority, path, timeoutMs })
    if ('status' in answer && answer.status >= 200 && answer.status < 300)
      return { status: 'healthy', checkedAt, probe: null }
    attempts.push({ address, path, ...('status' in answer ? { status: answer.status } : { failure: answer.failure }) })
    // Only an address that nobody listens on is passed over: another answer, or none in time, is the upstream's own.
    if (!('failure' in answer) || answer.failure === 'TIMEOUT') break
  }
  return { status: 'unhealthy', checkedAt, probe: attempts }
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

/**
 * A wanted route as a change: its upstream resolved and, where that is asked for, probed. Done before the queue, so that a slow upstream keeps
 * no other change waiting.
 * @throws {ProxyManagerError} UPSTREAM_FORBIDDEN, UPSTREAM_UNRESOLVABLE, UPSTREAM_UNHEALTHY
 */
export async function toPutChange(
  host: Host,
  request: Omit<PutChange, 'kind' | 'upstream' | 'health'>,
): Promise<PutChange> {
  const { spec, ...rest } = request
  const upstream = passedOnTo(spec)
  const unasked: UpstreamHealth = { status: 'unknown', checkedAt: null }
  if (upstream === undefined)
    return { kind: 'put', spec, upstream: { addresses: [], resolvers: [] }, health: unasked, ...rest }
  const { probed, ...resolved } = await resolveUpstream(host, upstream)
  const change = { kind: 'put', spec, upstream: resolved, ...rest } as const
  // Nothing is passed on while a route is in maintenance, which is when its droplet is down.
  if (!spec.require_healthy || spec.options?.maintenance === true) return { ...change, health: unasked }
  const path = spec.options?.health_check_path ?? host.settings.HEALTH_CHECK_PATH
  const { probe, ...health } = await probeUpstream(host, upstream, path, probed)
  host.metrics.upstreamProbe(health.status)
  if (health.status === 'healthy') return { ...change, health }
  throw new ProxyManagerError('UPSTREAM_UNHEALTHY', {
    details: {
      upstream: upstream.url,
      health_status: health.status,
      attempts: probe,
      remedy: 'Start the droplet, see that its health check answers 2xx, or pass "require_healthy": false',
    },
  })
}

/** Where requests of a route go; `undefined` where it only redirects. */
function passedOnTo(spec: ProxySpec): Upstream | undefined {
  return (spec.options?.redirect_to ?? null) === null ? upstreamOf(spec) : undefined
}
