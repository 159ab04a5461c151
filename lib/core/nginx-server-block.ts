/** A route as NGINX directives, valid from NGINX 1.18 to today's mainline. */
import type { Directive } from './nginx-print.ts'
import { proxyLocation, upstreamBlock } from './nginx-proxy-location.ts'
import type { RouteRecord } from './route-file.ts'
import { securedNames, unsecuredNames } from './route-names.ts'
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
  const http = (names: readonly string[], location: Directive): Directive =>
    server(
      context.httpListens.map((address): Directive => ['listen', [address]]),
      names,
      [challengeLocation(context), location],
    )
  const [secured, unsecured] = [securedNames(record), unsecuredNames(record)]
  // Each name is redirected to itself, and never to what the client calls it: so each has a block of its own.
  const redirects = secured.map((name) => http([name], securedLocation(record, name, context)))
  const plain = unsecured.length === 0 ? [] : [http(unsecured, mainLocation(record, context, 'http'))]
  const blocks = [...upstreamBlock(record), ...redirects, ...plain]
  if (certificate === null || secured.length === 0) return blocks
  const folder = `${context.certificates}/${record.domain}/${certificate.fingerprint_sha256}`
  const https = server(httpsListens(context, context.httpsListens), secured, [
    ...http2(context),
    ['ssl_certificate', [`${folder}/fullchain.pem`]],
    ['ssl_certificate_key', [`${folder}/privkey.pem`]],
    ...tlsProfile(context.opensslVersion),
    ...strictTransport(record, 'https'),
    challengeLocation(context),
    mainLocation(record, context, 'https'),
  ])
  return [...blocks, https]
}

/** Two years, as Mozilla's guidelines have it; over HTTP it must not be sent (RFC 6797, 7.2). */
function strictTransport({ options }: RouteRecord, scheme: Scheme): Directive[] {
  if (!options.hsts || scheme === 'http') return []
  return [['add_header', ['Strict-Transport-Security', 'max-age=63072000', 'always']]]
}

/** A server block: its listens and names first. */
export function server(
  listens: readonly Directive[],
  names: readonly string[],
  directives: readonly Directive[],
): Directive {
  return ['server', [], [...listens, ['server_name', [...names]], ...directives]]
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

/** What the names of a route lead to: its upstream, another domain, or a word that it is away. */
function mainLocation(record: RouteRecord, context: RenderContext, scheme: Scheme): Directive {
  const { maintenance, redirect_to: target } = record.options
  // `return` answers before `allow` is looked at: in maintenance, and with a redirect, everyone gets the same.
  // With an `add_header` of its own, a location no longer has those of its server.
  if (maintenance) return ['location', ['/'], [...strictTransport(record, scheme), ...MAINTENANCE]]
  if (target !== null) return redirectLocation(scheme, target, context)
  return proxyLocation(record, portOf(scheme, context), STANDARD_PORT[scheme])
}

/** Over HTTP, a name leads to where it would lead over HTTPS, in one step. */
function securedLocation(record: RouteRecord, name: string, context: RenderContext): Directive {
  const { maintenance, redirect_to: target } = record.options
  return redirectLocation('https', maintenance ? name : (target ?? name), context)
}

/** 308 keeps the method and the body (RFC 9110, 15.4.9). */
function redirectLocation(scheme: Scheme, domain: string, context: RenderContext): Directive {
  const port = portOf(scheme, context)
  const origin = `${scheme}://${domain}${port === STANDARD_PORT[scheme] ? '' : `:${port}`}`
  return ['location', ['/'], [['return', ['308', [origin, { variable: 'request_uri' }]]]]]
}

type Scheme = 'http' | 'https'
const STANDARD_PORT: Readonly<Record<Scheme, number>> = { http: 80, https: 443 }

function portOf(scheme: Scheme, { httpPort, httpsPort }: RenderContext): number {
  return scheme === 'https' ? httpsPort : httpPort
}

/** Seconds after which a client may ask again: about as long as a redeployment takes. */
const MAINTENANCE: readonly Directive[] = [
  ['add_header', ['Retry-After', '120', 'always']],
  ['default_type', ['text/plain']],
  ['return', ['503', 'This service is being redeployed.']],
]
