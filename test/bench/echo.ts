/** An upstream that echoes what it gets over an upgraded connection, and a client that counts round trips through a proxy. */
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { allAtOnce } from './turns.ts'
import type { Undo } from './undo.ts'

export const ECHO_CONNECTIONS = 16
const SECONDS = 1.5
/** A client's frame of 32 bytes; after the upgrade a proxy sees only bytes. */
const MESSAGE = Buffer.alloc(38, 'x')

/** Starts it; returns its port. */
export async function startEcho(undo: Undo): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer((_, response) => response.end('healthy'))
  server.on('connection', (socket) => {
    sockets.add(socket.setNoDelay())
    socket.on('close', () => sockets.delete(socket))
  })
  server.on('upgrade', (_, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
    socket.on('error', () => socket.destroy())
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  undo.push(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

/** Microseconds of each round trip over 16 connections, one message at a time on each, for a second and a half. */
export async function takeRoundTrips(domain: string, port: number): Promise<readonly number[]> {
  const sockets = await allAtOnce(ECHO_CONNECTIONS, () => upgrade(domain, port))
  const until = performance.now() + SECONDS * 1000
  const trips = await Promise.all(sockets.map((socket) => goBackAndForth(socket, until)))
  for (const socket of sockets) socket.destroy()
  return trips.flat()
}

async function upgrade(domain: string, port: number): Promise<Socket> {
  const headers = {
    host: domain,
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
  }
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  const sent = request({ headers, createConnection: () => socket })
  sent.end()
  return await new Promise((resolve, reject) => {
    sent.once('upgrade', () => resolve(socket))
    sent.once('response', ({ statusCode }) => reject(new Error(`no upgrade, but ${statusCode}`)))
    sent.once('error', reject)
  })
}

async function goBackAndForth(socket: Socket, until: number): Promise<number[]> {
  const trips: number[] = []
  let pending = 0
  let started = 0
  const send = () => {
    started = performance.now()
    pending = MESSAGE.length
    socket.write(MESSAGE)
  }
  return await new Promise((resolve, reject) => {
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the connection was closed')))
    socket.on('data', (chunk: Buffer) => {
      pending -= chunk.length
      if (pending > 0) return
      const now = performance.now()
      trips.push((now - started) * 1000)
      if (now < until) send()
      else resolve(trips)
    })
    send()
  })
}
