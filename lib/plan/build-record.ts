/** The record of the route that a change requests. */
import type { CheckedCertificate } from '../certificates/certificate.ts'
import { DEFAULT_OPTIONS } from '../route/options.ts'
import { entriesOf, type RouteRecord } from '../route/record.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { PutChange } from './change.ts'

/** The record for a put; `found` is the existing route, `now` is ISO 8601. */
export function buildRecord(
  change: PutChange,
  found: SnapshotRoute | undefined,
  certificate: CheckedCertificate | undefined,
  now: string,
): RouteRecord {
  const { spec } = change
  return {
    version: 1,
    droplet_name: change.dropletName,
    domain: spec.domain,
    upstream_host: spec.upstream_host,
    upstream_port: spec.upstream_port,
    upstream_addresses: change.upstream.addresses === null ? null : [...change.upstream.addresses],
    ...(change.upstreams === undefined ? {} : { upstreams: change.upstreams }),
    resolvers: [...change.upstream.resolvers],
    enable_ssl: spec.enable_ssl,
    source: change.source,
    options: spec.options ?? DEFAULT_OPTIONS,
    certificate: spec.enable_ssl ? (certificate?.summary ?? currentCertificate(found, spec.domain)) : null,
    last_health_status: change.health.status,
    last_health_checked_at: change.health.checkedAt,
    created_at: found?.record.created_at ?? now,
    updated_at: now,
  }
}

/** Whether two records have the same fields that a caller sets: not the resolved addresses, and not the certificate. */
export function sameSpec(a: RouteRecord, b: RouteRecord): boolean {
  return (
    a.domain === b.domain &&
    a.upstream_host === b.upstream_host &&
    a.upstream_port === b.upstream_port &&
    JSON.stringify(entriesOf(a)) === JSON.stringify(entriesOf(b)) &&
    a.enable_ssl === b.enable_ssl &&
    JSON.stringify(a.options) === JSON.stringify(b.options)
  )
}

/**
 * The route keeps its current certificate, even if it has expired or the clock is wrong: falling back to plain HTTP silently would be worse. If
 * that can no longer be read, NGINX's test fails, and the next start repairs it.
 */
function currentCertificate(found: SnapshotRoute | undefined, domain: string): RouteRecord['certificate'] {
  return found?.record.domain === domain ? found.record.certificate : null
}
