import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { RequestListener, Server } from 'node:http'
import { connect, type Socket } from 'node:net'
import { createServerAdapter } from '@whatwg-node/server'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { fakeDeps } from '../../../fixtures/deps.ts'
import { createApp } from '../../../functions/index.ts'
import { ProxyManagerError } from '../../../lib/errors.ts'
import { describeListenFault } from '../../../lib/http/listener/listen-failure.ts'
import { closeHttpServer, createHttpServer, listenOn } from '../../../lib/http/listener/listener.ts'
import { ErrorBody } from '../../../lib/http/openapi/error-schema.ts'

const test = suite('listener')

for (const [code, setting, isTransient] of [
  ['EADDRINUSE', 'PORT', false],
  ['EACCES', 'PORT', false],
  ['EADDRNOTAVAIL', 'HOST', true],
  ['ENOTFOUND', 'HOST', true],
  ['EAI_AGAIN', 'HOST', true],
  ['EINVAL', 'HOST', false],
  ['EAFNOSUPPORT', 'HOST', false],
] as const)
  test(`${code} is a fault of PROXY_MANAGER_${setting}, ${isTransient ? 'and is transient' : 'and is permanent'}`, () => {
    const described = describeListenFault(code, '10.0.0.7', 8100)
    const fault = `^PROXY_MANAGER_${setting}: cannot listen on 10\\.0\\.0\\.7:8100 \\(${code}\\): [a-z ,]+$`
    assert.match(described.fault, new RegExp(fault))
    assert.is(described.isTransient, isTransient)
  })

interface Edge {
  readonly server: Server
  readonly port: number
  /** Failures that no handler has answered, with their correlation ids. */
  readonly failures: (readonly [unknown, string])[]
  /** Requests that reached the listener. */
  readonly reached: string[]
  /** The statuses of those that did not. */
  readonly rejected: number[]
}

interface RawAnswer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

const answering: RequestListener = (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end('{"ok":true}')
}

async function withEdge(
  listener: RequestListener,
  use: (edge: Edge) => Promise<void>,
  answerTimeoutMs?: number,
): Promise<void> {
  const failures: (readonly [unknown, string])[] = []
  const reached: string[] = []
  const rejected: number[] = []
  const server = createHttpServer(
    (request, response) => {
      reached.push(`${request.method} ${request.url}`)
      return listener(request, response)
    },
    {
      randomId: () => 'made',
      monotonicMs: () => 0,
      onFailure: (error, correlationId) => failures.push([error, correlationId]),
      onRejected: ({ status }) => rejected.push(status),
      ...(answerTimeoutMs === undefined ? {} : { answerTimeoutMs }),
    },
  )
  listenOn(server, '127.0.0.1', 0)
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  try {
    await use({ server, port: address.port, failures, reached, rejected })
  } finally {
    await closeHttpServer(server, 0)
  }
}

async function opened(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  // A reset after the answer is expected.
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

/** Everything that the server sends until it closes the connection. */
async function received(socket: Socket): Promise<string> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(socket, 'close')
  return Buffer.concat(chunks).toString()
}

async function sendText(port: number, text: string): Promise<RawAnswer> {
  const socket = await opened(port)
  const answer = received(socket)
  socket.write(text)
  return parsed(await answer)
}

function parsed(text: string): RawAnswer {
  const [head = '', ...body] = text.split('\r\n\r\n')
  const [statusLine = '', ...lines] = head.split('\r\n')
  const headers = lines.map((line): [string, string] => {
    const [name = '', ...value] = line.split(': ')
    return [name.toLowerCase(), value.join(': ')]
  })
  return {
    status: Number(/^HTTP\/1\.1 (\d{3})/.exec(statusLine)?.[1]),
    headers: new Map(headers),
    body: body.join('\r\n\r\n'),
  }
}

