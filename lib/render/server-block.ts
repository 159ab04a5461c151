/** A route as NGINX directives, valid from NGINX 1.18 to today's mainline. */
import { copyName } from '../certificates/certificate.ts'
import { byPath, isMounted, pathOf } from '../net/path.ts'
import { type Directive, keepPrinted } from '../nginx/config/print.ts'
import { securedNames, unsecuredNames } from '../route/names.ts'
import { DEFAULT_OPTIONS } from '../route/options.ts'
import type { RouteRecord } from '../route/record.ts'
import type { PlaceInSite } from '../route/site.ts'
import {
  AUTH_BASIC_OFF,
  contextKey,
  hasModule,
  http2,
  httpListens,
  httpsListens,
  type RenderContext,
  server,
} from './context.ts'
import { failoverLocations } from './failover.ts'
import { proxyDirectives, upstreamBlock } from './proxy-location.ts'
import { tlsProfile } from './tls-profile.ts'

/** The upstream of a route, and the server blocks of its domain if they are in its file. */
export function routeDirectives(
  record: RouteRecord,
  context: RenderContext,
  { mounts = [], servedBy }: PlaceInSite = {},
): Directive[] {
  const upstream = upstreamBlock(record, context)
  if (servedBy !== undefined) return upstream
  const { certificate } = record
  const site = [record, ...mounts] as const
  const http = (names: readonly string[], locations: readonly Directive[]): Directive =>
    server(httpListens(context.httpListens), names, [challengeLocation(context), ...locations])
  const [secured, unsecured] = [securedNames(record), unsecuredNames(record)]
  // Each name is redirected to itself, never to the client's Host header: so each has its own block.
  const redirects = secured.map((name) => http([name], [securedLocation(site, name, context)]))
  const plain = unsecured.length === 0 ? [] : [http(unsecured, locationsOf(site, context, 'http'))]
  const blocks = [...upstream, ...redirects, ...plain]
  if (certificate === null || secured.length === 0) return blocks
  const folder = `${context.certificates}/${record.domain}/${copyName(certificate)}`
  const https = server(httpsListens(context, context.httpsListens), secured, [
    ...http2(context),
    ['ssl_certificate', [`${folder}/fullchain.pem`]],
    ['ssl_certificate_key', [`${folder}/privkey.pem`]],
    ...tlsProfile(context.opensslVersion),
    ...strictTransport(record, 'https'),
    challengeLocation(context),
    ...locationsOf(site, context, 'https'),
  ])
  return [...blocks, https]
}

/** Two years, as in Mozilla's guidelines; it must not be sent over HTTP (RFC 6797, 7.2). */
function strictTransport({ options }: RouteRecord, scheme: Scheme): Directive[] {
  if (!options.hsts || scheme === 'http') return []
  return [['add_header', ['Strict-Transport-Security', 'max-age=63072000', 'always']]]
}

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

/**
 * The locations of a site: `/`, and two for each mount, so that a path ends at the border of a segment. A prefix `/api` would match `/apiary`,
 * and for a prefix `/api/` NGINX would answer `/api` with a redirect by itself (ngx_http_core_module, location). What most mounts have alike is
 * before the locations, which inherit it: NGINX reads a thousand of them at each test and each reload.
 */
function locationsOf(
  [owner, ...mounts]: readonly [RouteRecord, ...RouteRecord[]],
  context: RenderContext,
  scheme: Scheme,
): Directive[] {
  const inherited = strictTransport(owner, scheme)
  const inside = (record: RouteRecord) => servedDirectives(record, context, scheme, inherited)
  const mounted = isMounted(owner) ? [owner, ...mounts].sort(byPath) : mounts
  const [first] = mounted
  const whole: Directive[] = isMounted(owner)
    ? [['location', ['/'], [['return', ['404']]]]]
    : withFailover(owner, [['location', ['/'], inside(owner)]])
  if (first === undefined) return whole
  const plain = { ...first, options: DEFAULT_OPTIONS, upstream_addresses: [], upstreams: undefined }
  const common = inside(plain).filter(isCommon)
  const key = `${inherited.length} ${contextKey(context)}`
  return [
    ...common,
    ...whole,
    ...mounted.flatMap((record) => mountLocations(record, scheme, key, () => without(common, inside(record)))),
  ]
}

function isCommon([name]: Directive): boolean {
  return name !== 'proxy_pass'
}

/** The directives of a location that it does not inherit. One header of its own takes all the others from it (ngx_http_proxy_module, proxy_set_header). */
function without(common: readonly Directive[], own: readonly Directive[]): readonly Directive[] {
  const isHeader = ([name]: Directive) => name === 'proxy_set_header'
  const [theirs, ours] = [common, own].map((all) => JSON.stringify(all.filter(isHeader)))
  const inherited = new Set(common.map((directive) => JSON.stringify(directive)))
  return own.filter((directive) => (isHeader(directive) ? theirs !== ours : !inherited.has(JSON.stringify(directive))))
}

interface Mounted {
  readonly key: string
  readonly locations: readonly Directive[]
}

/** The locations of each mount as they were rendered last, by its record: a change of one of a thousand renders one. */
const rendered = { http: new WeakMap<RouteRecord, Mounted>(), https: new WeakMap<RouteRecord, Mounted>() }

function mountLocations(
  record: RouteRecord,
  scheme: Scheme,
  key: string,
  inside: () => readonly Directive[],
): readonly Directive[] {
  const before = rendered[scheme].get(record)
  if (before?.key === key) return before.locations
  const [path, directives] = [pathOf(record), inside()]
  const locations = withFailover(record, [
    ['location', ['=', path], directives],
    ['location', ['^~', `${path}/`], directives],
  ]).map(keepPrinted)
  rendered[scheme].set(record, { key, locations })
  return locations
}

/** The locations of a route, and those that its requests are passed to after a failure. */
function withFailover(record: RouteRecord, locations: readonly [Directive, ...Directive[]]): Directive[] {
  return [...locations, ...failoverLocations(record, locations[0])]
}

/** What a route serves: its upstream, a redirect to another domain, or the maintenance response. */
function servedDirectives(
  record: RouteRecord,
  context: RenderContext,
  scheme: Scheme,
  inherited: readonly Directive[],
): readonly Directive[] {
  const { maintenance, redirect_to: target } = record.options
  // `return` is evaluated before `allow`: in maintenance, and with a redirect, every client gets the same response.
  // A location with its own `add_header` does not inherit those of its server.
  if (maintenance) return [...inherited, ...MAINTENANCE]
  if (target !== null) return [redirect(scheme, target, context)]
  return proxyDirectives(record, context, portOf(scheme, context), STANDARD_PORT[scheme])
}

/** Redirects a name from HTTP to HTTPS; if nothing else is under it, to the target of its redirect in the same step. */
function securedLocation(
  [owner, ...mounts]: readonly [RouteRecord, ...RouteRecord[]],
  name: string,
  context: RenderContext,
): Directive {
  const { maintenance, redirect_to: target } = owner.options
  const isOnlyRedirected = !maintenance && mounts.length === 0
  return ['location', ['/'], [redirect('https', isOnlyRedirected ? (target ?? name) : name, context)]]
}

/** 308 keeps the method and the body (RFC 9110, 15.4.9). */
function redirect(scheme: Scheme, domain: string, context: RenderContext): Directive {
  const port = portOf(scheme, context)
  const origin = `${scheme}://${domain}${port === STANDARD_PORT[scheme] ? '' : `:${port}`}`
  return ['return', ['308', [origin, { variable: 'request_uri' }]]]
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
