/** Where this host connects to NGINX to see what it serves: one endpoint for each address that our server blocks listen on. */
import type { ProbeRequest } from '../adapters/probe.ts'
import type { Host } from '../host/host.ts'
import { readListen } from './config/listen.ts'

/** Arguments of our `listen` directives, as in {@link ownListens}. */
export interface ListensOf {
  readonly httpListens: readonly string[]
  readonly httpsListens: readonly string[]
}

export type Endpoint = Pick<ProbeRequest, 'address' | 'port' | 'localAddress' | 'proxyProtocol'>

const LOOPBACK = { 4: '127.0.0.1', 6: '::1' } as const

/**
 * The endpoints of `listen` arguments, at least one if there are any. Addresses that this host does not have now (`net.ipv4.ip_nonlocal_bind`, as
 * with keepalived) are left out: another machine would answer. The source address is loopback, since our own server block answers only to that.
 */
export function endpointsOf({ network }: Pick<Host, 'network'>, listens: readonly string[]): readonly Endpoint[] {
  const own = network.localAddresses()
  const isLocal = ({ address }: Endpoint) => address.startsWith('127.') || own.includes(address)
  const endpoints = listens.flatMap((listen) => readListen(listen.split(' '))).map(endpointOf)
  const local = endpoints.filter(isLocal)
  return local.length > 0 ? local : endpoints
}

function endpointOf({ address: bound, port, options }: ReturnType<typeof readListen>[number]): Endpoint {
  const family = bound.startsWith('[') ? 6 : 4
  const isWildcard = bound === '*' || bound === '[::]'
  const address = isWildcard ? LOOPBACK[family] : bound.replace(/^\[|\]$/g, '')
  return { address, port, localAddress: LOOPBACK[family], proxyProtocol: options.includes('proxy_protocol') }
}