/** The error of an answer; asserts what every error answer has. */
function udcError(answer: RawAnswer, correlationId = 'made'): { code: string; details: Record<string, unknown> } {
  const { error } = v.parse(ErrorBody, JSON.parse(answer.body))
  assert.is(answer.headers.get('content-type'), 'application/json; charset=utf-8')
  assert.is(answer.headers.get('content-length'), String(Buffer.byteLength(answer.body)))
  assert.is(answer.headers.get('connection'), 'close')
  assert.is(answer.headers.get('x-correlation-id'), correlationId)
  assert.is(error.details.correlation_id, correlationId)
  assert.not.match(answer.body, /\.ts|node:|stack/)
  return error
}

const get = (target: string, ...headers: string[]) =>
  `GET ${target} HTTP/1.1\r\n${[...headers, 'Connection: close'].map((header) => `${header}\r\n`).join('')}\r\n`

test('a valid request reaches the listener as it was sent', async () => {
  await withEdge(answering, async ({ port, reached, failures }) => {
    for (const host of ['localhost', `127.0.0.1:${port}`, '[::1]:80', 'A.example', 'a-b.c', '[2001:DB8::1]', 'a:65535'])
      assert.is((await sendText(port, get('/a?b=c', `Host: ${host}`))).status, 200, host)
    assert.equal([...new Set(reached)], ['GET /a?b=c'])
    assert.equal(failures, [])
  })
})

