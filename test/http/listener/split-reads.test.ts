import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { connect, type Socket } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { splitReads } from '../../../lib/http/listener/split-reads.ts'

const test = suite('split reads')

const REQUEST = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

async function listening(server: Server): Promise<Socket> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return connect(address.port, '127.0.0.1')
}

test('node:http parses what arrives in chunks of 8 KiB, and nothing more once the socket is full', async () => {
  let [parsed, chunks, largest] = [0, 0, 0]
  const server = createServer(() => void parsed++)
  server.on('connection', (socket) => {
    splitReads(socket, () => parsed > 8)
    socket.on('data', (chunk: Buffer) => {
      chunks++
      largest = Math.max(largest, chunk.length)
    })
  })
  const accepted = once(server, 'connection')
  const socket = await listening(server)
  const [ours] = await accepted
  // More than Node reads at a time, which is 64 KiB.
  socket.write(REQUEST.repeat(6000))
  const paused = once(ours, 'pause')
  await paused
  for (let i = 0; i < 100; i++) await new Promise((resolve) => setImmediate(resolve))
  assert.is(chunks, 1)
  assert.is(largest, 8192)
  assert.is(parsed, Math.floor(8192 / REQUEST.length))
  ours.resume()
  await once(ours, 'pause')
  assert.is(chunks, 2)
  assert.is(parsed, Math.floor(16_384 / REQUEST.length))
  socket.destroy()
  server.close()
})

test('a body that is larger than a chunk arrives as it was sent', async () => {
  const body = Array.from({ length: 100_000 }, (_, i) => i % 10).join('')
  const received: string[] = []
  const server = createServer(async (request, response) => {
    for await (const chunk of request) received.push(String(chunk))
    response.end()
  })
  server.on('connection', (socket) => splitReads(socket, () => false))
  const socket = await listening(server)
  socket.write(`PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
  await once(socket, 'data')
  assert.is(received.join(''), body)
  socket.destroy()
  server.close()
})

test.run()
