/** A route as the API shows it. */

import * as v from 'valibot'
import { CertificateChoice, CertificateSummary } from '../certificates/certificate.ts'
import { type Actor, ActorSchema } from '../events/event.ts'
import { pathOf } from '../net/path.ts'
import { HealthDetails, type HealthHistory, HealthSummary, NO_CHECKS, summaryOf } from '../upstream/health-history.ts'
import { HealthStatus, upstreamOf } from '../upstream/upstream.ts'
import { awaitsCertificate, namesOf } from './names.ts'
import { ProxyOptions } from './options.ts'
import { entriesOf, type RouteRecord, RouteSource } from './record.ts'
import { asServed } from './site.ts'
import type { SnapshotRoute } from './stored-route.ts'

/**
 * `active`: served as requested · `pending_ssl`: HTTPS is enabled, but the certificate does not cover all names yet · `drifted`: the file on disk
 * is not as written · `disabled`: no symlink in sites-enabled.
 */
export const ProxyStatus = v.pipe(
  v.picklist(['active', 'pending_ssl', 'drifted', 'disabled']),
  v.description(
    'active: served as requested; pending_ssl: over HTTP until a certificate covers all of its names; drifted: the file was edited by hand; disabled: not in sites-enabled',
  ),
)
export type ProxyStatus = v.InferOutput<typeof ProxyStatus>

/** Why the last order for a route failed, and when the next one may be made; times are ISO 8601. */
export const SslError = v.object({
  reason: v.string(),
  message: v.string(),
  at: v.string(),
  next_attempt_at: v.string(),
})
export type SslError = v.InferOutput<typeof SslError>

/** The order of a route's certificate that certbot makes now, or that waits for others. */
export const SslOrder = v.object({
  state: v.picklist(['waiting', 'running']),
  position: v.pipe(v.number(), v.description('0 while it is made, 1 if it is the next, and so on')),
})
export type SslOrder = v.InferOutput<typeof SslOrder>

/** A former upstream to which NGINX's old workers still have connections. */
export const DrainingUpstream = v.object({
  upstream: v.string(),
  connections: v.number(),
  since: v.pipe(v.string(), v.description('When it was replaced')),
})
export type DrainingUpstream = v.InferOutput<typeof DrainingUpstream>

const text = (help: string) => v.pipe(v.string(), v.description(help))
const flag = (help: string) => v.pipe(v.boolean(), v.description(help))

const { source: _, ...certificateEntries } = CertificateSummary.entries

/** Whose a certificate is: it was ordered for this route, or is another lineage of certbot's, or was uploaded. */
export const CertificateSource = v.picklist(['own', 'lineage', 'uploaded'])

/** The certificate of a route, and why it is this one. */
export const ShownCertificate = v.object({
  ...certificateEntries,
  source: v.pipe(
    CertificateSource,
    v.description('own: ordered for this route; lineage: another lineage of certbot; uploaded: by a caller'),
  ),
  lineage: v.optional(text("Name of another's lineage")),
  name: v.optional(text('Name of an uploaded certificate')),
  why: text('Why the route has this certificate'),
})
export type ShownCertificate = v.InferOutput<typeof ShownCertificate>

/** A route in responses. Times are ISO 8601 in UTC. */
export const ProxyState = v.object({
  droplet_name: text('Name of the droplet, and of its route'),
  domain: text('The domain, in lower case, as an A-label'),
  path: text('The path of the domain that is proxied, with all below it'),
  served_by: v.optional(
    text(
      'The route whose file has the server blocks of the domain, if that is another one: it has the path "/", or the first name',
    ),
  ),
  upstream: v.pipe(
    v.nullable(v.string()),
    v.description('URL that requests are proxied to; null if the route only redirects'),
  ),
  upstream_host: v.nullable(v.string()),
  upstream_port: v.nullable(v.number()),
  upstreams: v.pipe(
    v.array(v.object({ host: v.string(), port: v.number(), backup: v.boolean() })),
    v.description(
      'All upstreams; upstream, upstream_host and upstream_port are those of the first that is not a backup',
    ),
  ),
  enable_ssl: flag('Whether HTTPS is requested'),
  ssl_enabled: flag('Whether it is served over HTTPS'),
  status: ProxyStatus,
  source: RouteSource,
  options: ProxyOptions,
  last_health_status: HealthStatus,
  last_health_checked_at: v.nullable(v.string()),
  health: HealthSummary,
  certificate_from: v.optional(
    v.pipe(CertificateChoice, v.description('The certificate that was chosen in the request; absent if none was')),
  ),
  certificate: v.nullable(ShownCertificate),
  ssl_error: v.optional(SslError),
  ssl_order: v.optional(SslOrder),
  draining: v.optional(
    v.pipe(
      v.array(DrainingUpstream),
      v.description('Only in GET of one route: its former upstreams that are still in use'),
    ),
  ),
  created_at: v.string(),
  updated_at: v.string(),
  updated_by: v.pipe(
    v.nullable(ActorSchema),
    v.description('Who made its newest version, as in its history; null if that is not known'),
  ),
  revision: text('Changes with what a caller can set, and with nothing else; also the ETag'),
})
export type ProxyState = v.InferOutput<typeof ProxyState>

