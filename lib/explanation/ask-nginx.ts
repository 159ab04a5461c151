/** Asks NGINX itself, on this host, as a client of that name would. */
import type { Host } from '../host/host.ts'
import { isIpv6, isWildcard, type Listen, listenArgument } from '../nginx/config/listen.ts'
import { type Endpoint, endpointsOf } from '../nginx/endpoints.ts'
import type { AskedUrl } from './asked-url.ts'
import type { Socket } from './choose-server.ts'
import type { Seen } from './expected.ts'

type AskingHost = Pick<Host, 'network' | 'probe'>

const TIMEOUT_MS = 5000
const LOOPBACK = { 4: '127.0.0.1', 6: '::1' } as const

/**
 * The address of this host at which a client reaches a socket; `undefined` if there is none. A wildcard does not get what another socket of its
 * port is bound to. The host of a URL is never resolved, and nothing else is ever connected to.
 */
export function endpointOf(
  { network }: AskingHost,
  { listen }: Socket,
  others: readonly Socket[],
): Endpoint | undefined {
  const family = isIpv6(listen) ? 6 : 4
  const own = network.localAddresses().filter((address) => address.includes(':') === (family === 6))
  const bare = (one: Pick<Listen, 'address'>) => one.address.replace(/^\[|\]$/g, '')
  const bound = others.filter((socket) => !isWildcard(socket.listen)).map((socket) => bare(socket.listen))
  const address = isWildcard(listen)
    ? [LOOPBACK[family], ...own].find((one) => !bound.includes(one))
    : [bare(listen)].find((one) => one.startsWith('127.') || own.includes(one))
  if (address === undefined || address.includes('%')) return undefined
  const argument = listenArgument({ address: family === 6 ? `[${address}]` : address, port: listen.port })
  const protocols = listen.options.includes('proxy_protocol') ? ' proxy_protocol' : ''
  return endpointsOf({ network }, [argument + protocols])[0]
}

/** Sends one HEAD; over HTTPS after a handshake of its own that reads the certificate. */
export async function askNginx({ probe }: AskingHost, endpoint: Endpoint, url: AskedUrl): Promise<Seen> {
  const nothing = { status: null, location: null, certificate_fingerprint: null, failure: null }
  const serverName = url.address === undefined ? url.host : ''
  const handshake =
    url.scheme === 'http' ? undefined : await probe.handshake({ ...endpoint, serverName, timeoutMs: TIMEOUT_MS })
  if (handshake !== undefined && 'failure' in handshake) return { ...nothing, failure: handshake.failure }
  const answer = await probe.get({
    ...endpoint,
    method: 'HEAD',
    scheme: url.scheme,
    host: url.authority,
    path: url.target,
    timeoutMs: TIMEOUT_MS,
    limited: 'quick',
  })
  const seen = { ...nothing, certificate_fingerprint: handshake?.fingerprint ?? null }
  if ('failure' in answer) return { ...seen, failure: answer.failure }
  return { ...seen, status: answer.status, location: answer.location ?? null }
}