test('every method of the API, and PATCH, reaches the listener', async () => {
  await withEdge(answering, async ({ port, reached }) => {
    for (const method of ['GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'OPTIONS', 'PATCH']) {
      const text = `${method} /x HTTP/1.1\r\nHost: a\r\nX-HTTP-Method-Override: DELETE\r\nConnection: close\r\n\r\n`
      assert.is((await sendText(port, text)).status, 200, method)
      assert.is(reached.pop(), `${method} /x`)
    }
  })
})

test('TRACE, CONNECT and every other method are rejected, with the allowed ones', async () => {
  await withEdge(answering, async ({ port, reached }) => {
    for (const line of ['TRACE /', 'PROPFIND /', 'PURGE /', 'CONNECT a:80', 'CONNECT 127.0.0.1:22', 'MKCOL /x']) {
      const answer = await sendText(port, `${line} HTTP/1.1\r\nHost: a\r\nCookie: secret\r\n\r\n`)
      assert.is(answer.status, 405, line)
      assert.is(answer.headers.get('allow'), 'GET, HEAD, PUT, POST, DELETE, OPTIONS', line)
      assert.is(udcError(answer).code, 'METHOD_NOT_ALLOWED')
      assert.not.match(answer.body, 'secret')
    }
    assert.equal(reached, [])
  })
})

test('there must be exactly one Host, a name or address with an optional port', async () => {
  await withEdge(answering, async ({ port, reached, failures }) => {
    const hosts = ['[::1', '::1', 'x/health?', 'a b', 'a, b', 'u@a', 'a:', 'a:x', 'a:65536', 'a:123456', '[::1]x', '']
    for (const host of [...hosts, 'a?', 'a#', 'a\\b', '-a', 'a..:80:80', '$host', '[a]', '%61', 'ä', '[::1%25lo]']) {
      const answer = await sendText(port, get('/proxies', `Host: ${host}`))
      assert.is(answer.status, 400, host)
      const { code, details } = udcError(answer)
      assert.is(code, 'INVALID_REQUEST')
      assert.equal(details.issues, [{ path: 'Host', message: 'must be exactly one host[:port]' }])
    }
    for (const headers of [[], ['Host: a', 'Host: a'], ['Host: a', 'HOST: b'], ['X-Forwarded-Host: a']])
      assert.is((await sendText(port, get('/proxies', ...headers))).status, 400, headers.join())
    assert.is((await sendText(port, 'GET / HTTP/1.0\r\n\r\n')).status, 400)
    assert.equal(reached, [])
    assert.equal(failures, [])
  })
})

test('a target must be a path: an absolute URL, an authority or an asterisk is rejected', async () => {
  await withEdge(answering, async ({ port, reached }) => {
    for (const target of ['http://a/proxies', 'http://evil.com/', 'https://a/', '*', 'a:80', 'proxies', '?x', '#'])
      assert.is((await sendText(port, get(target, 'Host: a'))).status, 400, target)
    const answer = await sendText(port, `OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n`)
    assert.equal(udcError(answer).details.issues, [{ path: 'path', message: 'must begin with "/"' }])
    assert.equal(reached, [])
  })
})

test('a target that a URL parser would read as another path is rejected', async () => {
  await withEdge(answering, async ({ port, reached }) => {
    for (const target of ['/proxies/a#b', '/proxies\\a', '/proxies?x=\\', '/#']) {
      const answer = await sendText(port, get(target, 'Host: a'))
      assert.equal(udcError(answer).details.issues, [{ path: 'path', message: 'must not contain "#" or "\\"' }], target)
    }
    assert.equal(reached, [])
  })
})

test('a rejected request keeps its correlation id if that is well-formed', async () => {
  await withEdge(answering, async ({ port }) => {
    udcError(await sendText(port, get('/', 'Host: a b', 'X-Correlation-ID: abc-1')), 'abc-1')
    udcError(await sendText(port, get('/', 'Host: a b', 'X-Correlation-ID: a b')), 'made')
    udcError(await sendText(port, get('/', 'Host: a b', 'X-Correlation-ID: a', 'X-Correlation-ID: b')), 'made')
  })
})

test('headers over 16 KiB are answered with 431', async () => {
  await withEdge(answering, async ({ port, reached }) => {
    const answer = await sendText(port, get('/', 'Host: a', `X: ${'x'.repeat(17 * 1024)}`))
    assert.is(answer.status, 431)
    assert.is(udcError(answer).code, 'HEADERS_TOO_LARGE')
    assert.is((await sendText(port, get(`/${'x'.repeat(17 * 1024)}`, 'Host: a'))).status, 431)
    assert.is((await sendText(port, get('/', 'Host: a', `X: ${'x'.repeat(15 * 1024)}`))).status, 200)
    assert.equal(reached, ['GET /'])
  })
})

test('something that is not an HTTP request is answered with 400', async () => {
  await withEdge(answering, async ({ port, reached, failures }) => {
    const tls = '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'
    const texts = ['garbage\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n', 'BREW / HTTP/1.1\r\nHost: a\r\n\r\n', tls]
    const twoLengths = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx'
    const twoFramings = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx'
    const brokenHeader = 'GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n'
    for (const text of [...texts, twoLengths, twoFramings, brokenHeader]) {
      const answer = await sendText(port, text)
      assert.is(answer.status, 400, text)
      assert.equal(udcError(answer).details.issues, [{ path: '', message: 'is not an HTTP request' }])
    }
    assert.equal(reached, [])
    assert.equal(failures, [])
  })
})

test('a request that does not arrive in time is answered with 408', async () => {
  await withEdge(answering, async ({ server, port }) => {
    const accepted = once(server, 'connection')
    const socket = await opened(port)
    const answer = received(socket)
    const [ours] = await accepted
    server.emit('clientError', Object.assign(new Error('late'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), ours)
    const { status, ...rest } = parsed(await answer)
    assert.is(status, 408)
    assert.is(udcError({ status, ...rest }).code, 'REQUEST_TIMEOUT')
  })
})

test('slow senders are cut off, and connections are counted', async () => {
  await withEdge(answering, async ({ server }) => {
    assert.is(server.headersTimeout, 5_000)
    assert.is(server.requestTimeout, 10_000)
    assert.is(server.keepAliveTimeout, 5_000)
    assert.is(server.maxConnections, 4096)
  })
})

test('1,000 connections at once are accepted by the kernel before the server handles any', async () => {
  await withEdge(answering, async ({ port }) => {
    const sockets = Array.from({ length: 1000 }, () => connect(port, '127.0.0.1').on('error', () => undefined))
    // All have been requested from the kernel, and the server had no time to accept one.
    await new Promise<void>((resolve) => process.nextTick(resolve))
    const states = statesOfConnectionsTo(port, 1000)
    for (const socket of sockets) socket.destroy()
    assert.is(states.size, 1000)
    assert.equal([...new Set(states.values())], ['established'])
  })
})

/**
 * The kernel's states of the connections to a port, by their own address (proc_net_tcp(5)). The file is a
 * walk over the kernel's table, not a snapshot: if other processes open and close connections meanwhile, a line can come
 * twice or be left out, so it is read again until the expected number was seen.
 */
function statesOfConnectionsTo(port: number, expected: number): Map<string, string> {
  const remote = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const states = new Map<string, string>()
  for (let reads = 0; reads < 10 && states.size < expected; reads++) {
    for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n')) {
      const [, own = '', peer, state] = line.trim().split(/\s+/)
      if (peer !== remote || states.has(own)) continue
      states.set(own, state === '01' ? 'established' : `state ${state}`)
    }
  }
  return states
}

test('if the listener throws, the answer is INTERNAL without a stack, whatever was thrown', async () => {
  const childProcess = Object.assign(new Error('secret'), { status: 1 })
  for (const thrown of [new Error('secret'), childProcess, new TypeError('secret'), null, undefined, 'secret', 0]) {
    const listeners: RequestListener[] = [
      () => {
        throw thrown
      },
      async () => {
        throw thrown
      },
    ]
    for (const listener of listeners) {
      await withEdge(listener, async ({ port, failures }) => {
        const answer = await sendText(port, get('/', 'Host: a', 'X-Correlation-ID: abc'))
        assert.is(answer.status, 500)
        assert.is(udcError(answer, 'abc').code, 'INTERNAL')
        assert.not.match(answer.body, 'secret')
        assert.equal(failures, [[thrown, 'abc']])
      })
    }
  }
})

test('an error of the catalogue that is thrown is answered as such, and not reported as a failure', async () => {
  const listener = () => {
    throw new ProxyManagerError('BUSY', { retryAfterS: 2 })
  }
  await withEdge(listener, async ({ port, failures }) => {
    const answer = await sendText(port, get('/', 'Host: a'))
    assert.is(answer.status, 503)
    assert.is(answer.headers.get('retry-after'), '2')
    assert.is(udcError(answer).code, 'BUSY')
    assert.equal(failures, [])
  })
})

test('if the listener sends nothing, the answer is INTERNAL', async () => {
  await withEdge(
    () => undefined,
    async ({ port, failures }) => {
      const answer = await sendText(port, get('/', 'Host: a'))
      assert.is(answer.status, 500)
      assert.is(udcError(answer).code, 'INTERNAL')
      assert.match(String(failures[0]?.[0]), 'no answer was sent')
    },
  )
})

test('if the server adapter does not answer, the answer is INTERNAL', async () => {
  const handlers = [
    () => Promise.reject(null),
    () => Promise.reject(Object.assign(new Error('secret'), { status: 1 })),
    () => Promise.resolve(JSON.parse('"no response"')),
  ]
  const { error } = console
  // The server adapter writes there what it could not answer.
  console.error = () => undefined
  try {
    for (const handler of handlers) {
      await withEdge(createServerAdapter(handler), async ({ port }) => {
        const answer = await sendText(port, get('/', 'Host: a'))
        assert.is(answer.status, 500, handler.toString())
        assert.is(udcError(answer).code, 'INTERNAL')
        assert.not.match(answer.body, 'secret')
      })
    }
  } finally {
    console.error = error
  }
})

test('closing completes even if a request is half sent', async () => {
  await withEdge(answering, async ({ server, port }) => {
    const accepted = once(server, 'connection')
    const socket = await opened(port)
    const answer = received(socket)
    socket.write('PUT /proxies/a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n')
    await accepted
    await closeHttpServer(server, 30)
    assert.is(await answer, '')
  })
})

test('closing waits for calls in flight, and for nothing else', async () => {
  let release: () => void = () => undefined
  let isCalled: () => void = () => undefined
  const called = new Promise<void>((resolve) => {
    isCalled = resolve
  })
  const listener: RequestListener = async (request, response) => {
    if (request.url === '/slow') {
      isCalled()
      await new Promise<void>((resolve) => {
        release = resolve
      })
    }
    answering(request, response)
  }
  await withEdge(listener, async ({ server, port }) => {
    const idle = await opened(port)
    const idleAnswer = received(idle)
    idle.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await once(idle, 'data')
    const busy = await opened(port)
    const busyAnswer = received(busy)
    busy.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n')
    await called
    const closed = closeHttpServer(server, 60_000)
    assert.is(parsed(await idleAnswer).status, 200)
    release()
    assert.is(parsed(await busyAnswer).status, 200)
    await closed
    const late = connect(port, '127.0.0.1')
    const [error] = await once(late, 'error')
    assert.is(error.code, 'ECONNREFUSED')
  })
})

test('a malformed request is rejected once, however much follows it', async () => {
  const warnings: Error[] = []
  const keep = (warning: Error) => void warnings.push(warning)
  process.on('warning', keep)
  try {
    await withEdge(answering, async ({ port, rejected }) => {
      const socket = await opened(port)
      const answer = received(socket)
      for (let i = 0; i < 20; i++) socket.write(`nonsense ${'x'.repeat(64 * 1024)}\r\n\r\n`)
      socket.end()
      assert.is((await answer).split('HTTP/1.1 400').length - 1, 1)
      assert.equal(rejected, [400])
    })
    assert.equal(warnings, [])
  } finally {
    process.off('warning', keep)
  }
})

test('a call with two tokens has none, in either order', async () => {
  const token = 'a-token-of-many-characters'
  const deps = await fakeDeps({ settings: { PROXY_MANAGER_API_TOKEN: token } })
  await withEdge(createServerAdapter(createApp(() => deps)), async ({ port }) => {
    const statusOf = async (...shown: readonly string[]) => {
      const lines = shown.map((one) => `Authorization: Bearer ${one}\r\n`).join('')
      return (await sendText(port, `GET /proxies HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${lines}\r\n`)).status
    }
    assert.is(await statusOf(token), 200)
    assert.is(await statusOf(token, 'another'), 401)
    assert.is(await statusOf('another', token), 401)
    assert.is(await statusOf(token, token), 401)
  })
})

test('rejected requests are reported with their status, handled ones are not', async () => {
  await withEdge(answering, async ({ port, rejected }) => {
    for (const [text, status] of [
      ['GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', 200],
      ['TRACE / HTTP/1.1\r\nHost: a\r\n\r\n', 405],
      ['CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', 405],
      ['GET / HTTP/1.1\r\nHost: a b\r\n\r\n', 400],
      ['nonsense\r\n\r\n', 400],
      [`GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    ] as const)
      assert.is((await sendText(port, text)).status, status, text.slice(0, 40))
    assert.equal(rejected, [405, 405, 400, 400, 431])
  })
})

/** Lets rounds of the event loop pass until the condition holds. */
async function until(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 30_000
  while (!isSo() && performance.now() < deadline) await new Promise((resolve) => setImmediate(resolve))
  assert.ok(isSo())
}

/** A listener whose answers wait for `release`; `most` is how many were in progress at once. */
function holding() {
  const waiting: (() => void)[] = []
  const called: string[] = []
  const count = { now: 0, most: 0 }
  const listener: RequestListener = async (request, response) => {
    called.push(`${request.method} ${request.url}`)
    count.most = Math.max(count.most, ++count.now)
    await new Promise<void>((resolve) => waiting.push(resolve))
    count.now--
    response.writeHead(200, { 'x-url': request.url ?? '' })
    response.end('{}')
  }
  return {
    listener,
    called,
    count,
    release: async () => {
      await until(() => waiting.length > 0)
      waiting.shift()?.()
    },
  }
}

const statuses = (text: string) => [...text.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status]) => Number(status))

test('requests of one connection are handled one after another; those of others do not wait for them', async () => {
  const { listener, called, count, release } = holding()
  await withEdge(listener, async ({ port }) => {
    const first = await opened(port)
    const answers = received(first)
    first.write(['/1', '/2', '/3'].map((target) => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''))
    await until(() => called.length === 1)
    const other = await opened(port)
    const otherAnswer = received(other)
    other.write(get('/other', 'Host: a'))
    await until(() => called.length === 2)
    assert.equal(called, ['GET /1', 'GET /other'])
    for (let i = 0; i < 4; i++) await release()
    assert.equal(statuses(await otherAnswer), [200])
    first.end()
    assert.equal(
      [...(await answers).matchAll(/^x-url: (.*)\r$/gm)].map(([, url]) => url),
      ['/1', '/2', '/3'],
    )
    assert.is(count.most, 2)
  })
})

test('a connection with too many pending requests is not read further until they are answered, and all of them are', async () => {
  const { listener, called, release } = holding()
  await withEdge(listener, async ({ server, port }) => {
    const accepted = once(server, 'connection')
    const socket = await opened(port)
    const [ours] = await accepted
    const answers = received(socket)
    const many = 6000
    const one = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
    let made = 0
    server.on('request', () => made++)
    socket.write(one.repeat(many))
    await until(() => ours.isPaused())
    for (let i = 0; i < 100; i++) await new Promise((resolve) => setImmediate(resolve))
    assert.ok(ours.bytesRead <= 128 * 1024, `${ours.bytesRead} bytes were read`)
    // A chunk of 8 KiB has that many.
    assert.ok(made < 400, `${made} requests were made of them`)
    for (let i = 0; i < many; i++) await release()
    socket.end()
    assert.is(statuses(await answers).length, many)
    assert.is(called.length, many)
  })
})

test('a connection that pipelines many requests does not delay others, however fast they are answered', async () => {
  let answered = 0
  const listener: RequestListener = async (request, response) => {
    if (request.url === '/piled') answered++
    answering(request, response)
  }
  await withEdge(listener, async ({ port }) => {
    const many = 2000
    const pile = await opened(port)
    const answers = received(pile)
    pile.write('GET /piled HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(many))
    await once(pile, 'data')
    await sendText(port, get('/other', 'Host: a'))
    assert.ok(answered < many, `${answered} were answered first`)
    pile.destroy()
    await answers
  })
})

/** Counts rounds of the event loop while `use` lasts. */
async function countingRounds(use: (round: () => number) => Promise<void>): Promise<void> {
  let round = 0
  let isOver = false
  const count = () => {
    round++
    if (!isOver) setImmediate(count)
  }
  count()
  try {
    await use(() => round)
  } finally {
    isOver = true
  }
}

/** Both ends of connections that have been accepted. */
async function connected(server: Server, port: number, count: number): Promise<[readonly Socket[], readonly Socket[]]> {
  const ours: Socket[] = []
  server.on('connection', (socket: Socket) => ours.push(socket))
  const sockets = await Promise.all(Array.from({ length: count }, () => opened(port)))
  await until(() => ours.length === count)
  return [sockets, ours]
}

/** Four, and four of the next round if that is counted a moment later. */
const MAX_IN_A_ROUND = 8

/** How often the most frequent number occurs. */
const mostAlike = (numbers: readonly number[]) =>
  Math.max(...numbers.map((one) => numbers.filter((other) => other === one).length))

test('of all connections that pipeline requests, only a few requests begin in a round of the event loop', async () => {
  for (const target of ['/', '/health']) {
    await countingRounds(async (round) => {
      const rounds: number[] = []
      const listener: RequestListener = async (request, response) => {
        rounds.push(round())
        answering(request, response)
      }
      await withEdge(listener, async ({ server, port }) => {
        const [piles] = await connected(server, port, 5)
        const answers = piles.map(async (pile) => {
          const answer = received(pile)
          pile.write(`${`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(50)}${get(target, 'Host: a')}`)
          return statuses(await answer).length
        })
        assert.equal(await Promise.all(answers), [51, 51, 51, 51, 51])
        assert.ok(mostAlike(rounds) <= MAX_IN_A_ROUND, `${mostAlike(rounds)} in one round`)
      })
    })
  }
})

