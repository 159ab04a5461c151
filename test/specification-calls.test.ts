/** The calls of the specification as its author and the other droplets make them: bodies word for word, answers by the fields that they read. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../fixtures/deps.ts'
import { createApp } from '../functions/index.ts'
import { type Answer, answerOf, assertError, requestTo } from './functions/wire.ts'
import { contentsOf, refused, settled } from './helpers/arrange.ts'
import { certbotThatIssues, certificateFor } from './helpers/certbot.ts'
import { servedPort } from './helpers/world.ts'

const test = suite('calls of the specification')

const DOMAIN = 'orchestrator.fullpotential.ai'
const PATH = '/proxies/orchestrator'
const BODY = {
  domain: DOMAIN,
  upstream_host: 'localhost',
  upstream_port: 8001,
  require_healthy: true,
  enable_ssl: true,
}
const PLAIN = { ...BODY, enable_ssl: false }
const ROUTE = {
  droplet_name: 'orchestrator',
  domain: DOMAIN,
  upstream: 'http://localhost:8001',
  ssl_enabled: false,
  status: 'active',
}

interface Api {
  readonly deps: FakeDeps
  readonly send: (method: string, path: string, body?: unknown) => Promise<Answer>
}

/** The API on a host with a Registry that has one droplet, as the specification shows it. */
async function api(): Promise<Api> {
  const deps = await fakeDeps({ settings: { REGISTRY_URL: 'http://localhost:8000' } })
  const droplet = { name: 'orchestrator', host: 'localhost', port: 8001, domain: DOMAIN, status: 'active' }
  deps.nginx.registry = { status: 200, body: JSON.stringify([droplet]) }
  const app = createApp(() => deps)
  const headers = { accept: '*/*', 'accept-encoding': 'gzip, deflate', 'user-agent': 'python-httpx/0.27.0' }
  const send: Api['send'] = async (method, path, body) => {
    const answer = await answerOf(await app(requestTo(path, { method, body, headers })))
    await deps.engine.idle()
    return answer
  }
  return { deps, send }
}

/** Asserts the status, and fields of the body; it may have others. */
function assertAnswer(
  { status, body, text }: Answer,
  expected: number,
  fields: Readonly<Record<string, unknown>>,
): void {
  assert.is(status, expected, text)
  const found = Object.fromEntries(Object.keys(fields).map((name) => [name, body[name]]))
  assert.equal(found, fields)
}

test('GET /health and GET /proxy-manager/health', async () => {
  const { send } = await api()
  assertAnswer(await send('GET', '/health'), 200, {
    status: 'healthy',
    service: 'proxy-manager',
    version: '0.0.0',
    timestamp: '2026-01-01T00:00:00.000Z',
  })
  const { status, body } = await send('GET', '/proxy-manager/health')
  assert.equal([status, body.status], [200, 'healthy'])
  assert.equal([body.nginx.present, body.nginx.config_test_ok, body.ssl.certbot_present], [true, true, true])
  for (const [part, name] of [
    ['nginx', 'last_reload_timestamp'],
    ['ssl', 'last_operation'],
  ] as const)
    assert.ok(name in body[part], name)
})

test('GET /capabilities', async () => {
  const { send } = await api()
  const answer = await send('GET', '/capabilities')
  assertAnswer(answer, 200, { service_name: 'proxy-manager', droplet_id: 'proxy-manager', udc_version: '1.0' })
  for (const list of ['features', 'capabilities', 'dependencies', 'supported_operations'])
    assert.ok(Array.isArray(answer.body[list]) && answer.body[list].length > 0, list)
})

test('GET /state', async () => {
  const { send } = await api()
  const answer = await send('GET', '/state')
  assertAnswer(answer, 200, { status: 'active', uptime_seconds: 0, registered_routes: 0 })
  for (const name of ['requests_total', 'errors_last_hour', 'memory_mb']) assert.type(answer.body[name], 'number', name)
})

test('GET /dependencies', async () => {
  const { send } = await api()
  // The first call starts the checks.
  await send('GET', '/dependencies')
  await settled()
  const { status, body } = await send('GET', '/dependencies')
  assert.is(status, 200)
  assert.equal(body.required, [{ name: 'nginx', status: 'available' }])
  for (const { name, status: state } of body.optional)
    assert.ok(typeof name === 'string' && ['available', 'unavailable'].includes(state), name)
  assert.ok(Array.isArray(body.missing))
})

test('POST /message', async () => {
  const { send } = await api()
  const message = {
    trace_id: 'trace-1',
    source: 'orchestrator',
    target: 'proxy-manager',
    message_type: 'status',
    payload: {},
    timestamp: '2026-01-01T00:00:00Z',
  }
  assertAnswer(await send('POST', '/message', message), 200, {
    received: true,
    trace_id: 'trace-1',
    success: true,
    result: {},
  })
})

