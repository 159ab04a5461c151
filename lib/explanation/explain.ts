/** Explains what answers a URL: what NGINX's configuration says, and what NGINX itself does. */
import type { Host } from '../host/host.ts'
import { pathOf } from '../net/path.ts'
import { listenArgument } from '../nginx/config/listen.ts'
import type { ProxyState } from '../route/state.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { Observation } from '../snapshot/observe.ts'
import { type Answerer, findAnswerers } from './answerers.ts'
import { askNginx } from './ask-nginx.ts'
import type { AskedUrl } from './asked-url.ts'
import { socketsOf } from './choose-server.ts'
import { differenceOf, ending, type Seen } from './expected.ts'
import type { Answered, Explanation, ShownBlock } from './explanation.ts'
import { argumentsOf, type ServerBlock } from './server-blocks.ts'
import { certificatesOf, kindOf, placeOf, routeOf, shownBlock } from './shown-parts.ts'
import { summaryOf, whyNobody, whyNoSocket } from './summary.ts'

export interface Explained {
  readonly host: Host
  readonly observation: Observation
  /** Whether a change was being applied since the host was read: NGINX may not serve what the files had then. */
  readonly hasChanged: () => boolean
  readonly show: (route: SnapshotRoute) => ProxyState
}

/** More sockets of one port than this are not asked. */
const MAX_ASKED = 8

/**
 * Explains what answers. The host of the URL is neither resolved nor connected to: the only connections are to addresses of this host at which NGINX
 * listens, each with a HEAD.
 */
export async function explainUrl(explained: Explained, url: AskedUrl): Promise<Explanation> {
  const { host, observation, show } = explained
  const { blocks, answerers } = await findAnswerers(host, observation, url)
  const [answerer, ...others] = answerers
  if (answerer === undefined) return nothingListens(url, observation, blocks)
  const asked = await Promise.all(answerers.slice(0, MAX_ASKED).map((one) => ask(explained, one, url)))
  const { nginx, agrees, difference } = asked.find((one) => one.agrees === false) ?? asked[0] ?? NOT_ASKED
  const block = shownBlock(observation, answerer)
  const { matchedBy, expected, chosen } = answerer
  const inside = chosen?.at.block ?? []
  const passing = {
    isProxied: argumentsOf(inside, 'proxy_pass').length > 0,
    isRestricted: [inside, answerer.block.directives].some((level) => argumentsOf(level, 'deny').length > 0),
  }
  const isUnnamed = matchedBy === 'default_server' || matchedBy === 'first'
  const nobody = isUnnamed ? whyNobody(url, observation.snapshot.routes, blocks, expected) : undefined
  const found = routeOf(observation, answerer, url.path)
  const state = found && show(found)
  const route = found === undefined || state === undefined ? null : routePart(state, pathOf(found.record))
  const [certificate] = url.scheme === 'http' ? [] : (certificatesOf(host, observation, answerer) ?? [])
  const source = state === undefined ? 'hand_written' : (state.certificate?.source ?? 'own')
  const elsewhere = others
    .filter((one) => one.block.at.path !== answerer.block.at.path || one.block.at.line !== block.line)
    .map((one) => elsewherePart(observation, one))
  const listens = elsewhere.map(({ listen }) => listen)
  return {
    url: url.href,
    summary: summaryOf({ block, route, expected, passing, nginx, difference, elsewhere: listens }, nobody),
    server_block: block,
    location: chosen === undefined ? null : { match: chosen.match, ...placeOf(observation, chosen.at) },
    route,
    certificate: certificate === undefined ? null : { ...certificate, source },
    nginx,
    agrees,
    difference,
    ...(elsewhere.length === 0 ? {} : { elsewhere }),
  }
}

const NOT_ASKED = { nginx: null, agrees: null, difference: null }
const NO_BLOCK: ShownBlock = {
  kind: 'none',
  file: null,
  line: null,
  listen: null,
  matched_by: null,
  names: [],
  text: null,
}

function nothingListens(url: AskedUrl, { snapshot }: Observation, blocks: readonly ServerBlock[]): Explanation {
  const ports = new Set(blocks.flatMap(({ listens }) => listens.map(({ port }) => port)))
  const all = [...ports].flatMap((port) => socketsOf(blocks, port))
  const summary = whyNoSocket(url, snapshot.routes, all)
  return {
    url: url.href,
    summary,
    server_block: NO_BLOCK,
    location: null,
    route: null,
    certificate: null,
    ...NOT_ASKED,
  }
}

/** Asks NGINX at one socket, and compares what it does with its configuration. */
async function ask(
  { host, observation, hasChanged }: Explained,
  answerer: Answerer,
  url: AskedUrl,
): Promise<{ readonly nginx: Answered; readonly agrees: boolean | null; readonly difference: string | null }> {
  const { endpoint, expected } = answerer
  const seen = await askNginx(host, endpoint, url)
  const nginx = { address: addressOf(endpoint), ...seen }
  const fingerprints = certificatesOf(host, observation, answerer)?.map((one) => one.fingerprint_sha256)
  const unknown = whyUnknown(observation, answerer, seen, hasChanged())
  if (unknown !== undefined) return { nginx, agrees: null, difference: unknown }
  const difference = differenceOf(expected, fingerprints, seen)
  if (difference !== null) return { nginx, agrees: false, difference: `At ${nginx.address}: ${difference}` }
  return expected === undefined ? { nginx, agrees: null, difference: UNDECIDED } : { nginx, agrees: true, difference }
}

const UNDECIDED = 'What it answers depends on an "if" or a "rewrite", which is not evaluated here.'

/** Why it cannot be said whether NGINX does what its configuration says. */
function whyUnknown(
  observation: Observation,
  { untried }: Answerer,
  { failure }: Seen,
  hasChanged: boolean,
): string | undefined {
  if (hasChanged) return 'A change was being applied meanwhile: call again.'
  const [pattern] = untried
  if (pattern !== undefined) {
    const { file, line } = placeOf(observation, pattern)
    return `A regular expression was not tried, since that may take very long: that of ${file}, line ${line}, may match.`
  }
  return failure === 'TIMEOUT' ? `Expected an answer, and ${ending(failure)}.` : undefined
}

function addressOf({ address, port }: Answerer['endpoint']): string {
  return listenArgument({ address: address.includes(':') ? `[${address}]` : address, port })
}

function routePart(state: ProxyState, path: string) {
  const { droplet_name, upstream, status, health, updated_at, updated_by } = state
  return { droplet_name, path, upstream, status, health, updated_at, updated_by }
}

function elsewherePart(observation: Observation, answerer: Answerer) {
  const { block, socket } = answerer
  return {
    kind: kindOf(observation, answerer),
    ...placeOf(observation, block.at),
    listen: listenArgument(socket.listen),
  }
}
