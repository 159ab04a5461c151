/** What rendering depends on besides a route's record, in one word: the host, and this version of the renderer. */
import { printUnchecked } from '../nginx/config/print.ts'
import { sha256 } from '../route/file-envelope.ts'
import { DEFAULT_OPTIONS } from '../route/options.ts'
import type { RouteRecord } from '../route/record.ts'
import { contextKey, type RenderContext } from './context.ts'
import { routeDirectives } from './server-block.ts'
import { sharedDirectives } from './shared-file.ts'

const AT = '2026-01-01T00:00:00.000Z'

const PLAIN: RouteRecord = {
  version: 1,
  droplet_name: 'sample',
  domain: 'sample.invalid',
  upstream_host: '192.0.2.1',
  upstream_port: 1,
  upstream_addresses: ['192.0.2.1', '192.0.2.2'],
  resolvers: ['192.0.2.53'],
  enable_ssl: true,
  source: 'api',
  options: DEFAULT_OPTIONS,
  certificate: null,
  last_health_status: 'unknown',
  last_health_checked_at: null,
  created_at: AT,
  updated_at: AT,
}
const certificate = {
  issuer: 'sample',
  not_before: AT,
  expiry: AT,
  domains: ['sample.invalid'],
  serial: '0',
  fingerprint_sha256: '0'.repeat(64),
}

const MOUNT: RouteRecord = { ...PLAIN, path: '/sample', options: { ...DEFAULT_OPTIONS, strip_prefix: true } }

/** Routes that together use every kind of directive. */
const SAMPLES: readonly RouteRecord[] = [
  PLAIN,
  {
    ...PLAIN,
    certificate,
    options: {
      ...DEFAULT_OPTIONS,
      hsts: true,
      allow: ['192.0.2.0/24'],
      aliases: ['a.invalid'],
      upstream_keepalive_s: 0,
    },
  },
  {
    ...PLAIN,
    certificate,
    upstream_host: 'sample.internal',
    upstream_addresses: null,
    options: { ...DEFAULT_OPTIONS, upstream_scheme: 'https', websocket: false, buffering: true },
  },
  {
    ...PLAIN,
    upstreams: [
      { host: '192.0.2.1', port: 1, backup: false, addresses: ['192.0.2.1', '192.0.2.2'] },
      { host: 'sample.internal', port: 1, backup: true, addresses: null },
    ],
    options: {
      ...DEFAULT_OPTIONS,
      upstream_scheme: 'https',
      upstream_tls_verify: true,
      upstream_host_header: 'upstream',
      balance: 'least_conn',
      failover: 'connect_only',
      failover_on_5xx: true,
      request_headers: { 'X-Sample': 'sample', 'X-Other': null },
    },
  },
  { ...PLAIN, certificate, options: { ...DEFAULT_OPTIONS, redirect_to: 'other.invalid' } },
  { ...PLAIN, certificate, options: { ...DEFAULT_OPTIONS, maintenance: true } },
  MOUNT,
  { ...MOUNT, upstream_addresses: null },
]

/** Changes if any route would be rendered differently. Does not include what only the shared file depends on. */
export function renderFingerprint(context: RenderContext): string {
  const shared = { generation: 0, catchAllHttp: [], catchAllHttps: [], hasNamedUpstream: true }
  const samples = [
    ...SAMPLES.flatMap((record) => routeDirectives(record, context)),
    ...sharedDirectives(shared, context),
  ]
  return sha256(`${contextKey(context)}\n${printUnchecked(samples)}`)
}
