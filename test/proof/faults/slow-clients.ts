/** Clients that are in the middle of something while a droplet is replaced, and a droplet that stops as if it were killed. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import type { Target } from './load.ts'

const TICK_MS = 50
const UPLOAD = 40

export interface StoppableDroplet {
  readonly port: number
  /** Closes every connection at once. */
  stop(): void
}

/** A droplet that answers requests once it has them, sends a download slowly, and echoes on WebSockets. */
export async function startStoppable(): Promise<StoppableDroplet> {
  const sockets = new Set<Socket>()
  const server = createServer(async (request, response) => {
    for await (const _ of request);
    const ms = Number(/^\/download\/(\d+)$/.exec(request.url ?? '')?.[1] ?? 0)
    for (let sent = 0; sent < ms && !response.destroyed; sent += TICK_MS) {
      response.write('part ')
      await setTimeout(TICK_MS)
    }
    response.end('whole')
  })
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
  })
  server.on('upgrade', (_request, socket: Socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n')
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    port: address.port,
    stop: () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/**
 * A client that is busy for some milliseconds, those that have no upstream yet for longer; all but downloads end early with `ending`. Resolves to
 * what went wrong, or `undefined`.
 */
export type SlowClient = (target: Target, ms: number, ending?: AbortSignal) => Promise<string | undefined>

export const slowClients: Readonly<Record<string, SlowClient>> = {
  'slow request head': (target, ms, ending) =>
    exchange(target, async (socket) => {
      socket.write(`GET / HTTP/1.1\r\nhost: ${target.domain}\r\nconnection: close\r\n`)
      await dribble(2 * ms, (i) => socket.write(`x-${i}: 1\r\n`), ending)
      socket.write('\r\n')
    }),
  'slow upload': (target, ms, ending) =>
    exchange(target, async (socket) => {
      const head = `POST / HTTP/1.1\r\nhost: ${target.domain}\r\nconnection: close\r\ncontent-length: ${UPLOAD}\r\n\r\n`
      socket.write(head)
      let sent = 0
      await dribble(2 * ms, () => sent++ < UPLOAD - 1 && socket.write('x'), ending)
      socket.write('x'.repeat(UPLOAD - Math.min(sent, UPLOAD - 1)))
    }),
  'long download': (target, ms) =>
    exchange(target, async (socket) => {
      socket.write(`GET /download/${ms} HTTP/1.1\r\nhost: ${target.domain}\r\nconnection: close\r\n\r\n`)
    }),
  WebSocket: talk,
}

/** Two requests on one connection of HTTP/2: while one downloads from another route, the other is still being uploaded. */
export async function twoStreams(
  { port, domain }: Target,
  ms: number,
  otherDomain: string,
): Promise<string | undefined> {
  const session = connectHttp2(`https://${domain}`, {
    createConnection: () =>
      connectTls({ host: '127.0.0.1', port, servername: domain, ALPNProtocols: ['h2'], rejectUnauthorized: false }),
  })
  session.on('error', () => undefined)
  const ended = async (
    headers: Record<string, string>,
    send: (stream: { write(text: string): void }) => Promise<void>,
  ) => {
    const stream = session.request(headers, { endStream: false })
    let status = 0
    let text = ''
    stream.on('response', (answered) => {
      status = Number(answered[':status'])
    })
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString()
    })
    const closed = new Promise<string | undefined>((resolve) => {
      stream.on('error', (error) => resolve(error.message))
      stream.on('close', () => resolve(status === 200 && text.endsWith('whole') ? undefined : `status ${status}`))
    })
    await send(stream)
    stream.end()
    return await closed
  }
  const download = ended({ ':path': `/download/${3 * ms}`, ':authority': otherDomain }, async () => undefined)
  const upload = ended({ ':path': '/', ':method': 'POST' }, (stream) => dribble(3 * ms, () => stream.write('x')))
  const failures = await Promise.all([download, upload])
  session.close()
  return failures.find((failure) => failure !== undefined)
}

async function dribble(ms: number, act: (i: number) => void, ending?: AbortSignal): Promise<void> {
  for (let i = 0; i * TICK_MS < ms && ending?.aborted !== true; i++) {
    act(i)
    await setTimeout(TICK_MS)
  }
}

async function open({ scheme, port, domain }: Target): Promise<Socket> {
  const socket =
    scheme === 'http'
      ? connect(port, '127.0.0.1')
      : connectTls({ host: '127.0.0.1', port, servername: domain, rejectUnauthorized: false })
  await once(socket, scheme === 'http' ? 'connect' : 'secureConnect')
  return socket
}

/** Sends one request over a connection of its own; its answer must be whole. */
async function exchange(target: Target, send: (socket: Socket) => Promise<void>): Promise<string | undefined> {
  const socket = await open(target)
  let text = ''
  let failure: string | undefined
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  socket.on('error', (error) => {
    failure = error.message
  })
  const closed = once(socket, 'close')
  await send(socket)
  await closed
  const isWhole = text.startsWith('HTTP/1.1 200') && /whole(\r\n0\r\n\r\n)?$/.test(text)
  return isWhole ? undefined : (failure ?? `answer ${JSON.stringify(text.slice(0, 40))}`)
}

async function talk(target: Target, ms: number, ending?: AbortSignal): Promise<string | undefined> {
  const socket = await open(target)
  let received = 0
  let isOpen = true
  socket.on('data', (chunk: Buffer) => {
    received += chunk.length
  })
  socket.on('error', () => undefined)
  socket.on('close', () => {
    isOpen = false
  })
  socket.write(`GET / HTTP/1.1\r\nhost: ${target.domain}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n`)
  await dribble(ms, (i) => i > 1 && isOpen && socket.write('word'), ending)
  const failure = isOpen && received > 0 ? undefined : 'closed'
  socket.destroy()
  return failure
}
