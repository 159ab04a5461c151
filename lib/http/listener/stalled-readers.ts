/** Closes connections whose caller does not read its answer. */
import type { IncomingMessage, Server } from 'node:http'

/** How often each connection is checked within the time limit. */
const STALL_CHECKS = 30

/**
 * Closes a connection if its caller has not read any of its answer, or not closed its side after the last one, for `afterMs`. Node's own time-outs
 * do not: that of a socket restarts with whatever the caller sends, is off while an answer is made, and is turned off by @whatwg-node/server; and
 * Node keeps no account of a connection that was rejected.
 */
export function closeStalledReaders(server: Server, afterMs: number): void {
  const lastSeen = new Map<IncomingMessage['socket'], { readBytes: number; stalled: number }>()
  server.on('connection', (socket) => {
    lastSeen.set(socket, { readBytes: 0, stalled: 0 })
    socket.once('close', () => lastSeen.delete(socket))
  })
  const check = setInterval(() => {
    for (const [socket, seen] of lastSeen) {
      const readBytes = socket.bytesWritten - socket.writableLength
      const isStalled = readBytes === seen.readBytes && (socket.writableLength > 0 || socket.writableEnded)
      seen.stalled = isStalled ? seen.stalled + 1 : 0
      seen.readBytes = readBytes
      // With a reset: otherwise the system would keep the rest of the answer for minutes.
      if (seen.stalled === STALL_CHECKS) socket.resetAndDestroy()
    }
  }, afterMs / STALL_CHECKS)
  check.unref()
  server.once('close', () => clearInterval(check))
}