test('of requests that many connections send at once, only a few begin in a round of the event loop', async () => {
  await countingRounds(async (round) => {
    const rounds: number[] = []
    const listener: RequestListener = async (request, response) => {
      rounds.push(round())
      answering(request, response)
    }
    await withEdge(listener, async ({ server, port }) => {
      const [sockets] = await connected(server, port, 50)
      const answers = sockets.map(received)
      for (const socket of sockets) socket.write(get('/', 'Host: a'))
      await Promise.all(answers)
      assert.is(rounds.length, 50)
      assert.ok(mostAlike(rounds) <= MAX_IN_A_ROUND, `${mostAlike(rounds)} in one round`)
    })
  })
})

test('endless bodies that arrive at once are rejected a few at a time, and not read further', async () => {
  const limit = 64 * 1024
  await countingRounds(async (round) => {
    const rounds: number[] = []
    const listener: RequestListener = async (request, response) => {
      let size = 0
      for await (const chunk of request.iterator({ destroyOnReturn: false })) {
        size += chunk.length
        if (size > limit) break
      }
      rounds.push(round())
      response.writeHead(413, { connection: 'close' })
      response.end('{}')
      // As the server adapter does with the rest.
      request.resume()
    }
    await withEdge(listener, async ({ server, port }) => {
      const [sockets, ours] = await connected(server, port, 30)
      const answers = sockets.map(received)
      const body = `4000\r\n${'x'.repeat(0x4000)}\r\n`.repeat(64)
      for (const socket of sockets)
        socket.write(`PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${body}`)
      for (const answer of answers) assert.is(parsed(await answer).status, 413)
      assert.is(rounds.length, 30)
      assert.ok(mostAlike(rounds) <= MAX_IN_A_ROUND, `${mostAlike(rounds)} in one round`)
      const most = Math.max(...ours.map(({ bytesRead }) => bytesRead))
      assert.ok(most < 8 * limit, `${most} bytes were read`)
    })
  })
})

