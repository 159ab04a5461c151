/** Access control: a token if one is configured, otherwise only programs on this host; never a web page in a browser. */
import { ProxyManagerError } from '../../errors.ts'
import type { Actor } from '../../events/event.ts'
import type { KnownToken } from '../../mesh/named-tokens.ts'
import { type Grant, isTokenShaped, type TokenFault, type TokenResult } from '../../mesh/token-claims.ts'
import { callerOf, ipFamily, isLoopback, isLoopbackHost } from '../../net/address.ts'
import { type Settings, wantsCredentials } from '../../settings/settings.ts'
import type { FailedAttempts } from './failed-attempts.ts'
import { isInBackground, sessionIn } from './session-cookie.ts'
import type { Sessions } from './sessions.ts'

/** Load balancers and container engines call these without a token. */
export const OPEN_PATHS: ReadonlySet<string> = new Set(['/health', '/proxy-manager/health'])
/** Where the page for people and its assets are. */
export const PAGE_PATH = '/ui/'

/** Whether a call is a health check, which needs no token. */
export function isHealthCheck(method: string, path: string): boolean {
  return OPEN_PATHS.has(path) && isRead(method)
}

/** Whether a call needs no token: a health check, or the page, which has no data. */
function isOpenCall(method: string, path: string): boolean {
  return isHealthCheck(method, path) || (isPagePath(path) && isRead(method))
}

function isRead(method: string): boolean {
  return method === 'GET' || method === 'HEAD'
}

function isPagePath(path: string): boolean {
  return path === '' || path === '/' || path === PAGE_PATH.slice(0, -1) || path.startsWith(PAGE_PATH)
}

/** Who calls, as far as it was checked. */
export interface Caller {
  readonly grant: Grant
  /**
   * `token` showed a valid token. If none is required: `local` is a program on this host, `open` any other caller. If one is required: `stranger`
   * shows none that is valid, and gets nothing but a health check.
   */
  readonly kind: 'token' | 'local' | 'open' | 'stranger'
  /** Whose token it is. */
  readonly actor?: Actor
  /** Whether the token is still accepted. */
  readonly isAllowed?: () => boolean
}

/** What the guard judges a request by. */
export interface Gate {
  readonly settings: Settings
  /** The path in front of every path; empty for none. */
  readonly base: string
  /** Checks a token that no setting has, if tokens of the Registry are accepted. */
  readonly verifyToken: (token: string) => Promise<TokenResult>
  /** Whose token it is, if it is one of this host. */
  readonly findToken: (token: string) => KnownToken | undefined
  readonly attempts: FailedAttempts
  /** Since the epoch. */
  readonly nowMs: () => number
  readonly sessions: Sessions
  /** The caller's remote address; `undefined` if the server does not say it. Then nobody is locked out. */
  readonly address: string | undefined
  readonly onLockOut: (address: string) => void
}

/**
 * Checks token, Host and Origin, for every path alike, whether there is such an endpoint or not. An address with too many failures is locked out;
 * but a token that cannot have been guessed is accepted from there, too: one that was accepted within the last 24 hours, or a signed one.
 * @throws {ProxyManagerError} UNAUTHORIZED, FORBIDDEN, TOO_MANY_ATTEMPTS
 */
