/** Who may call: with a token, whoever knows it; without one, programs on this host, and no web page that a browser here has open. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { ProxyManagerError } from '../core/errors.ts'
import { isLoopbackHost, type Settings } from '../core/settings.ts'

/** Load balancers and container engines probe these without a token. */
const OPEN_PATHS: ReadonlySet<string> = new Set(['/health', '/proxy-manager/health'])

/**
 * Checks token, Host and Origin, for every path alike, whether there is such an endpoint or not.
 * @throws {ProxyManagerError} UNAUTHORIZED, FORBIDDEN
 */
export function guardRequest(request: Request, settings: Settings, base: string): void {
  const url = new URL(request.url)
  refuseForeignOrigin(request, url.host)
  const token = settings.PROXY_MANAGER_API_TOKEN
  if (token === undefined) {
    refuseForeignHost(url.hostname, settings)
    return
  }
  const isOpen =
    url.pathname.startsWith(base) &&
    OPEN_PATHS.has(url.pathname.slice(base.length)) &&
    ['GET', 'HEAD'].includes(request.method)
  if (isOpen || presentedTokens(request).some((presented) => isSame(presented, token))) return
  throw new ProxyManagerError('UNAUTHORIZED', { headers: { 'www-authenticate': 'Bearer realm="proxy-manager"' } })
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

/** Two different tokens in one request would mean two callers: it has none then. */
function presentedTokens(request: Request): string[] {
  const bearer = /^Bearer ([\x21-\x7e]+)$/i.exec(request.headers.get('authorization') ?? '')?.[1]
  const plain = request.headers.get('x-api-token') ?? undefined
  const presented = [bearer, plain].filter((token) => token !== undefined)
  return new Set(presented).size === 1 ? presented : []
}

/** Compares digests, so that neither content nor length shows in the time it takes. */
function isSame(presented: string, token: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(presented), digest(token))
}
