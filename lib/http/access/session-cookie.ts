/** How the two halves of a session travel: a cookie that scripts cannot read, and a header that no form and no other origin can send. */
import { publicUrl, type Settings } from '../../settings/settings.ts'
import type { SessionHalves } from './sessions.ts'

const KEY_HEADER = 'x-session-key'
/** Of a request that the page makes by itself, and that does not keep a session from becoming idle. */
const BACKGROUND_HEADER = 'x-background'

interface Place {
  readonly settings: Settings
  /** The path in front of every path; empty for none. */
  readonly base: string
}

/** The halves that a request has; `undefined` if one of them is missing. */
export function sessionIn(request: Request, place: Place): SessionHalves | undefined {
  const key = request.headers.get(KEY_HEADER)
  const name = cookieName(place)
  const cookies = (request.headers.get('cookie') ?? '').split(/; */)
  const cookie = cookies.find((one) => one.startsWith(`${name}=`))?.slice(name.length + 1)
  return key === null || cookie === undefined ? undefined : { cookie, key }
}

export function isInBackground({ method, url, headers }: Request): boolean {
  return headers.has(BACKGROUND_HEADER) || (method === 'GET' && new URL(url).pathname.endsWith('/events'))
}

/** The value of `Set-Cookie`; `null` removes the cookie. */
export function sessionCookie(cookie: string | null, place: Place): string {
  const parts = [`${cookieName(place)}=${cookie ?? ''}`, 'HttpOnly', 'SameSite=Strict', `Path=${place.base}/`]
  return [...parts, ...(isSecure(place) ? ['Secure'] : []), ...(cookie === null ? ['Max-Age=0'] : [])].join('; ')
}

/** Browsers accept these prefixes only with what they promise (RFC 6265bis, 4.1.3). */
function cookieName(place: Place): string {
  const prefix = !isSecure(place) ? '' : place.base === '' ? '__Host-' : '__Secure-'
  return `${prefix}proxy-manager-session`
}

/** Never by a header of the request, which anyone can send. */
function isSecure({ settings }: Place): boolean {
  return publicUrl(settings).startsWith('https:')
}
