/** What answers look like, for the API's description: one sample droplet in each of them. */
import { remedyOf } from '../core/certbot-diagnostic.ts'
import type { ErrorCode } from '../core/errors.ts'
import { DEFAULT_OPTIONS } from '../core/proxy-options.ts'

const DROPLET = 'orders'
const DOMAIN = 'orders.example.com'
const AT = '2026-01-01T00:00:00.000Z'
const REVISION = 'f00a7ce98e6cbf0d'

const CERTBOT_SAID = 'DNS problem: NXDOMAIN looking up A for orders.example.com'

/** What an example says beside what every error says: its particulars, and its own words where the occasion has some. */
export const ERROR_EXAMPLES: {
  readonly [C in ErrorCode]?: { readonly message?: string; readonly details: Readonly<Record<string, unknown>> }
} = {
  INVALID_REQUEST: {
    details: {
      issues: [
        { path: 'upstream_port', message: 'must be an integer from 1 to 65535' },
        { path: 'nginx', message: 'is not a known field' },
      ],
    },
  },
  DOMAIN_CONFLICT: { details: { domain: DOMAIN, owner: { droplet_name: 'billing' } } },
  DROPLET_EXISTS: { details: { owner: { droplet_name: DROPLET, domain: DOMAIN } } },
  BLAST_RADIUS: {
    details: {
      orphaned: ['billing', DROPLET, 'search'],
      count: 3,
      unconfirmed: 2,
      remedy: 'Look at the list; to delete them all, add confirm=3',
    },
  },
  PRECONDITION_FAILED: { details: { revision: REVISION } },
  UPSTREAM_UNHEALTHY: {
    details: {
      upstream: 'http://localhost:8001',
      health_status: 'unhealthy',
      attempts: [{ address: '127.0.0.1', path: '/health', failure: 'ECONNREFUSED' }],
      remedy: 'Start the droplet, see that its health check answers 2xx, or pass "require_healthy": false',
    },
  },
  UPSTREAM_UNRESOLVABLE: {
    details: {
      upstream: 'http://orders.internal:8001',
      remedy: 'Correct the name, or pass the address as upstream_host',
    },
  },
  UPSTREAM_FORBIDDEN: {
    message: 'The upstream leads to an address at which no droplet lives',
    details: { upstream: 'http://169.254.169.254:80' },
  },
  PROXY_CONFIG_FAILED: {
    details: {
      nginx_output:
        'nginx: [emerg] duplicate upstream "fpai_orders" in fpai-orders.conf:3\nnginx: configuration file nginx.conf test failed',
      diagnostics: [{ level: 'emerg', file: 'fpai-orders.conf', line: 3, message: 'duplicate upstream "fpai_orders"' }],
    },
  },
  NGINX_RELOAD_FAILED: {
    message: 'NGINX is not running',
    details: {
      reason: 'not_running',
      remedy: 'Start NGINX (systemctl start nginx), then call again',
      nginx_output: '',
      diagnostics: [],
    },
  },
  NGINX_ALREADY_BROKEN: {
    details: {
      nginx_output:
        'nginx: [emerg] unknown directive "servr" in site.conf:1\nnginx: configuration file nginx.conf test failed',
      diagnostics: [{ level: 'emerg', file: 'site.conf', line: 1, message: 'unknown directive "servr"' }],
      remedy: 'Mend site.conf (nginx -t shows the same), then call again',
    },
  },
  CONFIG_WRITE_FAILED: {
    details: {
      errno: 'ENOSPC',
      file: 'fpai-orders.conf',
      remedy: 'The disk is full: free some space, then call again',
    },
  },
  SSL_ISSUANCE_FAILED: {
    message: `The certificate was not issued: ${CERTBOT_SAID}`,
    details: {
      domain: DOMAIN,
      reason: 'dns',
      said: CERTBOT_SAID,
      remedy: remedyOf('dns'),
      certbot_output: CERTBOT_SAID,
      preflight: [{ check: 'dns', domain: DOMAIN, ok: false, detail: `${DOMAIN} does not resolve` }],
      culprit: 'caller',
    },
  },
  SSL_RATE_LIMITED: {
    details: {
      domain: DOMAIN,
      reason: 'rate_limited',
      said: 'too many certificates (5) already issued for this exact set of domains in the last 168 hours',
      remedy: remedyOf('rate_limited'),
      retry_at: AT,
    },
  },
  SSL_UNAVAILABLE: {
    details: { reason: 'certbot_missing', remedy: remedyOf('certbot_missing') },
  },
  REGISTRY_UNAVAILABLE: {
    details: {
      failure: 'ECONNREFUSED',
      remedy: 'Look whether REGISTRY_URL is right and the Registry runs; all routes stand as they were',
    },
  },
}

