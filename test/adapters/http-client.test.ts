import { once } from 'node:events'
import type { IncomingMessage, RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { gzipSync } from 'node:zlib'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../../fixtures/free-port.ts'
import { startServer } from '../../fixtures/loopback-server.ts'
import { type HttpAnswer, type HttpRequest, httpClient } from '../../lib/adapters/http-client.ts'
import { hostNetwork } from '../../lib/adapters/network.ts'
import { makeLineage } from '../helpers/arrange.ts'

const test = suite('http client')
const LIMIT_BYTES = 100_000

async function request(listener: RequestListener, how: Partial<HttpRequest> = {}): Promise<HttpAnswer> {
  const server = await startServer(listener)
  try {
    const url = `${server.url}/droplets`
    return await httpClient(hostNetwork()).request({ url, timeoutMs: 2000, limitBytes: LIMIT_BYTES, ...how })
  } finally {
    server.close()
  }
}

test('a call returns status and the whole text, and requests JSON', async () => {
  const seen: unknown[] = []
  const text = JSON.stringify([{ name: 'ä'.repeat(10_000) }])
  const answer = await request((request, response) => {
    seen.push([request.method, request.url, request.headers.accept, request.headers.authorization])
    response.writeHead(203).end(text)
  })
  assert.equal(answer, { status: 203, body: text })
  assert.equal(seen, [['GET', '/droplets', 'application/json', undefined]])
})

test('a text of exactly the limit is accepted, one byte more is not', async () => {
  const answer = await request((_request, response) => response.end('x'.repeat(LIMIT_BYTES)))
  assert.is('body' in answer && answer.body.length, LIMIT_BYTES)
  const longer = await request((_request, response) => response.end('x'.repeat(LIMIT_BYTES + 1)))
  assert.equal(longer, { failure: 'TOO_LARGE' })
})

test('a text without end, of unknown length, ends at the limit', async () => {
  let sent = 0
  const answer = await request((_request, response) => {
    const pour = () => {
      while (!response.destroyed && response.write('x'.repeat(10_000))) sent += 10_000
    }
    response.on('drain', pour)
    pour()
  })
  assert.equal(answer, { failure: 'TOO_LARGE' })
  assert.ok(sent < 50_000_000, `${sent} bytes were read`)
})

test('endless interim responses end the call as well', async () => {
  const answer = await request(
    ({ socket }) => {
      const pour = () => {
        if (socket.destroyed) return
        if (socket.write('HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n'.repeat(500))) setImmediate(pour)
        else socket.once('drain', pour)
      }
      pour()
    },
    { timeoutMs: 60_000 },
  )
  assert.equal(answer, { failure: 'TOO_LARGE' })
})

test('a text in the smallest chunks is accepted up to the limit', async () => {
  const text = 'xxxxxxxx'.repeat(LIMIT_BYTES / 8)
  const answer = await request(({ socket }) => {
    const chunks = `8\r\nxxxxxxxx\r\n`.repeat(LIMIT_BYTES / 8)
    socket.end(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`)
  })
  assert.equal(answer, { status: 200, body: text })
})

test('compressed text counts with its uncompressed size', async () => {
  const bomb = gzipSync(Buffer.alloc(50_000_000))
  assert.ok(bomb.length < LIMIT_BYTES)
  const answer = await request((_request, response) => {
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb)
  })
  assert.equal(answer, { failure: 'TOO_LARGE' })
})

for (const [what, listener] of Object.entries<RequestListener>({
  'no answer': () => undefined,
  'a slow body': (_request, response) => {
    const drops = setInterval(() => response.write('['), 20)
    response.on('close', () => clearInterval(drops))
  },
})) {
  test(`the time limit ends ${what}`, async () => {
    assert.equal(await request(listener, { timeoutMs: 200 }), { failure: 'TIMEOUT' })
  })
}

test('a redirect is an answer, and is not followed', async () => {
  let requests = 0
  const answer = await request((_request, response) => {
    requests++
    response.writeHead(302, { location: '/elsewhere' }).end()
  })
  assert.equal([answer, requests], [{ status: 302, body: '' }, 1])
})

test('a refused connection, a reset one, and an incomplete text are failures', async () => {
  const url = `http://127.0.0.1:${await freePort()}/droplets`
  assert.equal(await httpClient(hostNetwork()).request({ url, timeoutMs: 2000, limitBytes: LIMIT_BYTES }), {
    failure: 'ECONNREFUSED',
  })
  const cuts: readonly RequestListener[] = [
    (request) => request.socket.destroy(),
    (_request, response) => {
      response.writeHead(200, { 'content-length': '100' })
      response.write('[', () => response.destroy())
    },
  ]
  for (const listener of cuts) assert.ok('failure' in (await request(listener)))
})

test('an untrusted certificate is a failure that says so', async () => {
  const { fullchain: cert, privkey: key } = makeLineage('localhost.example.com')
  const server = createTlsServer({ cert, key }, (_request, response) => response.end('[]'))
  server.on('tlsClientError', () => undefined)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const url = `https://127.0.0.1:${address.port}/directory`
  const answer = await httpClient(hostNetwork()).request({ url, timeoutMs: 2000, limitBytes: LIMIT_BYTES })
  server.closeAllConnections()
  server.close()
  assert.match('failure' in answer ? answer.failure : '', /CERT|SIGNATURE/)
})

/** Method, headers that matter, and the body of a request. */
async function readRequest(request: IncomingMessage) {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  const { authorization, 'content-type': type, 'content-length': length, 'user-agent': agent } = request.headers
  return [request.method, authorization, type, length, agent, Buffer.concat(chunks).toString()]
}

test('JSON is posted with its length and the token; without them neither is sent', async () => {
  const seen: unknown[] = []
  const listener: RequestListener = async (request, response) => {
    seen.push(await readRequest(request))
    response.writeHead(201).end('{"id":7}')
  }
  const json = { name: 'ä', list: [1, null] }
  const text = JSON.stringify(json)
  assert.equal(await request(listener, { json, token: 'a-token' }), { status: 201, body: '{"id":7}' })
  await request(listener, { json: null })
  await request(listener)
  const [agent, type] = ['proxy-manager', 'application/json']
  assert.equal(seen, [
    ['POST', 'Bearer a-token', type, String(Buffer.byteLength(text)), agent, text],
    ['POST', undefined, type, '4', agent, 'null'],
    ['GET', undefined, undefined, undefined, agent, ''],
  ])
})

test('a redirect of a POST is not followed: body and token go nowhere else', async () => {
  for (const status of [301, 302, 303, 307, 308]) {
    const seen: unknown[] = []
    const answer = await request(
      (request, response) => {
        seen.push(request.url)
        response.writeHead(status, { location: '/elsewhere' }).end()
      },
      { json: {}, token: 'a-token' },
    )
    assert.equal([answer, seen], [{ status, body: '' }, ['/droplets']])
  }
})

test('the answer to a POST is bounded in size and time, and an error is a failure', async () => {
  const long = await request((_request, response) => response.end('x'.repeat(LIMIT_BYTES + 1)), { json: {} })
  assert.equal(long, { failure: 'TOO_LARGE' })
  assert.equal(await request(() => undefined, { json: {}, timeoutMs: 200 }), { failure: 'TIMEOUT' })
  assert.ok('failure' in (await request((request) => request.socket.destroy(), { json: {} })))
})

test.run()
