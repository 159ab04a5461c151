/** The record of the route that a change requests. */
import { isDeepStrictEqual } from 'node:util'
import { type CertificateSummary, knownSummary } from '../certificates/certificate.ts'
import { ProxyManagerError } from '../errors.ts'
import { wishKey } from '../keyring/wish.ts'
import { pathField, pathOf } from '../net/path.ts'
import { type ChoosingRoute, wishOf } from '../route/names.ts'
import { DEFAULT_OPTIONS } from '../route/options.ts'
import { entriesOf, type RouteRecord } from '../route/record.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import type { PutChange } from './change.ts'

/** The record for a put, without the certificate of its domain; `found` is the existing one, `now` is ISO 8601. */
export function buildRecord(change: PutChange, found: RouteRecord | undefined, now: string): RouteRecord {
  const { spec } = change
  return {
    version: 1,
    droplet_name: change.dropletName,
    domain: spec.domain,
    ...pathField(spec),
    upstream_host: spec.upstream_host,
    upstream_port: spec.upstream_port,
    upstream_addresses: change.upstream.addresses === null ? null : [...change.upstream.addresses],
    ...(change.upstreams === undefined ? {} : { upstreams: change.upstreams }),
    resolvers: [...change.upstream.resolvers],
    enable_ssl: spec.enable_ssl,
    source: change.source,
    options: spec.options ?? DEFAULT_OPTIONS,
    ...(spec.certificate_from === undefined ? {} : { certificate_from: spec.certificate_from }),
    certificate: null,
    last_health_status: change.health.status,
    last_health_checked_at: change.health.checkedAt,
    created_at: found?.created_at ?? now,
    updated_at: now,
  }
}

/** Whether two records have the same fields that a caller sets: not the resolved addresses, and not the certificate. */
export function sameSpec(a: RouteRecord, b: RouteRecord): boolean {
  return (
    a.domain === b.domain &&
    pathOf(a) === pathOf(b) &&
    a.upstream_host === b.upstream_host &&
    a.upstream_port === b.upstream_port &&
    JSON.stringify(entriesOf(a)) === JSON.stringify(entriesOf(b)) &&
    a.enable_ssl === b.enable_ssl &&
    isDeepStrictEqual(a.certificate_from, b.certificate_from) &&
    JSON.stringify(a.options) === JSON.stringify(b.options)
  )
}

type Certified = ChoosingRoute & Pick<RouteRecord, 'certificate'>

/**
 * The certificate of a route as it is to be, `found` being the route as it is. It keeps its current one if no other is there, even if that has
 * expired or the clock is wrong: falling back to plain HTTP silently would be worse. If it can no longer be read, NGINX's test fails, and the next
 * start repairs it. `{ fault }` is why the one that its caller has chosen may not be served.
 */
export function certificateFor(
  wanted: ChoosingRoute,
  found: Certified | undefined,
  certificates: Snapshot['certificates'],
): CertificateSummary | null | { readonly fault: string } {
  const wish = wishOf(wanted)
  const there = certificates.get(wishKey(wish))
  const current = found?.domain === wanted.domain ? found.certificate : null
  const isChosenAgain = found !== undefined && wishKey(wishOf(found)) === wishKey(wish)
  if (there !== undefined && 'fault' in there) return isChosenAgain && current !== null ? current : there
  if (there === undefined) return wish.from === null || isChosenAgain ? current : null
  return knownSummary(there, current)
}

/** The error for a certificate that was chosen and may not be served; `fault` is a sentence. */
export function unusableCertificate(fault: string): ProxyManagerError {
  return new ProxyManagerError('CERTIFICATE_INVALID', {
    message: `The certificate that was chosen may not be served: ${fault}`,
    details: {
      remedy: 'Choose one of GET /certificates that covers every name of the route, or pass "certificate": null',
    },
  })
}
