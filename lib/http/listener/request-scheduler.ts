/**
 * When requests begin. Those that one connection pipelines (RFC 9112, 9.3.2) are handled one after another, in their order; of those of all
 * connections, a few begin in each round of the event loop.
 *
 * Node by itself handles all of them at once: one connection could cause as much work as thousands, a change could overtake the previous one, the
 * rejection of a malformed request could be taken for the answer to the request before it, and health checks would wait for everything else.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { splitReads } from './split-reads.ts'

export interface RequestScheduler {
  /** To be called with each new connection. */
  addConnection(socket: Duplex): void
  /** Calls `answer`, which must not throw, once the previous requests of the connection are answered and a round has room; health checks need none. */
  schedule(request: IncomingMessage, response: ServerResponse, options: ScheduleOptions): Promise<void>
  /**
   * For a connection on which no further request can be read: once its pending requests are answered, `reject` answers the malformed one. If that
   * one has been answered before its end was read, the connection is closed without.
   */
  closeAfterPending(socket: Duplex, reject: () => void): Promise<void>
}

export interface ScheduleOptions {
  readonly answer: () => Promise<void>
  readonly isHealthCheck: boolean
}

interface Connection {
  /** Resolves once all of its requests so far are answered. */
  tail: Promise<void>
  pending: number
  isClosing: boolean
  /** The request that was read last: if the connection sends something malformed, it may be in the body of this one. */
  latest?: { readonly request: IncomingMessage; readonly response: ServerResponse; readonly abandon: () => void }
}

/** A connection with more pending requests is not read further. */
const MAX_PENDING = 8

export function requestScheduler(): RequestScheduler {
  const connections = new WeakMap<Duplex, Connection>()
  const connectionOf = (socket: Duplex): Connection => {
    const connection = connections.get(socket) ?? { tail: Promise.resolve(), pending: 0, isClosing: false }
    connections.set(socket, connection)
    return connection
  }
  const rounds = limitedRounds()
  return {
    addConnection: (socket) => {
      rounds.noteConnection()
      splitReads(socket, () => connectionOf(socket).pending > MAX_PENDING)
    },
    schedule: async (request, response, { answer, isHealthCheck }) => {
      const { socket } = request
      const connection = connectionOf(socket)
      const { promise: abandoned, resolve } = Promise.withResolvers<void>()
      let isAbandoned = false
      const abandon = () => {
        isAbandoned = true
        resolve()
      }
      connection.latest = { request, response, abandon }
      connection.pending++
      const done = connection.tail.then(async () => {
        if (!isHealthCheck || connection.pending > 1) await rounds.enter(request)
        // After an answer that closes the connection, no further request of it is handled (RFC 9112, 9.6).
        if (isAbandoned || !socket.writable) return
        await Promise.race([answer().then(() => responseFlushed(request, response)), abandoned])
      })
      connection.tail = done
      await done
      connection.pending--
      if (connection.pending <= MAX_PENDING && socket.isPaused() && socket.writable) socket.resume()
    },
    closeAfterPending: async (socket, reject) => {
      const connection = connectionOf(socket)
      // Node reports every further chunk that it cannot parse.
      if (connection.isClosing) return
      connection.isClosing = true
      // Node may no longer listen to this socket: an unhandled reset would end the process.
      socket.on('error', () => socket.destroy())
      // Otherwise Node would continue to read, and report every further chunk.
      socket.pause()
      const { latest } = connection
      const isInBody = latest !== undefined && !latest.request.complete
      const isAnswered = isInBody && latest.response.headersSent
      if (isInBody && !isAnswered) latest.abandon()
      connection.tail = connection.tail.then(() => {
        if (isAnswered) socket.destroy()
        else reject()
      })
      await connection.tail
      socket.resume()
    },
  }
}

/** With one at a time, each request would pay for a round of its own. */
const MAX_PER_ROUND = 4
/**
 * Node accepts one connection a round, and a pending one may be that of a health check: requests begin in a round that accepted none, or after
 * this many that did.
 */
const MAX_ACCEPTING_ROUNDS = 32

/** Rounds of the event loop, each with room for a few requests. */
function limitedRounds() {
  let current: Promise<void> = Promise.resolve()
  let room = MAX_PER_ROUND
  let hasAccepted = false
  const nextRound = async (): Promise<void> => {
    for (let i = 0; i < MAX_ACCEPTING_ROUNDS; i++) {
      await new Promise((resolve) => setImmediate(resolve))
      if (!hasAccepted) return
      hasAccepted = false
    }
  }
  return {
    noteConnection: () => {
      hasAccepted = true
    },
    /** Resolves in the next round that has room. */
    enter: async ({ complete, socket }: IncomingMessage): Promise<void> => {
      if (room === 0) {
        current = current.then(nextRound)
        room = MAX_PER_ROUND
      }
      room--
      const own = current
      // The rest of a body is not read meanwhile: a round that reads the bodies of many requests would complete all of them.
      if (!complete) socket.pause()
      await own
      if (!complete) socket.resume()
    },
  }
}

/** Resolves once the answer is handed to the system, or the connection is closed; the rest of an endless body is not read meanwhile. */
async function responseFlushed({ complete, socket }: IncomingMessage, response: ServerResponse): Promise<void> {
  if (!complete) socket.pause()
  if (!response.closed) await new Promise<void>((resolve) => response.once('close', resolve))
}
