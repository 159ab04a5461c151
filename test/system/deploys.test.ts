import { once } from 'node:events'
import { createServer } from 'node:http'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { call as callOnce } from '../../fixtures/call.ts'
import { eventually } from '../helpers/system/certificate.ts'
import { call, putRoute, type RealHost, startHost } from '../helpers/system/host.ts'
import { type SlowClient, slowClients, startStoppable } from '../proof/faults/slow-clients.ts'

const test = suite('deploys on a real NGINX')

const DOMAIN = 'app.example.com'
/** Longer than any test takes. */
const BUSY_MS = 300_000
const Former = v.object({
  upstream: v.string(),
  drained: v.nullable(v.boolean()),
  connections: v.nullable(v.number()),
})
const Deployed = v.object({ receipt: v.object({ former: v.array(Former) }) })

async function deploy({ manager }: RealHost, upstream: string, drainWaitS: number) {
  const body = { domain: DOMAIN, upstream, enable_ssl: false }
  const { status, text } = await callOnce(`${manager.url}/proxies/app?drain_wait_s=${drainWaitS}`, {
    method: 'PUT',
    body,
  })
  assert.ok(status === 200 || status === 201, text)
  return v.parse(Deployed, JSON.parse(text)).receipt.former[0]
}

const Shown = v.object({ draining: v.optional(v.array(v.object({ upstream: v.string(), connections: v.number() }))) })

const urlOf = ({ port }: { readonly port: number }) => `http://127.0.0.1:${port}`

interface Busy {
  /** @returns what went wrong, or `undefined` */
  end(): Promise<string | undefined>
}

/** Starts a client of the route that is busy until it is to end. */
function busy({ nginx }: RealHost, kind: string): Busy {
  const client: SlowClient | undefined = slowClients[kind]
  if (client === undefined) throw new Error(`there is no client ${kind}`)
  const ending = new AbortController()
  const ended = client({ scheme: 'http', port: nginx.httpPort, domain: DOMAIN }, BUSY_MS, ending.signal)
  return {
    end: async () => {
      ending.abort()
      return await ended
    },
  }
}

test('a process that stops answers a call that waits for a former upstream with drained: false, and cuts nothing', async () => {
  const [host, one, two] = await Promise.all([startHost(), startStoppable(), startStoppable()])
  try {
    await deploy(host, urlOf(one), 0)
    const client = busy(host, 'WebSocket')
    const deploying = deploy(host, urlOf(two), 600)
    const shown = await eventually(async () => {
      const { body } = await call(host.manager, 'GET', '/proxies/app')
      return v.parse(Shown, body).draining?.[0]
    })
    assert.equal([shown.upstream, shown.connections], [urlOf(one), 1])
    const stopped = host.restart('SIGTERM')
    const former = await deploying
    assert.equal([former?.upstream, former?.drained, former?.connections], [urlOf(one), false, 1])
    await stopped
    assert.is(await client.end(), undefined)
  } finally {
    await host.close()
    for (const droplet of [one, two]) droplet.stop()
  }
})

test('the second address of an upstream is seen, and a deletion waits for it', async () => {
  const host = await startHost()
  const server = createServer((_, response) => response.end('ok'))
  server.on('upgrade', (_, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n')
    socket.pipe(socket)
    socket.on('error', () => socket.destroy())
  })
  server.listen(0, '::1')
  await once(server, 'listening')
  const address = server.address()
  try {
    await deploy(host, `http://localhost:${typeof address === 'string' ? 0 : address?.port}`, 0)
    const client = busy(host, 'WebSocket')
    let answer: string | undefined
    const deleting = callOnce(`${host.manager.url}/proxies/app?drain_wait_s=600`, { method: 'DELETE' }).then(
      ({ text }) => {
        answer = text
        return text
      },
    )
    await eventually(async () => {
      const { status } = await call(host.manager, 'GET', '/proxies/app')
      return status === 404 ? status : undefined
    })
    // Another change takes longer than an answer.
    assert.is((await putRoute(host.manager, 'other', 'other.example.com', 1, { require_healthy: false })).status, 201)
    assert.is(answer, undefined)
    assert.is(await client.end(), undefined)
    const [former] = v.parse(Deployed, JSON.parse(await deleting)).receipt.former
    assert.equal([former?.drained, former?.connections], [true, 0])
  } finally {
    await host.close()
    server.close()
    server.closeAllConnections()
  }
})

/** Workers of another user than the API's: as root, NGINX gives its own to nobody. */
async function withoutPtrace(): Promise<void> {
  const droplets = await Promise.all([startStoppable(), startStoppable(), startStoppable()])
  const [one, two, three] = droplets
  const host = await startHost()
  try {
    await host.restart('SIGTERM', ['setpriv', '--bounding-set=-sys_ptrace'])
    await deploy(host, urlOf(one), 0)
    const talking = busy(host, 'WebSocket')
    const counted = await deploy(host, urlOf(two), 0)
    assert.equal([counted?.drained, counted?.connections], [false, 1])
    const reading = busy(host, 'slow request head')
    const unseen = await deploy(host, urlOf(three), 0)
    assert.equal([unseen?.drained, unseen?.connections], [null, 0])
    const draining = deploy(host, urlOf(one), 600)
    for (const client of [talking, reading]) assert.is(await client.end(), undefined)
    const drained = await draining
    assert.equal([drained?.drained, drained?.connections], [true, 0])
  } finally {
    await host.close()
    for (const droplet of droplets) droplet.stop()
  }
}

if (process.getuid?.() === 0)
  test(
    'without CAP_SYS_PTRACE connections are counted, and drained is true only once the old workers have ended',
    withoutPtrace,
  )

test.run()
