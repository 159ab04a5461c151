/** How long a deploy waits for its droplet, and for the one that it replaces. */
import { ProxyManagerError } from '../errors.ts'
import type { ProxySpec } from '../route/spec.ts'

/**
 * The waits of a put, checked against its body.
 * @throws {ProxyManagerError} INVALID_REQUEST if there is nothing to wait for
 */
export function waitsOf(
  query: { readonly health_wait_s: number; readonly drain_wait_s: number },
  spec: ProxySpec,
): { readonly healthWaitS: number; readonly drainWaitS: number } {
  const reason = query.health_wait_s === 0 ? undefined : neverChecked(spec)
  if (reason === undefined) return { healthWaitS: query.health_wait_s, drainWaitS: query.drain_wait_s }
  const message = `has no effect on a route ${reason}: its upstream is not checked`
  throw new ProxyManagerError('INVALID_REQUEST', { details: { issues: [{ path: 'health_wait_s', message }] } })
}

function neverChecked({ require_healthy, options }: ProxySpec): string | undefined {
  if (!require_healthy) return 'with "require_healthy": false'
  if ((options?.redirect_to ?? null) !== null) return 'that redirects'
  return options?.maintenance === true ? 'in maintenance' : undefined
}
