/**
 * The error catalogue: every way in which a call can be refused or fail, and nothing else.
 * A code names its HTTP status and who can do something about it; a thrower adds the particulars.
 */

/** Who has to act: the caller, the owner of another route, the host's operator, the droplet behind the route, or the CA. */
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

/** What became of the host: nothing changed, changed and put back, or left in need of attention. */
export type HostState = 'unchanged' | 'rolled_back' | 'degraded'

interface CatalogueEntry {
  readonly status: number
  readonly culprit: Culprit
  readonly retryable: boolean
  readonly stage: Stage
  readonly message: string
  /** What to do, where it does not depend on the occasion. */
  readonly remedy?: string
}

export const ERRORS = {
  INVALID_REQUEST: entry(400, 'caller', false, 'request', 'The request does not fit'),
  UNAUTHORIZED: entry(401, 'caller', false, 'request', 'A valid API token is required'),
  FORBIDDEN: entry(403, 'caller', false, 'request', 'This Host or Origin may not call this API'),
  NOT_FOUND: entry(404, 'caller', false, 'request', 'There is no such endpoint'),
  PROXY_NOT_FOUND: entry(
    404,
    'caller',
    false,
    'plan',
    'There is no route for this droplet',
    'GET /proxies lists the routes that there are',
  ),
  METHOD_NOT_ALLOWED: entry(405, 'caller', false, 'request', 'This endpoint does not take this method'),
  REQUEST_TIMEOUT: entry(408, 'caller', true, 'request', 'The request did not arrive in time'),
  DOMAIN_CONFLICT: entry(
    409,
    'other_route',
    false,
    'plan',
    'Another route already serves this domain',
    'Delete or move the route in details.owner, or choose another domain',
  ),
  DROPLET_EXISTS: entry(
    409,
    'caller',
    false,
    'plan',
    'The droplet has a route with another configuration',
    'Use PUT to replace it, or choose another droplet_name',
  ),
  BLAST_RADIUS: entry(
    409,
    'caller',
    false,
    'plan',
    'More routes would be deleted than one sync may delete unconfirmed',
  ),
  PRECONDITION_FAILED: entry(
    412,
    'caller',
    false,
    'plan',
    'The route is not at the revision that the call expects',
    'GET the route, and repeat the call with its revision (details.revision)',
  ),
  PAYLOAD_TOO_LARGE: entry(413, 'caller', false, 'request', 'The body is larger than 64 KiB'),
  UNSUPPORTED_MEDIA_TYPE: entry(415, 'caller', false, 'request', 'The body must be application/json, not compressed'),
  UPSTREAM_UNHEALTHY: entry(422, 'upstream', true, 'upstream', 'The upstream did not answer its health check'),
  UPSTREAM_UNRESOLVABLE: entry(422, 'upstream', true, 'upstream', 'The upstream host name does not resolve'),
  UPSTREAM_FORBIDDEN: entry(
    422,
    'caller',
    false,
    'upstream',
    'The upstream address may not be proxied to',
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
  TOO_MANY_ATTEMPTS: entry(
    429,
    'caller',
    true,
    'request',
    'Too many calls without a valid token have come from this address',
  ),
  SSL_RATE_LIMITED: entry(429, 'ca', true, 'issue', 'No certificate may be ordered for this name yet'),
  HEADERS_TOO_LARGE: entry(431, 'caller', false, 'request', 'The request headers are larger than 16 KiB'),
  PROXY_CONFIG_FAILED: entry(
    500,
    'caller',
    false,
    'test',
    'NGINX config test failed',
    'See nginx_output and diagnostics; nothing was changed',
  ),
  NGINX_RELOAD_FAILED: entry(500, 'host', true, 'reload', 'NGINX did not take over the new configuration'),
  CONFIG_WRITE_FAILED: entry(500, 'host', true, 'write', 'The configuration could not be written'),
  INTERNAL: entry(
    500,
    'host',
    false,
    'request',
    'Something unforeseen went wrong; the log has it under this correlation id',
  ),
  SSL_ISSUANCE_FAILED: entry(502, 'ca', true, 'issue', 'The certificate was not issued'),
  REGISTRY_NOT_CONFIGURED: entry(503, 'host', false, 'request', 'No Registry is configured: set REGISTRY_URL'),
  REGISTRY_UNAVAILABLE: entry(503, 'host', true, 'request', 'The Registry did not answer with a list of droplets'),
  SSL_UNAVAILABLE: entry(503, 'host', true, 'issue', 'certbot cannot be run on this host'),
  NGINX_ALREADY_BROKEN: entry(
    503,
    'host',
    true,
    'test',
    "The host's configuration fails NGINX's test without this change",
  ),
  BUSY: entry(503, 'host', true, 'queue', 'Too many changes are waiting'),
} as const satisfies Record<string, CatalogueEntry>

export type ErrorCode = keyof typeof ERRORS

export interface ErrorOptions {
  /** Public words for this occasion; the catalogue's where left out. Never a secret, never a folder. */
  readonly message?: string
  /** Public particulars. `stage`, `state`, `culprit`, `retryable` here win over the catalogue's. */
  readonly details?: Readonly<Record<string, unknown>>
  /** What was caught: for the log alone. */
  readonly cause?: unknown
  /** Sent as `Retry-After`, in seconds. */
  readonly retryAfterS?: number
  /** Further headers of the answer, such as `Allow`. */
  readonly headers?: Readonly<Record<string, string>>
}

/** The only error that leaves `lib/`: a catalogued code, public words, and a private cause. */
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
    this.status = found.status
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

/** The process is about to end. */
export function stopping(): ProxyManagerError {
  return new ProxyManagerError('BUSY', { message: 'Proxy Manager is stopping', retryAfterS: 2 })
}

/** The same failure, with what became of the host added. */
export function withDetails(failure: ProxyManagerError, details: Readonly<Record<string, unknown>>): ProxyManagerError {
  return new ProxyManagerError(failure.code, {
    message: failure.message,
    details: { ...failure.details, ...details },
    cause: failure.cause,
  })
}

/** What an error says of itself, for the log only. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
