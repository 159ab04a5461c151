/**
 * IP addresses as the API accepts them, and those that no route may lead to.
 * NGINX and the C library read many more spellings (`2130706433`, `0x7f000001`, `0177.0.0.1`, `127.1`); none of them is an address here.
 */
import { isIPv4, isIPv6 } from 'node:net'

export type IpFamily = 4 | 6

/** The family of a literal address without brackets, zone or port; `undefined` for anything else. */
export function ipFamily(text: string): IpFamily | undefined {
  if (isIPv4(text)) return 4
  if (isIPv6(text) && !text.includes('%')) return 6
  return undefined
}

/** The one spelling of an IPv6 address (RFC 5952), so that two spellings render to the same bytes. */
export function canonicalIpv6(text: string): string {
  return new URL(`http://[${text}]/`).hostname.slice(1, -1)
}

/** Whether a literal address is this host's loopback, in either family. */
export function isLoopback(address: string): boolean {
  if (ipFamily(address) === 4) return address.startsWith('127.')
  return canonicalIpv6(address) === '::1' || (embeddedIpv4(address)?.startsWith('127.') ?? false)
}

/**
 * Who counts as one caller, from the remote address of a socket: an IPv4 address (also in IPv6 clothing), or the /64 in which one IPv6 host can
 * give itself any number of addresses (RFC 4291, 2.5.4; RFC 8981). A zone (`fe80::1%eth0`, RFC 4007) is dropped.
 */
export function callerOf(remoteAddress: string): string {
  const address = remoteAddress.replace(/%.*$/, '')
  if (ipFamily(address) !== 6) return address
  const groups = ipv6Groups(canonicalIpv6(address))
  const network = groups.slice(0, 4).map((group) => group.toString(16))
  return embeddedIpv4(address) ?? (isLoopback(address) ? address : `${network.join(':')}::/64`)
}

/** Whether an address or name of a listener is this host alone. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

/**
 * The IPv4 address that an IPv6 one stands for: mapped (`::ffff:0:0/96`, RFC 4291), compatible (`::/96`, RFC 4291), translated
 * (`64:ff9b::/96` and `64:ff9b:1::/48`, RFC 6052 and 8215) or 6to4 (`2002::/16`, RFC 3056).
 */
export function embeddedIpv4(address: string): string | undefined {
  const groups = ipv6Groups(canonicalIpv6(address))
  const [first = 0, second = 0, third = 0] = groups
  if (first === 0x2002) return dotted(second, third)
  const leadingZeros = groups.findIndex((group) => group !== 0)
  const isMapped = groups[5] === 0xffff && leadingZeros === 5
  const isCompatible = leadingZeros === 6
  const isTranslated = first === 0x64 && second === 0xff9b
  if (isMapped || isCompatible || isTranslated) return dotted(groups[6] ?? 0, groups[7] ?? 0)
  return undefined
}

function ipv6Groups(canonical: string): number[] {
  const [head = '', tail] = canonical.split('::')
  const parse = (part: string) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)))
  const before = parse(head)
  if (tail === undefined) return before
  const after = parse(tail)
  return [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after]
}

function dotted(high: number, low: number): string {
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}
