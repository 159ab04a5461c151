/** A route as NGINX directives, valid from NGINX 1.18 to today's mainline. */
import { copyName } from '../certificates/certificate.ts'
import type { Directive } from '../nginx/config/print.ts'
import { securedNames, unsecuredNames } from '../route/names.ts'
import type { RouteRecord } from '../route/record.ts'
import { hasModule, http2, httpListens, httpsListens, type RenderContext, server } from './context.ts'
import { failoverLocations, proxyLocation, upstreamBlock } from './proxy-location.ts'
import { tlsProfile } from './tls-profile.ts'

/** The server blocks (and the upstream) of one route. */
export function routeDirectives(record: RouteRecord, context: RenderContext): Directive[] {
  const { certificate } = record
  const http = (names: readonly string[], location: Directive): Directive =>
    server(httpListens(context.httpListens), names, [
      challengeLocation(context),
      location,
      ...failoverLocations(record, location),
    ])
  const [secured, unsecured] = [securedNames(record), unsecuredNames(record)]
  // Each name is redirected to itself, never to the client's Host header: so each has its own block.
  const redirects = secured.map((name) => http([name], securedLocation(record, name, context)))
  const plain = unsecured.length === 0 ? [] : [http(unsecured, mainLocation(record, context, 'http'))]
  const blocks = [...upstreamBlock(record, context), ...redirects, ...plain]
  if (certificate === null || secured.length === 0) return blocks
  const folder = `${context.certificates}/${record.domain}/${copyName(certificate)}`
  const main = mainLocation(record, context, 'https')
  const https = server(httpsListens(context, context.httpsListens), secured, [
    ...http2(context),
    ['ssl_certificate', [`${folder}/fullchain.pem`]],
    ['ssl_certificate_key', [`${folder}/privkey.pem`]],
    ...tlsProfile(context.opensslVersion),
    ...strictTransport(record, 'https'),
    challengeLocation(context),
    main,
    ...failoverLocations(record, main),
  ])
  return [...blocks, https]
}

/** Two years, as in Mozilla's guidelines; it must not be sent over HTTP (RFC 6797, 7.2). */
function strictTransport({ options }: RouteRecord, scheme: Scheme): Directive[] {
  if (!options.hsts || scheme === 'http') return []
  return [['add_header', ['Strict-Transport-Security', 'max-age=63072000', 'always']]]
}

const AUTH_BASIC_OFF: Directive = ['auth_basic', ['off']]
const ALLOW_ALL: Directive = ['allow', ['all']]

/** The CA requests HTTP-01 challenges over plain HTTP (RFC 8555, 8.3): never redirected, never proxied, open to everyone. */
function challengeLocation(context: RenderContext): Directive {
  return [
    'location',
    ['^~', '/.well-known/acme-challenge/'],
    [
      ['root', [context.webroot]],
      ['default_type', ['text/plain']],
      ...(hasModule(context, 'auth_basic') ? [AUTH_BASIC_OFF] : []),
      ...(hasModule(context, 'access') ? [ALLOW_ALL] : []),
      ['try_files', [{ variable: 'uri' }, '=404']],
    ],
  ]
}

/** What the names of a route serve: its upstream, a redirect to another domain, or the maintenance response. */
function mainLocation(record: RouteRecord, context: RenderContext, scheme: Scheme): Directive {
  const { maintenance, redirect_to: target } = record.options
  // `return` is evaluated before `allow`: in maintenance, and with a redirect, every client gets the same response.
  // A location with its own `add_header` does not inherit those of its server.
  if (maintenance) return ['location', ['/'], [...strictTransport(record, scheme), ...MAINTENANCE]]
  if (target !== null) return redirectLocation(scheme, target, context)
  return proxyLocation(record, context, portOf(scheme, context), STANDARD_PORT[scheme])
}

/** Redirects a name from HTTP to its target over HTTPS, in one step. */
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

function portOf(scheme: Scheme, { publicHttpPort, publicHttpsPort }: RenderContext): number {
  return scheme === 'https' ? publicHttpsPort : publicHttpPort
}

/** Retry-After in seconds: about as long as a redeployment takes. */
const MAINTENANCE: readonly Directive[] = [
  ['add_header', ['Retry-After', '120', 'always']],
  ['default_type', ['text/plain']],
  ['return', ['503', 'This service is being redeployed.']],
]
