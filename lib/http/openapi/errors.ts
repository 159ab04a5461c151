/** Errors in the API's description: from the catalogue, each with an example. */
import { remedyOf } from '../../certificates/certbot-diagnostic.ts'
import { ERRORS, type ErrorCode, ProxyManagerError } from '../../errors.ts'
import { errorBody } from '../error-response.ts'
import type { Operation, ResponseHeaders } from '../operation.ts'
import { describeHeaders, type JsonObject } from './headers.ts'
import { schemaRef } from './named-schemas.ts'
import { AT, DOMAIN, DROPLET, REVISION } from './samples.ts'

/** Errors that every endpoint may answer, whatever it does. */
const EVERYWHERE: readonly ErrorCode[] = [
  'UNAUTHORIZED',
  'FORBIDDEN',
  'TOO_MANY_ATTEMPTS',
  'REQUEST_TIMEOUT',
  'HEADERS_TOO_LARGE',
  'INTERNAL',
]
/** Errors that an endpoint that needs no token does not answer. */
const OF_TOKENS: readonly ErrorCode[] = ['UNAUTHORIZED', 'TOO_MANY_ATTEMPTS']

/** The errors of an endpoint by their status; `isOpen` if it needs no token. */
export function describeErrors(operation: Operation, isOpen: boolean): JsonObject {
  const byStatus = new Map<number, ProxyManagerError[]>()
  for (const code of new Set([...operation.errors, ...EVERYWHERE])) {
    for (const example of [EXAMPLES[code] ?? {}].flat()) {
      const error = new ProxyManagerError(code, example)
      // A status that the endpoint also answers itself keeps its own description.
      if (error.status in operation.responses || (isOpen && OF_TOKENS.includes(code))) continue
      byStatus.set(error.status, [...(byStatus.get(error.status) ?? []), error])
    }
  }
  return Object.fromEntries([...byStatus].map(([status, errors]) => [String(status), describeResponse(errors)]))
}

function describeResponse(errors: readonly ProxyManagerError[]): JsonObject {
  return {
    description: errors.map(({ code }) => `${code}: ${ERRORS[code].message}`).join('. '),
    headers: describeHeaders(errors.map(({ code }) => HEADERS[code] ?? {})),
    content: {
      'application/json': {
        schema: { $ref: schemaRef('ErrorBody') },
        examples: Object.fromEntries(
          errors.map((error) => [error.code, { value: errorBody(error, '0b9d2f1c-5a53-4a0e-9f0e-1d1c3f1f7a10') }]),
        ),
      },
    },
  }
}

const HEADERS: { readonly [C in ErrorCode]?: ResponseHeaders } = {
  // Retry-After only while the Registry's key is unavailable.
  UNAUTHORIZED: { 'WWW-Authenticate': 'always', 'Retry-After': 'sometimes' },
  TOO_MANY_ATTEMPTS: { 'Retry-After': 'always' },
  TOO_MANY_STREAMS: { 'Retry-After': 'always' },
  SSL_RATE_LIMITED: { 'Retry-After': 'always' },
  SSL_ISSUANCE_FAILED: { 'Retry-After': 'sometimes' },
  CONFIG_READ_FAILED: { 'Retry-After': 'always' },
  BUSY: { 'Retry-After': 'always' },
}

const CERTBOT_SAID = 'DNS problem: NXDOMAIN looking up A for orders.example.com'
const CA_DOWN = 'The service is down for maintenance or had an internal error.'

/** What an example has beside what every error has: its details, and its own message if the occasion has one. */
interface Example {
  readonly message?: string
  readonly details: Readonly<Record<string, unknown>>
}

/** By code; several if it has several statuses. */
const EXAMPLES: { readonly [C in ErrorCode]?: Example | readonly Example[] } = {
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
      remedy: 'Check the list; to delete them all, add confirm=3',
    },
  },
  CERTIFICATE_NOT_FOUND: { details: { remedy: 'GET /certificates lists the existing certificates' } },
  CERTIFICATE_IN_USE: {
    details: {
      users: [DROPLET],
      remedy: 'Choose another certificate for the routes in details.users, or delete them, then call again',
    },
  },
  CERTIFICATE_INVALID: {
    message: 'The certificate may not be served: the private key belongs to another certificate',
    details: { remedy: 'Correct the pair, then call again' },
  },
  PRECONDITION_FAILED: { details: { revision: REVISION } },
  UPSTREAM_UNHEALTHY: {
    details: {
      upstream: 'http://localhost:8001',
      health_status: 'unhealthy',
      attempts: [{ address: '127.0.0.1', path: '/health', failure: 'ECONNREFUSED' }],
      remedy:
        'Start the droplet and see that its health check answers 2xx; if that has another path, pass it as options.health_check_path; "require_healthy": false skips the check',
    },
  },
  UPSTREAM_UNRESOLVABLE: {
    details: {
      upstream: 'http://orders.internal:8001',
      remedy:
        'Correct the name, or pass the address as upstream_host: names are looked up in the hosts file and in DNS, not in other sources of NSS',
    },
  },
  UPSTREAM_FORBIDDEN: {
    message: 'The upstream resolves to a reserved address',
    details: { upstream: 'http://169.254.169.254:80' },
  },
  SITE_NOT_ADOPTABLE: {
    details: {
      findings: [
        {
          file: 'sites-enabled/orders',
          line: 4,
          directive: 'auth_basic Private',
          text: 'a route has no option for it',
        },
      ],
    },
  },
  NGINX_UNSUPPORTED: {
    message: 'This NGINX was built without ngx_http_ssl_module, which HTTPS needs',
    details: { remedy: 'Install an NGINX that has it, such as Debian\'s, or pass "enable_ssl": false' },
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
      remedy: 'Fix site.conf (nginx -t shows the same), then call again',
    },
  },
  CONFIG_READ_FAILED: {
    details: {
      errno: 'EMFILE',
      file: 'fpai-orders.conf',
      remedy: 'Too many open files: raise the limit (LimitNOFILE), then call again',
    },
  },
  CONFIG_WRITE_FAILED: {
    details: {
      errno: 'ENOSPC',
      file: 'fpai-orders.conf',
      remedy: 'The disk is full: free some space, then call again',
    },
  },
  SSL_ISSUANCE_FAILED: [
    {
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
    {
      message: `The certificate was not issued: ${CA_DOWN}`,
      details: {
        domain: DOMAIN,
        reason: 'ca_down',
        said: CA_DOWN,
        remedy: remedyOf('ca_down'),
        certbot_output: CA_DOWN,
        preflight: [{ check: 'dns', domain: DOMAIN, ok: true, detail: `${DOMAIN} resolves to 192.0.2.7` }],
      },
    },
  ],
  SSL_RATE_LIMITED: {
    details: {
      domain: DOMAIN,
      reason: 'rate_limited',
      said: 'too many certificates (5) already issued for this exact set of domains in the last 168 hours',
      remedy: remedyOf('rate_limited'),
      limited_by: 'ca',
      retry_at: AT,
    },
  },
  SSL_UNAVAILABLE: {
    details: { reason: 'certbot_missing', remedy: remedyOf('certbot_missing') },
  },
  REGISTRY_UNAVAILABLE: {
    details: {
      failure: 'ECONNREFUSED',
      remedy: 'Check REGISTRY_URL and that the Registry is running; no routes were changed',
    },
  },
}
