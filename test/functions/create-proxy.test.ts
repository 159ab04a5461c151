import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import createProxy from '../../functions/create-proxy.ts'
import { contentsOf, writeAt } from '../helpers/arrange.ts'
import { APP, appProxy, assertError, assertIssues, call, NO_TIMES, revisionAt } from './wire.ts'

const test = suite('POST /proxies')

const post = (deps: FakeDeps, body: unknown, query = '') =>
  call(createProxy, deps, `/proxies${query}`, { method: 'POST', body })

test('POST /proxies answers 201, the route, its receipt, ETag, Location and Server-Timing', async () => {
  const deps = await fakeDeps()
  const answer = await post(deps, { droplet_name: 'app', ...APP })
  assert.is(answer.status, 201)
  const receipt = { generation: 1, reloaded: true, proved_by: 'generation_probe', proved_ms: 0, batch: 1, former: [] }
  assert.equal(answer.body, { ...appProxy(deps), receipt })
  assert.is(answer.headers.get('etag'), `"${revisionAt(deps, 'app')}"`)
  assert.is(answer.headers.get('location'), '/proxies/app')
  assert.is(answer.headers.get('server-timing'), NO_TIMES)
})

test('POST without a name derives it from the domain', async () => {
  const deps = await fakeDeps()
  const answer = await post(deps, APP)
  assert.equal([answer.status, answer.body.droplet_name], [201, 'app-example-com'])
  assert.is(answer.headers.get('location'), '/proxies/app-example-com')
})

test('POST of a domain from which no name can be derived answers 400 and says what to pass', async () => {
  const deps = await fakeDeps()
  assertIssues(await post(deps, { ...APP, domain: `${'a'.repeat(60)}.example.com` }), [
    ['', 'no droplet name can be made from this domain: pass droplet_name'],
  ])
})

test('POST of the current configuration answers 200 and reloads nothing', async () => {
  const deps = await fakeDeps()
  await post(deps, { droplet_name: 'app', ...APP })
  const answer = await post(deps, { droplet_name: 'app', ...APP })
  assert.equal([answer.status, answer.body.receipt.reloaded], [200, false])
  assert.is(deps.nginx.reloads, 1)
})

test('POST of a different configuration answers 409 and does not change the route', async () => {
  const deps = await fakeDeps()
  await post(deps, { droplet_name: 'app', ...APP })
  const before = contentsOf(deps.disk)
  for (const other of [{ upstream_port: 8003 }, { domain: 'new.example.com' }, { enable_ssl: true }]) {
    const details = assertError(await post(deps, { droplet_name: 'app', ...APP, ...other }), 'DROPLET_EXISTS')
    assert.equal(details.owner, { droplet_name: 'app', domain: 'app.example.com' })
  }
  assert.equal(contentsOf(deps.disk), before)
})

test('POST of a domain that another route serves answers 409 with its owner', async () => {
  const deps = await fakeDeps()
  await post(deps, { droplet_name: 'app', ...APP })
  const details = assertError(await post(deps, { droplet_name: 'b', ...APP }), 'DOMAIN_CONFLICT')
  assert.equal(
    [details.domain, details.owner, details.culprit],
    ['app.example.com', { droplet_name: 'app' }, 'other_route'],
  )
})

test('POST of a domain that a server block written by hand serves answers 409 with file and line', async () => {
  const deps = await fakeDeps()
  writeAt(deps.disk, '/etc/nginx/conf.d/shop.conf', 'server { listen 80; server_name app.example.com; }\n')
  const answer = await post(deps, { droplet_name: 'app', ...APP })
  assert.equal(assertError(answer, 'DOMAIN_CONFLICT').owner, { file: 'shop.conf', line: 1 })
})

test('POST with HTTPS but without a certificate answers 202 and the next step', async () => {
  const deps = await fakeDeps()
  const answer = await post(deps, { domain: 'app.example.com', upstream_port: 8002 })
  assert.is(answer.status, 202)
  assert.is(answer.body.next.path, '/proxies/app-example-com/ssl')
})

test('POST with dry_run creates nothing', async () => {
  const deps = await fakeDeps()
  const before = contentsOf(deps.disk)
  const answer = await post(deps, { droplet_name: 'app', ...APP }, '?dry_run=true')
  assert.equal([answer.status, answer.body.plan.changes.length, answer.body.plan.nginx_test.ok], [200, 4, true])
  assert.equal(contentsOf(deps.disk), before)
})

test('POST of invalid names answers 400 and changes nothing', async () => {
  const deps = await fakeDeps()
  const before = contentsOf(deps.disk)
  for (const droplet_name of [
    '..',
    '.',
    '',
    'a/b',
    'a\\b',
    '-rf',
    '.hidden',
    'a'.repeat(64),
    'A',
    'a b',
    'default',
    1,
  ]) {
    const { issues } = assertError(await post(deps, { droplet_name, ...APP }), 'INVALID_REQUEST')
    assert.match(JSON.stringify(issues), '"path":"droplet_name"')
  }
  assert.equal(contentsOf(deps.disk), before)
})

test('twenty callers create one route at once: one 201, the others 200 or 409, one route', async () => {
  const deps = await fakeDeps()
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) => post(deps, { droplet_name: 'app', ...APP, upstream_port: 8002 + (i % 2) })),
  )
  const statuses = answers.map(({ status }) => status)
  assert.is(statuses.filter((status) => status === 201).length, 1)
  assert.is(statuses.filter((status) => status === 200).length, 9)
  assert.is(statuses.filter((status) => status === 409).length, 10)
  assert.is(deps.nginx.reloads, 1)
})

test.run()
