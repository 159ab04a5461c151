/** The edge towards the network: what must be settled before a request is one, and answers to those that never become one. */

import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http'
import type { Duplex } from 'node:stream'
import { ProxyManagerError } from '../../errors.ts'
import { errorResponse, type PlainResponse } from '../error-response.ts'
import { isHealthCheck } from '../guard.ts'
import { correlationIdOf } from '../request-log.ts'
import { failedAttempts } from './failed-attempts.ts'
import { endUntaken } from './slow-readers.ts'
import { takingTurns } from './turns.ts'

export interface ListenerOptions {
  readonly randomId: () => string
  readonly monotonicMs: () => number
  /** A failure that no handler could answer. */
  readonly onFailure: (error: unknown, correlationId: string) => void
  /** A request was refused here, and reached nothing behind. */
  readonly onRefusal: (refusal: Refusal) => void
  /** An address has failed too often, and is not listened to for a while. */
  readonly onLockOut: (address: string) => void
  /** How long a caller may take to take an answer. */
  readonly answerTimeoutMs?: number
}

export interface Refusal {
  readonly error: unknown
  readonly status: number
  readonly correlationId: string
  readonly durationMs: number
}

/** Slow callers are cut off: 5 s for the headers, 10 s for the whole request, 30 s to take the answer, 5 s of silence between two. */
const TIMEOUTS = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
}
const ANSWER_TIMEOUT_MS = 30_000

const MAX_HEADER_BYTES = 16 * 1024
const MAX_CONNECTIONS = 4096

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'OPTIONS', 'PATCH'])
/** A host name, an IPv4 or a bracketed IPv6 address, with or without a port (RFC 9110, 7.2). */
const HOST = /^([a-z0-9_]([a-z0-9._-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(:\d{1,5})?$/i

/** A node:http server around a listener that turns requests into Fetch ones. Every answer is a UDC one, whatever breaks. */
export function createHttpServer(
  listener: RequestListener,
  { randomId, monotonicMs, onFailure, onRefusal, onLockOut, answerTimeoutMs = ANSWER_TIMEOUT_MS }: ListenerOptions,
): Server {
  const options = { ...TIMEOUTS, maxHeaderSize: MAX_HEADER_BYTES, requireHostHeader: false }
  const attempts = failedAttempts(monotonicMs)
  const turns = takingTurns()
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const correlationId = correlationIdOf(request.headers['x-correlation-id']?.toString(), randomId)
    const address = request.socket.remoteAddress ?? ''
    const started = monotonicMs()
    try {
      const path = pathOf(request)
      // Who watches this service is not shut out by a neighbour's wrong token.
      if (!isHealthCheck(request.method ?? '', path)) attempts.refuseExcess(address)
      // Of several Node keeps the first alone. Taken together (RFC 9110, 5.3) they are nobody's token.
      const { authorization = [] } = request.headersDistinct
      if (authorization.length > 1) request.headers.authorization = authorization.join(', ')
      await listener(request, response)
      // A 401 that asks to wait is this host's own trouble, and no guess.
      if (response.statusCode === 401 && !response.hasHeader('retry-after') && attempts.note(address))
        onLockOut(address)
      if (!response.headersSent && !response.writableEnded && !response.destroyed) throw new Error('no answer was sent')
    } catch (error) {
      if (!(error instanceof ProxyManagerError)) onFailure(error, correlationId)
      if (response.headersSent || response.destroyed) return
      const refusal = errorResponse(error, correlationId)
      onRefusal({ error, status: refusal.status, correlationId, durationMs: monotonicMs() - started })
      send(response, refusal)
    }
  }
  const server = createServer(options, (request, response) => {
    const [path = ''] = (request.url ?? '').split('?')
    void turns.take(request, response, () => answer(request, response), isHealthCheck(request.method ?? '', path))
  })
  server.maxConnections = MAX_CONNECTIONS
  server.on('connection', turns.join)
  endUntaken(server, answerTimeoutMs)
  const refuseRaw = (socket: Duplex, error: ProxyManagerError): void => {
    void turns.end(socket, () => {
      const correlationId = randomId()
      if (sendRaw(socket, errorResponse(error, correlationId)))
        onRefusal({ error, status: error.status, correlationId, durationMs: 0 })
    })
  }
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => refuseRaw(socket, clientFault(error)))
  // Without this Node answers an unknown Expect by itself, with an empty 417.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response))
  server.on('connect', (_request, socket) => refuseRaw(socket, notAllowed()))
  return server
}

/** Listens, with room for every connection that may be open to be opened at once: those beyond Node's 511 would wait for a second or more. */
export function listenOn(server: Server, host: string, port: number): void {
  server.listen({ host, port, backlog: MAX_CONNECTIONS })
}

/** Closes a server: calls in flight end, idle connections go at once, what is left at the deadline is cut off. */
export async function closeHttpServer(server: Server, deadlineMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  // Node no longer enforces its own limits once a server is closing, and a connection turns idle whenever its call ends.
  const sweep = setInterval(() => server.closeIdleConnections(), 20)
  const deadline = setTimeout(() => server.closeAllConnections(), deadlineMs)
  await closed
  clearInterval(sweep)
  clearTimeout(deadline)
}

/**
 * The path of a request. The adapter behind this builds a URL from Host and target, and fails in its own ways on those that make none.
 * @throws {ProxyManagerError} METHOD_NOT_ALLOWED, INVALID_REQUEST
 */
function pathOf(request: IncomingMessage): string {
  if (!METHODS.has(request.method ?? '')) throw notAllowed()
  const hosts = request.rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'host').length
  const host = request.headers.host ?? ''
  if (hosts !== 1 || !HOST.test(host) || !URL.canParse(`http://${host}/`))
    throw invalid('Host', 'must stand once, as a name or address with a port or without')
  const target = request.url ?? ''
  // A URL's reader would take the first for the end of the path and the second for a slash; neither is in a request's target (RFC 9112, 3.2).
  if (/[#\\]/.test(target)) throw invalid('path', 'must be without "#" and "\\"')
  const url = target.startsWith('/') ? URL.parse(`http://${host}${target}`) : null
  if (url === null) throw invalid('path', 'must begin with "/"')
  return url.pathname
}

function clientFault(error: NodeJS.ErrnoException): ProxyManagerError {
  if (error.code === 'HPE_HEADER_OVERFLOW') return new ProxyManagerError('HEADERS_TOO_LARGE')
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return new ProxyManagerError('REQUEST_TIMEOUT')
  return invalid('', 'is not an HTTP request')
}

function invalid(path: string, message: string): ProxyManagerError {
  return new ProxyManagerError('INVALID_REQUEST', {
    details: { issues: [{ path, message }] },
    headers: { connection: 'close' },
  })
}

function notAllowed(): ProxyManagerError {
  return new ProxyManagerError('METHOD_NOT_ALLOWED', {
    headers: { allow: 'GET, HEAD, PUT, POST, DELETE, OPTIONS', connection: 'close' },
  })
}

function send(response: ServerResponse, { status, headers, body }: PlainResponse): void {
  response.writeHead(status, { ...headers, connection: 'close' })
  response.end(body)
}

/** Whether there was somebody to send it to. */
function sendRaw(socket: Duplex, { status, headers, body }: PlainResponse): boolean {
  if (!socket.writable) {
    socket.destroy()
    return false
  }
  const lines = Object.entries({ ...headers, connection: 'close' }).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n${body}`)
  return true
}
