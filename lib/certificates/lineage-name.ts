/** What belongs to a domain is kept in files that are named like it, as far as a file can be. */
import { createHash } from 'node:crypto'

/**
 * A file's name has at most 255 bytes on Linux, a domain up to 253 characters, and the longest name around one has 14 more: that of a lineage
 * put aside, with its time.
 */
const LONGEST = 240

/**
 * The name of certbot's lineage for a domain, and of what is kept here of its orders: the domain itself; of a very long one its beginning and
 * a hash. `_` is in no domain, so that no other one can be called so.
 */
export function lineageNameOf(domain: string): string {
  if (domain.length <= LONGEST) return domain
  const hash = createHash('sha256').update(domain).digest('hex').slice(0, 32)
  return `${domain.slice(0, LONGEST - hash.length - 1)}_${hash}`
}