test('a health check does not wait for other connections, however many send requests at once', async () => {
  for (const probe of ['/health', '/proxy-manager/health', '/health?x=1']) {
    await withEdge(answering, async ({ server, port, reached }) => {
      const [sockets] = await connected(server, port, 51)
      const answers = sockets.map(received)
      for (const [i, socket] of sockets.entries()) socket.write(get(i === 50 ? probe : '/', 'Host: a'))
      await Promise.all(answers)
      assert.is(reached.length, 51)
      const before = reached.indexOf(`GET ${probe}`)
      assert.ok(before <= 5, `${before} requests came before ${probe}`)
    })
  }
})

test('new connections are accepted before requests begin, so that a health check on a new one does not wait', async () => {
  await withEdge(answering, async ({ port, reached }) => {
    const sockets = Array.from({ length: 101 }, () => connect(port, '127.0.0.1').on('error', () => undefined))
    const answers = sockets.map(received)
    for (const [i, socket] of sockets.entries()) socket.write(get(i === 100 ? '/health' : '/', 'Host: a'))
    await Promise.all(answers)
    assert.is(reached.length, 101)
    const before = reached.indexOf('GET /health')
    assert.ok(before < 25, `${before} requests came before it`)
  })
})

test('a connection whose caller does not read its answer is closed, whatever is sent meanwhile', async () => {
  const big = 'x'.repeat(16 * 1024 * 1024)
  const listeners: RequestListener[] = [
    (_request, response) => {
      response.writeHead(200, { 'content-length': big.length })
      response.end(big)
    },
    createServerAdapter(() => new Response(big)),
  ]
  for (const listener of listeners) {
    await withEdge(
      listener,
      async ({ server, port, failures }) => {
        const accepted = once(server, 'connection')
        const socket = await opened(port)
        socket.pause()
        const [ours] = await accepted
        const gone = once(ours, 'close')
        socket.write('GET /proxies HTTP/1.1\r\nHost: a\r\n\r\n')
        const dripping = setInterval(() => socket.write('X'), 5)
        await gone
        clearInterval(dripping)
        assert.equal(failures, [])
        socket.destroy()
      },
      90,
    )
  }
})