/** One route by itself, with each check of its upstream. */
export const ProxyDetails = v.object({ ...ProxyState.entries, health: HealthDetails })
export type ProxyDetails = v.InferOutput<typeof ProxyDetails>

/** What is known of a route that is not in its file. */
interface Beside {
  readonly history?: HealthHistory
  readonly author?: Actor | null
  readonly sslError?: SslError | undefined
  readonly sslOrder?: SslOrder | undefined
}

/** The route of a snapshot as the API shows it; any check of its `history` is later than the one in its file. */
export function proxyState(
  route: SnapshotRoute,
  { history = NO_CHECKS, author = null, sslError, sslOrder }: Beside = {},
): ProxyState {
  const { servedBy } = route
  const record = asServed(route)
  const last = history.checks.at(-1)
  return {
    droplet_name: record.droplet_name,
    domain: record.domain,
    path: pathOf(record),
    ...(servedBy === undefined ? {} : { served_by: servedBy.droplet_name }),
    upstream: upstreamOf(record)?.url ?? null,
    upstream_host: record.upstream_host,
    upstream_port: record.upstream_port,
    upstreams: entriesOf(record),
    enable_ssl: record.enable_ssl,
    ssl_enabled: record.certificate !== null,
    status: statusOf(route),
    source: record.source,
    options: record.options,
    last_health_status: last === undefined ? record.last_health_status : history.status,
    last_health_checked_at: last === undefined ? record.last_health_checked_at : new Date(last.atMs).toISOString(),
    health: summaryOf(history),
    ...(record.certificate_from === undefined ? {} : { certificate_from: record.certificate_from }),
    certificate: shownCertificate(record, servedBy?.droplet_name),
    ...(sslError === undefined ? {} : { ssl_error: sslError }),
    ...(sslOrder === undefined ? {} : { ssl_order: sslOrder }),
    created_at: record.created_at,
    updated_at: record.updated_at,
    updated_by: author,
    revision: route.revision,
  }
}

/** `owner` is the route that has the server blocks, and with them the certificate, if that is another one. */
function shownCertificate(record: RouteRecord, owner: string | undefined): ShownCertificate | null {
  const shown = certificateOf(record)
  if (shown === null || owner === undefined) return shown
  return { ...shown, why: `it is that of route ${owner}, which has the server blocks of the domain` }
}

function certificateOf({ certificate, certificate_from: from, ...route }: RouteRecord): ShownCertificate | null {
  if (certificate === null) return null
  const { source, ...summary } = certificate
  if (source === undefined) return { ...summary, source: 'own', why: 'it was ordered for this route' }
  const names = namesOf(route)
  const isNamed = names.every((name) => certificate.domains.includes(name))
  const covering = isNamed ? 'it names every name of the route' : 'its wildcard covers the names of the route'
  if ('lineage' in source) {
    const why = from === undefined ? `no lineage of its own is valid, and ${covering}` : 'the route names this lineage'
    return { ...summary, source: 'lineage', lineage: source.lineage, why }
  }
  const why =
    from === undefined ? 'no other certificate was found since the route no longer names it' : 'the route names it'
  return { ...summary, source: 'uploaded', name: source.name, why }
}

/** The most urgent status that applies to a route, or to the one that has its server blocks. */
export function statusOf(route: SnapshotRoute): ProxyStatus {
  const { enabled, drifted, servedBy } = route
  if (!enabled || servedBy?.enabled === false) return 'disabled'
  if (drifted || servedBy?.drifted === true) return 'drifted'
  return awaitsCertificate(asServed(route)) ? 'pending_ssl' : 'active'
}
