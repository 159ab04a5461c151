import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import checkProxy from '../../functions/check-proxy.ts'
import getProxy from '../../functions/get-proxy.ts'
import listProxies from '../../functions/list-proxies.ts'
import putProxy from '../../functions/put-proxy.ts'
import { contentsOf } from '../helpers/arrange.ts'
import { APP, assertError, assertIssues, call } from './wire.ts'

const test = suite('POST /proxies/:droplet_name/check')

const AT = '2026-01-01T00:00:00.000Z'

async function depsWithApp(options: object = {}): Promise<FakeDeps> {
  const deps = await fakeDeps()
  await call(putProxy, deps, '/proxies/app', { method: 'PUT', body: { ...APP, options } })
  return deps
}

const check = (deps: FakeDeps, path = '/proxies/app/check') => call(checkProxy, deps, path, { method: 'POST' })

test('it answers 200 with the answer of the upstream, and that is the last of its checks', async () => {
  const deps = await depsWithApp()
  const { status, body } = await check(deps)
  const one = { at: AT, ok: true, ms: 0, failure: null }
  const health = { status: 'healthy', since: AT, latency_ms: 0, recent: '11', failure: null, consecutive_failures: 0 }
  assert.equal(
    [status, body],
    [
      200,
      {
        droplet_name: 'app',
        upstream: 'http://localhost:8002',
        ok: true,
        latency_ms: 0,
        failure: null,
        attempts: [{ address: '127.0.0.1', path: '/health', status: 200 }],
        health: { ...health, checks: [one, one] },
      },
    ],
  )
  assert.equal((await call(getProxy, deps, '/proxies/app')).body.health, body.health)
})

test('an upstream that fails is a 200 with every attempt; the third failure makes it unhealthy for GET and the list', async () => {
  const deps = await depsWithApp()
  const before = contentsOf(deps.disk)
  deps.nginx.upstreams.set(8002, 'ECONNREFUSED')
  const { status, body } = await check(deps)
  assert.equal([status, body.ok, body.failure, body.health.status], [200, false, 'ECONNREFUSED', 'healthy'])
  assert.equal(body.attempts, [
    { address: '127.0.0.1', path: '/health', failure: 'ECONNREFUSED' },
    { address: '::1', path: '/health', failure: 'ECONNREFUSED' },
  ])
  await deps.clock.sleep(1000)
  await check(deps)
  await deps.clock.sleep(1000)
  deps.nginx.upstreams.set(8002, 503)
  assert.equal((await check(deps)).body.attempts, [{ address: '127.0.0.1', path: '/health', status: 503 }])
  const { body: shown } = await call(getProxy, deps, '/proxies/app')
  const since = '2026-01-01T00:00:02.000Z'
  assert.equal([shown.last_health_status, shown.last_health_checked_at], ['unhealthy', since])
  const { checks, ...health } = shown.health
  const summary = { status: 'unhealthy', since, latency_ms: 0, recent: '1000' }
  assert.equal(health, { ...summary, failure: 'HTTP 503', consecutive_failures: 3 })
  assert.is(checks.length, 4)
  const list = async (query: string) => (await call(listProxies, deps, `/proxies?health=${query}`)).body
  assert.equal(
    (await list('unhealthy')).map(({ health }: { health: unknown }) => health),
    [summary],
  )
  assert.equal([await list('healthy'), await list('unknown')], [[], []])
  assert.equal(contentsOf(deps.disk), before)
  assert.equal(
    deps.lines.filter(({ action }) => action === 'check_upstream'),
    [
      {
        level: 'warn',
        action: 'check_upstream',
        droplet_name: 'app',
        upstream: 'http://localhost:8002',
        result: 'failure',
        outcome: 'unhealthy',
        cause: 'HTTP 503',
      },
    ],
  )
})