const CERTIFICATE = {
  issuer: "C=US, O=Let's Encrypt, CN=E7",
  not_before: AT,
  expiry: '2026-04-01T00:00:00.000Z',
  domains: [DOMAIN],
  serial: '20ce9bbfa2b6e25c',
  fingerprint_sha256: 'e9c86fcfb373fc407ff8ee5bf5d97165245bffb3802e09902df497b37fb59e3e',
}
const PROXY = {
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
const RECEIPT = { generation: 7, reloaded: true, proved_by: 'tls_handshake', proved_ms: 118, batch: 1 }
const UNCHANGED = { ...RECEIPT, reloaded: false, proved_by: 'files_unchanged', proved_ms: 0, batch: 0 }
const PUT = {
  200: { ...PROXY, receipt: UNCHANGED },
  201: { ...PROXY, receipt: RECEIPT },
  202: {
    ...PROXY,
    ssl_enabled: false,
    status: 'pending_ssl',
    certificate: null,
    receipt: { ...RECEIPT, proved_by: 'generation_probe' },
    next: {
      method: 'POST',
      path: `/proxies/${DROPLET}/ssl`,
      reason: `${DOMAIN} is served over HTTP; HTTPS is wanted and there is no certificate yet`,
    },
  },
}

/** Good answers by the name of their operation, then by their status. */
export const ANSWER_EXAMPLES: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  putProxy: PUT,
  createProxy: PUT,
  listProxies: { 200: [PROXY] },
  getProxy: { 200: PROXY },
  deleteProxy: {
    200: { status: 'deleted', droplet_name: DROPLET, receipt: { ...RECEIPT, proved_by: 'generation_probe' } },
  },
  issueCertificate: {
    200: {
      droplet_name: DROPLET,
      domain: DOMAIN,
      status: 'active',
      expiry: CERTIFICATE.expiry,
      issuer: CERTIFICATE.issuer,
      certificate: CERTIFICATE,
      ordered: true,
      preflight: [{ check: 'dns', domain: DOMAIN, ok: true, detail: `${DOMAIN} resolves to 192.0.2.7` }],
      receipt: RECEIPT,
    },
  },
  syncFromRegistry: {
    200: {
      synced: [DROPLET],
      synced_count: 1,
      created: [DROPLET],
      updated: [],
      unchanged: [],
      deleted: [],
      skipped: [{ name: 'billing', reason: 'is not active (inactive)' }],
      skipped_count: 1,
      orphaned: [],
    },
  },
  getManagerHealth: {
    200: {
      status: 'healthy',
      reasons: [],
      advice: [],
      nginx: {
        present: true,
        version: '1.26.3',
        running: true,
        includes_sites_enabled: true,
        config_test_ok: true,
        config_test_timestamp: AT,
        last_reload_timestamp: AT,
        last_reload_result: 'success',
        generation: RECEIPT.generation,
      },
      ssl: {
        certbot_present: true,
        last_operation: 'success',
        last_operation_timestamp: AT,
        last_operation_domain: DOMAIN,
        last_operation_reason: null,
      },
      folders: { sites_available_writable: true, sites_enabled_writable: true, state_writable: true },
      routes: { total: 1, active: 1, pending_ssl: 0, drifted: [], disabled: [] },
    },
  },
  udcMessage: {
    200: {
      received: true,
      trace_id: 't-1',
      message_id: 'b3c7361a-f76f-4a6e-a2fe-b1ffef21ad2b',
      processed_at: AT,
      status: 'processed',
      result: PROXY,
    },
  },
}
