/** A route as NGINX directives, valid from NGINX 1.18 to today's mainline. */
import { ipFamily } from './address.ts'
import type { Argument, Directive } from './nginx-print.ts'
import type { RouteRecord } from './route-file.ts'
import { tlsProfile } from './tls-profile.ts'
import { isAtLeast, type Version } from './version.ts'

/** What rendering has to know of the host. */
export interface RenderContext {
  /** `[major, minor, patch]`; `http2` and `ssl_reject_handshake` depend on it. */
  readonly nginxVersion: Version
  /** The OpenSSL that NGINX runs with, `[major, minor]`; groups that it does not know fail the test. */
  readonly opensslVersion: readonly [number, number]
  readonly httpPort: number
  readonly httpsPort: number
  /** `listen` addresses of the HTTP and HTTPS ports, without options, such as `80` and `[::]:80`. */
  readonly httpListens: readonly string[]
  readonly httpsListens: readonly string[]
  /** NGINX was built with ngx_http_stub_status_module. */
  readonly hasStubStatus?: boolean
  /** The folder under which the CA's challenges are served. */
  readonly webroot: string
  /** The folder of the checked certificate copies. */
  readonly certificates: string
}

/** The server blocks (and the upstream) of one route. */
export function routeDirectives(record: RouteRecord, context: RenderContext): Directive[] {
  const { certificate } = record
  const http = server(
    context.httpListens.map((address): Directive => ['listen', [address]]),
    record.domain,
    [
      challengeLocation(context),
      certificate === null ? proxyLocation(record, context.httpPort, 80) : redirectLocation(record, context),
    ],
  )
  const upstream: Directive[] =
    record.upstream_addresses === null ? [] : [upstreamBlock(record, record.upstream_addresses)]
  if (certificate === null) return [...upstream, http]
  const folder = `${context.certificates}/${record.domain}/${certificate.fingerprint_sha256}`
  const https = server(httpsListens(context, context.httpsListens), record.domain, [
    ...http2(context),
    ['ssl_certificate', [`${folder}/fullchain.pem`]],
    ['ssl_certificate_key', [`${folder}/privkey.pem`]],
    ...tlsProfile(context.opensslVersion),
    ...(record.options.hsts ? [HSTS] : []),
    challengeLocation(context),
    proxyLocation(record, context.httpsPort, 443),
  ])
  return [...upstream, http, https]
}

/** Two years, as Mozilla's guidelines have it (RFC 6797). */
const HSTS: Directive = ['add_header', ['Strict-Transport-Security', 'max-age=63072000', 'always']]

/** The name of a route's upstream block. Underscores keep it out of the names that another site's `proxy_pass` may mean. */
export function upstreamName(dropletName: string): string {
  return `fpai_${dropletName}`
}

/** A server block: its listens and name first. */
export function server(listens: readonly Directive[], name: string, directives: readonly Directive[]): Directive {
  return ['server', [], [...listens, ['server_name', [name]], ...directives]]
}

/** HTTP/2 is a parameter of `listen` before NGINX 1.25.1, and a directive from there on. */
export function httpsListens(
  context: RenderContext,
  addresses: readonly string[],
  options: readonly string[] = [],
): Directive[] {
  const flags = isAtLeast(context.nginxVersion, [1, 25, 1]) ? ['ssl'] : ['ssl', 'http2']
  return addresses.map((address): Directive => ['listen', [address, ...flags, ...options]])
}

/** The directive, where it is one. */
export function http2(context: RenderContext): Directive[] {
  return isAtLeast(context.nginxVersion, [1, 25, 1]) ? [['http2', ['on']]] : []
}

/** HTTP-01 (RFC 8555, 8.3) is asked for over plain HTTP: never redirected, never proxied, open to everyone. */
function challengeLocation(context: RenderContext): Directive {
  return [
    'location',
    ['^~', '/.well-known/acme-challenge/'],
    [
      ['root', [context.webroot]],
      ['default_type', ['text/plain']],
      ['auth_basic', ['off']],
      ['allow', ['all']],
      ['try_files', [{ variable: 'uri' }, '=404']],
    ],
  ]
}

/** 308 keeps the method and the body (RFC 9110, 15.4.9). The route's own domain stands in it, never what the client calls it. */
function redirectLocation(record: RouteRecord, context: RenderContext): Directive {
  const port = context.httpsPort === 443 ? '' : `:${context.httpsPort}`
  return ['location', ['/'], [['return', ['308', [`https://${record.domain}${port}`, { variable: 'request_uri' }]]]]]
}

