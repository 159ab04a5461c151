/**
 * The error catalogue: every way in which a call can be rejected or fail.
 * A code, and for some of them the reason, fixes the HTTP status, the message and who can do something about it; whoever throws adds details.
 */

/** Who can fix it: the caller, the owner of another route, the host's operator, the droplet behind the route, or the CA. */
export type Culprit = 'caller' | 'other_route' | 'host' | 'upstream' | 'ca'

/** The step of the change at which it happened. */
export type Stage =
  | 'request'
  | 'plan'
  | 'upstream'
  | 'queue'
  | 'test'
  | 'write'
  | 'reload'
  | 'confirm'
  | 'restore'
  | 'issue'

/** State of the host: nothing was changed, the change was rolled back, or the host needs attention. */
export type HostState = 'unchanged' | 'rolled_back' | 'degraded'

interface CatalogueEntry {
  readonly status: number
  /** The status for some values of `details.reason` instead. */
  readonly statusByReason?: Readonly<Record<string, number>>
  readonly culprit: Culprit
  readonly retryable: boolean
  readonly stage: Stage
  readonly message: string
  /** What to do about it, if that is always the same. */
  readonly remedy?: string
}

export const ERRORS = {
  INVALID_REQUEST: entry(400, 'caller', false, 'request', 'The request is invalid'),
  UNAUTHORIZED: entry(401, 'caller', false, 'request', 'A valid API token is required'),
  FORBIDDEN: entry(403, 'caller', false, 'request', 'This Host or Origin is not allowed to call this API'),
  NOT_FOUND: entry(404, 'caller', false, 'request', 'There is no such endpoint'),
  CERTIFICATE_NOT_FOUND: entry(404, 'caller', false, 'request', 'No certificate of this name was uploaded'),
  VERSION_NOT_FOUND: entry(
    404,
    'caller',
    false,
    'request',
    'The route has no such version',
    'Choose a version of its history',
  ),
  PROXY_NOT_FOUND: entry(
    404,
    'caller',
    false,
    'plan',
    'There is no route for this droplet',
    'GET /proxies lists the existing routes',
  ),
  METHOD_NOT_ALLOWED: entry(405, 'caller', false, 'request', 'Method not allowed'),
  REQUEST_TIMEOUT: entry(408, 'caller', true, 'request', 'The request did not arrive in time'),
  DOMAIN_CONFLICT: entry(
    409,
    'other_route',
    false,
    'plan',
    'Another route already serves this domain',
    'Delete, move or rename the route in details.owner, or choose another domain',
  ),
  SUPERSEDED: entry(
    409,
    'caller',
    false,
    'upstream',
    'A later call for this droplet has replaced this one, which was waiting for it to become healthy',
    'If the later call is the newer deploy, nothing has to be done',
  ),
  DROPLET_EXISTS: entry(
    409,
    'caller',
    false,
    'plan',
    'The droplet already has a route with a different configuration',
    'Use PUT to replace it, or choose another droplet_name',
  ),
  BLAST_RADIUS: entry(
    409,
    'caller',
    false,
    'plan',
    'This sync would delete more routes than allowed without confirmation',
  ),
  CERTIFICATE_IN_USE: entry(409, 'other_route', false, 'plan', 'Routes use this certificate'),
  PRECONDITION_FAILED: entry(
    412,
    'caller',
    false,
    'plan',
    "The route's revision does not match If-Match or If-None-Match",
    'GET the route, then repeat the call with its current revision (details.revision)',
  ),
  PAYLOAD_TOO_LARGE: entry(413, 'caller', false, 'request', 'The body is too large'),
  UNSUPPORTED_MEDIA_TYPE: entry(415, 'caller', false, 'request', 'The body must be application/json, not compressed'),
  CERTIFICATE_INVALID: entry(422, 'caller', false, 'request', 'The certificate may not be served'),
  UPSTREAM_UNHEALTHY: entry(422, 'upstream', true, 'upstream', 'The upstream failed its health check'),
  UPSTREAM_UNRESOLVABLE: entry(422, 'upstream', true, 'upstream', 'The upstream host name does not resolve'),
  UPSTREAM_FORBIDDEN: entry(
    422,
    'caller',
    false,
    'upstream',
    'Proxying to this upstream address is not allowed',
    'Pass the address of the droplet itself',
  ),
  NGINX_UNSUPPORTED: entry(
    422,
    'host',
    false,
    'plan',
    'The NGINX of this host lacks what the route needs',
    "Install an NGINX that has the module, such as Debian's",
  ),
  SITE_NOT_ADOPTABLE: entry(
    422,
    'caller',
    false,
    'plan',
    'Routes cannot serve everything that this file serves',
    'GET /host/sites names what a route cannot do, by file and line: change the file, and call again',
  ),
  TOO_MANY_ATTEMPTS: entry(429, 'caller', true, 'request', 'Too many calls without a valid token from this address'),
  TOO_MANY_STREAMS: entry(
    429,
    'caller',
    true,
    'request',
    'Too many streams of events are open',
    'Close one of them, or read the events page by page',
  ),
  SSL_RATE_LIMITED: entry(429, 'ca', true, 'issue', 'No certificate may be ordered for this name yet'),
  HEADERS_TOO_LARGE: entry(431, 'caller', false, 'request', 'The request headers are larger than 16 KiB'),
  PROXY_CONFIG_FAILED: entry(
    500,
    'caller',
    false,
    'test',
    'NGINX config test failed',
    'See nginx_output and diagnostics',
  ),
  NGINX_RELOAD_FAILED: entry(500, 'host', true, 'reload', 'NGINX did not apply the new configuration'),
  CONFIG_WRITE_FAILED: entry(500, 'host', true, 'write', 'The configuration could not be written'),
  INTERNAL: entry(500, 'host', false, 'request', 'Internal error; see the log for this correlation ID'),
  // What lies in the domain is for the caller to correct; many programs repeat any 5xx at once.
  SSL_ISSUANCE_FAILED: {
    ...entry(502, 'ca', true, 'issue', 'The certificate was not issued'),
    statusByReason: { dns: 422, unreachable: 422, caa: 422, rejected: 422 },
  },
  REGISTRY_NOT_CONFIGURED: entry(503, 'host', false, 'request', 'No Registry is configured: set REGISTRY_URL'),
  REGISTRY_UNAVAILABLE: entry(503, 'host', true, 'request', 'The Registry did not answer with a list of droplets'),
  SSL_UNAVAILABLE: entry(503, 'host', true, 'issue', 'certbot cannot be run on this host'),
  CONFIG_READ_FAILED: entry(503, 'host', true, 'plan', 'A file or directory of this host could not be read'),
  NGINX_ALREADY_BROKEN: entry(
    503,
    'host',
    true,
    'test',
    "The host's NGINX configuration fails its test even without this change",
  ),
  BUSY: entry(503, 'host', true, 'queue', 'Too many changes are waiting'),
} as const satisfies Record<string, CatalogueEntry>

