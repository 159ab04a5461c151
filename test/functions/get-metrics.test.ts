import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import getMetrics from '../../functions/get-metrics.ts'
import { createApp } from '../../functions/index.ts'
import issueCertificate from '../../functions/issue-certificate.ts'
import putProxy from '../../functions/put-proxy.ts'
import { GENERATION_NAME, STATUS_PATH } from '../../lib/nginx/generation.ts'
import { PORT_TAKEN, refused, refuseNextReload, writeAt } from '../helpers/arrange.ts'
import { certbotThatIssues, certificateFor } from '../helpers/certbot.ts'
import { APP, answerOf, assertIssues, call, requestTo } from './wire.ts'

const test = suite('GET /proxy-manager/metrics')

/** Every sample by its name and labels. */
async function samples(deps: FakeDeps): Promise<Map<string, number>> {
  const { status, text } = await call(getMetrics, deps, '/proxy-manager/metrics')
  assert.is(status, 200)
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map((line) => {
      const [, name = '', value] = /^(proxy_manager_\S+(?:\{.*\})?) (\S+)$/.exec(line) ?? [line]
      assert.ok(value !== undefined, line)
      return [name.slice('proxy_manager_'.length), Number(value)]
    }),
  )
}

const put = (deps: FakeDeps, differing: object = {}, path = '/proxies/app') =>
  call(putProxy, deps, path, { method: 'PUT', body: { ...APP, ...differing } })

