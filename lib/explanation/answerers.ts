/** What answers a URL at each address of this host, according to the configuration. */
import { basename, dirname } from 'node:path'
import type { Host } from '../host/host.ts'
import { isSameFolder } from '../nginx/config/include.ts'
import { isIpv6, isWildcard } from '../nginx/config/listen.ts'
import type { Endpoint } from '../nginx/endpoints.ts'
import { dropletOfFileName } from '../route/droplet-name.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import { listenResolver } from '../snapshot/listens.ts'
import type { Observation } from '../snapshot/observe.ts'
import { endpointOf } from './ask-nginx.ts'
import type { AskedUrl } from './asked-url.ts'
import { chooseLocation, type LocationChoice } from './choose-location.ts'
import { type Choice, chooseServer, type Socket, socketsOf } from './choose-server.ts'
import { type Expected, expectedOf, rejectsHandshake } from './expected.ts'
import { readServerBlocks, type ServerBlock } from './server-blocks.ts'

/** A socket of this host, and what answers there. */
export interface Answerer extends Choice, Pick<LocationChoice, 'chosen'> {
  readonly socket: Socket
  readonly endpoint: Endpoint
  /** The block whose certificate is presented: without SNI the default server, whatever the `Host` header is. */
  readonly presenter: ServerBlock
  readonly expected: Expected | undefined
}

export interface Answerers {
  readonly blocks: readonly ServerBlock[]
  readonly answerers: readonly Answerer[]
}

/** Reads the configuration, and finds what answers: where most clients arrive first. */
export async function findAnswerers(host: Host, { tree, snapshot }: Observation, url: AskedUrl): Promise<Answerers> {
  const blocks = await listenResolver(host)(readServerBlocks(snapshot.host.mainPath, tree))
  return { blocks, answerers: answerersOf(host, blocks, url) }
}

/** The route whose file this is; `undefined` for any other file. */
export function routeIn({ snapshot, tree }: Observation, path: string): SnapshotRoute | undefined {
  const route = snapshot.routes.get(dropletOfFileName(basename(path)) ?? '')
  return route !== undefined && isSameFolder(dirname(path), snapshot.sitesEnabled, tree) ? route : undefined
}

function answerersOf(host: Host, blocks: readonly ServerBlock[], url: AskedUrl): readonly Answerer[] {
  const sockets = socketsOf(blocks, url.port)
  return sockets.flatMap((socket): Answerer[] => {
    const endpoint = endpointOf(host, socket, sockets)
    if (endpoint === undefined || socket.isTls !== (url.scheme === 'https')) return []
    if (url.address !== undefined && !isReachedAt(host, url.address, socket, sockets)) return []
    const unnamed = chooseServer(socket, undefined)
    const isRejected = url.scheme === 'https' && url.address !== undefined && rejectsHandshake(unnamed.block)
    const choice = isRejected ? unnamed : chooseServer(socket, url.host)
    const presenter = url.address === undefined ? choice.block : unnamed.block
    const { chosen, untried } = chooseLocation(choice.block.directives, url.path)
    const expected = expectedOf(choice.block, chosen, url)
    return [{ ...choice, untried: [...choice.untried, ...untried], chosen, socket, endpoint, presenter, expected }]
  })
}

/** Whether a connection to this address reaches a socket: one that is bound to it takes precedence over a wildcard. */
function isReachedAt(
  { network }: Pick<Host, 'network'>,
  address: string,
  socket: Socket,
  all: readonly Socket[],
): boolean {
  const isBound = ({ listen }: Socket) => listen.address.replace(/^\[|\]$/g, '') === address
  if (isBound(socket)) return true
  const isOwn = address.startsWith('127.') || network.localAddresses().includes(address)
  return isOwn && isWildcard(socket.listen) && isIpv6(socket.listen) === address.includes(':') && !all.some(isBound)
}
