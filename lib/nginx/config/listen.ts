/** Reads one `listen` directive, whatever spelling it has (ngx_parse_url, ngx_http_core_listen). */
import { canonicalIpv6, ipFamily } from '../../net/address.ts'

/** One `listen` of a server block for TCP; the wildcard addresses are `*` and `[::]`, IPv6 addresses are canonical and in brackets. */
export interface Listen {
  readonly address: string
  readonly port: number
  readonly options: readonly string[]
}

/** The arguments of one `listen`: one result for each port of a range (since NGINX 1.15.10), none for a UNIX socket or QUIC, which is UDP. */
export function readListen(args: readonly string[]): Listen[] {
  const [endpoint = '', ...options] = args
  if (endpoint.startsWith('unix:') || options.includes('quic')) return []
  const match = /^(?:(\[[^\]]*\]|[^:]*):)?(\d{1,5})(?:-(\d{1,5}))?$/.exec(endpoint)
  if (match === null) return [{ address: canonical(endpoint), port: 80, options }]
  const [address, first, last] = [canonical(match[1] ?? '*'), Number(match[2]), Number(match[3] ?? match[2])]
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => ({ address, port: first + i, options }))
}

/** The `listen` arguments of an address and a port. */
export function listenArgument({ address, port }: Pick<Listen, 'address' | 'port'>): string {
  return address === '*' ? `${port}` : `${address}:${port}`
}

export function isWildcard({ address }: Pick<Listen, 'address'>): boolean {
  return address === '*' || address === '[::]'
}

export function isIpv6({ address }: Pick<Listen, 'address'>): boolean {
  return address.startsWith('[')
}

/** The host name of a `listen`, which NGINX resolves; `undefined` for an address. */
export function listenName({ address }: Pick<Listen, 'address'>): string | undefined {
  return address === '*' || isIpv6({ address }) || ipFamily(address) !== undefined ? undefined : address
}

/** One spelling for each address; a host name is returned in lower case. */
export function canonical(address: string): string {
  if (address === '' || address === '*' || address === '0.0.0.0') return '*'
  const ipv6 = address.replace(/^\[|\]$/g, '')
  return ipFamily(ipv6) === 6 ? `[${canonicalIpv6(ipv6)}]` : address.toLowerCase()
}
