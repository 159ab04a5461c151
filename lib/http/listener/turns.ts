/**
 * Requests take turns: those that one connection sends without waiting for answers (pipelining, RFC 9112, 9.3.2) are handled one after
 * another, and of those of all connections a few begin in each round of the event loop.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

export interface Turns {
  /** A connection is there; what it is about is still to be read. */
  join(socket: Duplex): void
  /**
   * Has a request answered once those before it on its connection are, and in the next round that has room unless it `isHealthCheck`; `answer`
   * must not throw.
   */
  take(
    request: IncomingMessage,
    response: ServerResponse,
    answer: () => Promise<void>,
    isHealthCheck: boolean,
  ): Promise<void>
  /**
   * Ends a connection on which no further request can be read, once those before are answered: with `refuse`, or at once where the broken
   * request was answered before its end had come.
   */
  end(socket: Duplex, refuse: () => void): Promise<void>
}

interface Lane {
  last: Promise<void>
  waiting: number
  isEnding: boolean
  /** The request that was read last: where a connection breaks off, it may be in the middle of this one. */
  newest?: { readonly request: IncomingMessage; readonly response: ServerResponse; readonly detachRunning: () => void }
}

/** A connection with this many requests that wait is read no further: what one caller can pile up is what one piece has brought. */
const MAX_WAITING = 8
const PIECE_BYTES = 8192
/** Alone, each would pay for a round, and share nothing of what is read for another. */
const MAX_AT_ONCE = 4
/**
 * A round brings one new connection, however many wait to be accepted, and among them may be the one that asks for health: so requests begin
 * in rounds that bring none, or after this many that do.
 */
const MAX_JOINED = 32

/**
 * Node by itself calls for all of them at once, however many there are: one connection would have as much done at the same time as
 * thousands, a change could overtake the one before it, and the refusal of what is no request be taken for the answer to one that is.
 * What many connections send at once it would also handle in one go, and look at no other connection meanwhile. With rounds, whoever
 * watches this service is answered in between.
 */
export function takingTurns(): Turns {
  const lanes = new WeakMap<Duplex, Lane>()
  const laneOf = (socket: Duplex): Lane => {
    const lane = lanes.get(socket) ?? { last: Promise.resolve(), waiting: 0, isEnding: false }
    lanes.set(socket, lane)
    return lane
  }
  let round: Promise<void> = Promise.resolve()
  let left = MAX_AT_ONCE
  let isJoined = false
  const nextRound = async (): Promise<void> => {
    for (let i = 0; i < MAX_JOINED; i++) {
      await new Promise((resolve) => setImmediate(resolve))
      if (!isJoined) return
      isJoined = false
    }
  }
  /** A round of the event loop in which few others begin. */
  const turn = async ({ complete, socket }: IncomingMessage): Promise<void> => {
    if (left === 0) {
      round = round.then(nextRound)
      left = MAX_AT_ONCE
    }
    left--
    const own = round
    // The rest of a body stays with the system, or a round that brings it to many requests would have all of them answered.
    if (!complete) socket.pause()
    await own
    if (!complete) socket.resume()
  }

  return {
    join: (socket) => {
      isJoined = true
      readInPieces(socket)
      // After Node's own listener, which has found the requests in the piece and would go on.
      socket.on('data', () => {
        if (laneOf(socket).waiting > MAX_WAITING) socket.pause()
      })
    },
    take: async (request, response, answer, isHealthCheck) => {
      const { socket } = request
      const lane = laneOf(socket)
      let isAbandoned = false
      const abandoned = new Promise<void>((resolve) => {
        const detachRunning = () => {
          isAbandoned = true
          resolve()
        }
        lane.newest = { request, response, detachRunning }
      })
      lane.waiting++
      const done = lane.last.then(async () => {
        if (!isHealthCheck || lane.waiting > 1) await turn(request)
        // After an answer that ends the connection, nothing more is done for it (RFC 9112, 9.6).
        if (isAbandoned || !socket.writable) return
        await Promise.race([answer().then(() => handedOver(request, response)), abandoned])
      })
      lane.last = done
      await done
      lane.waiting--
      if (lane.waiting <= MAX_WAITING && socket.isPaused() && socket.writable) socket.resume()
    },
    end: async (socket, refuse) => {
      const lane = laneOf(socket)
      // Node tells of every further piece that it cannot read.
      if (lane.isEnding) return
      lane.isEnding = true
      // Node may have let go of the socket: a reset would end the process.
      socket.on('error', () => socket.destroy())
      // Node would go on reading, and have every further piece refused.
      socket.pause()
      const { newest } = lane
      const isInside = newest !== undefined && !newest.request.complete
      const isAnswered = isInside && newest.response.headersSent
      if (isInside && !isAnswered) newest.detachRunning()
      lane.last = lane.last.then(() => {
        if (isAnswered) socket.destroy()
        else refuse()
      })
      await lane.last
      socket.resume()
    },
  }
}

/**
 * What the system has is read 64 KiB at a time, which are 1500 short requests, and Node's parser makes all of them: 50 ms during which nothing
 * else is done, and 5 MB for each connection. Between pieces it stops where the connection is paused.
 */
function readInPieces(socket: Duplex): void {
  const push = socket.push.bind(socket)
  socket.push = (chunk, encoding) => {
    if (!Buffer.isBuffer(chunk)) return push(chunk, encoding)
    let wantsMore = true
    for (let at = 0; at < chunk.length; at += PIECE_BYTES) wantsMore = push(chunk.subarray(at, at + PIECE_BYTES))
    return wantsMore
  }
}

/** Its bytes have been handed to the system, or its connection is gone; what is left of a body without end is not read meanwhile. */
async function handedOver({ complete, socket }: IncomingMessage, response: ServerResponse): Promise<void> {
  if (!complete) socket.pause()
  if (!response.closed) await new Promise<void>((resolve) => response.once('close', resolve))
}
