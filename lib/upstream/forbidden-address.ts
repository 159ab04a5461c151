/** Addresses and names that no route may lead to. */

import { BlockList } from 'node:net'
import { embeddedIpv4, ipFamily } from '../net/address.ts'

const METADATA_NAMES: ReadonlySet<string> = new Set([
  'metadata',
  'metadata.google.internal',
  'metadata.goog',
  'instance-data',
  'instance-data.ec2.internal',
  'metadata.azure.internal',
])

/**
 * Addresses behind which no droplet lives: "this network", link-local (the clouds' metadata services among them), multicast, reserved
 * (RFC 6890), and the metadata addresses that lie elsewhere: Alibaba, Azure, Oracle, AWS and Google over IPv6.
 */
const FORBIDDEN = new BlockList()
FORBIDDEN.addSubnet('0.0.0.0', 8, 'ipv4')
FORBIDDEN.addSubnet('169.254.0.0', 16, 'ipv4')
FORBIDDEN.addSubnet('224.0.0.0', 4, 'ipv4')
FORBIDDEN.addSubnet('240.0.0.0', 4, 'ipv4')
FORBIDDEN.addAddress('100.100.100.200', 'ipv4')
FORBIDDEN.addAddress('168.63.129.16', 'ipv4')
FORBIDDEN.addAddress('192.0.0.192', 'ipv4')
FORBIDDEN.addAddress('::', 'ipv6')
FORBIDDEN.addSubnet('fe80::', 10, 'ipv6')
FORBIDDEN.addSubnet('ff00::', 8, 'ipv6')
FORBIDDEN.addAddress('fd00:ec2::254', 'ipv6')
FORBIDDEN.addAddress('fd20:ce::254', 'ipv6')

/** Whether a host name is one under which a cloud serves its metadata. */
export function isMetadataName(name: string): boolean {
  return METADATA_NAMES.has(name)
}

/** Whether no route may lead to this literal address, also when it is an IPv4 address in IPv6 clothing. */
export function isForbiddenAddress(address: string): boolean {
  if (ipFamily(address) === 4) return FORBIDDEN.check(address, 'ipv4')
  if (FORBIDDEN.check(address, 'ipv6')) return true
  const embedded = embeddedIpv4(address)
  return embedded !== undefined && FORBIDDEN.check(embedded, 'ipv4')
}
