/**
 * IP addresses as the API accepts them. The C library and ipaddr.js accept many more spellings (`2130706433`, `0x7f000001`, `0177.0.0.1`, `127.1`);
 * none of them is an address here, so every text passes {@link ipFamily} before ipaddr.js reads it.
 */
import { isIPv4, isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'

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

/** Whether a text is an address, or a network in CIDR notation (RFC 4632, RFC 4291, 2.3) whose prefix length fits its family. */
export function isCidr(text: string): boolean {
  const [address = '', bits] = text.split('/')
  if (ipFamily(address) === undefined) return false
  return bits === undefined || (/^(0|[1-9]\d*)$/.test(bits) && ipaddr.isValidCIDR(text))
}

/**
 * The one spelling of an address or network, with the bits after its prefix cleared; of one that has a single address, that address. `undefined`
 * for anything else, and for IPv4 written as IPv6.
 */
export function canonicalNetwork(text: string): string | undefined {
  if (!isCidr(text)) return undefined
  const [address = '', bits] = text.split('/')
  if (ipFamily(address) === 4)
    return bits === undefined || bits === '32' ? address : `${ipaddr.IPv4.networkAddressFromCIDR(text)}/${bits}`
  const canonical = canonicalIpv6(address)
  if (isMapped(canonical)) return undefined
  if (bits === undefined || bits === '128') return canonical
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${canonical}/${bits}`).toRFC5952String()}/${bits}`
}

/** RFC 4291, 2.5.5.2. */
const isMapped = networkMatcher('::ffff:0:0/96')

/** Makes a test of whether a literal address, of either family, is in one of these networks (`address/bits`). */
export function networkMatcher(...networks: readonly string[]): (address: string) => boolean {
  const parsed = networks.map((network) => ipaddr.parseCIDR(network))
  return (address) => {
    const ip = parseAddress(address)
    return parsed.some(([base, bits]) => ip.kind() === base.kind() && ip.match(base, bits))
  }
}

/** Whether a literal address is this host's loopback, in either family. */
export function isLoopback(address: string): boolean {
  const embedded = ipFamily(address) === 6 ? embeddedIpv4(address) : undefined
  return parseAddress(embedded ?? address).range() === 'loopback'
}

/**
 * What counts as one caller, from the remote address of a socket: an IPv4 address (also one embedded in IPv6), or the /64 in which one IPv6 host
 * can give itself any number of addresses (RFC 4291, 2.5.4; RFC 8981). A zone (`fe80::1%eth0`, RFC 4007) is dropped.
 */
export function callerOf(remoteAddress: string): string {
  const address = remoteAddress.replace(/%.*$/, '')
  if (ipFamily(address) !== 6) return address
  const embedded = embeddedIpv4(address)
  if (embedded !== undefined || isLoopback(address)) return embedded ?? address
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${canonicalIpv6(address)}/64`).toRFC5952String()}/64`
}

/** Whether an address or name of a listener is this host only. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

/** Mapped and compatible (RFC 4291, 2.5.5), translated (RFC 2765, RFC 6052, RFC 8215): the IPv4 address is the last 32 bits. */
const endsWithIpv4 = networkMatcher('::ffff:0:0/96', '::/96', '::ffff:0:0:0/96', '64:ff9b::/32')
/** The one spelling of an address that a socket has: an IPv4-mapped one (RFC 4291, 2.5.5.2) is its IPv4 address. */
export function socketAddress(address: string): string {
  if (ipFamily(address) !== 6) return address
  return isMapped(address) ? parseAddress(address).toByteArray().slice(12).join('.') : canonicalIpv6(address)
}

/** `::`, `::1` and their neighbours, which embed nothing. */
const isLowest = networkMatcher('::/112')
/** RFC 3056: the IPv4 address is bits 16 to 47. */
const isSixToFour = networkMatcher('2002::/16')

/** The IPv4 address that an IPv6 one embeds: mapped, compatible, translated or 6to4. */
export function embeddedIpv4(address: string): string | undefined {
  if (isSixToFour(address)) return parseAddress(address).toByteArray().slice(2, 6).join('.')
  const isEmbedded = endsWithIpv4(address) && !isLowest(address)
  return isEmbedded ? parseAddress(address).toByteArray().slice(12).join('.') : undefined
}

/** Reads the canonical spelling: of `::1.2.3.4` itself ipaddr.js makes `::ffff:1.2.3.4`. */
function parseAddress(address: string) {
  return ipaddr.parse(ipFamily(address) === 6 ? canonicalIpv6(address) : address)
}
