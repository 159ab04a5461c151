/** The droplet that every example of the API's description is about. */
import { DEFAULT_OPTIONS } from '../../route/options.ts'

export const DROPLET = 'orders'
export const DOMAIN = 'orders.example.com'
export const AT = '2026-01-01T00:00:00.000Z'
export const REVISION = 'f00a7ce98e6cbf0d'
/** A sample like the rest: the version of the product is in package.json only. */
export const VERSION = '1.2.3'

export const CERTIFICATE = {
  issuer: "C=US, O=Let's Encrypt, CN=E7",
  not_before: AT,
  expiry: '2026-04-01T00:00:00.000Z',
  domains: [DOMAIN],
  serial: '20ce9bbfa2b6e25c',
  fingerprint_sha256: 'e9c86fcfb373fc407ff8ee5bf5d97165245bffb3802e09902df497b37fb59e3e',
}
export const PROXY = {
  droplet_name: DROPLET,
  domain: DOMAIN,
  upstream: 'http://localhost:8001',
  upstream_host: 'localhost',
  upstream_port: 8001,
  enable_ssl: true,
  ssl_enabled: true,
  status: 'active',
  source: 'api',
  options: DEFAULT_OPTIONS,
  last_health_status: 'healthy',
  last_health_checked_at: AT,
  certificate: CERTIFICATE,
  created_at: AT,
  updated_at: AT,
  revision: REVISION,
}
export const RECEIPT = { generation: 7, reloaded: true, proved_by: 'tls_handshake', proved_ms: 118, batch: 1 }

/** Good answers by the name of their operation, then by their status. */
export type AnswerExamples = Readonly<Record<string, Readonly<Record<string, unknown>>>>
