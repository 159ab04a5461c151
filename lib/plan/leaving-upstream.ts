/** The upstreams that a change takes from a route, and the routes that still have them. */
import { isDeepStrictEqual } from 'node:util'
import { socketAddress } from '../net/address.ts'
import { placedUpstreams } from '../route/record.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'

export interface ServedUpstream {
  readonly url: string
  readonly host: string
  readonly port: number
  /** Null if NGINX resolves the host by itself. */
  readonly addresses: readonly string[] | null
}

/** What the requests of a route are proxied to; nothing if it is not served, redirects, or is in maintenance. */
export function servedUpstreams({ record, enabled }: SnapshotRoute): readonly ServedUpstream[] {
  const { maintenance, redirect_to: target } = record.options
  if (!enabled || maintenance || target !== null) return []
  return placedUpstreams(record).map(({ url, host, port, addresses }) => ({ url, host, port, addresses }))
}

/** The upstreams that a route had and has no more; `present` is `undefined` if it was deleted. */
export function leavingUpstreams(
  former: SnapshotRoute | undefined,
  present: SnapshotRoute | undefined,
): readonly ServedUpstream[] {
  const before = former === undefined ? [] : servedUpstreams(former)
  const after = present === undefined ? [] : servedUpstreams(present)
  return before.filter((one) => !after.some((other) => isDeepStrictEqual(one, other)))
}

/** Whether two upstreams may be the same process: they have a port, and a host or an address, in common. */
export function isSameDestination(one: ServedUpstream, other: ServedUpstream): boolean {
  if (one.port !== other.port) return false
  const addresses = new Set(one.addresses?.map(socketAddress))
  return one.host === other.host || (other.addresses ?? []).some((address) => addresses.has(socketAddress(address)))
}
