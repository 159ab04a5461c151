/** Who may call: with a token, whoever knows it; without one, programs on this host, and no web page that a browser here has open. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { ProxyManagerError } from '../core/errors.ts'
import { isLoopbackHost, type Settings } from '../core/settings.ts'

/** Load balancers and container engines probe these without a token. */
export const OPEN_PATHS: ReadonlySet<string> = new Set(['/health', '/proxy-manager/health'])

/** What a caller may do: everything, or only what changes nothing. */
export type Grant = 'all' | 'read'

/**
 * Checks token, Host and Origin, for every path alike, whether there is such an endpoint or not.
 * @throws {ProxyManagerError} UNAUTHORIZED, FORBIDDEN
 */
export function guardRequest(request: Request, settings: Settings, base: string): Grant {
  const url = new URL(request.url)
  refuseForeignOrigin(request, url.host)
  const { PROXY_MANAGER_API_TOKEN: token, PROXY_MANAGER_READ_TOKEN: readToken } = settings
  if (token === undefined) {
    refuseForeignHost(url.hostname, settings)
    return 'all'
  }
  const presented = presentedToken(request)
  if (presented !== undefined && isSame(presented, token)) return 'all'
  if (presented !== undefined && readToken !== undefined && isSame(presented, readToken)) return 'read'
  const isProbe = url.pathname.startsWith(base) && OPEN_PATHS.has(url.pathname.slice(base.length))
  if (isProbe && ['GET', 'HEAD'].includes(request.method)) return 'read'
  throw new ProxyManagerError('UNAUTHORIZED', { headers: { 'www-authenticate': 'Bearer realm="proxy-manager"' } })
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
  const bearer = /^Bearer ([\x21-\x7e]+)$/i.exec(request.headers.get('authorization') ?? '')?.[1]
  const plain = request.headers.get('x-api-token') ?? undefined
  return bearer === undefined || plain === undefined || bearer === plain ? (bearer ?? plain) : undefined
}

/** Compares digests, so that neither content nor length shows in the time it takes. */
function isSame(presented: string, token: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(presented), digest(token))
}
