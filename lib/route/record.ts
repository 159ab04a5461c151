/** The record of a route, stored in the header of its file. */

import * as v from 'valibot'
import { CertificateChoice, CertificateSummary } from '../certificates/certificate.ts'
import { Domain } from '../net/domain.ts'
import { RoutePath } from '../net/path.ts'
import { HealthStatus, type Upstream, type UpstreamEntry, upstreamsOf } from '../upstream/upstream.ts'
import { DropletName } from './droplet-name.ts'
import { ProxyOptions, writtenOptions } from './options.ts'

/** Who manages the route: a call, or a sync with the Registry. */
export const RouteSource = v.picklist(['api', 'registry'])
export type RouteSource = v.InferOutput<typeof RouteSource>

export const RouteRecord = v.object({
  version: v.literal(1),
  droplet_name: DropletName,
  domain: Domain,
  /** Absent if it is `/`. */
  path: v.exactOptional(RoutePath),
  /** Null, like the port, if the route only redirects. */
  upstream_host: v.nullable(v.string()),
  upstream_port: v.nullable(v.number()),
  /** Literal addresses in order of preference; null if NGINX resolves `upstream_host` at run time with `resolvers`. */
  upstream_addresses: v.nullable(v.array(v.string())),
  /** All of them, if there are several; host, port and addresses above are then those of the first that is not a backup. */
  upstreams: v.optional(
    v.array(
      v.object({
        host: v.string(),
        port: v.number(),
        backup: v.boolean(),
        /** As `upstream_addresses`. */
        addresses: v.nullable(v.array(v.string())),
      }),
    ),
  ),
  resolvers: v.array(v.string()),
  enable_ssl: v.boolean(),
  /** A sync does not change routes that calls manage. */
  source: v.optional(RouteSource, 'api'),
  options: v.optional(ProxyOptions, {}),
  /** What the caller has chosen; absent if it is left to us. */
  certificate_from: v.optional(CertificateChoice),
  /** That of the domain, in the record of the route with its server blocks; null in those of its other routes. */
  certificate: v.nullable(CertificateSummary),
  last_health_status: HealthStatus,
  last_health_checked_at: v.nullable(v.string()),
  created_at: v.string(),
  updated_at: v.string(),
})

/** Times are ISO 8601 in UTC. */
export interface RouteRecord extends Readonly<v.InferOutput<typeof RouteRecord>> {}

/** An upstream of a route, with the addresses that NGINX has for it; null if NGINX resolves its name. */
export interface PlacedUpstream extends Upstream, Pick<UpstreamEntry, 'backup'> {
  readonly addresses: readonly string[] | null
}

/** All upstreams of a route, in its order. */
export function placedUpstreams(record: RouteRecord): readonly PlacedUpstream[] {
  const { upstreams, upstream_addresses } = record
  return upstreamsOf(record).map((upstream, i) => ({
    ...upstream,
    addresses: upstreams?.[i]?.addresses ?? (upstreams ? null : upstream_addresses),
  }))
}

/** The upstreams of a route as callers see them: without the addresses. */
export function entriesOf(record: Pick<RouteRecord, 'upstream_host' | 'upstream_port' | 'upstreams'>): UpstreamEntry[] {
  return upstreamsOf(record).map(({ host, port, backup }) => ({ host, port, backup }))
}

/** The record as its file has it, on one line. */
export function recordText(record: RouteRecord): string {
  return JSON.stringify({ ...record, options: writtenOptions(record.options) })
}