test('a PUT that finds the upstream healthy makes it healthy at once', async () => {
  const deps = await depsWithApp()
  deps.nginx.upstreams.set(8002, 503)
  for (let i = 0; i < 3; i++) await check(deps)
  deps.nginx.upstreams.set(8002, 200)
  assert.is((await check(deps)).body.health.status, 'unhealthy')
  const { body } = await call(putProxy, deps, '/proxies/app', { method: 'PUT', body: APP })
  assert.equal([body.health.status, body.health.recent], ['healthy', '100011'])
})

test('a route in maintenance is asked, too, without a health of its own', async () => {
  const deps = await depsWithApp({ maintenance: true })
  const { status, body } = await check(deps)
  assert.equal([status, body.ok, body.health.status, body.health.checks], [200, true, 'unknown', []])
})

test('a route that only redirects answers 400, a droplet without a route 404, an invalid name 400', async () => {
  const deps = await depsWithApp({ redirect_to: 'new.example.com' })
  const message = 'is a route that only redirects: it has no upstream to check'
  assertIssues(await check(deps), [['droplet_name', message]])
  assertError(await check(deps, '/proxies/none/check'), 'PROXY_NOT_FOUND')
  assertError(await check(deps, '/proxies/APP/check'), 'INVALID_REQUEST')
})

test('once the process stops it answers 503', async () => {
  const deps = await depsWithApp()
  deps.engine.endWaits()
  assertError(await check(deps), 'BUSY')
})

test('of several upstreams each is asked; it is healthy if each that is not a backup is, and health has each', async () => {
  const deps = await fakeDeps()
  const upstreams = [
    { host: 'localhost', port: 8001 },
    { host: '10.0.0.2', port: 8002 },
    { host: '10.0.0.3', port: 8003, backup: true },
  ]
  await call(putProxy, deps, '/proxies/app', {
    method: 'PUT',
    body: { domain: APP.domain, upstreams, enable_ssl: false },
  })
  deps.nginx.upstreams.set(8003, 503)
  const good = (await check(deps)).body
  assert.equal([good.upstream, good.ok, good.failure], ['http://localhost:8001', true, null])
  deps.nginx.upstreams.set(8002, 'ECONNREFUSED')
  for (let i = 0; i < 2; i++) await check(deps)
  const { body } = await check(deps)
  assert.equal([body.upstream, body.ok, body.failure], ['http://10.0.0.2:8002', false, 'ECONNREFUSED'])
  assert.equal(body.attempts, [
    { address: '127.0.0.1', path: '/health', status: 200, upstream: 'http://localhost:8001' },
    { address: '10.0.0.2', path: '/health', failure: 'ECONNREFUSED', upstream: 'http://10.0.0.2:8002' },
    { address: '10.0.0.3', path: '/health', status: 503, upstream: 'http://10.0.0.3:8003' },
  ])
  const shown = (await call(getProxy, deps, '/proxies/app')).body
  assert.equal(
    shown.health.upstreams.map((one: Record<string, unknown>) => [one.upstream, one.backup, one.status, one.failure]),
    [
      ['http://localhost:8001', false, 'healthy', null],
      ['http://10.0.0.2:8002', false, 'unhealthy', 'ECONNREFUSED'],
      ['http://10.0.0.3:8003', true, 'unhealthy', 'HTTP 503'],
    ],
  )
  assert.equal([shown.last_health_status, shown.health.failure], ['unhealthy', 'ECONNREFUSED'])
})

test('the check that a PUT has made counts from then on, and the route is among those that are checked', async () => {
  const deps = await fakeDeps()
  for (const name of ['app', 'other']) {
    const body = { ...APP, domain: `${name}.example.com` }
    assert.is((await call(putProxy, deps, `/proxies/${name}`, { method: 'PUT', body })).body.health.status, 'healthy')
    await deps.engine.startDueChecks()
    const { health } = (await call(getProxy, deps, `/proxies/${name}`)).body
    assert.equal([health.status, health.checks.length], ['healthy', 1], name)
  }
})

test.run()