test("GET answers Prometheus' text format, at both addresses", async () => {
  const deps = await fakeDeps()
  const app = createApp(() => deps)
  for (const path of ['/proxy-manager/metrics', '/metrics']) {
    const { status, headers, text } = await answerOf(await app(requestTo(path)))
    assert.equal([status, headers.get('content-type')], [200, 'text/plain; version=0.0.4; charset=utf-8'])
    assert.match(text, /^# HELP proxy_manager_generation .+\n# TYPE proxy_manager_generation gauge\n/m)
    assert.ok(text.endsWith('\n'))
  }
})

test('requests are counted by endpoint and status, with their durations', async () => {
  const deps = await fakeDeps()
  await put(deps)
  await put(deps)
  await put(deps, { domain: '*' })
  const found = await samples(deps)
  for (const [status, count] of [
    ['201', 1],
    ['200', 1],
    ['400', 1],
  ] as const) {
    const name = `http_request_duration_seconds_count{operation="putProxy",status="${status}"}`
    assert.is(found.get(name), count, status)
  }
})

test('requests that reach no endpoint are counted under one name, whatever their path', async () => {
  const token = 'a-token-of-many-characters'
  const deps = await fakeDeps({ settings: { PROXY_MANAGER_API_TOKEN: token } })
  const app = createApp(() => deps)
  const send = (path: string, method: string, headers = {}) => app(requestTo(path, { method, headers }))
  const authorization = `Bearer ${token}`
  await send('/proxies', 'GET')
  await send('/secret-path', 'GET')
  await send('/proxies', 'GET', { authorization, origin: 'http://evil.example' })
  await send('/secret-path', 'GET', { authorization })
  await send('/proxies', 'DELETE', { authorization })
  const found = await samples(deps)
  for (const [status, count] of [
    ['401', 2],
    ['403', 1],
    ['404', 1],
    ['405', 1],
    ['429', 0],
  ] as const)
    assert.is(found.get(`http_request_duration_seconds_count{operation="none",status="${status}"}`), count, status)
  assert.not.match([...found.keys()].join('\n'), 'secret-path')
})

test('changes are counted by outcome, and the batches that they shared', async () => {
  const deps = await fakeDeps()
  await put(deps)
  await put(deps)
  await put(deps, { domain: 'other.example.com' }, '/proxies/other')
  await put(deps, {}, '/proxies/third')
  const found = await samples(deps)
  assert.equal(
    ['created', 'unchanged', 'DOMAIN_CONFLICT'].map((result) => found.get(`changes_total{result="${result}"}`)),
    [2, 1, 1],
  )
  assert.is(found.get('generation'), 2)
  assert.is(found.get('batch_changes_count'), 2)
})

test('a change that is rejected before it is part of a batch is counted as well', async () => {
  const deps = await fakeDeps()
  deps.nginx.upstreams.set(APP.upstream_port, 500)
  await put(deps)
  assert.is((await samples(deps)).get('changes_total{result="UPSTREAM_UNHEALTHY"}'), 1)
})

test('whether NGINX would start with the live configuration is exported, whatever the outcome of changes', async () => {
  const deps = await fakeDeps()
  const accept = deps.nginx.judge
  deps.nginx.judge = (texts) =>
    texts.some((text) => text.includes('bad.example.com')) ? refused('fpai-bad.conf', 3, 'bad') : accept(texts)
  await put(deps)
  await put(deps, { domain: 'bad.example.com' }, '/proxies/bad')
  assert.is((await samples(deps)).get('config_test_ok'), 1)
  deps.nginx.judge = () => refused('shop.conf', 12, 'unknown directive')
  await deps.clock.sleep(61_000)
  await samples(deps)
  assert.is((await samples(deps)).get('config_test_ok'), 0)
})

test('tests and reloads of NGINX are counted by their result', async () => {
  const deps = await fakeDeps()
  await put(deps)
  refuseNextReload(deps, PORT_TAKEN)
  await put(deps, { upstream_port: 8005 })
  const accept = deps.nginx.judge
  deps.nginx.judge = (texts) =>
    texts.some((text) => text.includes('127.0.0.1:8006')) ? refused('fpai-app.conf', 3, 'bad') : accept(texts)
  await put(deps, { upstream_port: 8006 })
  const found = await samples(deps)
  assert.ok((found.get('nginx_test_duration_seconds_count{ok="true"}') ?? 0) >= 2)
  assert.ok((found.get('nginx_test_duration_seconds_count{ok="false"}') ?? 0) >= 1)
  assert.ok((found.get('nginx_reload_duration_seconds_count{result="success"}') ?? 0) >= 1)
  assert.is(found.get('nginx_reload_duration_seconds_count{result="refused"}'), 1)
})

test('the series that alerts use exist from the start, with 0: a first failure is an increase', async () => {
  const found = await samples(await fakeDeps())
  for (const name of [
    'nginx_reload_duration_seconds_count{result="refused"}',
    'nginx_reload_duration_seconds_count{result="not_confirmed"}',
    'nginx_reload_duration_seconds_count{result="wrong_certificate"}',
    'nginx_reload_duration_seconds_count{result="not_running"}',
    'nginx_reload_duration_seconds_count{result="upgrading"}',
    'nginx_test_duration_seconds_count{ok="false"}',
    'certbot_runs_total{result="failure"}',
    'upstream_probes_total{status="unhealthy"}',
  ])
    assert.is(found.get(name), 0, name)
})

test('exactly one of the three health states is 1', async () => {
  const deps = await fakeDeps()
  const health = async () => {
    const found = await samples(deps)
    return ['healthy', 'degraded', 'unhealthy'].map((status) => found.get(`health{status="${status}"}`))
  }
  assert.equal(await health(), [1, 0, 0])
  deps.nginx.running = false
  assert.equal(await health(), [0, 0, 1])
})

test('a reload after which another certificate is served counts as failed, as wrong_certificate', async () => {
  const deps = await fakeDeps({ settings: { SSL_PREFLIGHT: 'off' } })
  await put(deps, { enable_ssl: true })
  certbotThatIssues(deps, certificateFor(APP.domain))
  deps.host.probe.handshake = async () => ({ fingerprint: 'f'.repeat(64) })
  await call(issueCertificate, deps, '/proxies/app/ssl', { method: 'POST' })
  const found = await samples(deps)
  const counts = ['success', 'wrong_certificate'].map((result) =>
    found.get(`nginx_reload_duration_seconds_count{result="${result}"}`),
  )
  assert.equal(counts, [1, 1])
})

test('a change while NGINX is stopped counts as a failed reload', async () => {
  const deps = await fakeDeps()
  deps.nginx.running = false
  for (let i = 0; i < 2; i++) await put(deps)
  assert.is((await samples(deps)).get('nginx_reload_duration_seconds_count{result="not_running"}'), 2)
})

test('routes are counted by status; a status without routes is 0', async () => {
  const deps = await fakeDeps()
  const counts = async () => {
    const found = await samples(deps)
    return ['active', 'pending_ssl', 'drifted', 'disabled'].map((status) => found.get(`routes{status="${status}"}`))
  }
  assert.equal(await counts(), [0, 0, 0, 0])
  await put(deps)
  await put(deps, { domain: 'b.example.com', enable_ssl: true }, '/proxies/b')
  assert.equal(await counts(), [1, 1, 0, 0])
  const path = '/etc/nginx/sites-available/fpai-app.conf'
  const entry = deps.disk.get(path)
  writeAt(deps.disk, path, `${entry?.kind === 'file' ? entry.file.text : ''}# by hand\n`)
  deps.disk.delete('/etc/nginx/sites-enabled/fpai-b.conf')
  assert.equal(await counts(), [0, 0, 1, 1])
})

test("a certificate's expiry is exported in seconds until its route is deleted", async () => {
  const deps = await fakeDeps({ settings: { SSL_PREFLIGHT: 'off' } })
  await put(deps, { enable_ssl: true })
  certbotThatIssues(deps, certificateFor(APP.domain))
  const issued = await call(issueCertificate, deps, '/proxies/app/ssl', { method: 'POST' })
  const name = `certificate_expiry_timestamp_seconds{domain="${APP.domain}"}`
  const found = await samples(deps)
  assert.is(found.get(name), Date.parse(issued.body.expiry) / 1000)
  assert.is(found.get('certbot_runs_total{result="success"}'), 1)
  await put(deps)
  assert.not.ok((await samples(deps)).has(name))
})

test('each name that is served over HTTPS has an expiry, an alias that the certificate does not cover has none', async () => {
  const deps = await fakeDeps({ settings: { SSL_PREFLIGHT: 'off' } })
  await put(deps, { enable_ssl: true, options: { aliases: ['www.example.com'] } })
  certbotThatIssues(deps, certificateFor(APP.domain, { aliases: ['www.example.com'] }))
  const issued = await call(issueCertificate, deps, '/proxies/app/ssl', { method: 'POST' })
  await put(deps, { enable_ssl: true, options: { aliases: ['www.example.com', 'new.example.com'] } })
  const found = await samples(deps)
  assert.equal(
    [APP.domain, 'www.example.com', 'new.example.com'].map((name) =>
      found.get(`certificate_expiry_timestamp_seconds{domain="${name}"}`),
    ),
    [Date.parse(issued.body.expiry) / 1000, Date.parse(issued.body.expiry) / 1000, undefined],
  )
})

test('health checks of upstreams are counted by their result', async () => {
  const deps = await fakeDeps()
  await put(deps)
  deps.nginx.upstreams.set(8009, 503)
  await put(deps, { upstream_port: 8009 })
  const found = await samples(deps)
  assert.equal(
    ['healthy', 'unhealthy'].map((status) => found.get(`upstream_probes_total{status="${status}"}`)),
    [1, 1],
  )
})

test('each upstream is up or down, those that are not checked have no sample, and background checks are timed', async () => {
  const deps = await fakeDeps()
  await put(deps)
  await put(deps, { domain: 'down.example.com', upstream_port: 8003 }, '/proxies/down')
  await put(deps, { domain: 'new.example.com', upstream_port: 8004, require_healthy: false }, '/proxies/new')
  const redirect = { domain: 'old.example.com', options: { redirect_to: 'app.example.com' } }
  await put(deps, redirect, '/proxies/redirect')
  deps.nginx.upstreams.set(8003, 503)
  for (let i = 0; i < 3; i++) await deps.engine.checkProxy('down')
  const ups = async () =>
    [...(await samples(deps))].filter(([name]) => name.startsWith('upstream_up')).sort(([a], [b]) => (a < b ? -1 : 1))
  assert.equal(await ups(), [
    ['upstream_up{droplet_name="app"}', 1],
    ['upstream_up{droplet_name="down"}', 0],
  ])
  assert.is((await samples(deps)).get('upstream_check_duration_seconds_count'), 0)
  await deps.engine.startDueChecks()
  await new Promise((resolve) => setImmediate(resolve))
  assert.is((await ups()).length, 3)
  assert.is((await samples(deps)).get('upstream_check_duration_seconds_count'), 1)
})

test("NGINX's own counts are exported if NGINX answers them, otherwise omitted", async () => {
  const deps = await fakeDeps()
  assert.not.ok([...(await samples(deps)).keys()].some((name) => name.startsWith('nginx_connections')))
  const get = deps.host.probe.get
  deps.host.probe.get = async (request) =>
    request.host === GENERATION_NAME && request.path === STATUS_PATH
      ? {
          status: 200,
          body: 'Active connections: 7 \nserver accepts handled requests\n 16 16 31 \nReading: 1 Writing: 2 Waiting: 4 \n',
        }
      : await get(request)
  const found = await samples(deps)
  assert.equal(
    ['active', 'reading', 'writing', 'waiting'].map((state) => found.get(`nginx_connections{state="${state}"}`)),
    [7, 1, 2, 4],
  )
})

test('metrics of the process and the queue are exported', async () => {
  const found = await samples(await fakeDeps())
  assert.is(found.get('queue_depth'), 0)
  assert.ok((found.get('process_resident_memory_bytes') ?? 0) > 0)
  assert.ok([...found.keys()].some((name) => name.startsWith('nodejs_eventloop_lag_seconds')))
})

test('metrics can be read during a change, without waiting', async () => {
  const deps = await fakeDeps()
  await put(deps)
  let release: () => void = () => undefined
  const hangs = new Promise<void>((resolve) => {
    release = resolve
  })
  const run = deps.host.runner.run
  deps.host.runner.run = async (...args) => {
    await hangs
    return await run(...args)
  }
  const change = put(deps, { upstream_port: 8003 })
  assert.is((await answerOf(await getMetrics(requestTo('/proxy-manager/metrics'), deps))).status, 200)
  release()
  assert.is((await change).status, 200)
})

test("names and types are as Prometheus' own checker, promtool check metrics, wants them", async () => {
  const deps = await fakeDeps()
  await put(deps)
  const { text } = await call(getMetrics, deps, '/proxy-manager/metrics')
  const typeOf = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => [name, type]))
  assert.ok(typeOf.size > 40)
  for (const [name, type] of typeOf) {
    assert.match(name, /^[a-z][a-z0-9_]*$/, 'a name has lower case letters, digits and underscores')
    assert.is(name.endsWith('_total'), type === 'counter', `${name} is a ${type}: only counters end with _total`)
    assert.not.match(
      name,
      /_(count|sum|bucket|info_total)$|_(counter|gauge|histogram|summary)(_|$)/,
      'a suffix or type',
    )
    assert.not.match(
      name,
      /(milli|micro|nano|kilo|mega)?(_|^)(ms|minutes|hours|days|milliseconds|kilobytes|megabytes|mb|kb)(_|$)/,
      'a unit that is no base unit',
    )
    assert.match(text, new RegExp(`^# HELP ${name} \\S`, 'm'), `${name} has no help`)
  }
})

test('a parameter answers 400, as JSON', async () => {
  assertIssues(await call(getMetrics, await fakeDeps(), '/proxy-manager/metrics?x=1'), [
    ['x', 'is not a known parameter'],
  ])
})

test.run()
