/** The part of a server block that proxies to the upstream. */
import { ipFamily } from '../net/address.ts'
import { isMounted, pathOf } from '../net/path.ts'
import type { Argument, Directive } from '../nginx/config/print.ts'
import { isAtLeast } from '../nginx/config/version.ts'
import { entriesOf, placedUpstreams, type RouteRecord } from '../route/record.ts'
import { upstreamOf } from '../upstream/upstream.ts'
import { buffers } from './buffers.ts'
import { CA_FILES, hasModule, type RenderContext, resolverDirectives } from './context.ts'
import { nextMap, nextUpstream, upstreamName } from './failover.ts'
import { forwardedHeaders, forwardedPrefix } from './forwarded.ts'

/** Upstreams have self-signed certificates; without `proxy_ssl_trusted_certificate`, NGINX refuses to verify at all. */
const PROXY_SSL_VERIFY_OFF: Directive = ['proxy_ssl_verify', ['off']]
/** A public CA has one or two intermediate ones; NGINX's default permits one. */
const VERIFY_DEPTH = '5'

/** The directives of a location that proxies requests to the route's upstream block, or to a name that NGINX resolves at run time. */
export function proxyDirectives(
  record: RouteRecord,
  context: RenderContext,
  port: number,
  standardPort: number,
): Directive[] {
  const host: Argument = port === standardPort ? { variable: 'host' } : [{ variable: 'host' }, `:${port}`]
  const { options } = record
  const allowed: Directive[] = options.allow.map((network) => ['allow', [network]])
  const access: Directive[] = allowed.length === 0 ? [] : [...allowed, ['deny', ['all']]]
  return [
    ...access,
    ...proxyPass(record, context),
    ['proxy_http_version', ['1.1']],
    ['proxy_set_header', ['Host', upstreamHost(record, host)]],
    ...forwardedHeaders(context, port, host),
    ...(isMounted(record) ? forwardedPrefix(options.strip_prefix ? pathOf(record) : '', context) : []),
    // A CGI-like upstream would read it as HTTP_PROXY (CVE-2016-5385).
    ['proxy_set_header', ['Proxy', '']],
    // "upgrade" for a WebSocket, otherwise empty, which keeps the upstream connection alive.
    ['proxy_set_header', ['Upgrade', options.websocket ? { variable: 'proxy_manager_upgrade' } : '']],
    ['proxy_set_header', ['Connection', options.websocket ? { variable: 'proxy_manager_connection' } : '']],
    ...ownHeaders(record),
    ['proxy_redirect', ['off']],
    // If off, server-sent events and streamed responses pass immediately, and no response is buffered on disk.
    ['proxy_buffering', [options.buffering ? 'on' : 'off']],
    ...buffers(options.header_buffer_size, context),
    ['proxy_connect_timeout', [`${options.connect_timeout_s}s`]],
    ['proxy_send_timeout', ['60s']],
    // The longest silence of an upstream, including WebSockets and event streams.
    ['proxy_read_timeout', [`${options.read_timeout_s}s`]],
    ...nextUpstream(record),
    ['client_max_body_size', [options.max_body_size]],
  ]
}

/** The Host header for the upstream; `domain` is what the client has sent, with the public port. */
function upstreamHost(record: RouteRecord, domain: Argument): Argument {
  const { upstream_host_header: wanted } = record.options
  if (wanted === 'domain') return domain
  const upstream = upstreamOf(record)
  // As NGINX's $proxy_host: without a port that is the standard one of the scheme.
  return wanted !== 'upstream' ? wanted : upstream === undefined ? domain : new URL(upstream.url).host
}

/** An empty value removes a header. NGINX's hash of header names has room for 46 characters by default, and fails its test if one is longer. */
function ownHeaders({ options }: RouteRecord): Directive[] {
  const headers = Object.entries(options.request_headers)
  if (headers.length === 0) return []
  return [
    ...headers.map(([name, value]): Directive => ['proxy_set_header', [name, value ?? '']]),
    ['proxy_headers_hash_max_size', ['2048']],
    ['proxy_headers_hash_bucket_size', ['128']],
  ]
}

/**
 * Addresses, and several upstreams, are proxied through an upstream block, with keep-alive. A name is proxied through a variable, so that NGINX
 * resolves it at run time: if it stops resolving, only its own route fails, while an unresolvable name in `server` would prevent NGINX from starting.
 * To strip a prefix it takes an upstream block with `resolve`: after a variable, NGINX sends no path of its own.
 */
function proxyPass(record: RouteRecord, context: RenderContext): Directive[] {
  const scheme = record.options.upstream_scheme
  const tls = scheme === 'http' ? [] : tlsDirectives(record, context)
  if (hasUpstreamBlock(record)) {
    // With a URI, NGINX sends it in place of the part of the path that the location matches.
    const uri = record.options.strip_prefix ? '/' : ''
    return [['proxy_pass', [`${scheme}://${upstreamName(record.droplet_name)}${uri}`]], ...tls]
  }
  return [
    ...tls,
    ...ownResolver(record, context),
    ['set', [{ variable: 'proxy_manager_upstream' }, upstreamOf(record)?.authority ?? '']],
    ['proxy_pass', [[`${scheme}://`, { variable: 'proxy_manager_upstream' }]]],
  ]
}

