import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import { createSecureContext, createServer as createTlsServer } from 'node:tls'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { HttpAnswer } from '../../lib/adapters/http-client.ts'
import { hostProbe } from '../../lib/adapters/probe.ts'
import { makeLineage } from '../helpers/arrange.ts'

const test = suite('probe')

async function portOf(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

async function closed(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  for (const socket of sockets) socket.destroy()
  server.close()
  await once(server, 'close')
}

/** Probes a server once and closes it. */
async function probe(server: Server, timeoutMs = 2000, method: 'GET' | 'HEAD' = 'GET'): Promise<HttpAnswer> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
  })
  const port = await portOf(server)
  try {
    const place = { address: '127.0.0.1', port, host: 'app.example:81', path: '/health?x=1' }
    return await hostProbe().get({ ...place, method, timeoutMs })
  } finally {
    await closed(server, sockets)
  }
}

const http = (listener: RequestListener) => createHttpServer(listener)
/** A server that sends these bytes to whoever sends a request. */
const raw = (answer: (socket: Socket) => void) =>
  createServer((socket) => {
    socket.once('data', () => answer(socket))
  })

test('a probe returns status and body, and sends Host and path over its own connection', async () => {
  const seen: unknown[] = []
  const answer = await probe(
    http((request, response) => {
      const { host, connection, 'accept-encoding': encoding } = request.headers
      seen.push([request.method, request.url, host, connection, encoding])
      response.writeHead(503).end('not yet')
    }),
  )
  assert.equal(answer, { status: 503, body: 'not yet' })
  assert.equal(seen, [['GET', '/health?x=1', 'app.example:81', 'close', undefined]])
})

test('endless interim responses end the probe by their size, long before the time limit', async () => {
  let sent = 0
  const answer = await probe(
    raw((socket) => {
      const pour = () => {
        const bytes = 'HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n'.repeat(500)
        sent += bytes.length
        if (socket.destroyed) return
        if (socket.write(bytes)) setImmediate(pour)
        else socket.once('drain', pour)
      }
      pour()
    }),
    60_000,
  )
  assert.equal(answer, { failure: 'TOO_LARGE' })
  assert.ok(sent < 64 * 1024 * 1024, `${sent} bytes were sent`)
})

test('many interim responses in one piece end the probe, whatever follows them', async () => {
  const interim = 'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n'.repeat(100)
  const answer = await probe(raw((socket) => socket.end(`${interim}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok`)))
  assert.equal(answer, { failure: 'TOO_LARGE' })
})

test('a few interim responses are skipped', async () => {
  const interim = 'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n'.repeat(3)
  const answer = await probe(raw((socket) => socket.end(`${interim}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok`)))
  assert.equal(answer, { status: 200, body: 'ok' })
})

test('the connection goes to the given address; the name is never resolved', async () => {
  const server = http((_request, response) => response.end('here'))
  const port = await portOf(server)
  const request = { address: '127.0.0.1', port, host: 'no-such-name.invalid', path: '/', timeoutMs: 2000 }
  assert.equal(await hostProbe().get(request), { status: 200, body: 'here' })
  await closed(server, new Set())
})

