/** The part of a server block that proxies to the upstream. */
import { ipFamily } from '../net/address.ts'
import type { Argument, Directive } from '../nginx/config/print.ts'
import { isAtLeast } from '../nginx/config/version.ts'
import type { RouteRecord } from '../route/record.ts'
import { upstreamOf } from '../upstream/upstream.ts'
import { buffers } from './buffers.ts'
import { hasModule, type RenderContext, resolverDirectives } from './context.ts'
import { forwardedHeaders } from './forwarded.ts'

/** Upstreams have self-signed certificates; without `proxy_ssl_trusted_certificate`, NGINX refuses to verify at all. */
const PROXY_SSL_VERIFY_OFF: Directive = ['proxy_ssl_verify', ['off']]

/** The name of a route's upstream block. With its underscore it cannot be a host name in another site's `proxy_pass`. */
export function upstreamName(dropletName: string): string {
  return `fpai_${dropletName}`
}

/** The location that proxies requests to the route's upstream block, or to a name that NGINX resolves at run time. */
export function proxyLocation(
  record: RouteRecord,
  context: RenderContext,
  port: number,
  standardPort: number,
): Directive {
  const host: Argument = port === standardPort ? { variable: 'host' } : [{ variable: 'host' }, `:${port}`]
  const { options } = record
  const allowed: Directive[] = options.allow.map((network) => ['allow', [network]])
  const access: Directive[] = allowed.length === 0 ? [] : [...allowed, ['deny', ['all']]]
  return [
    'location',
    ['/'],
    [
      ...access,
      ...proxyPass(record, context),
      ['proxy_http_version', ['1.1']],
      ['proxy_set_header', ['Host', host]],
      ...forwardedHeaders(context, port, host),
      // A CGI-like upstream would read it as HTTP_PROXY (CVE-2016-5385).
      ['proxy_set_header', ['Proxy', '']],
      // "upgrade" for a WebSocket, otherwise empty, which keeps the upstream connection alive.
      ['proxy_set_header', ['Upgrade', options.websocket ? { variable: 'proxy_manager_upgrade' } : '']],
      ['proxy_set_header', ['Connection', options.websocket ? { variable: 'proxy_manager_connection' } : '']],
      ['proxy_redirect', ['off']],
      // If off, server-sent events and streamed responses pass immediately, and no response is buffered on disk.
      ['proxy_buffering', [options.buffering ? 'on' : 'off']],
      ...buffers(options.header_buffer_size, context),
      ['proxy_connect_timeout', [`${options.connect_timeout_s}s`]],
      ['proxy_send_timeout', ['60s']],
      // The longest silence of an upstream, including WebSockets and event streams.
      ['proxy_read_timeout', [`${options.read_timeout_s}s`]],
      // Another address of the upstream is tried if one cannot be reached, but not if it is slow.
      ['proxy_next_upstream', ['error']],
      ['client_max_body_size', [options.max_body_size]],
    ],
  ]
}

/**
 * Addresses are proxied through an upstream block, with keep-alive. A name is proxied through a variable, so that NGINX resolves it at run time:
 * if it stops resolving, only its own route fails, while an unresolvable name in `server` would prevent NGINX from starting.
 */
function proxyPass(record: RouteRecord, context: RenderContext): Directive[] {
  const scheme = record.options.upstream_scheme
  const tls: Directive[] =
    scheme === 'http'
      ? []
      : [
          ['proxy_ssl_server_name', ['on']],
          ['proxy_ssl_name', [tlsName(record)]],
          ...(context.setByHost.has('proxy_ssl_verify') ? [PROXY_SSL_VERIFY_OFF] : []),
        ]
  if (record.upstream_addresses !== null) {
    return [['proxy_pass', [`${scheme}://${upstreamName(record.droplet_name)}`]], ...tls]
  }
  return [
    ...tls,
    ...ownResolver(record, context),
    ['set', [{ variable: 'proxy_manager_upstream' }, upstreamOf(record)?.authority ?? '']],
    ['proxy_pass', [[`${scheme}://`, { variable: 'proxy_manager_upstream' }]]],
  ]
}

/** The shared file has the resolver, unless the host's `http` block has another one, or no DNS server is known any more. */
function ownResolver({ resolvers }: RouteRecord, context: RenderContext): Directive[] {
  if (context.resolvers.length === 0) return resolverDirectives({ ...context, resolvers, setByHost: new Map() })
  return context.setByHost.has('resolver') ? resolverDirectives({ ...context, setByHost: new Map() }) : []
}

/** The name for SNI: the upstream's host name, or the route's domain if the upstream is an address. */
function tlsName(record: RouteRecord): string {
  const { upstream_host: host } = record
  return host !== null && ipFamily(host) === undefined && host !== 'localhost' ? host : record.domain
}

/** The upstream block of a route whose upstream has literal addresses; none if it is a name, or if nothing is proxied. */
export function upstreamBlock(record: RouteRecord, context: RenderContext): Directive[] {
  const { upstream_addresses: addresses } = record
  if (addresses === null || addresses.length === 0) return []
  // With several addresses, one that refuses is skipped for that request only: a restarted droplet is used again at once.
  const servers = addresses.map((address, i): Directive => {
    const literal = address.includes(':') ? `[${address}]` : address
    const options = addresses.length === 1 ? [] : i === 0 ? ['max_fails=0'] : ['max_fails=0', 'backup']
    return ['server', [`${literal}:${record.upstream_port}`, ...options]]
  })
  return [['upstream', [upstreamName(record.droplet_name)], [...servers, ...keepAlive(record, context)]]]
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
