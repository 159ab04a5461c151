import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { call, putRoute, type RealHost, startHost, through } from '../helpers/system/host.ts'
import { setUp } from '../helpers/system/set-up.ts'

interface Context {
  host: RealHost
  upstream: Server
  port: number
  handle: (request: IncomingMessage, response: ServerResponse) => void
}

const test = suite<Context>('requests through a route')

setUp(test, async (context, undo) => {
  context.host = await startHost()
  undo(context.host.close)
  context.upstream = createServer((request, response) => {
    if (request.url === '/health') response.end()
    else context.handle(request, response)
  })
  context.upstream.on('upgrade', (request, socket) => {
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${request.headers.upgrade}\r\nConnection: Upgrade\r\n\r\n`,
    )
    socket.on('data', (chunk: Buffer) => socket.write(`echo ${chunk.toString()}`))
  })
  await new Promise<void>((resolve) => context.upstream.listen(0, '127.0.0.1', resolve))
  undo(() => {
    context.upstream.closeAllConnections()
    context.upstream.close()
  })
  const address = context.upstream.address()
  context.port = typeof address === 'object' && address !== null ? address.port : 0
  const { status } = await putRoute(context.host.manager, 'app', 'app.example.com', context.port)
  assert.is(status, 201)
})

test("the upstream gets the client's address, and no forged header", async (context) => {
  const { host } = context
  let seen: IncomingMessage['headers'] = {}
  context.handle = (request, response) => {
    seen = request.headers
    response.end('ok')
  }
  const port = host.nginx.httpPort
  const answer = await raw(port, [
    'GET /path?q=1 HTTP/1.1',
    'Host: app.example.com',
    'X-Forwarded-For: 6.6.6.6',
    'X-Forwarded-Proto: https',
    'Forwarded: for=6.6.6.6',
    'Proxy: evil',
    'Connection: close',
  ])
  assert.match(answer, /^HTTP\/1\.1 200/)
  assert.is(seen.host, `app.example.com:${port}`)
  assert.is(seen['x-real-ip'], '127.0.0.1')
  assert.is(seen['x-forwarded-for'], '127.0.0.1')
  assert.is(seen['x-forwarded-proto'], 'http')
  assert.is(seen['x-forwarded-host'], `app.example.com:${port}`)
  assert.is(seen['x-forwarded-port'], String(port))
  assert.is(seen.forwarded, undefined)
  assert.is(seen.proxy, undefined)
  assert.is(seen.connection, undefined)
})

test('connections to the upstream are kept alive', async (context) => {
  const sockets = new Set<unknown>()
  context.handle = (request, response) => {
    sockets.add(request.socket)
    response.end('ok')
  }
  for (let i = 0; i < 20; i++) await through(context.host.nginx.httpPort, 'app.example.com')
  assert.ok(sockets.size <= 2, `${sockets.size} connections for 20 requests`)
})

test('a WebSocket works in both directions', async ({ host }) => {
  const socket = connect(host.nginx.httpPort, '127.0.0.1')
  const chunks = chunksOf(socket)
  socket.write(
    'GET /ws HTTP/1.1\r\nHost: app.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: eA==\r\n\r\n',
  )
  assert.match(await chunks.next(), /^HTTP\/1\.1 101/)
  socket.write('hello')
  assert.is(await chunks.next(), 'echo hello')
  socket.destroy()
})

test('a server-sent event arrives when it is sent, not at the end of the answer', async (context) => {
  let end = () => undefined as unknown
  context.handle = (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: first\n\n')
    end = () => response.end('data: last\n\n')
  }
  const socket = connect(context.host.nginx.httpPort, '127.0.0.1')
  const chunks = chunksOf(socket)
  socket.write('GET /events HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\n\r\n')
  let text = ''
  while (!text.includes('data: first')) text += await chunks.next()
  assert.not.match(text, /data: last/)
  end()
  while (!text.includes('data: last')) text += await chunks.next()
  socket.destroy()
})

test('a body of 8 MiB passes in both directions', async (context) => {
  const size = 8 * 1024 * 1024
  context.handle = (request, response) => {
    let received = 0
    request.on('data', (chunk: Buffer) => {
      received += chunk.length
    })
    request.on('end', () => response.end(Buffer.alloc(received, 'x')))
  }
  const response = await new Promise<number>((resolve) => {
    const socket = connect(context.host.nginx.httpPort, '127.0.0.1')
    let received = 0
    socket.on('data', (chunk) => {
      received += chunk.length
    })
    socket.on('close', () => resolve(received))
    socket.write(`POST / HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: ${size}\r\nConnection: close\r\n\r\n`)
    socket.write(Buffer.alloc(size, 'y'))
  })
  assert.ok(response > size)
})

test('the challenge path is served from the webroot, and never reaches the upstream', async (context) => {
  const { mkdirSync, writeFileSync } = await import('node:fs')
  let reached = false
  context.handle = (_request, response) => {
    reached = true
    response.end('upstream')
  }
  const folder = `${context.host.nginx.root}/state/acme/.well-known/acme-challenge`
  mkdirSync(folder, { recursive: true })
  writeFileSync(`${folder}/token`, 'key authorization')
  const port = context.host.nginx.httpPort
  assert.is(await through(port, 'app.example.com', '/.well-known/acme-challenge/token'), 'key authorization')
  assert.is(await through(port, 'app.example.com', '/.well-known/acme-challenge/none'), 'status 404')
  assert.not.ok(reached)
})

test('an upstream name that does not resolve is refused without a call of NGINX', async ({ host }) => {
  const answer = await call(host.manager, 'PUT', '/proxies/named', {
    domain: 'named.example.com',
    upstream: 'http://no-such-name.example.com:8001',
    require_healthy: false,
  })
  assert.is(answer.status, 422)
  assert.is(answer.body.error?.code, 'UPSTREAM_UNRESOLVABLE')
})

test.run()

async function raw(port: number, lines: readonly string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(`${lines.join('\r\n')}\r\n\r\n`)
  let text = ''
  for await (const chunk of socket) text += chunk.toString()
  return text
}

function chunksOf(socket: NodeJS.ReadableStream): { next(): Promise<string> } {
  const iterator = socket[Symbol.asyncIterator]()
  return { next: async () => String((await iterator.next()).value) }
}
