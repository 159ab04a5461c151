/** Load on routes that nobody changes: fresh and kept connections over HTTP and HTTPS, a long download, a WebSocket. */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Agent, createServer, get as httpGet } from 'node:http'
import { Agent as HttpsAgent, get as httpsGet } from 'node:https'
import type { Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'

export interface Backend {
  readonly port: number
  readonly sha256: string
  close(): void
}

/** The interval of its chunks: a download takes as long as the load. */
const CHUNK = randomBytes(16_384)
const CHUNK_EVERY_MS = 50
const TIMEOUT_MS = 60_000

/** A droplet that also sends a download until `isOver`, and echoes on WebSockets. */
export async function startBackend(isOver: () => boolean): Promise<Backend> {
  const hash = createHash('sha256')
  let sha256 = ''
  const server = createServer((request, response) => {
    if (request.url !== '/download') {
      response.end('ok')
      return
    }
    void (async () => {
      while (!isOver()) {
        hash.update(CHUNK)
        response.write(CHUNK)
        await setTimeout(CHUNK_EVERY_MS)
      }
      sha256 = hash.digest('hex')
      response.end()
    })()
  })
  server.on('upgrade', (_request, socket: Socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n')
    socket.on('data', (chunk) => socket.write(chunk))
    socket.on('error', () => socket.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    port: address.port,
    get sha256() {
      return sha256
    },
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

export interface Target {
  readonly scheme: 'http' | 'https'
  readonly port: number
  readonly domain: string
}

export interface Count {
  requests: number
  failed: number
  readonly failures: string[]
}

/** Sends one request after another until `isOver`; over one kept connection, or over a fresh one each. */
export async function sendRequests(
  { scheme, port, domain }: Target,
  isKept: boolean,
  isOver: () => boolean,
): Promise<Count> {
  const count: Count = { requests: 0, failed: 0, failures: [] }
  const agent =
    scheme === 'http'
      ? new Agent({ keepAlive: isKept, maxSockets: 1 })
      : new HttpsAgent({ keepAlive: isKept, maxSockets: 1 })
  const options = {
    host: '127.0.0.1',
    port,
    agent,
    servername: domain,
    rejectUnauthorized: false,
    headers: { host: domain },
  }
  while (!isOver()) {
    const failure = await new Promise<string | undefined>((resolve) => {
      const request = (scheme === 'http' ? httpGet : httpsGet)(options, (response) => {
        response.resume()
        response.on('end', () => resolve(response.statusCode === 200 ? undefined : `status ${response.statusCode}`))
        response.on('error', (error) => resolve(error.message))
      })
      request.setTimeout(TIMEOUT_MS, () => request.destroy(new Error('no answer')))
      request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    })
    count.requests++
    if (failure === undefined) continue
    count.failed++
    count.failures.push(`${scheme}: ${failure}`)
  }
  agent.destroy()
  return count
}

/** Downloads until the droplet ends it; the hash of what arrived. */
export async function download({ port, domain }: Target): Promise<string> {
  return await new Promise((resolve) => {
    const hash = createHash('sha256')
    httpGet({ host: '127.0.0.1', port, path: '/download', headers: { host: domain }, agent: false }, (response) => {
      response.on('data', (chunk: Buffer) => hash.update(chunk))
      response.on('end', () => resolve(response.complete ? hash.digest('hex') : 'truncated'))
      response.on('error', (error) => resolve(error.message))
    }).on('error', (error) => resolve(error.message))
  })
}

/** Keeps a WebSocket in use until `isOver`; whether it stayed open, and echoed every message. */
export async function keepWebSocket({ port, domain }: Target, isOver: () => boolean): Promise<boolean> {
  const headers = { host: domain, connection: 'Upgrade', upgrade: 'websocket' }
  const request = httpGet({ host: '127.0.0.1', port, headers, agent: false })
  const [, socket]: [unknown, Socket] = await new Promise((resolve, reject) => {
    request.on('upgrade', (response, upgraded) => resolve([response, upgraded as Socket]))
    request.on('error', reject)
  })
  let isOpen = true
  let echoed = 0
  let sent = 0
  socket.on('data', (chunk: Buffer) => {
    echoed += chunk.length
  })
  for (const event of ['end', 'close', 'error'])
    socket.on(event, () => {
      isOpen = false
    })
  while (!isOver() && isOpen) {
    socket.write('word')
    sent += 4
    await setTimeout(100)
  }
  // On a busy machine the last echoes arrive late.
  for (let i = 0; isOpen && echoed < sent && i * 100 < TIMEOUT_MS; i++) await setTimeout(100)
  const stayed = isOpen && echoed === sent
  socket.destroy()
  return stayed
}
