/** A wanted route becomes a change: upstream resolved and probed before the queue. */
import { ProxyManagerError } from '../errors.ts'
import type { Host } from '../host/host.ts'
import type { PutChange } from '../plan/change.ts'
import type { ProxySpec } from '../route/spec.ts'
import { probeUpstream } from '../upstream/health-check.ts'
import { resolveUpstream } from '../upstream/resolve.ts'
import { type Upstream, type UpstreamHealth, upstreamOf } from '../upstream/upstream.ts'

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
