/** The hosts file (hosts(5)). */
import { ipFamily } from './address.ts'

/** The addresses of each name in the text of a hosts file, in their order; names are in lower case. */
export function readHostsFile(text: string): ReadonlyMap<string, readonly string[]> {
  const addresses = new Map<string, readonly string[]>()
  for (const line of text.split('\n')) {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/)
    if (ipFamily(address) === undefined) continue
    for (const name of names) {
      const key = name.toLowerCase().replace(/\.$/, '')
      addresses.set(key, [...new Set([...(addresses.get(key) ?? []), address])])
    }
  }
  return addresses
}
