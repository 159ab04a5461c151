/** The part of a server block that leads to the upstream. */
import { ipFamily } from '../net/address.ts'
import type { Argument, Directive } from '../nginx/config/print.ts'
import type { RouteRecord } from '../route/record.ts'
import { upstreamOf } from '../upstream/upstream.ts'

/** The name of a route's upstream block. Underscores keep it out of the names that another site's `proxy_pass` may mean. */
export function upstreamName(dropletName: string): string {
  return `fpai_${dropletName}`
}

/** The location that passes requests on, over the route's upstream block or a name that NGINX looks up while it runs. */
export function proxyLocation(record: RouteRecord, port: number, standardPort: number): Directive {
  const host: Argument = port === standardPort ? { variable: 'host' } : [{ variable: 'host' }, `:${port}`]
  const { options } = record
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
    ['set', [{ variable: 'proxy_manager_upstream' }, upstreamOf(record)?.authority ?? '']],
    ['proxy_pass', [[`${scheme}://`, { variable: 'proxy_manager_upstream' }]]],
  ]
}

/** The name in SNI: the upstream's own, or the route's domain where the upstream has none. */
function tlsName(record: RouteRecord): string {
  const { upstream_host: host } = record
  return host !== null && ipFamily(host) === undefined && host !== 'localhost' ? host : record.domain
}

/** The upstream block of a route whose upstream is given by addresses; none where it is a name, or where nothing is passed on. */
export function upstreamBlock(record: RouteRecord): Directive[] {
  const { upstream_addresses: addresses } = record
  if (addresses === null || addresses.length === 0) return []
  // With several addresses, one that refuses is passed over for each request anew: a droplet that restarts is back at once.
  const servers = addresses.map((address, i): Directive => {
    const literal = address.includes(':') ? `[${address}]` : address
    const options = addresses.length === 1 ? [] : i === 0 ? ['max_fails=0'] : ['max_fails=0', 'backup']
    return ['server', [`${literal}:${record.upstream_port}`, ...options]]
  })
  // Less than the 5 s after which Node and uvicorn close an idle connection, so that NGINX never sends into a closing one. As many for each
  // worker as there may be requests under way: with fewer, it opens and closes connections under load, at a third of its throughput.
  const keepAlive: Directive[] = [
    ['keepalive', ['64']],
    ['keepalive_timeout', ['4s']],
  ]
  return [['upstream', [upstreamName(record.droplet_name)], [...servers, ...keepAlive]]]
}
