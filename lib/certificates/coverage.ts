/** Which names a certificate covers. */

/** Whether a certificate with these names covers this one; a wildcard matches one label (RFC 6125, 6.4.3). */
export function coversName(certified: readonly string[], name: string): boolean {
  return certified.some((own) => [name, wildcardFor(name)].includes(own.toLowerCase()))
}

/** The wildcard that covers a name. */
export function wildcardFor(name: string): string {
  return `*${name.slice(name.indexOf('.'))}`
}

/** Whether a certificate with these names covers all of those. */
export function coversAll(certified: readonly string[], names: readonly string[]): boolean {
  return names.every((name) => coversName(certified, name))
}
