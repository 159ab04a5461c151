/** Which server block gets a request, by the rules of "How nginx processes a request" and "Server names" (nginx.org/en/docs/http). Pure. */
import { isIpv6, isWildcard, type Listen } from '../nginx/config/listen.ts'
import { matchesPattern } from './patterns.ts'
import { argumentsOf, type PlacedDirective, type ServerBlock } from './server-blocks.ts'

/** How a block was chosen: by its name, or because no name matched: as `default_server`, or as the first one of its socket. */
export type MatchedBy = 'exact' | 'wildcard' | 'regex' | 'default_server' | 'first'

export interface Choice {
  readonly block: ServerBlock
  readonly matchedBy: MatchedBy
  /** Blocks with a regular expression that was not tried, and that would have had its turn. */
  readonly untried: readonly PlacedDirective[]
}

/** One address and port that NGINX listens on. */
export interface Socket {
  readonly listen: Listen
  readonly isTls: boolean
  readonly blocks: readonly [ServerBlock, ...ServerBlock[]]
  readonly defaultServer: ServerBlock | undefined
}

/** The sockets of a port: wildcards first, since these are what most clients reach. */
export function socketsOf(blocks: readonly ServerBlock[], port: number): readonly Socket[] {
  const listed = blocks.flatMap((block) =>
    block.listens.flatMap((listen) => (listen.port === port ? [{ block, listen }] : [])),
  )
  const byAddress = Map.groupBy(listed, ({ listen }) => listen.address)
  const sockets = [...byAddress].flatMap(([address, entries]): readonly Socket[] => {
    // NGINX has one set of options for each socket (ngx_http_add_addresses).
    const options = [...new Set(entries.flatMap(({ listen }) => listen.options))]
    const [first, ...others] = new Set(entries.map(({ block }) => block))
    if (first === undefined) return []
    const isTls = options.includes('ssl') || entries.some(({ block }) => isOldTls(block))
    const isDefault = ({ options: own }: Listen) => own.some((one) => /^default(_server)?$/.test(one))
    const defaultServer = entries.find(({ listen }) => isDefault(listen))?.block
    return [{ listen: { address, port, options }, isTls, blocks: [first, ...others], defaultServer }]
  })
  const rank = ({ listen }: Socket) => (isWildcard(listen) ? 0 : 2) + (isIpv6(listen) ? 1 : 0)
  return sockets.sort((a, b) => rank(a) - rank(b))
}

/** `ssl on`, which NGINX had until 1.25.1. */
function isOldTls({ directives }: ServerBlock): boolean {
  return argumentsOf(directives, 'ssl').some(([value]) => value === 'on')
}

interface Names {
  readonly exact: Map<string, ServerBlock>
  /** `*.example.com` by `example.com`. */
  readonly heads: Map<string, ServerBlock>
  /** `www.*` by `www`. */
  readonly tails: Map<string, ServerBlock>
  readonly patterns: { readonly pattern: string; readonly block: ServerBlock }[]
}

/** The block of a socket for a host; `undefined` is that of a TLS handshake without SNI. */
export function chooseServer({ blocks, defaultServer }: Socket, host: string | undefined): Choice {
  const unnamed: Choice = {
    block: defaultServer ?? blocks[0],
    matchedBy: defaultServer === undefined ? 'first' : 'default_server',
    untried: [],
  }
  if (host === undefined) return unnamed
  const { exact, heads, tails, patterns } = namesOf(blocks)
  const labels = host.split('.')
  const suffixes = labels.slice(1).map((_, i) => labels.slice(i + 1).join('.'))
  const prefixes = labels.slice(1).map((_, i) => labels.slice(0, labels.length - 1 - i).join('.'))
  const named = exact.get(host)
  if (named !== undefined) return { block: named, matchedBy: 'exact', untried: [] }
  const wildcard = firstOf(heads, suffixes) ?? firstOf(tails, prefixes)
  if (wildcard !== undefined) return { block: wildcard, matchedBy: 'wildcard', untried: [] }
  const untried: PlacedDirective[] = []
  for (const { pattern, block } of patterns) {
    // NGINX ignores case only if the pattern has an upper-case letter: hosts are in lower case already.
    const matches = matchesPattern(pattern, /[A-Z]/.test(pattern), host)
    if (matches === true) return { block, matchedBy: 'regex', untried }
    if (matches === undefined) untried.push(block.at)
  }
  return { ...unnamed, untried }
}

function firstOf(known: ReadonlyMap<string, ServerBlock>, keys: readonly string[]): ServerBlock | undefined {
  return keys.map((key) => known.get(key)).find((block) => block !== undefined)
}

/** The names of all blocks; of two that are the same, NGINX ignores the second with a warning (ngx_hash_add_key). */
function namesOf(blocks: readonly ServerBlock[]): Names {
  const names: Names = { exact: new Map(), heads: new Map(), tails: new Map(), patterns: [] }
  const add = (known: Map<string, ServerBlock>, name: string, block: ServerBlock): boolean => {
    if (known.has(name)) return false
    known.set(name, block)
    return true
  }
  for (const block of blocks) {
    for (const name of block.names) {
      if (name.startsWith('~')) names.patterns.push({ pattern: name.slice(1), block })
      else if (name.startsWith('*.')) add(names.heads, name.slice(2), block)
      else if (name.endsWith('.*')) add(names.tails, name.slice(0, -2), block)
      else if (!name.startsWith('.')) add(names.exact, name, block)
      else if (!names.heads.has(name.slice(1)) && add(names.exact, name.slice(1), block))
        add(names.heads, name.slice(1), block)
    }
  }
  return names
}
