import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import { createApp } from '../../functions/index.ts'
import putProxy from '../../functions/put-proxy.ts'
import udcState from '../../functions/udc-state.ts'
import { APP, answerOf, assertIssues, call, requestTo } from './wire.ts'

const test = suite('GET /state')

test('GET answers exactly the state of this droplet', async () => {
  const deps = await fakeDeps({ settings: { ENVIRONMENT: 'staging' } })
  await call(putProxy, deps, '/proxies/app', { method: 'PUT', body: APP })
  const ssl = { domain: 'b.example.com', upstream_port: 8003 }
  await call(putProxy, deps, '/proxies/b', { method: 'PUT', body: ssl })
  await deps.clock.sleep(10_000)
  const { status, body } = await call(udcState, deps, '/state')
  assert.is(status, 200)
  assert.equal(body, {
    status: 'active',
    mode: 'staging',
    uptime_seconds: 10,
    requests_total: 0,
    requests_per_minute: 0,
    errors_last_hour: 0,
    memory_mb: 64,
    cpu_percent: 1.5,
    last_restart: '2026-01-01T00:00:00.000Z',
    registered_routes: 2,
    metrics: { generation: 2, active: 1, pending_ssl: 1, drifted: 0 },
  })
})

test('requests through the app are counted, and failures separately', async () => {
  const deps = await fakeDeps()
  const app = createApp(() => deps)
  for (const path of ['/proxies', '/none', '/proxies/none', '/health']) await app(requestTo(path))
  await app(requestTo('/proxy-manager/sync-from-registry', { method: 'POST' }))
  const { body } = await answerOf(await app(requestTo('/proxy-manager/state')))
  assert.equal([body.requests_total, body.requests_per_minute, body.errors_last_hour], [5, 5, 1])
  await deps.clock.sleep(61_000)
  const later = await answerOf(await app(requestTo('/state')))
  assert.equal([later.body.requests_total, later.body.requests_per_minute], [6, 0])
})

test('a message is one request, whatever it calls', async () => {
  const deps = await fakeDeps()
  const app = createApp(() => deps)
  const body = {
    trace_id: 't',
    source: 'o',
    target: 'proxy-manager',
    message_type: 'query',
    payload: { query: 'routes' },
  }
  assert.is((await app(requestTo('/message', { method: 'POST', body }))).status, 200)
  assert.is((await answerOf(await app(requestTo('/state')))).body.requests_total, 1)
})

test('a host without any change yet has no generation', async () => {
  const { body } = await call(udcState, await fakeDeps(), '/state')
  assert.equal([body.registered_routes, body.metrics.generation], [0, null])
})

test('a parameter answers 400', async () => {
  assertIssues(await call(udcState, await fakeDeps(), '/state?x=1'), [['x', 'is not a known parameter']])
})

test.run()
