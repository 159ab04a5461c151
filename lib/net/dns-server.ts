/** DNS servers as settings name them, and as NGINX and the DNS client expect them. */
import { ipFamily } from './address.ts'

/** Whether a text is `address`, `address:port` or `[address]:port` of a DNS server. */
export function isResolver(server: string): boolean {
  if (ipFamily(server) === 6) return true
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(server)
  const port = Number(match?.[3] ?? 53)
  return (ipFamily(match?.[1] ?? '') === 6 || ipFamily(match?.[2] ?? '') === 4) && port >= 1 && port <= 65535
}

/** `address:port` of a resolver, as NGINX and the DNS client expect it: IPv6 in brackets, port 53 by default. */
export function resolverAddress(server: string): string {
  if (ipFamily(server) === 6) return `[${server}]:53`
  return /(\]|\d):\d+$/.test(server) ? server : `${server}:53`
}
