/** How long a deploy waits for its droplet. */
import { ProxyManagerError } from '../errors.ts'
import type { ProxySpec } from '../route/spec.ts'

/**
 * The wait of a put, checked against its body.
 * @throws {ProxyManagerError} INVALID_REQUEST if there is nothing to wait for
 */
export function waitOf(query: { readonly health_wait_s: number }, spec: ProxySpec): { readonly healthWaitS: number } {
  const reason = query.health_wait_s === 0 ? undefined : neverChecked(spec)
  if (reason === undefined) return { healthWaitS: query.health_wait_s }
  const message = `has no effect on a route ${reason}: its upstream is not checked`
  throw new ProxyManagerError('INVALID_REQUEST', { details: { issues: [{ path: 'health_wait_s', message }] } })
}

function neverChecked({ require_healthy, options }: ProxySpec): string | undefined {
  if (!require_healthy) return 'with "require_healthy": false'
  if ((options?.redirect_to ?? null) !== null) return 'that redirects'
  return options?.maintenance === true ? 'in maintenance' : undefined
}
