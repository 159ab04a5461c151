/** The record of a route, stored in the header of its file. */

import * as v from 'valibot'
import { CertificateChoice, CertificateSummary } from '../certificates/certificate.ts'
import { Domain } from '../net/domain.ts'
import { HealthStatus } from '../upstream/upstream.ts'
import { DropletName } from './droplet-name.ts'
import { ProxyOptions } from './options.ts'

/** Who manages the route: a call, or a sync with the Registry. */
export const RouteSource = v.picklist(['api', 'registry'])
export type RouteSource = v.InferOutput<typeof RouteSource>

export const RouteRecord = v.object({
  version: v.literal(1),
  droplet_name: DropletName,
  domain: Domain,
  /** Null, like the port, if the route only redirects. */
  upstream_host: v.nullable(v.string()),
  upstream_port: v.nullable(v.number()),
  /** Literal addresses in order of preference; null if NGINX resolves `upstream_host` at run time with `resolvers`. */
  upstream_addresses: v.nullable(v.array(v.string())),
  resolvers: v.array(v.string()),
  enable_ssl: v.boolean(),
  /** A sync does not change routes that calls manage. */
  source: v.optional(RouteSource, 'api'),
  options: v.optional(ProxyOptions, {}),
  /** What the caller has chosen; absent if it is left to us. */
  certificate_from: v.optional(CertificateChoice),
  certificate: v.nullable(CertificateSummary),
  last_health_status: HealthStatus,
  last_health_checked_at: v.nullable(v.string()),
  created_at: v.string(),
  updated_at: v.string(),
})

/** Times are ISO 8601 in UTC. */
export interface RouteRecord extends Readonly<v.InferOutput<typeof RouteRecord>> {}
