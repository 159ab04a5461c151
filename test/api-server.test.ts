import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../fixtures/deps.ts'
import { createApp } from '../functions/index.ts'
import { createApiServer } from '../lib/api-server.ts'
import { closeHttpServer, listenOn } from '../lib/http/listener/listener.ts'
import { contentsOf } from './helpers/arrange.ts'

const test = suite('api server')

const TOKEN = 'a-token-of-many-characters'

interface Served {
  readonly deps: FakeDeps
  readonly call: (path: string, init?: RequestInit) => Promise<number>
  readonly port: number
}

/** Serves the API over TCP; every connection comes from `address`. */
async function serving(
  settings: Readonly<Record<string, string>>,
  address: string,
  use: (served: Served) => Promise<void>,
): Promise<void> {
  const deps = await fakeDeps({ settings })
  const server = createApiServer(
    deps,
    createApp(() => deps),
  )
  server.on('connection', (socket: Socket) => Object.defineProperty(socket, 'remoteAddress', { value: address }))
  listenOn(server, '127.0.0.1', 0)
  await once(server, 'listening')
  const at = server.address()
  if (at === null || typeof at === 'string') throw new Error('no port')
  const call = async (path: string, init: RequestInit = {}) =>
    (await fetch(`http://127.0.0.1:${at.port}${path}`, init)).status
  try {
    await use({ deps, call, port: at.port })
  } finally {
    await closeHttpServer(server, 0)
  }
}

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })

/** Opens a stream of events, and resolves once it has begun. */
async function streamTo(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.write('GET /events?after=0 HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n')
  await once(socket, 'data')
  return socket
}

test('a stream whose reader has gone makes room for another one', async () => {
  await serving({}, '127.0.0.1', async ({ deps, call, port }) => {
    const sockets = await Promise.all(Array.from({ length: 32 }, () => streamTo(port)))
    const accept = { headers: { accept: 'text/event-stream' } }
    assert.is(await call('/events', accept), 429)
    for (const socket of sockets) socket.destroy()
    while ((await call('/events', accept)) === 429) deps.engine.streams.keepAlive()
    deps.engine.streams.close()
  })
})

test('a reader that does not read takes no memory: what it is behind stays in the log', async () => {
  await serving({}, '127.0.0.1', async ({ deps, port }) => {
    const socket = await streamTo(port)
    socket.pause()
    const origin = { actor: { kind: 'local' } } as const
    const details = { text: 'x'.repeat(3_000) }
    const before = process.memoryUsage().arrayBuffers
    for (let i = 0; i < 3_000; i++) await deps.engine.events.add({ type: 'health.changed', origin, details })
    assert.ok(process.memoryUsage().arrayBuffers - before < 6 * 1024 * 1024)
    socket.destroy()
    deps.engine.streams.close()
  })
})

test('an address that guesses tokens is locked out, with one line in the log; its health checks and known tokens are not', async () => {
  await serving({ PROXY_MANAGER_API_TOKEN: TOKEN }, '192.0.2.9', async ({ deps, call }) => {
    assert.is(await call('/proxies', bearer(TOKEN)), 200)
    for (let i = 0; i < 20; i++) assert.is(await call('/proxies', bearer(`wrong-wrong-wrong-${i}`)), 401)
    const from = deps.lines.length
    for (const path of ['/proxies', '/proxies/health', '/none', '/state'])
      for (const init of [{}, bearer('wrong-wrong-wrong'), { method: 'DELETE' }])
        assert.is(await call(path, init), 429, path)
    for (const path of ['/health', '/proxy-manager/health', '/health?x=1'])
      assert.ok([200, 400].includes(await call(path)), path)
    assert.is(await call('/proxies', bearer(TOKEN)), 200)
    assert.equal(
      deps.lines.filter(({ action }) => action === 'lock_out'),
      [{ level: 'warn', action: 'lock_out', result: 'started', address: '192.0.2.9' }],
    )
    assert.not.ok(deps.lines.slice(from).some(({ error_code }) => error_code === 'TOO_MANY_ATTEMPTS'))
  })
})

test('loopback, which everyone on the host shares, is never locked out', async () => {
  await serving({ PROXY_MANAGER_API_TOKEN: TOKEN }, '127.0.0.1', async ({ call }) => {
    for (let i = 0; i < 40; i++) assert.is(await call('/proxies'), 401)
    assert.is(await call('/proxies', bearer(TOKEN)), 200)
  })
})

test('a GET that syncs is a dry run for another host, whatever Host it sends', async () => {
  const open = {
    PROXY_MANAGER_HOST: '0.0.0.0',
    PROXY_MANAGER_INSECURE: 'true',
    REGISTRY_URL: 'http://registry.example',
  }
  const registry = JSON.stringify([{ name: 'a', domain: 'a.example.com', port: 8001 }])
  for (const [address, isSynced] of [
    ['192.0.2.9', false],
    ['127.0.0.1', true],
  ] as const)
    await serving(open, address, async ({ deps, call }) => {
      deps.nginx.registry = { status: 200, body: registry }
      const before = contentsOf(deps.disk)
      assert.is(await call('/proxy-manager/sync-from-registry'), 200)
      assert.is(deps.nginx.reloads === 1, isSynced)
      if (!isSynced) assert.equal(contentsOf(deps.disk), before)
    })
})

test.run()
