/** The upstream of a route: a host, a port and a scheme. */
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
  /** How long the check took; missing without one. */
  readonly latencyMs?: number
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

export const UpstreamHost = v.pipe(
  v.string('must be a string'),
  v.description('Where the droplet listens: host name, IPv4 or IPv6 address; localhost by default'),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const host = normalizeUpstreamHost(dataset.value)
    if (typeof host === 'string') return host
    addIssue({ message: host.fault })
    return NEVER
  }),
)

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

/** The upstream in the fields of a route; a route that only redirects may have none. */
export function upstreamOf(route: {
  readonly upstream_host: string | null
  readonly upstream_port: number | null
  readonly options?: { readonly upstream_scheme: 'http' | 'https' }
}): Upstream | undefined {
  const { upstream_host: host, upstream_port: port } = route
  if (host === null || port === null) return undefined
  const scheme = route.options?.upstream_scheme ?? 'http'
  const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`
  return { scheme, host, port, authority, url: `${scheme}://${authority}` }
}

/** The DNS servers for upstreams, as NGINX's `resolver` takes them: those of the setting, or else the system's. */
export function dnsServers({ DNS_SERVERS }: Pick<Settings, 'DNS_SERVERS'>, system: readonly string[]): string[] {
  return (DNS_SERVERS.length > 0 ? DNS_SERVERS : system).map(resolverAddress)
}
