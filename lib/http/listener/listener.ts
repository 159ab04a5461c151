/** The HTTP server: what is checked before a request becomes a Fetch one, and the answers to those that never do. */
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
import { isHealthCheck } from '../access/guard.ts'
import { errorResponse, type PlainResponse } from '../error-response.ts'
import { correlationIdOf } from '../request-log.ts'
import { requestScheduler } from './request-scheduler.ts'
import { closeStalledReaders } from './stalled-readers.ts'

export interface ListenerOptions {
  readonly randomId: () => string
  readonly monotonicMs: () => number
  /** A failure that no handler has answered. */
  readonly onFailure: (error: unknown, correlationId: string) => void
  /** A request was answered here with an error, and no handler was called. */
  readonly onRejected: (rejected: RejectedRequest) => void
  /** How long a caller may take to read an answer. */
  readonly answerTimeoutMs?: number
}

export interface RejectedRequest {
  readonly error: unknown
  readonly status: number
  readonly correlationId: string
  readonly durationMs: number
}

/** Slow callers are cut off: after 5 s for the headers, 10 s for the whole request, 30 s for reading the answer, 5 s of silence between requests. */
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
/** A host name, an IPv4 or a bracketed IPv6 address, with an optional port (RFC 9110, 7.2). */
const HOST = /^([a-z0-9_]([a-z0-9._-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(:\d{1,5})?$/i

/** A node:http server around `listener`, which turns requests into Fetch ones. Every answer is a UDC one, even if `listener` throws. */
export function createHttpServer(listener: RequestListener, options: ListenerOptions): Server {
  const { randomId, onRejected, answerTimeoutMs = ANSWER_TIMEOUT_MS } = options
  const scheduler = requestScheduler()
  const answer = answerer(listener, options)
  const serverOptions = { ...TIMEOUTS, maxHeaderSize: MAX_HEADER_BYTES, requireHostHeader: false }
  const server = createServer(serverOptions, (request, response) => {
    const [path = ''] = (request.url ?? '').split('?')
    void scheduler.schedule(request, response, {
      answer: () => answer(request, response),
      isHealthCheck: isHealthCheck(request.method ?? '', path),
    })
  })
  server.maxConnections = MAX_CONNECTIONS
  server.on('connection', scheduler.addConnection)
  closeStalledReaders(server, answerTimeoutMs)
  const reject = (socket: Duplex, error: ProxyManagerError): void => {
    void scheduler.closeAfterPending(socket, () => {
      const correlationId = randomId()
      if (sendRaw(socket, errorResponse(error, correlationId)))
        onRejected({ error, status: error.status, correlationId, durationMs: 0 })
    })
  }
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => reject(socket, clientError(error)))
  // Otherwise Node itself answers an unknown Expect, with a 417 without a body.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response))
  server.on('connect', (_request, socket) => reject(socket, notAllowed()))
  return server
}

/** Answers each request: by `listener`, or with an error if it is not acceptable or `listener` has not answered. */
function answerer(listener: RequestListener, { randomId, monotonicMs, onFailure, onRejected }: ListenerOptions) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const correlationId = correlationIdOf(request.headers['x-correlation-id']?.toString(), randomId)
    const started = monotonicMs()
    try {
      assertWellFormed(request)
      // Node keeps only the first of several. Combined (RFC 9110, 5.3) they are no valid token.
      const { authorization = [] } = request.headersDistinct
      if (authorization.length > 1) request.headers.authorization = authorization.join(', ')
      await listener(request, response)
      if (!response.headersSent && !response.writableEnded && !response.destroyed) throw new Error('no answer was sent')
    } catch (error) {
      if (!(error instanceof ProxyManagerError)) onFailure(error, correlationId)
      if (response.headersSent || response.destroyed) return
      const plain = errorResponse(error, correlationId)
      onRejected({ error, status: plain.status, correlationId, durationMs: monotonicMs() - started })
      send(response, plain)
    }
  }
}

/** Listens with a backlog for as many connections as may be open: with Node's default of 511, further ones would wait for a second or more. */
export function listenOn(server: Server, host: string, port: number): void {
  server.listen({ host, port, backlog: MAX_CONNECTIONS })
}

/** Closes a server: calls in flight are completed, idle connections are closed at once, the rest at the deadline. */
export async function closeHttpServer(server: Server, deadlineMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  // Node no longer enforces its own time-outs while a server is closing, and a connection becomes idle whenever its call ends.
  const sweep = setInterval(() => server.closeIdleConnections(), 20)
  const deadline = setTimeout(() => server.closeAllConnections(), deadlineMs)
  await closed
  clearInterval(sweep)
  clearTimeout(deadline)
}

/**
 * @whatwg-node/server builds a URL from Host and target, and fails in its own ways if they make none.
 * @throws {ProxyManagerError} METHOD_NOT_ALLOWED, INVALID_REQUEST
 */
function assertWellFormed(request: IncomingMessage): void {
  if (!METHODS.has(request.method ?? '')) throw notAllowed()
  const hosts = request.rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'host').length
  const host = request.headers.host ?? ''
  if (hosts !== 1 || !HOST.test(host) || !URL.canParse(`http://${host}/`))
    throw invalid('Host', 'must be exactly one host[:port]')
  const target = request.url ?? ''
  // A URL parser would end the path at the first and read the second as a slash; a request's target has neither (RFC 9112, 3.2).
  if (/[#\\]/.test(target)) throw invalid('path', 'must not contain "#" or "\\"')
  if (!target.startsWith('/') || !URL.canParse(`http://${host}${target}`)) throw invalid('path', 'must begin with "/"')
}

function clientError(error: NodeJS.ErrnoException): ProxyManagerError {
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

/** Returns whether the connection was still open. */
function sendRaw(socket: Duplex, { status, headers, body }: PlainResponse): boolean {
  if (!socket.writable) {
    socket.destroy()
    return false
  }
  const lines = Object.entries({ ...headers, connection: 'close' }).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n${body}`)
  return true
}