test('PUT of a new route: 201, written, linked, tested and loaded; 202 if it still needs a certificate', async () => {
  const { deps, send } = await api()
  assertAnswer(await send('PUT', PATH, PLAIN), 201, ROUTE)
  assert.ok(deps.disk.has('/etc/nginx/sites-available/fpai-orchestrator.conf'))
  assert.ok(deps.disk.has('/etc/nginx/sites-enabled/fpai-orchestrator.conf'))
  assert.equal([servedPort(deps, DOMAIN), deps.nginx.reloads], [8001, 1])
  const pending = await send('PUT', '/proxies/verifier', { ...BODY, domain: 'verifier.fullpotential.ai' })
  assertAnswer(pending, 202, { status: 'pending_ssl', ssl_enabled: false })
  assert.is(pending.body.next.path, '/proxies/verifier/ssl')
})

test('PUT of an existing route: 200, and its new upstream is served; GET has it with its last health check', async () => {
  const { deps, send } = await api()
  await send('PUT', PATH, PLAIN)
  const moved = { ...ROUTE, upstream: 'http://localhost:8005' }
  assertAnswer(await send('PUT', PATH, { ...PLAIN, upstream_port: 8005 }), 200, moved)
  assert.is(servedPort(deps, DOMAIN), 8005)
  assertAnswer(await send('GET', PATH), 200, { ...moved, last_health_status: 'healthy' })
  assertError(await send('GET', '/proxies/nobody'), 'PROXY_NOT_FOUND')
})

test('PUT that cannot be applied: 422 of an unhealthy droplet, 500 PROXY_CONFIG_FAILED of nginx -t; no reload, and every file as before', async () => {
  const { deps, send } = await api()
  const before = contentsOf(deps.disk)
  deps.nginx.upstreams.set(8001, 'ECONNREFUSED')
  const unhealthy = await send('PUT', PATH, PLAIN)
  assertError(unhealthy, 'UPSTREAM_UNHEALTHY')
  assert.is(unhealthy.status, 422)
  deps.nginx.upstreams.delete(8001)
  deps.nginx.judge = (texts) =>
    texts.some((text) => text.includes(DOMAIN))
      ? refused('fpai-orchestrator.conf', 3, 'unknown directive "x"')
      : { exitCode: 0, output: '' }
  const rejected = await send('PUT', PATH, PLAIN)
  assert.match(String(assertError(rejected, 'PROXY_CONFIG_FAILED').nginx_output), 'unknown directive "x"')
  assert.equal([rejected.status, deps.nginx.reloads], [500, 0])
  assert.equal(contentsOf(deps.disk), before)
})

test('GET /proxies: a list, empty at first', async () => {
  const { send } = await api()
  assert.equal((await send('GET', '/proxies')).body, [])
  await send('PUT', PATH, PLAIN)
  const { status, body } = await send('GET', '/proxies')
  assert.equal([status, body.length], [200, 1])
  assertAnswer({ ...(await send('GET', '/proxies')), body: body[0] }, 200, ROUTE)
})

test('POST /proxies/{droplet_name}/ssl: 200 with expiry and issuer, and the route is served over HTTPS', async () => {
  const { deps, send } = await api()
  await send('PUT', PATH, BODY)
  const { fingerprint } = certificateFor(DOMAIN)
  certbotThatIssues(deps, certificateFor(DOMAIN))
  const issued = await send('POST', `${PATH}/ssl`, { email: 'admin@fullpotential.ai', force_renew: false })
  assertAnswer(issued, 200, { droplet_name: 'orchestrator', domain: DOMAIN, status: 'active' })
  assert.ok(Date.parse(issued.body.expiry) > deps.clock.nowMs())
  assert.ok(issued.body.issuer.length > 0)
  assert.is(issued.body.certificate.fingerprint_sha256, fingerprint)
  // Without a body too.
  assertAnswer(await send('POST', `${PATH}/ssl`), 200, { status: 'active', ordered: false })
  assertAnswer(await send('GET', PATH), 200, { ...ROUTE, ssl_enabled: true })
})

test('GET /proxy-manager/sync-from-registry creates the routes of active droplets, and DELETE removes one', async () => {
  const { deps, send } = await api()
  assertAnswer(await send('GET', '/proxy-manager/sync-from-registry'), 200, { synced: ['orchestrator'], skipped: [] })
  assert.is(servedPort(deps, DOMAIN), 8001)
  assertAnswer(await send('DELETE', PATH), 200, { status: 'deleted', droplet_name: 'orchestrator' })
  assert.is(servedPort(deps, DOMAIN), undefined)
  for (const folder of ['available', 'enabled'])
    assert.not.ok(deps.disk.has(`/etc/nginx/sites-${folder}/fpai-orchestrator.conf`))
  assertError(await send('DELETE', PATH), 'PROXY_NOT_FOUND')
})

test.run()
