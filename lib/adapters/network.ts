/** Names and addresses as this host sees them. */
import { lookup, Resolver } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'

/** One property of a name (RFC 8659, 4); the tag is in lower case. */
export interface CaaRecord {
  readonly tag: string
  readonly value: string
}

export interface Network {
  /** Every address of a name the way programs on this host find it: hosts file, then DNS. Empty where it does not resolve in time. */
  lookup(name: string, timeoutMs: number): Promise<readonly string[]>
  /** Every address that these DNS servers (`address:port`) give a name, the hosts file left out. Empty where there is none in time. */
  query(name: string, servers: readonly string[], timeoutMs: number): Promise<readonly string[]>
  /** A name's own CAA records; `undefined` where the servers fail to answer. */
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
        // Node keeps a property's value under its tag, beside `critical`, a number, and in newer versions `type`.
        return records.flatMap((record) =>
          Object.entries(record).flatMap(([tag, value]) =>
            typeof value === 'string' && tag !== 'type' ? [{ tag: tag.toLowerCase(), value }] : [],
          ),
        )
      } catch (error) {
        // "There is no such record" is an answer.
        const code = error instanceof Error && 'code' in error ? error.code : undefined
        return code === 'ENODATA' || code === 'ENOTFOUND' ? [] : undefined
      }
    },
    systemResolvers: () => {
      const lines = readOrEmpty('/etc/resolv.conf').split('\n')
      return lines.flatMap((line) => /^\s*nameserver\s+([0-9a-fA-F.:]+)\s*$/.exec(line)?.[1] ?? [])
    },
    localAddresses: briefly(() =>
      Object.values(networkInterfaces()).flatMap((entries) => (entries ?? []).map((entry) => entry.address)),
    ),
    listeners: (port) => [
      ...listenersIn(readOrEmpty('/proc/net/tcp'), port),
      ...listenersIn(readOrEmpty('/proc/net/tcp6'), port),
    ],
    hasIpv6: briefly(() => readOrEmpty('/proc/net/if_inet6') !== ''),
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

/** Every change asks for these, and there may be hundreds at once; they hardly ever change. */
const KEPT_MS = 1000

/** Reads anew once what was read before is a second old. */
function briefly<T>(read: () => T): () => T {
  let kept: { readonly value: T; readonly untilMs: number } | undefined
  return () => {
    const nowMs = performance.now()
    if (kept === undefined || kept.untilMs < nowMs) kept = { value: read(), untilMs: nowMs + KEPT_MS }
    return kept.value
  }
}

/** The value, or `undefined` after a failure or the time limit. getaddrinfo cannot be called off: its late answer is dropped. */
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
