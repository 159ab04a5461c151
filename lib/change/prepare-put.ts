/** Prepares a change before it is queued: resolves and probes the upstream. */
import { ProxyManagerError } from '../errors.ts'
import type { Host } from '../host/host.ts'
import type { PutChange } from '../plan/change.ts'
import type { ProxySpec } from '../route/spec.ts'
import { attemptsOf, probeUpstream } from '../upstream/health-check.ts'
import { resolveEach } from '../upstream/resolve.ts'
import { type UpstreamEntry, upstreamsOf } from '../upstream/upstream.ts'

/**
 * Makes a change of a requested route: its upstreams are resolved and, if `require_healthy`, probed. To be called before the change is queued, so
 * that a slow upstream delays no other change.
 * @throws {ProxyManagerError} UPSTREAM_FORBIDDEN, UPSTREAM_UNRESOLVABLE, UPSTREAM_UNHEALTHY
 */
export async function toPutChange(
  host: Host,
  request: Omit<PutChange, 'kind' | 'upstream' | 'upstreams' | 'health' | 'checks'>,
): Promise<PutChange> {
  const { spec } = request
  const wanted = (spec.options?.redirect_to ?? null) === null ? upstreamsOf(spec) : []
  const found = await resolveEach(host, wanted)
  const change = { kind: 'put', ...request, ...placeOf(spec, wanted, found) } as const
  // A route in maintenance proxies nothing: its droplet is expected to be down.
  if (wanted.length === 0 || !spec.require_healthy || spec.options?.maintenance === true)
    return { ...change, health: { status: 'unknown', checkedAt: null } }
  const path = spec.options?.health_check_path ?? host.settings.HEALTH_CHECK_PATH
  const probing = wanted.map((upstream, i) =>
    upstream.backup ? [] : [probeUpstream(host, upstream, path, found[i]?.probed ?? [])],
  )
  const checks = await Promise.all(probing.flat())
  const failed = checks.filter(({ failure }) => failure !== null)
  const status = failed.length === 0 ? 'healthy' : 'unhealthy'
  host.metrics.upstreamProbe(status)
  const isEnough = spec.require_healthy === 'any' ? failed.length < checks.length : failed.length === 0
  const checkedAt = new Date(Math.max(...checks.map(({ atMs }) => atMs))).toISOString()
  if (isEnough) return { ...change, health: { status, checkedAt }, checks }
  throw new ProxyManagerError('UPSTREAM_UNHEALTHY', {
    details: {
      upstream: failed[0]?.upstream,
      health_status: status,
      attempts: attemptsOf(checks),
      remedy:
        'Start the droplet and see that its health check answers 2xx; if that has another path, pass it as options.health_check_path; "require_healthy": false skips the check',
    },
  })
}

/** How NGINX finds the upstreams; what is kept by a redirect is not looked up. */
function placeOf(
  { upstreams }: ProxySpec,
  wanted: readonly UpstreamEntry[],
  found: Awaited<ReturnType<typeof resolveEach>>,
): Pick<PutChange, 'upstream' | 'upstreams'> {
  const addressesOf = (i: number) => {
    const { addresses } = found[i] ?? { addresses: [] }
    return addresses === null ? null : [...addresses]
  }
  const resolvers = [...new Set(found.flatMap((one) => one.resolvers))]
  const upstream = { addresses: addressesOf(wanted.findIndex(({ backup }) => !backup)), resolvers }
  if (upstreams === undefined) return { upstream }
  return { upstream, upstreams: upstreams.map((entry, i) => ({ ...entry, addresses: addressesOf(i) })) }
}
