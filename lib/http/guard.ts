/** Access control: a token if one is configured, otherwise only programs on this host; never a web page in a browser. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { ProxyManagerError } from '../errors.ts'
import { type Grant, isTokenShaped, type TokenFault, type TokenResult } from '../mesh/token-claims.ts'
import { isLoopbackHost } from '../net/address.ts'
import { type Settings, wantsCredentials } from '../settings/settings.ts'

/** Load balancers and container engines call these without a token. */
export const OPEN_PATHS: ReadonlySet<string> = new Set(['/health', '/proxy-manager/health'])

/** Whether a call needs no token. */
export function isHealthCheck(method: string, path: string): boolean {
  return OPEN_PATHS.has(path) && ['GET', 'HEAD'].includes(method)
}

/**
 * Checks token, Host and Origin, for every path alike, whether there is such an endpoint or not. If tokens of the Registry are accepted,
 * `verifyToken` checks those that no setting has. Returns what the caller may do.
 * @throws {ProxyManagerError} UNAUTHORIZED, FORBIDDEN
 */
export async function guardRequest(
  request: Request,
  settings: Settings,
  base: string,
  verifyToken: (token: string) => Promise<TokenResult>,
): Promise<Grant> {
  const url = new URL(request.url)
  rejectForeignOrigin(request, url.host)
  if (!wantsCredentials(settings)) {
    rejectForeignHost(url.hostname, settings)
    return 'all'
  }
  const { PROXY_MANAGER_API_TOKEN: token, PROXY_MANAGER_READ_TOKEN: readToken } = settings
  const presented = presentedToken(request)
  if (presented !== undefined && token !== undefined && isSame(presented, token)) return 'all'
  if (presented !== undefined && readToken !== undefined && isSame(presented, readToken)) return 'read'
  const isMounted = url.pathname.startsWith(base)
  if (isMounted && isHealthCheck(request.method, url.pathname.slice(base.length))) return 'read'
  if (presented === undefined || !settings.AUTH_REGISTRY_JWT) throw unauthorized()
  // The Registry's tokens come only as Bearer; the key is not fetched for anything that is not shaped like one.
  const isToken = presented === bearerToken(request) && isTokenShaped(presented)
  const verdict = isToken ? await verifyToken(presented) : { reason: 'malformed' as const }
  if ('grant' in verdict) return verdict.grant
  throw unauthorized(verdict.reason)
}

const REMEDIES: Readonly<Record<TokenFault, string>> = {
  malformed: 'Send the API token, or a JWT issued by the Registry, as "Authorization: Bearer ..."',
  algorithm: 'Get a token from the Registry that is signed with RS256',
  signature: 'Get a new token from the Registry: its current key did not sign this one',
  expired: 'Get a new token from the Registry',
  no_expiry: 'Get a token with an "exp" claim from the Registry',
  not_yet_valid: 'Wait until the token is valid, or correct the clocks of the Registry and of this host',
  audience: 'Get a token from the Registry whose "aud" is one of AUTH_JWT_AUDIENCE, or one without "aud"',
  issuer: 'Get a token from the issuer that AUTH_JWT_ISSUER names',
  key_unavailable: "Retry: the Registry's public key has not been fetched yet",
}
/** The key is fetched again after this. */
const NO_KEY_RETRY_S = 5

/** RFC 6750, 3.1: the challenge has an error only if a token was sent. */
function unauthorized(reason?: TokenFault): ProxyManagerError {
  const challenge = 'Bearer realm="proxy-manager"'
  if (reason === undefined) return new ProxyManagerError('UNAUTHORIZED', { headers: { 'www-authenticate': challenge } })
  const isOurs = reason === 'key_unavailable'
  return new ProxyManagerError('UNAUTHORIZED', {
    headers: { 'www-authenticate': isOurs ? challenge : `${challenge}, error="invalid_token"` },
    details: { reason, remedy: REMEDIES[reason], ...(isOurs ? { culprit: 'host', retryable: true } : {}) },
    ...(isOurs ? { retryAfterS: NO_KEY_RETRY_S } : {}),
  })
}

/**
 * Rejects a change by a caller that may only read. What counts is the operation's own method, not the one of an alias.
 * @throws {ProxyManagerError} FORBIDDEN
 */
export function requireGrant(grant: Grant, method: string): void {
  if (grant === 'all' || method === 'GET') return
  throw new ProxyManagerError('FORBIDDEN', { message: 'This token is read-only' })
}

/** Only known names may be in Host: an attacker's DNS can point any other name at 127.0.0.1 (DNS rebinding). */
function rejectForeignHost(hostname: string, settings: Settings): void {
  const name = hostname.replace(/^\[|\]$/g, '')
  const isOwn =
    isLoopbackHost(name) ||
    [settings.PROXY_MANAGER_HOST, ...settings.PROXY_MANAGER_ALLOWED_HOSTS].some((own) => own.toLowerCase() === name)
  if (isOwn || settings.PROXY_MANAGER_INSECURE) return
  throw new ProxyManagerError('FORBIDDEN', {
    message: 'This Host is not allowed to call this API',
    details: { remedy: 'Call a loopback address, list the name in PROXY_MANAGER_ALLOWED_HOSTS, or set a token' },
  })
}

/** Browsers send Origin and Sec-Fetch-Site; the programs that call this API do not. */
function rejectForeignOrigin(request: Request, host: string): void {
  const origin = request.headers.get('origin')
  const site = request.headers.get('sec-fetch-site')
  const isForeign =
    (origin !== null && originHost(origin) !== host) || (site !== null && site !== 'same-origin' && site !== 'none')
  if (isForeign) throw new ProxyManagerError('FORBIDDEN', { message: 'This Origin is not allowed to call this API' })
}

function originHost(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined
}

/** The token of a call; none if there are two different ones. */
function presentedToken(request: Request): string | undefined {
  const bearer = bearerToken(request)
  const plain = request.headers.get('x-api-token') ?? undefined
  return bearer === undefined || plain === undefined || bearer === plain ? (bearer ?? plain) : undefined
}

function bearerToken(request: Request): string | undefined {
  return /^Bearer ([\x21-\x7e]+)$/i.exec(request.headers.get('authorization') ?? '')?.[1]
}

/** Compares digests, so that the time it takes depends on neither content nor length. */
function isSame(presented: string, token: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(presented), digest(token))
}