test('a rejected connection is closed even if the caller keeps its side open', async () => {
  for (const [text, status] of [
    ['CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n', 405],
    ['garbage\r\n\r\n', 400],
  ] as const) {
    await withEdge(
      answering,
      async ({ server, port }) => {
        const accepted = once(server, 'connection')
        const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => undefined)
        const [ours] = await accepted
        const gone = once(ours, 'close')
        const answer = once(socket, 'data')
        socket.write(text)
        assert.equal(statuses(String(await answer)), [status])
        await gone
        socket.destroy()
      },
      90,
    )
  }
})

test('an answer that is read slowly arrives completely, and a connection that waits for its answer is not closed', async () => {
  const piece = 'x'.repeat(1024 * 1024)
  const pieces = 24
  const listener: RequestListener = async (_request, response) => {
    // Longer than a caller may take to read one.
    for (let i = 0; i < 40; i++) await new Promise((resolve) => setTimeout(resolve, 15))
    response.writeHead(200, { 'content-length': piece.length * pieces, connection: 'close' })
    for (let i = 0; i < pieces; i++) response.write(piece)
    response.end()
  }
  await withEdge(
    listener,
    async ({ port }) => {
      const socket = await opened(port)
      let size = 0
      socket.on('data', (chunk: Buffer) => {
        size += chunk.length
        socket.pause()
        setImmediate(() => socket.resume())
      })
      socket.write(get('/', 'Host: a'))
      await once(socket, 'close')
      assert.ok(size > piece.length * pieces, `${size} bytes`)
    },
    // No pause of a busy machine is as long.
    500,
  )
})

