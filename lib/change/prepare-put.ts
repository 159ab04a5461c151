/** Prepares a change before it is queued: resolves and probes the upstream. */
import { ProxyManagerError } from '../errors.ts'
import type { Host } from '../host/host.ts'
import type { PutChange } from '../plan/change.ts'
import type { ProxySpec } from '../route/spec.ts'
import { probeUpstream } from '../upstream/health-check.ts'
import { resolveUpstream } from '../upstream/resolve.ts'
import { type Upstream, type UpstreamHealth, upstreamOf } from '../upstream/upstream.ts'

/**
 * Makes a change of a requested route: its upstream is resolved and, if `require_healthy`, probed. To be called before the change is queued, so
 * that a slow upstream delays no other change.
 * @throws {ProxyManagerError} UPSTREAM_FORBIDDEN, UPSTREAM_UNRESOLVABLE, UPSTREAM_UNHEALTHY
 */
export async function toPutChange(
  host: Host,
  request: Omit<PutChange, 'kind' | 'upstream' | 'health'>,
): Promise<PutChange> {
  const { spec, ...rest } = request
  const upstream = proxiedUpstream(spec)
  const unchecked: UpstreamHealth = { status: 'unknown', checkedAt: null }
  if (upstream === undefined)
    return { kind: 'put', spec, upstream: { addresses: [], resolvers: [] }, health: unchecked, ...rest }
  const { probed, ...resolved } = await resolveUpstream(host, upstream)
  const change = { kind: 'put', spec, upstream: resolved, ...rest } as const
  // A route in maintenance proxies nothing: its droplet is expected to be down.
  if (!spec.require_healthy || spec.options?.maintenance === true) return { ...change, health: unchecked }
  const path = spec.options?.health_check_path ?? host.settings.HEALTH_CHECK_PATH
  const { attempts, ...health } = await probeUpstream(host, upstream, path, probed)
  host.metrics.upstreamProbe(health.status)
  if (health.status === 'healthy') return { ...change, health }
  throw new ProxyManagerError('UPSTREAM_UNHEALTHY', {
    details: {
      upstream: upstream.url,
      health_status: health.status,
      attempts,
      remedy:
        'Start the droplet and see that its health check answers 2xx; if that has another path, pass it as options.health_check_path; "require_healthy": false skips the check',
    },
  })
}

/** The upstream of a route; `undefined` if it only redirects. */
function proxiedUpstream(spec: ProxySpec): Upstream | undefined {
  return (spec.options?.redirect_to ?? null) === null ? upstreamOf(spec) : undefined
}
