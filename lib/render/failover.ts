/** What NGINX does with a request that an upstream of a route has not answered. */
import type { Directive } from '../nginx/config/print.ts'
import type { RouteRecord } from '../route/record.ts'

/** The name of a route's upstream block. With its underscore it cannot be a host name in another site's `proxy_pass`. */
export function upstreamName(dropletName: string): string {
  return `fpai_${dropletName}`
}

/**
 * When a request is passed on to another upstream, or to another address of the only one: if that cannot be reached, but not if it is slow. Of
 * several, a slow one is a failure, too, as far as the request can still be passed on. NGINX never repeats a POST, PATCH or LOCK of which something
 * was sent.
 */
export function nextUpstream(record: RouteRecord): Directive[] {
  const { upstreams, options } = record
  if (upstreams === undefined) return [['proxy_next_upstream', ['error']]]
  if (options.failover === 'connect_only')
    return [
      ['proxy_next_upstream', ['off']],
      ['error_page', ['502', '504', '=', { variable: nextVariable(record) }]],
    ]
  const statuses = options.failover_on_5xx ? ['http_502', 'http_503', 'http_504'] : []
  // Two upstreams, each at all of its addresses.
  const tries = 2 * Math.max(...upstreams.map(({ addresses }) => addresses?.length ?? 1))
  return [
    ['proxy_next_upstream', ['error', 'timeout', ...statuses]],
    ['proxy_next_upstream_tries', [String(tries)]],
    ['proxy_next_upstream_timeout', ['10s']],
  ]
}

/**
 * NGINX has no setting for `connect_only`: after a failure, the request is passed to one of these locations by what was sent of it. `max_fails=1`
 * keeps the second attempt from the upstream of the first. `location` is the one that proxies.
 */
export function failoverLocations(record: RouteRecord, [, , block = []]: Directive): Directive[] {
  const proxied = block.filter(([name]) => name !== 'error_page')
  if (proxied.length === block.length) return []
  return [
    ['location', [nextLocation(record, 'again')], proxied],
    ['location', [nextLocation(record, 'failed')], [['return', ['502']]]],
  ]
}

function nextLocation({ droplet_name }: RouteRecord, name: 'again' | 'failed'): string {
  return `@${upstreamName(droplet_name)}_${name}`
}

/** Variables have no hyphen: each name has a variable of its own. */
function nextVariable({ droplet_name }: RouteRecord): string {
  return `${upstreamName(droplet_name).replaceAll('_', '__').replaceAll('-', '_d')}_next`
}

/** The variable that decides between these two locations. */
export function nextMap(record: RouteRecord): Directive {
  return [
    'map',
    [{ variable: 'upstream_bytes_sent' }, { variable: nextVariable(record) }],
    [
      ['default', [nextLocation(record, 'failed')]],
      ['0', [nextLocation(record, 'again')]],
    ],
  ]
}