export async function guardRequest(request: Request, gate: Gate): Promise<Caller> {
  const { settings, base, attempts, address } = gate
  const url = new URL(request.url)
  const path = url.pathname.startsWith(base) ? url.pathname.slice(base.length) : undefined
  const isOpen = path !== undefined && isOpenCall(request.method, path)
  // A link on another site may lead to the page, which has no data, and which no other site can show in a frame.
  if (!(isOpen && request.headers.get('sec-fetch-dest') === 'document')) rejectForeignOrigin(request, url.host)
  if (!wantsCredentials(settings)) {
    rejectForeignHost(request, nameIn(url), settings)
    return { grant: 'all', kind: isLocalProgram(request, nameIn(url), address) ? 'local' : 'open' }
  }
  const halves = sessionIn(request, gate)
  const inSession = halves === undefined ? undefined : gate.sessions.find(halves, isInBackground(request))
  if (inSession !== undefined) return inSession
  const presented = presentedToken(request)
  const lockedOutForS = address === undefined ? undefined : attempts.lockedOutForS(address)
  const configured = presented === undefined ? undefined : gate.findToken(presented)
  if (presented !== undefined && configured !== undefined)
    if (lockedOutForS === undefined || attempts.wasAccepted(presented)) {
      attempts.recordAcceptance(presented)
      const isAllowed = () => gate.findToken(presented) !== undefined
      return { grant: configured.grant, kind: 'token', actor: { kind: 'token', name: configured.name }, isAllowed }
    }
  const verdict = await judgeSigned(request, presented, gate)
  if ('grant' in verdict) {
    const { grant, subject, expiresAtMs = Number.POSITIVE_INFINITY } = verdict
    const actor: Actor = { kind: 'registry', ...(subject === undefined ? {} : { name: subject }) }
    return { grant, kind: 'token', actor, isAllowed: () => gate.nowMs() < expiresAtMs }
  }
  // A key that could not be fetched is a failure of this host, and a health check without a token is no guess.
  const isGuess = verdict.reason !== 'key_unavailable' && !(isOpen && presented === undefined)
  if (isGuess && address !== undefined && lockedOutForS === undefined && attempts.recordFailure(address))
    gate.onLockOut(address)
  if (isOpen) return { grant: 'read', kind: 'stranger' }
  if (isGuess && lockedOutForS !== undefined)
    throw new ProxyManagerError('TOO_MANY_ATTEMPTS', { retryAfterS: lockedOutForS })
  throw unauthorized(verdict.reason)
}

/** Judges a token of the Registry, which comes only as Bearer; the key is not fetched for anything that is not shaped like one. */
async function judgeSigned(
  request: Request,
  presented: string | undefined,
  { settings, verifyToken }: Gate,
): Promise<TokenResult | { readonly reason: undefined }> {
  if (presented === undefined || !settings.AUTH_REGISTRY_JWT) return { reason: undefined }
  const isToken = presented === bearerToken(request) && isTokenShaped(presented)
  return isToken ? await verifyToken(presented) : { reason: 'malformed' }
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

interface GuardedOperation {
  readonly method: string
  readonly isForReaders?: boolean
}

/**
 * Rejects a change by a caller that may only read. What counts is the operation's own method, not the one of an alias.
 * @throws {ProxyManagerError} FORBIDDEN
 */
export function requireGrant({ grant }: Caller, { method, isForReaders = false }: GuardedOperation): void {
  if (grant === 'all' || method === 'GET' || isForReaders) return
  throw new ProxyManagerError('FORBIDDEN', {
    message: 'This token is read-only',
    details: { remedy: 'Use the API token, or a JWT in which every claim about rights says write, admin or all' },
  })
}

/**
 * Only known names may be in Host: an attacker's DNS can point any other name at 127.0.0.1 (DNS rebinding). PROXY_MANAGER_INSECURE accepts any
 * Host from programs; what comes from a web page must have a known one, or an address, which cannot be rebound.
 */
function rejectForeignHost(request: Request, name: string, settings: Settings): void {
  const isOwn =
    isLoopbackHost(name) ||
    [settings.PROXY_MANAGER_HOST, ...settings.PROXY_MANAGER_ALLOWED_HOSTS].some((own) => own.toLowerCase() === name)
  const isAccepted = settings.PROXY_MANAGER_INSECURE && (ipFamily(name) !== undefined || !isFromBrowser(request))
  if (isOwn || isAccepted) return
  throw new ProxyManagerError('FORBIDDEN', {
    message: 'This Host is not allowed to call this API',
    details: { remedy: 'Call a loopback address, list the name in PROXY_MANAGER_ALLOWED_HOSTS, or set a token' },
  })
}

/** The host name of a URL, in lower case and without brackets. */
function nameIn(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '')
}

/** Browsers send `Sec-Fetch-Site` to loopback (https://www.w3.org/TR/fetch-metadata/, 2) and Origin with a change, and a page cannot remove them. */
function isFromBrowser({ headers }: Request): boolean {
  return headers.has('origin') || headers.has('sec-fetch-site')
}

/** Not in a browser, on this host: by its address, if that is known, and by the Host that it calls; browsers leave `Sec-Fetch-Site` out for other names. */
function isLocalProgram(request: Request, name: string, address = '127.0.0.1'): boolean {
  const caller = callerOf(address)
  // Safari before 16.4 has no Sec-Fetch-Site; the name of every browser begins like this.
  const isBrowser = isFromBrowser(request) || /^Mozilla\//.test(request.headers.get('user-agent') ?? '')
  return !isBrowser && isLoopbackHost(name) && ipFamily(caller) !== undefined && isLoopback(caller)
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
