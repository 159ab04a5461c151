/**
 * The workers of former configurations. After a reload they accept nothing new, and finish the requests and WebSockets that they have with the
 * upstreams that they know. A request that is still being read has no connection to an upstream yet (`proxy_request_buffering` is on by default):
 * it gets one once it is complete, to the former upstream. So the connections to an upstream alone do not say whether it may be stopped.
 */
import type { Host } from '../host/host.ts'
import { socketAddress } from '../net/address.ts'
import type { TcpSocket } from '../net/tcp-table.ts'
import type { NginxInstance } from './binary.ts'
import type { HostConfiguration } from './config/host-config.ts'
import { nginxMasters } from './master.ts'

/** Where connections to an upstream go: without addresses NGINX resolves a name, so that any address may be meant. */
export interface Destination {
  readonly addresses: readonly string[] | null
  readonly port: number
}

export interface DrainState {
  /** Whether no worker of a former configuration can send anything to the upstream any more; null if that cannot be seen. */
  readonly drained: boolean | null
  /** What these workers have open to it; null if not even that can be seen. */
  readonly connections: number | null
}

/** Of all old workers, and of every former upstream that is known. */
export interface DrainFigures {
  /** `undefined` if they cannot be seen. */
  readonly workers: number | undefined
  /** Droplet -> connections to its former upstreams. */
  readonly connections: ReadonlyMap<string, number>
  /** Those that have been old for more than an hour. */
  readonly overdue: readonly { readonly pid: number; readonly seconds: number }[]
}

export interface OldWorker {
  readonly pid: number
  /** With its process ID it names one process. */
  readonly startTime: string
  /** What it has open; `unknown` without CAP_SYS_PTRACE. */
  readonly sockets: readonly TcpSocket[] | 'unknown'
  readonly user: number | 'unknown'
}

export interface OldWorkers {
  readonly workers: readonly OldWorker[]
  /** All sockets that a process has, of NGINX's network namespace. */
  readonly table: readonly TcpSocket[]
  /** The ports at which a connection cannot be HTTP/2. */
  readonly plainPorts: readonly number[]
}

/** An NGINX with what decides about its HTTP port. */
type DrainingInstance = NginxInstance & {
  readonly snapshot: { readonly host: Pick<HostConfiguration, 'servers' | 'httpDirectives'> }
}

export const UNSEEN: DrainState = { drained: null, connections: null }

/** Looks at the old workers now, those of `known` also if their master has gone; `unknown` if /proc does not show them. */
export function readOldWorkers(
  host: Host,
  nginx: DrainingInstance,
  known: readonly Pick<OldWorker, 'pid' | 'startTime'>[],
): OldWorkers | 'unknown' {
  const { processes } = host
  const masters = nginxMasters(host)
  const retiring = masters.retiringWorkers(nginx)
  if (retiring === 'unknown') return 'unknown'
  const left = known.filter(
    ({ pid, startTime }) => processes.workerState(pid) === 'shutting_down' && processes.startTime(pid) === startTime,
  )
  const pids = [...new Set([...retiring, ...left.map(({ pid }) => pid)])]
  const plainPorts = plainPortsOf(host, nginx)
  const [first] = pids
  if (first === undefined) return { workers: [], table: [], plainPorts }
  // The table is read after them: a client that has come to have an upstream in between is still counted without one.
  const opened = pids.map((pid) => ({
    pid,
    startTime: processes.startTime(pid),
    inodes: processes.socketsOf(pid),
    user: processes.userOf(pid),
  }))
  const all = processes.tcpTable(masters.find(nginx) ?? first)
  // One that has ended while it was looked at has nothing open any more.
  const remaining = opened.filter(
    ({ pid, startTime }) => processes.workerState(pid) !== 'gone' && processes.startTime(pid) === startTime,
  )
  if (remaining.length === 0) return { workers: [], table: [], plainPorts }
  if (all === 'unknown') return 'unknown'
  const table = all.filter(({ inode }) => inode !== '0')
  const workers = remaining.map(({ inodes, ...worker }) => ({
    ...worker,
    sockets: inodes === 'unknown' ? inodes : table.filter(({ inode }) => inodes.has(inode)),
  }))
  return { workers, table, plainPorts }
}

/** What the old workers have to do with an upstream that is not in NGINX's present configuration. */
export function drainState(old: OldWorkers | 'unknown', upstream: Destination): DrainState {
  if (old === 'unknown') return UNSEEN
  const { workers, table } = old
  const listening = new Set(table.filter(({ isListening }) => isListening).map(({ localPort }) => localPort))
  const isClient = ({ localPort }: TcpSocket) => listening.has(localPort)
  const count = (sockets: readonly TcpSocket[]) =>
    sockets.filter((socket) => !isClient(socket) && leadsTo(socket, upstream)).length
  const users = workers.flatMap(({ sockets, user }) => (sockets === 'unknown' ? [user] : []))
  if (users.includes('unknown')) return UNSEEN
  if (users.length > 0) {
    // The present workers have the same user, but no connection to this upstream. Whether a request is being read is not visible then.
    const connections = count(table.filter(({ uid }) => users.includes(uid)))
    return { drained: connections > 0 ? false : null, connections }
  }
  const seen = workers.map(({ sockets }) => (sockets === 'unknown' ? [] : sockets.filter((one) => !one.isListening)))
  const connections = count(seen.flat())
  const isReading = seen.some((sockets) => mayBeReading(sockets.filter(isClient), sockets.length, old))
  return { drained: connections === 0 && !isReading, connections }
}

/**
 * Whether a client of a worker may have sent a part of a request only. A client of HTTP/1.1 whose request is complete has one connection to an
 * upstream; one of HTTP/2, as every client with TLS may be, can have several requests, and so several connections.
 */
function mayBeReading(clients: readonly TcpSocket[], sockets: number, { plainPorts }: OldWorkers): boolean {
  if (clients.length === 0) return false
  return 2 * clients.length !== sockets || clients.some(({ localPort }) => !plainPorts.includes(localPort))
}

function leadsTo({ remoteAddress, remotePort }: TcpSocket, { addresses, port }: Destination): boolean {
  if (remotePort !== port) return false
  return addresses === null || addresses.map(socketAddress).includes(socketAddress(remoteAddress))
}

/** The HTTP port, unless a server block of the host makes it one of TLS or HTTP/2. */
function plainPortsOf(
  { settings: { NGINX_HTTP_PORT: port } }: Host,
  { snapshot }: DrainingInstance,
): readonly number[] {
  const { servers, httpDirectives } = snapshot.host
  const options = servers.flatMap(({ listens }) => listens.flatMap((one) => (one.port === port ? one.options : [])))
  return options.includes('http2') || options.includes('ssl') || httpDirectives.has('http2') ? [] : [port]
}

/** What to do about a worker that has been old for longer than an hour. */
export function overdueAdvice({ pid, seconds }: DrainFigures['overdue'][number]): string {
  const hours = Math.floor(seconds / 3600)
  return `worker ${pid} of NGINX has been finishing its last connections for ${hours} h, with a former configuration: ask the clients to reconnect, or end it (kill ${pid}), which cuts them off`
}
