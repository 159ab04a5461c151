import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { call as callOnce } from '../../fixtures/call.ts'
import { type Answer, call, type RealHost, startHost, through } from '../helpers/system/host.ts'
import { setUp } from '../helpers/system/set-up.ts'

/** A droplet whose answers a test chooses. */
interface Replica {
  readonly port: number
  /** The requests that have arrived, without health checks: their methods, as soon as their heads are read. */
  readonly seen: string[]
  handle: (request: IncomingMessage, response: ServerResponse) => void
  listen(): Promise<void>
  /** As if it were killed. */
  stop(): Promise<void>
}

const test = suite<{ host: RealHost; one: Replica; two: Replica }>('several upstreams on a real NGINX')

const DOMAIN = 'app.example.com'

async function startReplica(name: string): Promise<Replica> {
  let port = 0
  const answer: Replica['handle'] = async (request, response) => {
    for await (const _ of request);
    response.end(name)
  }
  const server = createServer((request, response) => {
    if (request.url === '/health') {
      response.end()
      return
    }
    replica.seen.push(request.method ?? '')
    replica.handle(request, response)
  })
  const replica: Replica = {
    get port() {
      return port
    },
    seen: [],
    handle: answer,
    listen: async () => {
      server.listen(port, '127.0.0.1')
      await once(server, 'listening')
      const address = server.address()
      port = typeof address === 'string' ? 0 : (address?.port ?? 0)
    },
    stop: async () => {
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
  await replica.listen()
  return replica
}

setUp(test, async (context, undo) => {
  context.host = await startHost({ workers: 1 })
  undo(context.host.close)
})

test.before.each(async (context) => {
  context.one = await startReplica('one')
  context.two = await startReplica('two')
})
test.after.each(async ({ one, two }) => {
  await Promise.all([one.stop(), two.stop()])
})

const entry = ({ port }: Pick<Replica, 'port'>, backup = false) => ({ host: '127.0.0.1', port, backup })

/** Puts the route; each time NGINX knows nothing of earlier failures. */
async function put(host: RealHost, upstreams: readonly object[], more: object = {}): Promise<Answer> {
  const body = { domain: DOMAIN, upstreams, enable_ssl: false, ...more }
  return await call(host.manager, 'PUT', '/proxies/app', body)
}

/** One request with a body, over its own connection: its answer, or `cut` if there is no whole one. */
async function send({ nginx }: RealHost, method: string, text = 'body'): Promise<string> {
  return await new Promise((resolve) => {
    const sending = request(
      { host: '127.0.0.1', port: nginx.httpPort, method, headers: { host: DOMAIN }, agent: false },
      async (response) => {
        let body = ''
        try {
          for await (const chunk of response) body += chunk
          resolve(response.statusCode === 200 ? body : `status ${response.statusCode}`)
        } catch {
          resolve('cut')
        }
      },
    )
    sending.on('error', () => resolve('cut'))
    sending.end(text)
  })
}

/** Reads the whole request, then closes the connection without an answer. */
const breakOff: Replica['handle'] = async (request, response) => {
  for await (const _ of request);
  response.destroy()
}

test('requests go to each in turn, and with one killed under load no GET fails', async ({ host, one, two }) => {
  assert.is((await put(host, [entry(one), entry(two)])).status, 201)
  const load = async () => {
    const answers: string[] = []
    for (let i = 0; i < 100; i++) {
      answers.push(await through(host.nginx.httpPort, DOMAIN))
      if (one.seen.length >= 100) await one.stop()
    }
    return answers
  }
  const answers = (await Promise.all(Array.from({ length: 8 }, load))).flat()
  assert.equal(new Set(answers), new Set(['one', 'two']))
  assert.is(answers.length, 800)
  assert.ok(answers.filter((answer) => answer === 'two').length >= 600)
})

test('a backup gets requests only while no other is available, and none as soon as one is back', async ({
  host,
  one,
  two,
}) => {
  await put(host, [entry(two, true), entry(one)])
  const ask = () => through(host.nginx.httpPort, DOMAIN)
  for (let i = 0; i < 4; i++) assert.is(await ask(), 'one')
  await one.stop()
  for (let i = 0; i < 4; i++) assert.is(await ask(), 'two')
  await one.listen()
  assert.is((await put(host, [entry(two, true), entry(one)], { options: { read_timeout_s: 60 } })).status, 200)
  for (let i = 0; i < 4; i++) assert.is(await ask(), 'one')
})

test('of what was sent, a GET and a PUT are repeated, and a POST and a PATCH are not', async ({ host, one, two }) => {
  for (const [method, answer] of [
    ['GET', 'two'],
    ['PUT', 'two'],
    ['POST', 'status 502'],
    ['PATCH', 'status 502'],
  ] as const) {
    await put(host, [entry(one), entry(two)], { options: { read_timeout_s: 100 + one.seen.length } })
    one.handle = breakOff
    one.seen.length = 0
    two.seen.length = 0
    // In turn: one of two requests meets the first.
    const answers = [await send(host, method), await send(host, method)].sort()
    assert.equal(answers, [answer, 'two'].sort(), method)
    assert.equal([one.seen.length, two.seen.length], answer === 'two' ? [1, 2] : [1, 1], method)
  }
})

test('with connect_only nothing is repeated once sent, but is passed on if there is no connection', async ({
  host,
  one,
  two,
}) => {
  const options = { failover: 'connect_only' }
  one.handle = breakOff
  for (const [i, method] of ['GET', 'PUT', 'DELETE', 'POST'].entries()) {
    // NGINX does not use one that has failed for 10 s, unless it is started or reloaded.
    await put(host, [entry(one), entry(two)], { options: { ...options, read_timeout_s: 100 + i } })
    one.seen.length = 0
    two.seen.length = 0
    const answers = [await send(host, method), await send(host, method)].sort()
    assert.equal(answers, ['status 502', 'two'], method)
    assert.equal([one.seen, two.seen], [[method], [method]], method)
  }
  await one.stop()
  for (const [i, method] of ['GET', 'PUT', 'DELETE', 'POST'].entries()) {
    await put(host, [entry(one), entry(two)], {
      require_healthy: 'any',
      options: { ...options, read_timeout_s: 200 + i },
    })
    two.seen.length = 0
    for (let sent = 0; sent < 4; sent++) assert.is(await send(host, method), 'two', method)
    assert.equal(two.seen, Array(4).fill(method))
  }
  await two.stop()
  assert.is(await send(host, 'GET'), 'status 502')
})

test('an answer of which a part was sent is cut, and not begun again by another', async ({ host, one, two }) => {
  await put(host, [entry(one), entry(two, true)])
  one.handle = (_, response) => {
    response.writeHead(200, { 'content-length': '100' })
    response.write('half')
    setImmediate(() => response.destroy())
  }
  assert.is(await send(host, 'GET', ''), 'cut')
  assert.equal([one.seen.length, two.seen.length], [1, 0])
})

test('a streamed body of which a part has reached a droplet reaches no other one, although that has ended', async ({
  host,
  one,
  two,
}) => {
  await put(host, [entry(one), entry(two, true)])
  one.handle = (request, response) => void request.once('data', () => response.destroy())
  const part = 'x'.repeat(1024 * 1024)
  const socket = connect(host.nginx.httpPort, '127.0.0.1')
  socket.write(`POST / HTTP/1.1\r\nHost: ${DOMAIN}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n`)
  for (let i = 0; i < 4; i++) socket.write(`100000\r\n${part}\r\n`)
  socket.write('0\r\n\r\n')
  let answer = ''
  for await (const chunk of socket) answer += chunk
  assert.match(answer, /^HTTP\/1\.1 502 /)
  assert.equal([one.seen, two.seen], [['POST'], []])
})

test('a 503 is passed on only with failover_on_5xx, and that of a POST never', async ({ host, one, two }) => {
  const busy: Replica['handle'] = async (request, response) => {
    for await (const _ of request);
    response.writeHead(503).end()
  }
  await put(host, [entry(one), entry(two, true)])
  one.handle = busy
  assert.is(await send(host, 'GET', ''), 'status 503')
  await put(host, [entry(one), entry(two, true)], { options: { failover_on_5xx: true } })
  assert.is(await send(host, 'POST'), 'status 503')
  assert.is(await send(host, 'GET', ''), 'two')
})

const Deployed = v.object({
  upstream: v.string(),
  upstreams: v.array(v.object({ port: v.number() })),
  receipt: v.object({ former: v.array(v.object({ upstream: v.string(), drained: v.nullable(v.boolean()) })) }),
})

test('one that is taken out is drained once its last request has ended, and no other is former', async ({
  host,
  one,
  two,
}) => {
  await put(host, [entry(one), entry(two)])
  const open = new Promise<ServerResponse>((resolve) => {
    one.handle = (_, response) => resolve(response)
  })
  // In turn: one of two requests meets the first.
  const asked = [send(host, 'GET', ''), send(host, 'GET', '')]
  const response = await open
  const body = { domain: DOMAIN, upstreams: [entry(two)], enable_ssl: false }
  const without = await callOnce(`${host.manager.url}/proxies/app`, { method: 'PUT', body })
  const { receipt, upstream, upstreams } = v.parse(Deployed, JSON.parse(without.text))
  const [former] = receipt.former
  assert.equal([former?.upstream, former?.drained], [`http://127.0.0.1:${one.port}`, false])
  assert.equal([receipt.former.length, upstream, upstreams.length], [1, `http://127.0.0.1:${two.port}`, 1])
  response.end('late')
  assert.equal((await Promise.all(asked)).sort(), ['late', 'two'])
  await put(host, [entry(two), entry(one)])
  const drained = await callOnce(`${host.manager.url}/proxies/app?drain_wait_s=30`, { method: 'PUT', body })
  assert.is(v.parse(Deployed, JSON.parse(drained.text)).receipt.former[0]?.drained, true)
})

test('the upstream gets the headers of the route, and none that the route removes', async ({ host, one }) => {
  let headers: IncomingMessage['headers'] = {}
  one.handle = (request, response) => {
    headers = request.headers
    response.end()
  }
  const long = 'X-'.padEnd(64, 'x')
  const options = {
    request_headers: { 'X-Tier': 'gold; {#1}', [long]: '1', X_under: 'score', Cookie: null },
    upstream_host_header: 'app.internal',
  }
  assert.is((await put(host, [entry(one)], { options })).status, 200)
  const { status } = await callOnce(`http://127.0.0.1:${host.nginx.httpPort}/`, {
    headers: { host: DOMAIN, cookie: 'a=b', 'x-tier': 'forged' },
  })
  assert.is(status, 200)
  assert.equal(
    [headers.host, headers['x-tier'], headers[long.toLowerCase()], headers.x_under, headers.cookie],
    ['app.internal', 'gold; {#1}', '1', 'score', undefined],
  )
  await put(host, [entry(one)], { options: { upstream_host_header: 'upstream' } })
  await through(host.nginx.httpPort, DOMAIN)
  assert.is(headers.host, `127.0.0.1:${one.port}`)
})

test.run()
