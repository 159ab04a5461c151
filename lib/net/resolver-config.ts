/** The configuration of the resolver (resolv.conf(5)). */

export interface ResolverConfig {
  /** Addresses, in their order. */
  readonly servers: readonly string[]
  readonly search: readonly string[]
  readonly ndots: number
}

/** Reads resolv.conf: of several `search` and `domain` lines the last one counts; `ndots` is 1 if it is not set, and at most 15. */
export function readResolverConfig(text: string): ResolverConfig {
  const lines = text.split('\n').map((line) =>
    line
      .replace(/[#;].*/, '')
      .trim()
      .split(/\s+/),
  )
  const valuesOf = (...keywords: readonly string[]) =>
    lines.flatMap(([keyword = '', ...values]) => (keywords.includes(keyword) ? [values] : []))
  const options = valuesOf('options').flat()
  const ndots = options.flatMap((option) => /^ndots:(\d+)$/.exec(option)?.[1] ?? []).at(-1)
  return {
    servers: valuesOf('nameserver').flatMap(([address = '']) => (/^[0-9a-fA-F.:]+$/.test(address) ? [address] : [])),
    search: (valuesOf('search', 'domain').at(-1) ?? [])
      .map((domain) => domain.replace(/\.$/, ''))
      .filter((d) => d !== ''),
    ndots: Math.min(ndots === undefined ? 1 : Number(ndots), 15),
  }
}

/** The names to query for a name, in their order: as it is, and in each search domain; a name with `ndots` dots first as it is. */
export function candidateNames(
  name: string,
  { search, ndots }: Pick<ResolverConfig, 'search' | 'ndots'>,
): readonly string[] {
  const inDomains = search.map((domain) => `${name}.${domain}`)
  return name.split('.').length > ndots ? [name, ...inDomains] : [...inDomains, name]
}
