/** The upstreams of a route: each a host and a port, all with the same scheme. */
import * as v from 'valibot'
import { canonicalIpv6, ipFamily } from '../net/address.ts'
import { resolverAddress } from '../net/dns-server.ts'
import type { Settings } from '../settings/settings.ts'

/** How NGINX finds the upstream: at literal addresses, or by its name through these resolvers. */
export interface ResolvedUpstream {
  readonly addresses: readonly string[] | null
  readonly resolvers: readonly string[]
}

export interface UpstreamHealth {
  readonly status: HealthStatus
  readonly checkedAt: string | null
}

export const HealthStatus = v.picklist(['healthy', 'unhealthy', 'unknown'])
export type HealthStatus = v.InferOutput<typeof HealthStatus>

const UPSTREAM_LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/

/**
 * Normalizes the host of an upstream: a name (underscores are allowed, as in container names), an IPv4 address, or an IPv6 address with or
 * without brackets. Spellings that only the C library reads as an address are rejected.
 */
function normalizeUpstreamHost(input: string): string | { readonly fault: string } {
  const bare = /^\[.*\]$/.test(input) ? input.slice(1, -1) : input
  const family = ipFamily(bare)
  if (family === 6) return canonicalIpv6(bare)
  if (family === 4 && bare === input) return bare
  const name = input.toLowerCase().replace(/\.$/, '')
  const labels = name.split('.')
  const last = labels.at(-1) ?? ''
  // Some letters outside ASCII have an ASCII lower case: the name is checked as it was given.
  const isName =
    /^[\x00-\x7f]*$/.test(input) &&
    name.length <= 253 &&
    labels.every((label) => UPSTREAM_LABEL.test(label)) &&
    !/^(\d+|0x[0-9a-f]*)$/.test(last)
  return isName
    ? name
    : { fault: 'must be a host name, an IPv4 address of four decimal octets, or an IPv6 address without a zone' }
}

export const UpstreamHost = hostFor('Where the droplet listens: host name, IPv4 or IPv6 address; localhost by default')

/** A host name or an address with a description of its own: one that follows a transformation is not in the API's description. */
export function hostFor(help: string) {
  return v.pipe(
    v.string('must be a string'),
    v.description(help),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      const host = normalizeUpstreamHost(dataset.value)
      if (typeof host === 'string') return host
      addIssue({ message: host.fault })
      return NEVER
    }),
  )
}

export const UpstreamPort = v.pipe(
  v.number('must be an integer from 1 to 65535'),
  v.description('Port of the droplet; required unless upstream is given'),
  v.integer('must be an integer from 1 to 65535'),
  v.minValue(1, 'must be an integer from 1 to 65535'),
  v.maxValue(65535, 'must be an integer from 1 to 65535'),
)

/** `http://host:port` (or `https`), short for `upstream_host` and `upstream_port`. */
export const UpstreamUrl = v.pipe(
  v.string('must be a string'),
  v.description('http://host:port (or https), instead of upstream_host and upstream_port'),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const match = /^https?:\/\/([^/:@?#\\]+|\[[^\]]+\]):(\d{1,5})\/?$/.exec(dataset.value)
    const host = normalizeUpstreamHost(match?.[1] ?? '')
    const port = Number(match?.[2])
    const scheme: 'http' | 'https' = dataset.value.startsWith('https:') ? 'https' : 'http'
    if (match !== null && typeof host === 'string' && port >= 1 && port <= 65535) return { host, port, scheme }
    addIssue({ message: 'must be http://host:port or https://host:port' })
    return NEVER
  }),
)

/** One of several upstreams of a route. */
export interface UpstreamEntry {
  readonly host: string
  readonly port: number
  /** Used only while no other is available. */
  readonly backup: boolean
}

const NO_BACKUP = 'must have one that is not a backup'

/** The upstreams of a route, as a caller passes them; an empty list is none. */
export const UpstreamEntries = v.pipe(
  v.array(
    v.strictObject(
      {
        host: UpstreamHost,
        port: UpstreamPort,
        backup: v.optional(
          v.pipe(v.boolean('must be true or false'), v.description('Used only while no other upstream is available')),
          false,
        ),
      },
      (issue) => (issue.expected === 'never' ? 'is not a known field' : 'must be { "host", "port", "backup" }'),
    ),
    'must be a list',
  ),
  v.description('1 to 32 upstreams, instead of upstream, or upstream_host and upstream_port'),
  v.maxLength(32, 'must be at most 32 upstreams'),
  v.check((entries) => entries.length === 0 || entries.some(({ backup }) => !backup), NO_BACKUP),
  v.check(
    (entries) => new Set(entries.map(({ host, port }) => `${host} ${port}`)).size === entries.length,
    'must not have an upstream twice',
  ),
)

export interface Upstream {
  readonly scheme: 'http' | 'https'
  /** A name, or an address without brackets. */
  readonly host: string
  readonly port: number
  /** `host:port`, with brackets around an IPv6 address. */
  readonly authority: string
  /** `http://host:port` (or `https`). */
  readonly url: string
}

/** The fields of a route that say what is proxied to; a route that only redirects may have none. */
interface ProxyingRoute {
  readonly upstream_host: string | null
  readonly upstream_port: number | null
  readonly options?: { readonly upstream_scheme: 'http' | 'https' }
}

/** The upstream in the fields of a route: of several, the first that is not a backup. */
export function upstreamOf(route: ProxyingRoute): Upstream | undefined {
  const { upstream_host: host, upstream_port: port } = route
  if (host === null || port === null) return undefined
  const scheme = route.options?.upstream_scheme ?? 'http'
  const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`
  return { scheme, host, port, authority, url: `${scheme}://${authority}` }
}

/** All upstreams of a route, in its order. */
export function upstreamsOf(
  route: ProxyingRoute & { readonly upstreams?: readonly UpstreamEntry[] | undefined },
): readonly (Upstream & Pick<UpstreamEntry, 'backup'>)[] {
  const { upstreams, upstream_host, upstream_port, ...rest } = route
  const entries = upstreams ?? [{ host: upstream_host, port: upstream_port, backup: false }]
  return entries.flatMap(({ host, port, backup }) => {
    const upstream = upstreamOf({ ...rest, upstream_host: host, upstream_port: port })
    return upstream === undefined ? [] : [{ ...upstream, backup }]
  })
}

/** The DNS servers for upstreams, as NGINX's `resolver` takes them: those of the setting, or else the system's. */
export function dnsServers({ DNS_SERVERS }: Pick<Settings, 'DNS_SERVERS'>, system: readonly string[]): string[] {
  return (DNS_SERVERS.length > 0 ? DNS_SERVERS : system).map(resolverAddress)
}
