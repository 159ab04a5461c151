/** Names and addresses as this host sees them. */
import { lookup, Resolver } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'

/** One CAA property of a name (RFC 8659, 4); the tag is in lower case. */
export interface CaaRecord {
  readonly tag: string
  readonly value: string
}

export interface Network {
  /** Every address of a name as programs on this host resolve it: hosts file, then DNS. Empty if it does not resolve in time. */
  lookup(name: string, timeoutMs: number): Promise<readonly string[]>
  /** Every address of a name at these DNS servers (`address:port`), without the hosts file. Empty if there is none in time. */
  query(name: string, servers: readonly string[], timeoutMs: number): Promise<readonly string[]>
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

export function hostNetwork(): Network {
  return {
    lookup: async (name, timeoutMs) => {
      const found = await withinTime(lookup(name, { all: true }), timeoutMs)
      return found?.map((entry) => entry.address) ?? []
    },
    query: async (name, servers, timeoutMs) => {
      const resolver = new Resolver({ timeout: timeoutMs, tries: 1 })
      resolver.setServers([...servers])
      const [v4, v6] = await Promise.all([
        withinTime(resolver.resolve4(name), timeoutMs),
        withinTime(resolver.resolve6(name), timeoutMs),
      ])
      return [...(v4 ?? []), ...(v6 ?? [])]
    },
    caaRecords: async (name, servers, timeoutMs) => {
      const resolver = new Resolver({ timeout: timeoutMs, tries: 1 })
      if (servers.length > 0) resolver.setServers([...servers])
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
        const code = error instanceof Error && 'code' in error ? error.code : undefined
        return code === 'ENODATA' || code === 'ENOTFOUND' ? [] : undefined
      }
    },
    systemResolvers: () => {
      const lines = readOrEmpty('/etc/resolv.conf').split('\n')
      return lines.flatMap((line) => /^\s*nameserver\s+([0-9a-fA-F.:]+)\s*$/.exec(line)?.[1] ?? [])
    },
    localAddresses: cacheFor(CACHE_MS, () =>
      Object.values(networkInterfaces()).flatMap((entries) => (entries ?? []).map((entry) => entry.address)),
    ),
    listeners: (port) => [
      ...listenersIn(readOrEmpty('/proc/net/tcp'), port),
      ...listenersIn(readOrEmpty('/proc/net/tcp6'), port),
    ],
    hasIpv6: cacheFor(CACHE_MS, () => readOrEmpty('/proc/net/if_inet6') !== ''),
  }
}

/** Reads proc_net_tcp(5): `sl local_address rem_address st`, addresses as 32-bit words in the host's byte order (little-endian). */
function listenersIn(table: string, port: number): string[] {
  const [suffix, listening] = [`:${port.toString(16).toUpperCase().padStart(4, '0')}`, '0A']
  return table.split('\n').flatMap((line) => {
    const [, local = '', , state] = line.trim().split(/\s+/)
    if (state !== listening || !local.endsWith(suffix)) return []
    const bytes = (local.slice(0, -suffix.length).match(/.{8}/g) ?? []).flatMap(
      (word) => word.match(/../g)?.reverse() ?? [],
    )
    if (bytes.length === 4) return [bytes.map((byte) => Number.parseInt(byte, 16)).join('.')]
    return [(bytes.join('').match(/.{4}/g) ?? []).join(':')]
  })
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

/** The value, or `undefined` after a failure or the time limit. getaddrinfo cannot be cancelled: its late answer is dropped. */
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

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