export type ErrorCode = keyof typeof ERRORS

export interface ErrorOptions {
  /** Public; the catalogue's message if missing. Must contain no secret and no directory. */
  readonly message?: string
  /** Public. `stage`, `state`, `culprit` and `retryable` here override the catalogue's. */
  readonly details?: Readonly<Record<string, unknown>>
  /** What was caught; only for the log. */
  readonly cause?: unknown
  /** Sent as `Retry-After`, in seconds. */
  readonly retryAfterS?: number
  /** Further headers of the response, such as `Allow`. */
  readonly headers?: Readonly<Record<string, string>>
}

/** The only error that leaves `lib/`: a code of the catalogue, a public message, and a private cause. */
export class ProxyManagerError extends Error {
  readonly code: ErrorCode
  readonly status: number
  readonly details: Readonly<Record<string, unknown>>
  readonly retryAfterS: number | undefined
  readonly headers: Readonly<Record<string, string>>

  constructor(code: ErrorCode, options: ErrorOptions = {}) {
    const found: CatalogueEntry = ERRORS[code]
    super(options.message ?? found.message, { cause: options.cause })
    this.name = 'ProxyManagerError'
    this.code = code
    this.status = found.statusByReason?.[String(options.details?.reason)] ?? found.status
    this.retryAfterS = options.retryAfterS
    this.headers = options.headers ?? {}
    this.details = {
      stage: found.stage,
      state: 'unchanged' satisfies HostState,
      culprit: found.culprit,
      retryable: found.retryable,
      ...(found.remedy === undefined ? {} : { remedy: found.remedy }),
      ...options.details,
    }
  }
}

/** Every status that an error of this code may have. */
export function statusesOf(code: ErrorCode): ReadonlySet<number> {
  const { status, statusByReason = {} }: CatalogueEntry = ERRORS[code]
  return new Set([status, ...Object.values(statusByReason)])
}

function entry(
  status: number,
  culprit: Culprit,
  retryable: boolean,
  stage: Stage,
  message: string,
  remedy?: string,
): CatalogueEntry {
  return { status, culprit, retryable, stage, message, ...(remedy === undefined ? {} : { remedy }) }
}

/** What a change or an order fails with while the process stops. */
export function stopping(): ProxyManagerError {
  return new ProxyManagerError('BUSY', { message: 'Proxy Manager is stopping', retryAfterS: 2 })
}

/** The same failure with further details, such as the state of the host. */
export function withDetails(failure: ProxyManagerError, details: Readonly<Record<string, unknown>>): ProxyManagerError {
  return new ProxyManagerError(failure.code, {
    message: failure.message,
    details: { ...failure.details, ...details },
    cause: failure.cause,
    headers: failure.headers,
    ...(failure.retryAfterS === undefined ? {} : { retryAfterS: failure.retryAfterS }),
  })
}

/** An error's message, only for the log. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
