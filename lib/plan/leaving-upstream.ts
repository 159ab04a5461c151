/** The upstream that a change takes from a route, and the routes that still have it. */
import { isDeepStrictEqual } from 'node:util'
import { socketAddress } from '../net/address.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import { upstreamOf } from '../upstream/upstream.ts'

export interface ServedUpstream {
  readonly url: string
  readonly host: string
  readonly port: number
  /** Null if NGINX resolves the host by itself. */
  readonly addresses: readonly string[] | null
}

/** What the requests of a route are proxied to; `undefined` if it is not served, redirects, or is in maintenance. */
export function servedUpstream({ record, enabled }: SnapshotRoute): ServedUpstream | undefined {
  const { options, upstream_addresses: addresses } = record
  const upstream = upstreamOf(record)
  if (upstream === undefined || !enabled || options.maintenance || options.redirect_to !== null) return undefined
  const { url, host, port } = upstream
  return { url, host, port, addresses }
}

/** The upstream that a route had and has no more; `present` is `undefined` if it was deleted. */
export function leavingUpstream(
  former: SnapshotRoute | undefined,
  present: SnapshotRoute | undefined,
): ServedUpstream | undefined {
  const before = former === undefined ? undefined : servedUpstream(former)
  const after = present === undefined ? undefined : servedUpstream(present)
  return isDeepStrictEqual(before, after) ? undefined : before
}

/** Whether two upstreams may be the same process: they have a port, and a host or an address, in common. */
export function isSameDestination(one: ServedUpstream, other: ServedUpstream): boolean {
  if (one.port !== other.port) return false
  const addresses = new Set(one.addresses?.map(socketAddress))
  return one.host === other.host || (other.addresses ?? []).some((address) => addresses.has(socketAddress(address)))
}
