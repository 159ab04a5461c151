/**
 * The only file that relies on how node:http reads a socket, which its documentation does not promise. Tried with Node 22.18, 24.21 and 26.12;
 * test/http/listener/split-reads.test.ts fails with a version that reads differently.
 */
import type { Duplex } from 'node:stream'

const CHUNK_BYTES = 8192

/**
 * Lets node:http parse what arrives in chunks of 8 KiB, and pauses the socket between two as soon as `isFull`.
 *
 * Node reads 64 KiB at a time, and its parser turns all of it into requests before anything else runs: 1500 short pipelined ones block the event
 * loop for 50 ms and hold 5 MB. On two busy cores, with eight connections that pipeline without end, 99 of 100 health checks took up to 90 ms with
 * this and 400 to 1000 ms without (npm run proof:fuzz -- --only hostile).
 */
export function splitReads(socket: Duplex, isFull: () => boolean): void {
  const push = socket.push.bind(socket)
  socket.push = (chunk, encoding) => {
    if (!Buffer.isBuffer(chunk)) return push(chunk, encoding)
    let wantsMore = true
    for (let at = 0; at < chunk.length; at += CHUNK_BYTES) wantsMore = push(chunk.subarray(at, at + CHUNK_BYTES))
    return wantsMore
  }
  // With a data listener, Node's parser reads from the stream, no longer past it from the handle. This one runs after Node's own, which has parsed the chunk.
  socket.on('data', () => {
    if (isFull()) socket.pause()
  })
}
