/** Who may call: who shows a token, where one is wanted; programs on this host otherwise, and no web page that a browser here has open. */

import { createHash, timingSafeEqual } from 'node:crypto'
import { ProxyManagerError } from '../errors.ts'
import { type Grant, isTokenShaped, type TokenFault, type TokenResult } from '../mesh/token-claims.ts'
import { isLoopbackHost } from '../net/address.ts'
import { type Settings, wantsCredentials } from '../settings/settings.ts'

/** Load balancers and container engines probe these without a token. */
export const OPEN_PATHS: ReadonlySet<string> = new Set(['/health', '/proxy-manager/health'])

/** Whether a call is one that needs no token. */
export function isHealthCheck(method: string, path: string): boolean {
  return OPEN_PATHS.has(path) && ['GET', 'HEAD'].includes(method)
}

/**
 * Checks token, Host and Origin, for every path alike, whether there is such an endpoint or not. `verifyToken` is asked about what no
 * setting has, where tokens of the Registry are taken.
 * @throws {ProxyManagerError} UNAUTHORIZED, FORBIDDEN
 */
export async function guardRequest(
  request: Request,
  settings: Settings,
  base: string,
  verifyToken: (token: string) => Promise<TokenResult>,
): Promise<Grant> {
  const url = new URL(request.url)
  refuseForeignOrigin(request, url.host)
  if (!wantsCredentials(settings)) {
    refuseForeignHost(url.hostname, settings)
    return 'all'
  }
  const { PROXY_MANAGER_API_TOKEN: token, PROXY_MANAGER_READ_TOKEN: readToken } = settings
  const presented = presentedToken(request)
  if (presented !== undefined && token !== undefined && isSame(presented, token)) return 'all'
  if (presented !== undefined && readToken !== undefined && isSame(presented, readToken)) return 'read'
  const isMounted = url.pathname.startsWith(base)
  if (isMounted && isHealthCheck(request.method, url.pathname.slice(base.length))) return 'read'
  if (presented === undefined || !settings.AUTH_REGISTRY_JWT) throw unauthorized()
  // Registry's tokens come as Bearer alone; nothing of another form is worth a look at the key.
  const isToken = presented === bearerToken(request) && isTokenShaped(presented)
  const verdict = isToken ? await verifyToken(presented) : { reason: 'malformed' as const }
  if ('grant' in verdict) return verdict.grant
  throw unauthorized(verdict.reason)
}

const REMEDIES: Readonly<Record<TokenFault, string>> = {
  malformed: 'Send the API token, or a JWT of the Registry, as "Authorization: Bearer ..."',
  algorithm: 'Ask the Registry for a token that is signed with RS256',
  signature: 'Ask the Registry for a new token: its present key has not signed this one',
  expired: 'Ask the Registry for a new token',
  no_expiry: 'Ask the Registry for a token with an "exp" claim',
  not_yet_valid: 'Wait until the token is valid, or set the clocks of the Registry and of this host right',
  audience: 'Ask the Registry for a token whose "aud" names this service or droplet, or one without "aud"',
  key_unavailable: 'Call again: the Registry has not told its public key yet',
}
/** The key is asked for again after this. */
const NO_KEY_RETRY_S = 5

/** RFC 6750, 3.1: who has sent a token is told that it was not good. */
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
 * Refuses what changes something to those who may only read. An endpoint's own method tells, not the one that it was called with.
 * @throws {ProxyManagerError} FORBIDDEN
 */
export function requireGrant(grant: Grant, method: string): void {
  if (grant === 'all' || method === 'GET') return
  throw new ProxyManagerError('FORBIDDEN', { message: 'This token may only read' })
}

/** A name that an attacker's DNS points at 127.0.0.1 must not get in (DNS rebinding): only names that are known may stand in Host. */
function refuseForeignHost(hostname: string, settings: Settings): void {
  const name = hostname.replace(/^\[|\]$/g, '')
  const isOwn =
    isLoopbackHost(name) ||
    [settings.PROXY_MANAGER_HOST, ...settings.PROXY_MANAGER_ALLOWED_HOSTS].some((own) => own.toLowerCase() === name)
  if (isOwn || settings.PROXY_MANAGER_INSECURE) return
  throw new ProxyManagerError('FORBIDDEN', {
    message: 'This Host may not call this API',
    details: { remedy: 'Call a loopback address, list the name in PROXY_MANAGER_ALLOWED_HOSTS, or set a token' },
  })
}

/** Browsers send Origin and Sec-Fetch-Site; the callers of this API are programs, which do not. */
function refuseForeignOrigin(request: Request, host: string): void {
  const origin = request.headers.get('origin')
  const site = request.headers.get('sec-fetch-site')
  const isForeign =
    (origin !== null && originHost(origin) !== host) || (site !== null && site !== 'same-origin' && site !== 'none')
  if (isForeign) throw new ProxyManagerError('FORBIDDEN', { message: 'This Origin may not call this API' })
}

function originHost(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined
}

/** The token of a call. Two different ones would mean two callers: it has none then. */
function presentedToken(request: Request): string | undefined {
  const bearer = bearerToken(request)
  const plain = request.headers.get('x-api-token') ?? undefined
  return bearer === undefined || plain === undefined || bearer === plain ? (bearer ?? plain) : undefined
}

function bearerToken(request: Request): string | undefined {
  return /^Bearer ([\x21-\x7e]+)$/i.exec(request.headers.get('authorization') ?? '')?.[1]
}

/** Compares digests, so that neither content nor length shows in the time it takes. */
function isSame(presented: string, token: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(presented), digest(token))
}