test('an IPv6 address is probed as well', async () => {
  const server = http((_request, response) => response.end('six'))
  server.listen(0, '::1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const request = { address: '::1', port: address.port, host: '[::1]', path: '/', timeoutMs: 2000 }
  assert.equal(await hostProbe().get(request), { status: 200, body: 'six' })
  await closed(server, new Set())
})

for (const location of ['http://169.254.169.254/latest', '/elsewhere', 'http://[', '']) {
  test(`a redirect to "${location}" is an answer, and is not followed`, async () => {
    let requests = 0
    const answer = await probe(
      http((_request, response) => {
        requests++
        response.writeHead(302, { location }).end()
      }),
    )
    assert.equal(answer, { status: 302, body: '', location })
    assert.is(requests, 1)
  })
}

test('a HEAD is answered without a body', async () => {
  const server = http(({ method }, response) => response.writeHead(method === 'HEAD' ? 204 : 200).end('body'))
  assert.equal(await probe(server, 2000, 'HEAD'), { status: 204, body: '' })
})

test('the body is truncated after 4 KiB', async () => {
  const answer = await probe(http((_request, response) => response.end('x'.repeat(1_000_000))))
  assert.equal(answer, { status: 200, body: 'x'.repeat(4096) })
})

test('a body that never ends is truncated as well', async () => {
  const answer = await probe(
    http((_request, response) => {
      const pour = () => {
        while (!response.destroyed && response.write('x'.repeat(1000)));
      }
      response.on('drain', pour)
      pour()
    }),
  )
  assert.equal(answer, { status: 200, body: 'x'.repeat(4096) })
})

test('the time limit ends a body that trickles', async () => {
  const started = performance.now()
  const answer = await probe(
    http((_request, response) => {
      response.write('x')
    }),
    200,
  )
  assert.equal(answer, { failure: 'TIMEOUT' })
  assert.ok(performance.now() - started < 1500)
})

test('time in which this process is blocked does not count', async () => {
  const answer = await probe(
    http((_request, response) => {
      const until = performance.now() + 300
      while (performance.now() < until);
      response.end('there')
    }),
    100,
  )
  assert.equal(answer, { status: 200, body: 'there' })
})

test('no answer within the time is TIMEOUT', async () => {
  const started = performance.now()
  assert.equal(await probe(createServer(), 200), { failure: 'TIMEOUT' })
  assert.ok(performance.now() - started < 1500)
})

test('a port on which nothing listens is ECONNREFUSED', async () => {
  const server = createServer()
  const port = await portOf(server)
  await closed(server, new Set())
  const answer = await hostProbe().get({ address: '127.0.0.1', port, host: 'a', path: '/', timeoutMs: 2000 })
  assert.equal(answer, { failure: 'ECONNREFUSED' })
})

test('a connection that is reset before or during an answer is a failure', async () => {
  assert.equal(await probe(raw((socket) => socket.resetAndDestroy())), { failure: 'ECONNRESET' })
  const cut = await probe(
    raw((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf', () => socket.resetAndDestroy())
    }),
  )
  assert.ok('failure' in cut, JSON.stringify(cut))
})

test('a connection that is closed without an answer, or that does not speak HTTP, is a failure', async () => {
  for (const words of ['', '\u0000\u0001\u0002', 'SSH-2.0-OpenSSH_9.2\r\n', 'HTTP/1.1 abc\r\n\r\n']) {
    const answer = await probe(raw((socket) => socket.end(words)))
    assert.ok('failure' in answer, JSON.stringify([words, answer]))
  }
})

test('a body shorter than announced is a failure', async () => {
  const answer = await probe(raw((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf')))
  assert.ok('failure' in answer, JSON.stringify(answer))
})

test('a compressed body is not decompressed', async () => {
  const answer = await probe(
    http((_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end('no gzip at all')
    }),
  )
  assert.equal(answer, { status: 200, body: 'no gzip at all' })
})

test('a handshake returns the fingerprint of the certificate for that name, trusted or not', async () => {
  const [app, other] = [makeLineage('app.example.com'), makeLineage('other.example.com')]
  const names: string[] = []
  const server = createTlsServer({
    SNICallback: (name, done) => {
      names.push(name)
      const { fullchain: cert, privkey: key } = name === 'app.example.com' ? app : other
      done(null, createSecureContext({ cert, key }))
    },
  })
  server.on('tlsClientError', () => undefined)
  const port = await portOf(server)
  const shake = (serverName: string) =>
    hostProbe().handshake({ address: '127.0.0.1', port, serverName, timeoutMs: 2000 })
  for (const [name, { fullchain }] of [
    ['app.example.com', app],
    ['other.example.com', other],
  ] as const) {
    const fingerprint = new X509Certificate(fullchain).fingerprint256.replaceAll(':', '').toLowerCase()
    assert.equal(await shake(name), { fingerprint })
  }
  assert.equal(names, ['app.example.com', 'other.example.com'])
  await closed(server, new Set())
})

test('a handshake without an answer, refused, or not in TLS is a failure within the time limit', async () => {
  const handshake = async (server: Server, timeoutMs: number) => {
    const sockets = new Set<Socket>()
    server.on('connection', (socket) => {
      sockets.add(socket)
      socket.on('error', () => socket.destroy())
    })
    const port = await portOf(server)
    const request = { address: '127.0.0.1', port, serverName: 'app.example.com', timeoutMs }
    const shown = await hostProbe().handshake(request)
    await closed(server, sockets)
    return shown
  }
  const started = performance.now()
  assert.equal(await handshake(createServer(), 200), { failure: 'TIMEOUT' })
  assert.ok(performance.now() - started < 1500)
  for (const server of [
    createServer((socket) => socket.destroy()),
    createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')),
  ])
    assert.ok('failure' in (await handshake(server, 2000)))
  const gone = createServer()
  const port = await portOf(gone)
  await closed(gone, new Set())
  assert.equal(
    await hostProbe().handshake({ address: '127.0.0.1', port, serverName: 'app.example.com', timeoutMs: 2000 }),
    { failure: 'ECONNREFUSED' },
  )
})

test('the time limit ends a handshake that trickles', async () => {
  const server = createServer((socket) => {
    // The header of a record that never ends, byte by byte.
    const bytes = setInterval(() => socket.write('\u0016'), 50)
    socket.on('close', () => clearInterval(bytes))
    socket.on('error', () => socket.destroy())
    socket.write(Buffer.from([0x16, 3, 3, 0x40, 0]))
  })
  const port = await portOf(server)
  const started = performance.now()
  const shown = await hostProbe().handshake({
    address: '127.0.0.1',
    port,
    serverName: 'app.example.com',
    timeoutMs: 300,
  })
  assert.equal(shown, { failure: 'TIMEOUT' })
  assert.ok(performance.now() - started < 1500)
  await closed(server, new Set())
})

const HEADER = 'PROXY UNKNOWN\r\n'

test('a listener with the PROXY protocol gets its header before the request, from the given source address', async () => {
  let [seen, from] = ['', '']
  const server = createServer((socket) => {
    from = socket.remoteAddress ?? ''
    socket.on('data', (piece) => {
      seen += piece.toString()
      if (seen.includes('\r\n\r\n')) socket.end('HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n7')
    })
  })
  const port = await portOf(server)
  const request = { address: '127.0.0.1', port, host: 'a.example', path: '/', timeoutMs: 2000 }
  const answer = await hostProbe().get({ ...request, localAddress: '127.0.0.2', proxyProtocol: true })
  assert.equal(answer, { status: 200, body: '7' })
  assert.ok(seen.startsWith(`${HEADER}GET / HTTP/1.1\r\n`), seen)
  assert.is(from, '127.0.0.2')
  await closed(server, new Set())
})

test('a handshake sends the header of the PROXY protocol before its first record', async () => {
  let seen = Buffer.alloc(0)
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.on('data', (piece: Buffer) => {
      seen = Buffer.concat([seen, piece])
      if (seen.length > HEADER.length) socket.destroy()
    })
  })
  const port = await portOf(server)
  const request = { address: '127.0.0.1', port, serverName: 'app.example.com', timeoutMs: 2000 }
  await hostProbe().handshake({ ...request, proxyProtocol: true })
  assert.is(seen.subarray(0, HEADER.length).toString(), HEADER)
  assert.is(seen[HEADER.length], 0x16, 'a TLS handshake record')
  await closed(server, new Set())
})

test('of upstreams that hang, a sync holds at most 48 sockets, and a probe of NGINX does not wait for them', async () => {
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    open.add(socket)
  })
  const other = createHttpServer((_request, response) => response.end('7'))
  const to = { address: '127.0.0.1', host: 'app.example', path: '/' }
  const { get } = hostProbe()
  const [port, otherPort] = [await portOf(server), await portOf(other)]
  try {
    const hanging = Array.from({ length: 120 }, () => get({ ...to, port, timeoutMs: 300, limited: 'slow' }))
    assert.equal(await get({ ...to, port: otherPort, timeoutMs: 2000, limited: 'quick' }), { status: 200, body: '7' })
    assert.ok(open.size > 0 && open.size <= 48, `${open.size} sockets`)
    for (const answer of await Promise.all(hanging)) assert.equal(answer, { failure: 'TIMEOUT' })
    assert.is(open.size, 120)
  } finally {
    await Promise.all([closed(server, open), closed(other, new Set())])
  }
})

test('a probe whose signal is aborted ends at once, as a TIMEOUT', async () => {
  const stopping = new AbortController()
  const server = raw(() => stopping.abort())
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => sockets.add(socket))
  const port = await portOf(server)
  const request = { address: '127.0.0.1', port, host: 'app.example', path: '/', timeoutMs: 60_000 }
  assert.equal(await hostProbe().get({ ...request, signal: stopping.signal }), { failure: 'TIMEOUT' })
  await closed(server, sockets)
})

test.run()
