/** The file name for what is kept of a domain. */
import { createHash } from 'node:crypto'

/**
 * A file name has at most 255 bytes on Linux, a domain up to 253 characters, and the longest name made of one has 14 more: that of a lineage
 * that was moved aside, with its time.
 */
const MAX_CHARACTERS = 240

/**
 * The name of certbot's lineage for a domain, and of the ledger of its orders: the domain itself, or, if it is very long, its beginning and a
 * hash. No domain contains `_`, so no other domain can have that name.
 */
export function lineageNameOf(domain: string): string {
  if (domain.length <= MAX_CHARACTERS) return domain
  const hash = createHash('sha256').update(domain).digest('hex').slice(0, 32)
  return `${domain.slice(0, MAX_CHARACTERS - hash.length - 1)}_${hash}`
}

/** The name of another lineage of the same domain; certbot numbers its own duplicates like this. No domain ends in a number. */
export function numberedLineage(plain: string, number: number): string {
  return number === 0 ? plain : `${plain}-${String(number).padStart(4, '0')}`
}

/** The name without its number. */
export function plainLineage(name: string): string {
  return name.replace(/-\d{4}$/, '')
}
