/** Closes connections whose caller does not read its answer. */
import type { IncomingMessage, Server } from 'node:http'

/** How often it is looked at meanwhile. */
const UNTAKEN_LOOKS = 30

/**
 * Ends connections whose caller has had this long for an answer and has not taken the whole of it, or has not closed its side after the last
 * one. Node's own time-outs do not: that of a socket begins anew with whatever the caller sends, is off while an answer is made, and the
 * adapter behind this turns it off; and of a connection that was refused Node keeps no account.
 */
export function endUntaken(server: Server, afterMs: number): void {
  const lastSeen = new Map<IncomingMessage['socket'], { taken: number; looks: number }>()
  server.on('connection', (socket) => {
    lastSeen.set(socket, { taken: 0, looks: 0 })
    socket.once('close', () => lastSeen.delete(socket))
  })
  const look = setInterval(() => {
    for (const [socket, seen] of lastSeen) {
      const taken = socket.bytesWritten - socket.writableLength
      const isWaiting = taken === seen.taken && (socket.writableLength > 0 || socket.writableEnded)
      seen.looks = isWaiting ? seen.looks + 1 : 0
      seen.taken = taken
      // With a reset, since the system would keep what it has of the answer for minutes.
      if (seen.looks === UNTAKEN_LOOKS) socket.resetAndDestroy()
    }
  }, afterMs / UNTAKEN_LOOKS)
  look.unref()
  server.once('close', () => clearInterval(look))
}