function proxyLocation(record: RouteRecord, port: number, standardPort: number): Directive {
  const host: Argument = port === standardPort ? { variable: 'host' } : [{ variable: 'host' }, `:${port}`]
  const { options } = record
  // `return` answers before `allow` is looked at: while a route is in maintenance, everyone gets the same.
  if (options.maintenance) return ['location', ['/'], MAINTENANCE]
  const allowed: Directive[] = options.allow.map((network) => ['allow', [network]])
  const access: Directive[] = allowed.length === 0 ? [] : [...allowed, ['deny', ['all']]]
  return [
    'location',
    ['/'],
    [
      ...access,
      ...proxyPass(record),
      ['proxy_http_version', ['1.1']],
      ['proxy_set_header', ['Host', host]],
      ['proxy_set_header', ['X-Real-IP', { variable: 'remote_addr' }]],
      // What the client claims is dropped: behind another proxy, NGINX's realip module makes $remote_addr the client's own address.
      ['proxy_set_header', ['X-Forwarded-For', { variable: 'remote_addr' }]],
      ['proxy_set_header', ['X-Forwarded-Proto', { variable: 'scheme' }]],
      ['proxy_set_header', ['X-Forwarded-Host', host]],
      ['proxy_set_header', ['X-Forwarded-Port', String(port)]],
      ['proxy_set_header', ['Forwarded', '']],
      // A CGI-like upstream would read it as HTTP_PROXY (CVE-2016-5385).
      ['proxy_set_header', ['Proxy', '']],
      // "upgrade" for a WebSocket, nothing for the rest: an empty value keeps the upstream connection alive.
      ['proxy_set_header', ['Upgrade', options.websocket ? { variable: 'proxy_manager_upgrade' } : '']],
      ['proxy_set_header', ['Connection', options.websocket ? { variable: 'proxy_manager_connection' } : '']],
      ['proxy_redirect', ['off']],
      // Off, server-sent events and streamed answers pass as they come, and no answer is spooled to disk.
      ['proxy_buffering', [options.buffering ? 'on' : 'off']],
      // Room for the headers of an answer; NGINX wants the other buffers to match even where they are not used.
      ['proxy_buffer_size', ['16k']],
      ['proxy_buffers', ['8', '16k']],
      ['proxy_connect_timeout', [`${options.connect_timeout_s}s`]],
      ['proxy_send_timeout', ['60s']],
      // The longest silence of an upstream, a WebSocket's or an event stream's too.
      ['proxy_read_timeout', [`${options.read_timeout_s}s`]],
      // Another address of the upstream is tried when one cannot be reached, never because it is slow.
      ['proxy_next_upstream', ['error']],
      ['client_max_body_size', [options.max_body_size]],
    ],
  ]
}

/**
 * Addresses go through an upstream block, with keep-alive. A name goes through a variable, so that NGINX asks the resolver while it runs:
 * a name that stops resolving then fails on its own route alone, where a name in `server` would keep NGINX from starting.
 */
function proxyPass(record: RouteRecord): Directive[] {
  const scheme = record.options.upstream_scheme
  const tls: Directive[] =
    scheme === 'http'
      ? []
      : [
          ['proxy_ssl_server_name', ['on']],
          ['proxy_ssl_name', [tlsName(record)]],
        ]
  if (record.upstream_addresses !== null) {
    return [['proxy_pass', [`${scheme}://${upstreamName(record.droplet_name)}`]], ...tls]
  }
  return [
    ...tls,
    ['resolver', [...record.resolvers, 'valid=30s']],
    ['resolver_timeout', ['5s']],
    ['set', [{ variable: 'proxy_manager_upstream' }, `${record.upstream_host}:${record.upstream_port}`]],
    ['proxy_pass', [[`${scheme}://`, { variable: 'proxy_manager_upstream' }]]],
  ]
}

/** The name in SNI: the upstream's own, or the route's domain where the upstream has none. */
function tlsName(record: RouteRecord): string {
  const hasName = ipFamily(record.upstream_host) === undefined && record.upstream_host !== 'localhost'
  return hasName ? record.upstream_host : record.domain
}

/** Seconds after which a client may ask again: about as long as a redeployment takes. */
const MAINTENANCE: readonly Directive[] = [
  ['add_header', ['Retry-After', '120', 'always']],
  ['default_type', ['text/plain']],
  ['return', ['503', 'This service is being redeployed.']],
]

function upstreamBlock(record: RouteRecord, addresses: readonly string[]): Directive {
  // With several addresses, one that refuses is passed over for each request anew: a droplet that restarts is back at once.
  const servers = addresses.map((address, i): Directive => {
    const literal = address.includes(':') ? `[${address}]` : address
    const options = addresses.length === 1 ? [] : i === 0 ? ['max_fails=0'] : ['max_fails=0', 'backup']
    return ['server', [`${literal}:${record.upstream_port}`, ...options]]
  })
  // Less than the 5 s after which Node and uvicorn close an idle connection, so that NGINX never sends into a closing one.
  return [
    'upstream',
    [upstreamName(record.droplet_name)],
    [...servers, ['keepalive', ['16']], ['keepalive_timeout', ['4s']]],
  ]
}
