/** An explanation in a sentence for people. Pure. */
import { namesOf } from '../route/names.ts'
import { ownerIn } from '../route/site.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { AskedUrl } from './asked-url.ts'
import type { Socket } from './choose-server.ts'
import { type Expected, ending } from './expected.ts'
import type { Answered, ShownBlock, ShownRoute } from './explanation.ts'
import type { ServerBlock } from './server-blocks.ts'

/** What the chosen location does with a request. */
interface Passing {
  readonly isProxied: boolean
  /** Not every address is allowed. */
  readonly isRestricted: boolean
}

export interface Findings {
  readonly block: ShownBlock
  readonly route: ShownRoute | null
  readonly expected: Expected | undefined
  readonly passing: Passing
  readonly nginx: Answered | null
  readonly difference: string | null
  readonly elsewhere: readonly string[]
}

/** What answers a URL; `elsewhere` are the addresses at which another block does. `nobody` is why no block has its name; `undefined` if one has. */
export function summaryOf(findings: Findings, nobody: string | undefined): string {
  const { block, route, nginx, difference, elsewhere } = findings
  const at = `${block.file}, line ${block.line}`
  const who = {
    route: `${route === null ? 'A server block of Proxy Manager' : `Route ${route.droplet_name}`} answers (${at})`,
    hand_written: `A hand-written server block answers (${at})`,
    shared: nobody === undefined ? `Proxy Manager's own server block answers (${at})` : nobody,
    default_server: `${nobody} The server block for unknown names gets it (${at})`,
    none: nobody,
  }[block.kind]
  const sentences = [
    `${who ?? ''}${effectOf(findings)}`.replace(/\.?$/, '.'),
    ...(nginx === null || difference !== null ? [] : [seenOf(findings, nginx)]),
    ...(difference === null ? [] : [difference]),
    ...(elsewhere.length === 0 ? [] : [`At ${elsewhere.join(', ')} another server block answers.`]),
  ]
  return sentences.filter((sentence) => sentence !== '').join(' ')
}

function effectOf({ block, route, expected, passing }: Findings): string {
  if (expected?.kind === 'closed') return block.kind === 'shared' ? '' : ', and closes the connection'
  if (expected?.kind === 'rejected') return block.kind === 'shared' ? '' : ', and rejects the TLS handshake'
  if (expected?.location !== undefined) return `: ${expected.status} to ${expected.location}`
  if (expected?.status !== undefined) return `: ${expected.status}`
  if (!passing.isProxied || route?.upstream == null) return ''
  return `, from ${route.upstream} (${route.health.status})`
}

function seenOf({ expected, passing }: Findings, { status, failure }: Answered): string {
  if (failure !== null) return expected?.kind === 'answer' ? `Of NGINX: ${ending(failure)}.` : ''
  const isDenied = status === 403 && passing.isRestricted
  return `NGINX answered ${status}${isDenied ? ': it allows only some addresses, and this host is none of them' : ''}.`
}

/** Why NGINX has nothing at the port of a URL for its scheme; `sockets` are all that it has. */
export function whyNoSocket(url: AskedUrl, routes: Routes, sockets: readonly Socket[]): string {
  const { scheme, port, address } = url
  const schemeOf = ({ isTls }: Socket) => (isTls ? 'https' : 'http')
  const onPort = sockets.filter(({ listen }) => listen.port === port).map(schemeOf)
  if (onPort.includes(scheme)) {
    const where = address === undefined ? 'an address that this host has' : `the address ${address} of this host`
    return `NGINX does not listen on port ${port} of ${where}.`
  }
  const unserved = sockets.some((socket) => schemeOf(socket) === scheme) ? undefined : whyUnserved(url, routes)
  const hint = unserved === undefined ? '' : ` ${unserved}.`
  if (onPort.length > 0) return `NGINX answers only ${onPort[0]} on port ${port}.${hint}`
  const ports = [...new Set(sockets.map((socket) => `${socket.listen.port} (${schemeOf(socket)})`))].sort()
  return `NGINX does not listen on port ${port}; its ports are ${ports.join(', ') || 'none'}.${hint}`
}

/** Why no block has a name. */
export function whyNobody(
  url: AskedUrl,
  routes: Routes,
  blocks: readonly ServerBlock[],
  expected: Expected | undefined,
): string {
  const ended =
    expected?.kind === 'closed'
      ? ': the connection is closed without an answer'
      : expected?.kind === 'rejected'
        ? ': the TLS handshake is rejected'
        : ''
  const unserved = whyUnserved(url, routes)
  if (unserved !== undefined) return `${unserved}${ended}.`
  const known = blocks.flatMap(({ names }) => names.filter((name) => /^[a-z0-9]/.test(name)))
  const similar = similarNames(url.host, known)
  const hint = similar.length === 0 ? '' : ` A similar name: ${similar.join(', ')}.`
  return `No server block has the name ${url.host}${ended}.${hint}`
}

type Routes = ReadonlyMap<string, SnapshotRoute>

/** Why the route that has a name does not answer; `undefined` if none has it. */
function whyUnserved({ host, scheme }: AskedUrl, routes: Routes): string | undefined {
  const own = ownerIn([...routes.values()].filter(({ record }) => namesOf(record).includes(host)))
  if (own === undefined) return undefined
  const reason = own.enabled ? `does not serve it over ${scheme}` : 'is disabled'
  return `Route ${own.record.droplet_name} has the name ${host}, but ${reason}`
}

const MAX_EDITS = 2
const MAX_SHOWN = 3

/** The known names that are the same but for `www.` or at most two letters, the nearest first. */
export function similarNames(name: string, known: Iterable<string>): readonly string[] {
  const withoutWww = (one: string) => one.replace(/^www\./, '')
  return [...new Set(known)]
    .filter((one) => one !== name && Math.abs(one.length - name.length) <= 4)
    .map((one) => ({ one, edits: withoutWww(one) === withoutWww(name) ? 0 : editsBetween(name, one) }))
    .filter(({ edits }) => edits <= MAX_EDITS)
    .sort((a, b) => a.edits - b.edits || (a.one < b.one ? -1 : 1))
    .slice(0, MAX_SHOWN)
    .map(({ one }) => one)
}

/** Levenshtein's distance. */
function editsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const above = row
    row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (above[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(replaced, (above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1))
    }
  }
  return row.at(-1) ?? 0
}
