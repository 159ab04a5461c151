/** Names and addresses as this host sees them. */
import { Resolver } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { readHostsFile } from '../net/hosts-file.ts'
import { candidateNames, readResolverConfig } from '../net/resolver-config.ts'
import { readTcpTable } from '../net/tcp-table.ts'
import { ifPresent } from './disk/if-present.ts'

/** One CAA property of a name (RFC 8659, 4); the tag is in lower case. */
export interface CaaRecord {
  readonly tag: string
  readonly value: string
}

export interface Network {
  /** The addresses of a name in the hosts file; throws if the file exists and cannot be read. */
  hostsFile(name: string): readonly string[]
  /**
   * Every address of a name: from the hosts file, or else from the system's DNS servers, in its search domains too. Other sources of NSS are not
   * queried. Empty if it does not resolve in time.
   */
  lookup(name: string, timeoutMs: number): Promise<readonly string[]>
  /** Every address of a name at these DNS servers (`address:port`), without the hosts file. Empty if there is none in time. */
  query(name: string, servers: readonly string[], timeoutMs: number): Promise<readonly string[]>
  /**
   * The codes with which these servers, or the system's if none are named, answer for a name's A and AAAA records: `ENOTFOUND` (NXDOMAIN), `ENODATA`,
   * `ESERVFAIL`, `ETIMEOUT` …, as Node has them. Empty if there is an address.
   */
  noAddress(name: string, servers: readonly string[], timeoutMs: number): Promise<readonly string[]>
  /** A name's own CAA records; `undefined` if the servers fail to answer. */
  caaRecords(name: string, servers: readonly string[], timeoutMs: number): Promise<readonly CaaRecord[] | undefined>
  /** The nameservers of resolv.conf. */
  systemResolvers(): readonly string[]
  /** The addresses of this host's interfaces. */
  localAddresses(): readonly string[]
  /** Whether IPv6 sockets can be opened at all. */
  hasIpv6(): boolean
  /** The addresses on which processes of this host accept TCP connections at a port; IPv6 in full, `0.0.0.0` and eight zeros for the wildcards. */
  listeners(port: number): readonly string[]
}

/** The names and addresses of this host. No name is looked up by getaddrinfo, which takes one of four threads for as long as it hangs. */
export function hostNetwork(): Network {
  const resolve = sharedResolvers()
  const hosts = cacheFor(CACHE_MS, () => readHostsFile(readIfPresent('/etc/hosts')))
  const config = cacheFor(CACHE_MS, () => readResolverConfig(readIfPresent('/etc/resolv.conf')))
  const hostsFile = (name: string) => hosts().get(name.toLowerCase()) ?? []
  return {
    hostsFile,
    lookup: async (name, timeoutMs) => {
      const listed = hostsFile(name)
      if (listed.length > 0) return listed
      // RFC 6761, 6.3: it is never queried.
      if (name === 'localhost') return ['127.0.0.1', '::1']
      const servers = config().servers.length > 0 ? config().servers : ['127.0.0.1']
      const deadlineMs = performance.now() + timeoutMs
      for (const candidate of candidateNames(name, config())) {
        const leftMs = deadlineMs - performance.now()
        const found = leftMs > 0 ? await resolve(candidate, servers, leftMs) : []
        if (found.length > 0) return found
      }
      return []
    },
    query: resolve,
    noAddress: async (name, servers, timeoutMs) => {
      const resolver = resolverOnce(servers, timeoutMs)
      const answers = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)])
      const codes = answers.map((answer) => (answer.status === 'rejected' ? codeOf(answer.reason) : undefined))
      return codes.includes(undefined) ? [] : codes.map(String)
    },
    caaRecords: async (name, servers, timeoutMs) => {
      const resolver = resolverOnce(servers, timeoutMs)
      try {
        const records = await resolver.resolveCaa(name)
        // Node has a property's value under its tag, beside `critical`, a number, and in newer versions `type`.
        return records.flatMap((record) =>
          Object.entries(record).flatMap(([tag, value]) =>
            typeof value === 'string' && tag !== 'type' ? [{ tag: tag.toLowerCase(), value }] : [],
          ),
        )
      } catch (error) {
        // "No such record" is an answer.
        return ['ENODATA', 'ENOTFOUND'].includes(codeOf(error)) ? [] : undefined
      }
    },
    systemResolvers: () => config().servers,
    localAddresses: cacheFor(CACHE_MS, () =>
      Object.values(interfaces()).flatMap((entries) => (entries ?? []).map((entry) => entry.address)),
    ),
    listeners: (port) =>
      ['/proc/self/net/tcp', '/proc/self/net/tcp6']
        .flatMap((table) => readTcpTable(readIfPresent(table)))
        .flatMap(({ isListening, localAddress, localPort }) =>
          isListening && localPort === port ? [localAddress] : [],
        ),
    hasIpv6: cacheFor(CACHE_MS, () => readIfPresent('/proc/self/net/if_inet6') !== ''),
  }
}

/** Queries these servers, or the system's if there are none, once. */
function resolverOnce(servers: readonly string[], timeoutMs: number): Resolver {
  const resolver = new Resolver({ timeout: timeoutMs, tries: 1 })
  if (servers.length > 0) resolver.setServers([...servers])
  return resolver
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'UNKNOWN'
}

/** Each try of a query, in milliseconds; the second one may take twice as long. */
const TRY_MS = 1500

/** Queries DNS servers for the addresses of names; concurrent queries share one socket for each list of servers. */
function sharedResolvers(): Network['query'] {
  const resolvers = new Map<string, Resolver>()
  const resolverOf = (servers: readonly string[]): Resolver => {
    const known = resolvers.get(servers.join())
    if (known !== undefined) return known
    const resolver = new Resolver({ timeout: TRY_MS, tries: 2 })
    resolver.setServers([...servers])
    resolvers.set(servers.join(), resolver)
    return resolver
  }
  return async (name, servers, timeoutMs) => {
    const resolver = resolverOf(servers)
    const [v4, v6] = await Promise.all([
      withinTime(resolver.resolve4(name), timeoutMs),
      withinTime(resolver.resolve6(name), timeoutMs),
    ])
    return [...(v4 ?? []), ...(v6 ?? [])]
  }
}

/** Node reports a failed uv_interface_addresses by its number only. */
function interfaces(): ReturnType<typeof networkInterfaces> {
  try {
    return networkInterfaces()
  } catch (error) {
    throw Object.assign(new Error('the network interfaces cannot be read', { cause: error }), { code: 'EMFILE' })
  }
}

/** Every change reads these, and there may be hundreds at once; they rarely change. */
const CACHE_MS = 1000

/** Reads again once the cached value is this old. */
function cacheFor<T>(ms: number, read: () => T): () => T {
  let cached: { readonly value: T; readonly untilMs: number } | undefined
  return () => {
    const nowMs = performance.now()
    if (cached === undefined || cached.untilMs < nowMs) cached = { value: read(), untilMs: nowMs + ms }
    return cached.value
  }
}

/** The value, or `undefined` after a failure or the time limit; a late answer is dropped. */
async function withinTime<T>(promise: Promise<T>, timeoutMs: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), timeoutMs)
  })
  try {
    return await Promise.race([promise, late])
  } catch {
    return undefined
  } finally {
    clearTimeout(timer)
  }
}

/** A text file; empty if it does not exist. */
function readIfPresent(path: string): string {
  return ifPresent(() => readFileSync(path, 'utf8')) ?? ''
}
