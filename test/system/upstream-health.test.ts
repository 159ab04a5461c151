import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { call as callUrl } from '../../fixtures/call.ts'
import type { Droplet } from '../../fixtures/droplet.ts'
import { HealthDetails } from '../../lib/upstream/health-history.ts'
import { call, putRoute, type RealHost, startHost, through } from '../helpers/system/host.ts'
import { setUp } from '../helpers/system/set-up.ts'

const test = suite<{ host: RealHost; droplet: Droplet }>('the health of upstreams, all the time')

setUp(test, async (context, undo) => {
  context.host = await startHost({}, { HEALTH_CHECK_INTERVAL_S: '1', HEALTH_CHECK_TIMEOUT_MS: '60000' })
  undo(context.host.close)
  context.droplet = await context.host.droplet('app')
})

const Shown = v.object({ revision: v.string(), health: HealthDetails })

async function shownApp({ manager }: RealHost) {
  return v.parse(Shown, JSON.parse((await callUrl(`${manager.url}/proxies/app`)).text))
}

/** The health of the route, once it is this; each check of the droplet may change it. */
async function untilHealth(host: RealHost, droplet: Droplet, status: string): Promise<HealthDetails> {
  for (;;) {
    const { health } = await shownApp(host)
    if (health.status === status) return health
    await droplet.checked()
  }
}

test('a droplet that fails becomes unhealthy and, once it works, healthy again; neither its file nor NGINX changes', async ({
  host,
  droplet,
}) => {
  assert.is((await putRoute(host.manager, 'app', 'app.example.com', droplet.port)).status, 201)
  const file = `${host.nginx.environment.NGINX_SITES_AVAILABLE}/fpai-app.conf`
  const before = [readFileSync(file, 'utf8'), (await shownApp(host)).revision]
  droplet.setHealth(503)
  const down = await untilHealth(host, droplet, 'unhealthy')
  assert.is(down.failure, 'HTTP 503')
  assert.ok(down.consecutive_failures >= 3 && down.recent.endsWith('000'))
  assert.is(await through(host.nginx.httpPort, 'app.example.com'), 'app')
  droplet.setHealth(200)
  assert.is((await untilHealth(host, droplet, 'healthy')).failure, null)
  assert.equal([readFileSync(file, 'utf8'), (await shownApp(host)).revision], before)
  const turns = host.manager.log.filter((line) => line.includes('"action":"check_upstream"'))
  assert.equal(
    turns.map((line) => JSON.parse(line).outcome),
    ['unhealthy', 'healthy'],
  )
})

test('a stop does not wait for an upstream that does not answer its check', async ({ host }) => {
  const silent = createServer()
  const port = await portOf(silent)
  const connected = new Promise((resolve) => silent.once('connection', resolve))
  const body = { domain: 'silent.example.com', upstream_port: port, require_healthy: false, enable_ssl: false }
  assert.is((await call(host.manager, 'PUT', '/proxies/silent', body)).status, 201)
  await connected
  const started = performance.now()
  await host.restart('SIGTERM')
  assert.ok(performance.now() - started < 30_000)
  silent.close()
})

async function portOf(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

test.run()
