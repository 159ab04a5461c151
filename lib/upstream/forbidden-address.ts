/** Addresses and names that no upstream may have. */
import { embeddedIpv4, ipFamily, networkMatcher } from '../net/address.ts'

const METADATA_NAMES: ReadonlySet<string> = new Set([
  'metadata',
  'metadata.google.internal',
  'metadata.goog',
  'instance-data',
  'instance-data.ec2.internal',
  'metadata.azure.internal',
])

/**
 * "This network", link-local (which includes most clouds' metadata services), multicast, reserved (RFC 6890), and the metadata addresses outside
 * of those: Alibaba, Azure, Oracle, and AWS and Google over IPv6.
 */
const isForbidden = networkMatcher(
  ...['0.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '240.0.0.0/4'],
  ...['100.100.100.200/32', '168.63.129.16/32', '192.0.0.192/32'],
  ...['::/128', 'fe80::/10', 'ff00::/8', 'fd00:ec2::254/128', 'fd20:ce::254/128'],
)

/** Whether a host name is one under which a cloud serves its metadata. */
export function isMetadataName(name: string): boolean {
  return METADATA_NAMES.has(name)
}

/** Whether no upstream may have this literal address, or the IPv4 address that it embeds. */
export function isForbiddenAddress(address: string): boolean {
  const embedded = ipFamily(address) === 6 ? embeddedIpv4(address) : undefined
  return isForbidden(address) || (embedded !== undefined && isForbidden(embedded))
}