function tlsDirectives(record: RouteRecord, { setByHost, trustedCas }: RenderContext): Directive[] {
  const verified: Directive[] = [
    ['proxy_ssl_verify', ['on']],
    ['proxy_ssl_verify_depth', [VERIFY_DEPTH]],
    // Without the file NGINX rejects the route, which is better than to serve it unverified.
    ['proxy_ssl_trusted_certificate', [trustedCas ?? CA_FILES[0]]],
  ]
  const unverified = setByHost.has('proxy_ssl_verify') ? [PROXY_SSL_VERIFY_OFF] : []
  return [
    ['proxy_ssl_server_name', ['on']],
    ['proxy_ssl_name', [tlsName(record)]],
    ...(record.options.upstream_tls_verify ? verified : unverified),
  ]
}

/** The shared file has the resolver, unless the host's `http` block has another one, or no DNS server is known any more. */
function ownResolver({ resolvers }: RouteRecord, context: RenderContext): Directive[] {
  if (context.resolvers.length === 0) return resolverDirectives({ ...context, resolvers, setByHost: new Map() })
  return context.setByHost.has('resolver') ? resolverDirectives({ ...context, setByHost: new Map() }) : []
}

/**
 * The name for SNI, which a verified certificate must have: that of the Host header if the route has one, or the upstreams' host name, or the route's
 * domain if they are addresses or differ.
 */
function tlsName(record: RouteRecord): string {
  const { upstream_host_header: wanted } = record.options
  if (wanted !== 'domain' && wanted !== 'upstream') return wanted
  const [host, ...others] = new Set(entriesOf(record).map((entry) => entry.host))
  const isName = host !== undefined && others.length === 0 && ipFamily(host) === undefined && host !== 'localhost'
  return isName ? host : record.domain
}

/** Whether requests are proxied to an upstream block: not to the only name, which NGINX resolves, unless a prefix is stripped. */
function hasUpstreamBlock({ upstream_addresses: addresses, upstreams, options }: RouteRecord): boolean {
  return addresses !== null || upstreams !== undefined || options.strip_prefix
}

/** The upstream block of a route with several upstreams, or one that has literal addresses; none if it is a name, or if nothing is proxied. */
export function upstreamBlock(record: RouteRecord, context: RenderContext): Directive[] {
  const servers = record.upstreams === undefined ? serversOfOne(record, context) : serversOfSeveral(record, context)
  if (servers.length === 0) return []
  const isConnectOnly = record.upstreams !== undefined && record.options.failover === 'connect_only'
  return [
    ['upstream', [upstreamName(record.droplet_name)], [...servers, ...keepAlive(record, context)]],
    ...(isConnectOnly ? [nextMap(record)] : []),
  ]
}

function serversOfOne(record: RouteRecord, context: RenderContext): Directive[] {
  const { upstream_addresses: addresses, upstream_port: port } = record
  if (addresses === null && hasUpstreamBlock(record)) {
    const server: Directive = ['server', [upstreamOf(record)?.authority ?? '', 'resolve']]
    return [...sharedMemory(record, context), server]
  }
  // With several addresses, one that refuses is skipped for that request only: a restarted droplet is used again at once.
  return (addresses ?? []).map((address, i, all): Directive => {
    const options = all.length === 1 ? [] : i === 0 ? ['max_fails=0'] : ['max_fails=0', 'backup']
    return ['server', [`${socketHost(address)}:${port}`, ...options]]
  })
}

/** NGINX resolves a name in an upstream block while it runs, from 1.27.3 on: the block must be in shared memory then. */
function serversOfSeveral(record: RouteRecord, context: RenderContext): Directive[] {
  const upstreams = placedUpstreams(record)
  const servers = upstreams.flatMap(({ host, port, backup, addresses }) => {
    const maxFails = record.options.failover === 'connect_only' ? 1 : 3
    const options = [`max_fails=${maxFails}`, 'fail_timeout=10s', ...(backup ? ['backup'] : [])]
    if (addresses === null) return [['server', [`${host}:${port}`, 'resolve', ...options]] as const]
    return addresses.map((address) => ['server', [`${socketHost(address)}:${port}`, ...options]] as const)
  })
  if (servers.length === 0) return []
  const isNamed = upstreams.some(({ addresses }) => addresses === null)
  return [
    // NGINX wants the method before what depends on it: backup servers and keep-alive.
    ...(record.options.balance === 'least_conn' ? ([['least_conn', []]] as const) : []),
    ...(isNamed ? sharedMemory(record, context) : []),
    ...servers,
  ]
}

/** What a name in an upstream block needs. */
function sharedMemory(record: RouteRecord, context: RenderContext): Directive[] {
  return [['zone', [upstreamName(record.droplet_name), '256k']], ...ownResolver(record, context)]
}

function socketHost(address: string): string {
  return address.includes(':') ? `[${address}]` : address
}

/**
 * The default timeout is less than the 5 s after which Node and uvicorn close idle connections, so that NGINX never sends into a closing one. 64
 * per worker for as many concurrent requests: with fewer, NGINX opens and closes connections under load, at a third of its throughput. From
 * NGINX 1.29.7 on, connections are kept unless `keepalive` is 0, which earlier versions refuse.
 */
function keepAlive({ options }: RouteRecord, context: RenderContext): Directive[] {
  if (!hasModule(context, 'upstream_keepalive')) return []
  if (options.upstream_keepalive_s === 0)
    return isAtLeast(context.nginxVersion, [1, 29, 7]) ? [['keepalive', ['0']]] : []
  return [
    ['keepalive', ['64']],
    ['keepalive_timeout', [`${options.upstream_keepalive_s}s`]],
  ]
}
