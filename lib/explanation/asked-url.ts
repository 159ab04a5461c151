/** A URL that a caller asks about, as a browser would send it and as NGINX would read it. Nothing here connects to it. */
import { ipFamily } from '../net/address.ts'

export interface AskedUrl {
  /** As a browser writes it, without the fragment. */
  readonly href: string
  readonly scheme: 'http' | 'https'
  /** What NGINX compares with names: lower case, A-labels, no dot at its end; an IPv6 address has its brackets. */
  readonly host: string
  /** The host without brackets, if it is an address: a client sends no SNI then (RFC 6066, 3). */
  readonly address: string | undefined
  readonly port: number
  /** The `Host` header. */
  readonly authority: string
  /** What NGINX compares with locations: decoded, without dot segments and doubled slashes. */
  readonly path: string
  /** Path and query as they are sent. */
  readonly target: string
}

const MAX_LENGTH = 2048
const MAX_HOST_LENGTH = 253
const PORTS = { http: 80, https: 443 } as const

/** Reads an absolute URL; `{ fault }` says what is wrong with it, without repeating it. */
export function readUrl(text: string): AskedUrl | { readonly fault: string } {
  if (text.length > MAX_LENGTH) return { fault: `must be at most ${MAX_LENGTH} characters long` }
  // The URL parser would remove these.
  if (/[\x00-\x20\x7f\\]/.test(text)) return { fault: 'must not contain spaces, control characters or backslashes' }
  const url = URL.parse(text)
  if (url === null) return { fault: 'must be an absolute URL, such as https://app.example.com/path' }
  const scheme = url.protocol.slice(0, -1)
  if (scheme !== 'http' && scheme !== 'https') return { fault: 'must begin with http:// or https://' }
  if (url.username !== '' || url.password !== '') return { fault: 'must not have a user name or a password' }
  const host = url.hostname.replace(/\.$/, '')
  if (host === '' || host.startsWith('.') || host.includes('..')) return { fault: 'must have a host' }
  if (host.length > MAX_HOST_LENGTH) return { fault: `must have a host of at most ${MAX_HOST_LENGTH} characters` }
  const path = normalizePath(url.pathname)
  if (path === undefined) return { fault: 'must not have %00 in its path, nor a % without two hexadecimal digits' }
  url.hash = ''
  const bare = host.replace(/^\[|\]$/g, '')
  return {
    href: url.href,
    scheme,
    host,
    address: ipFamily(bare) === undefined ? undefined : bare,
    port: url.port === '' ? PORTS[scheme] : Number(url.port),
    authority: url.port === '' ? host : `${host}:${url.port}`,
    path,
    target: url.pathname + url.search,
  }
}

/** The path as NGINX normalizes it (ngx_http_parse_complex_uri); `undefined` if it answers 400 instead. */
function normalizePath(path: string): string | undefined {
  if (/%(?![0-9a-f]{2})|%00/i.test(path)) return undefined
  const bytes = path.replace(/%(..)/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)))
  const segments: string[] = []
  const given = Buffer.from(bytes, 'latin1').toString().split('/')
  for (const segment of given) {
    if (segment === '..') segments.pop()
    else if (segment !== '' && segment !== '.') segments.push(segment)
  }
  const isFolder = segments.length > 0 && ['', '.', '..'].includes(given.at(-1) ?? '')
  return `/${segments.join('/')}${isFolder ? '/' : ''}`
}
