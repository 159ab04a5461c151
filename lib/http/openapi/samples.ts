/** The route that every example of the API's description is about. */
import { DEFAULT_OPTIONS } from '../../route/options.ts'
import { ChangedProxy, PendingProxy } from '../answer-schemas.ts'
import type { ResponseSpec } from '../operation.ts'

export const DROPLET = 'orders'
export const DOMAIN = 'orders.example.com'
export const AT = '2026-01-01T00:00:00.000Z'
export const REVISION = 'f00a7ce98e6cbf0d'
/** Of the software in examples, whichever version answers. */
export const VERSION = '1.0.0'

const HOST_DIFFERENCE = 'becomes the name in lower case, without a standard port'

const SUMMARY = {
  issuer: "C=US, O=Let's Encrypt, CN=E7",
  not_before: AT,
  expiry: '2026-04-01T00:00:00.000Z',
  domains: [DOMAIN],
  serial: '20ce9bbfa2b6e25c',
  fingerprint_sha256: 'e9c86fcfb373fc407ff8ee5bf5d97165245bffb3802e09902df497b37fb59e3e',
}
export const CERTIFICATE = { ...SUMMARY, source: 'own', why: 'it was ordered for this route' }
export const UPLOADED = {
  source: 'uploaded',
  name: 'corp',
  expiry: SUMMARY.expiry,
  certificate: SUMMARY,
  users: [DROPLET],
  uploaded_at: AT,
  last_attempt: null,
  next_attempt_at: null,
  budget_left: null,
}
export const LINEAGE = {
  source: 'own',
  name: DOMAIN,
  expiry: SUMMARY.expiry,
  certificate: SUMMARY,
  users: [DROPLET],
  last_attempt: { at: AT, result: 'issued', reason: null },
  next_attempt_at: null,
  budget_left: { failures: 3, certificates: 2 },
}
export const PROXY = {
  droplet_name: DROPLET,
  domain: DOMAIN,
  path: '/',
  upstream: 'http://localhost:8001',
  upstream_host: 'localhost',
  upstream_port: 8001,
  upstreams: [{ host: 'localhost', port: 8001, backup: false }],
  enable_ssl: true,
  ssl_enabled: true,
  status: 'active',
  source: 'api',
  options: DEFAULT_OPTIONS,
  last_health_status: 'healthy',
  last_health_checked_at: AT,
  health: { status: 'healthy', since: AT, latency_ms: 3, recent: '1' },
  certificate: CERTIFICATE,
  created_at: AT,
  updated_at: AT,
  updated_by: { kind: 'token', name: 'ci' },
  revision: REVISION,
}
/** The document of all routes. */
export const EXPORTED = {
  version: 1,
  routes: [
    { droplet_name: DROPLET, domain: DOMAIN, upstream_host: 'localhost', upstream_port: 8001, enable_ssl: true },
  ],
  certificates: [],
}
/** Of one route, by itself. */
export const HEALTH = {
  ...PROXY.health,
  failure: null,
  consecutive_failures: 0,
  checks: [{ at: AT, ok: true, ms: 3, failure: null }],
}
/** A hand-written site. */
export const SITE = {
  file: 'sites-enabled/orders',
  verdict: 'adoptable_with_differences',
  servers: [{ line: 1, names: [DOMAIN], listens: ['80'] }],
  routes: [
    {
      droplet_name: DROPLET,
      body: {
        domain: DOMAIN,
        require_healthy: false,
        enable_ssl: false,
        upstream: PROXY.upstream,
        options: { websocket: false, max_body_size: '1m', connect_timeout_s: 60, read_timeout_s: 60, buffering: true },
      },
    },
  ],
  differences: [
    { file: 'sites-enabled/orders', line: 4, directive: 'proxy_set_header Host $http_host', text: HOST_DIFFERENCE },
  ],
  refusals: [],
}
export const RECEIPT = { generation: 7, reloaded: true, proved_by: 'tls_handshake', proved_ms: 118, batch: 1 }
export const HTTP_RECEIPT = { ...RECEIPT, proved_by: 'generation_probe' }
export const FORMER = { upstream: 'http://localhost:8000', drained: true, connections: 0, waited_ms: 240 }

/** What the two operations that put a route answer; what 200 means differs between them. */
export function putResponses(unchanged: string): Readonly<Record<number, ResponseSpec>> {
  return {
    200: {
      description: unchanged,
      schema: ChangedProxy,
      example: {
        ...PROXY,
        receipt: { ...RECEIPT, reloaded: false, proved_by: 'files_unchanged', proved_ms: 0, former: [] },
      },
      // A dry run has neither.
      headers: { ETag: 'sometimes', 'Server-Timing': 'sometimes' },
    },
    201: {
      description: 'Created, and served as requested',
      schema: ChangedProxy,
      example: { ...PROXY, receipt: { ...RECEIPT, former: [] } },
      headers: { ETag: 'always', Location: 'always', 'Server-Timing': 'always' },
    },
    202: {
      description:
        'Created, replaced or unchanged; HTTPS is wanted, and at least one name is served over HTTP until it has a certificate',
      schema: PendingProxy,
      example: {
        ...PROXY,
        ssl_enabled: false,
        status: 'pending_ssl',
        certificate: null,
        receipt: { ...HTTP_RECEIPT, former: [FORMER] },
        next: {
          method: 'POST',
          path: `/proxies/${DROPLET}/ssl`,
          reason: `${DOMAIN} is served over HTTP; HTTPS is wanted and there is no certificate yet`,
        },
      },
      // Only a new route has a Location.
      headers: { ETag: 'always', Location: 'sometimes', 'Server-Timing': 'always' },
    },
  }
}