test('a malformed request is rejected after the answers to the previous ones, never in their place', async () => {
  for (const [broken, status] of [
    ['garbage\r\n\r\n', 400],
    ['CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n', 405],
    ['PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n', 400],
  ] as const) {
    const { listener, called, release } = holding()
    await withEdge(listener, async ({ port, failures }) => {
      const socket = await opened(port)
      const answers = received(socket)
      socket.write(`GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n${broken}`)
      await until(() => called.length === 1)
      await release()
      await release()
      assert.equal(statuses(await answers), [200, 200, status], broken)
      assert.equal(called, ['GET /1', 'GET /2'], broken)
      assert.equal(failures, [])
    })
  }
})

test('a request after an answer that closes the connection is not handled', async () => {
  for (const first of [
    'GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    'GET /1 HTTP/1.1\r\nHost: a b\r\n\r\n',
  ]) {
    await withEdge(answering, async ({ port, reached }) => {
      const socket = await opened(port)
      const answers = received(socket)
      socket.write(`${first}DELETE /2 HTTP/1.1\r\nHost: a\r\n\r\n`)
      assert.is(statuses(await answers).length, 1, first)
      assert.not.ok(reached.includes('DELETE /2'), first)
    })
  }
})

test('a request with a malformed body is answered once, before or after its end', async () => {
  const reading: RequestListener = async (request, response) => {
    for await (const _ of request);
    answering(request, response)
  }
  const half = 'PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n'
  await withEdge(reading, async ({ port, failures }) => {
    assert.is((await sendText(port, `${half}ZZ\r\n`)).status, 400)
    assert.equal(failures, [])
  })
  await withEdge(answering, async ({ port, failures }) => {
    const socket = await opened(port)
    const answers = received(socket)
    socket.write(half)
    await once(socket, 'data')
    socket.write('ZZ\r\n')
    assert.equal(statuses(await answers), [200])
    assert.equal(failures, [])
  })
})

test.run()
