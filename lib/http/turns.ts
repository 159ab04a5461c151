/** Requests that one connection sends without waiting for answers (pipelining, RFC 9112, 9.3.2) are handled one after another. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

export interface Turns {
  /** Has a request answered once those before it on its connection are; `answer` must not throw. */
  take(request: IncomingMessage, response: ServerResponse, answer: () => Promise<void>): Promise<void>
  /**
   * Ends a connection on which no further request can be read, once those before are answered: with `refuse`, or at once where the broken
   * request was answered before its end had come.
   */
  end(socket: Duplex, refuse: () => void): Promise<void>
}

interface Lane {
  last: Promise<void>
  waiting: number
  /** The request that was read last: where a connection breaks off, it may be in the middle of this one. */
  newest?: { readonly request: IncomingMessage; readonly response: ServerResponse; readonly abandon: () => void }
}

/** A connection with this many requests that wait is read no further: what one caller can pile up is what one read has brought. */
const MOST_WAITING = 8

/**
 * Node by itself calls for all of them at once, however many there are: one connection would have as much done at the same time as
 * thousands, a change could overtake the one before it, and the refusal of what is no request be taken for the answer to one that is.
 */
export function takingTurns(): Turns {
  const lanes = new WeakMap<Duplex, Lane>()
  const laneOf = (socket: Duplex): Lane => {
    const lane = lanes.get(socket) ?? { last: Promise.resolve(), waiting: 0 }
    lanes.set(socket, lane)
    return lane
  }
  let rounds: Promise<void> = Promise.resolve()
  /** One round of the event loop for each that waits: connections that pile requests up share what a single one of them has. */
  const nextRound = (): Promise<void> => {
    rounds = rounds.then(() => new Promise((resolve) => setImmediate(resolve)))
    return rounds
  }

  return {
    take: async (request, response, answer) => {
      const { socket } = request
      const lane = laneOf(socket)
      let isAbandoned = false
      const abandoned = new Promise<void>((resolve) => {
        const abandon = () => {
          isAbandoned = true
          resolve()
        }
        lane.newest = { request, response, abandon }
      })
      lane.waiting++
      const done = lane.last.then(async () => {
        // After an answer that ends the connection, nothing more is done for it (RFC 9112, 9.6).
        if (isAbandoned || !socket.writable) return
        await Promise.race([answer().then(() => closed(response)), abandoned])
      })
      // Answers that are ready at once would otherwise follow each other without a look at any other connection.
      lane.last = done.then(() => (lane.waiting > 1 ? nextRound() : undefined))
      // Node resumes the socket after each message of what it has just read; this comes after all of them.
      await Promise.resolve()
      if (lane.waiting > MOST_WAITING) socket.pause()
      await done
      lane.waiting--
      if (lane.waiting <= MOST_WAITING && socket.isPaused()) socket.resume()
    },
    end: async (socket, refuse) => {
      // Node may have let go of the socket: a reset would end the process.
      socket.on('error', () => socket.destroy())
      const lane = laneOf(socket)
      const { newest } = lane
      const isInside = newest !== undefined && !newest.request.complete
      const isAnswered = isInside && newest.response.headersSent
      if (isInside && !isAnswered) newest.abandon()
      lane.last = lane.last.then(() => {
        if (isAnswered) socket.destroy()
        else refuse()
      })
      await lane.last
    },
  }
}

/** Its bytes have been handed to the system, or its connection is gone. */
async function closed(response: ServerResponse): Promise<void> {
  if (!response.closed) await new Promise<void>((resolve) => response.once('close', resolve))
}
