import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import exportRoutes from '../../functions/export-routes.ts'
import importRoutes from '../../functions/import-routes.ts'
import { contentsOf } from '../helpers/arrange.ts'
import { put, servedPort } from '../helpers/world.ts'
import { assertError, assertIssues, call } from './wire.ts'

const test = suite('POST /import')

const route = (name: string, port: number, more: object = {}) => ({
  droplet_name: name,
  domain: `${name}.example.com`,
  upstream_port: port,
  enable_ssl: false,
  ...more,
})

const importing = (deps: FakeDeps, routes: readonly object[], query = '') =>
  call(importRoutes, deps, `/import${query}`, { method: 'POST', body: { version: 1, routes } })

test('what GET /export has answered makes an empty host the same one, in one reload', async () => {
  const old = await fakeDeps()
  for (const [i, name] of ['a', 'b', 'c'].entries()) await put(old, name, `${name}.example.com`, 8001 + i)
  const { body, text } = await call(exportRoutes, old, '/export')
  const deps = await fakeDeps()
  const answer = await importing(deps, [...body.routes, route('d', 8004, { source: 'registry' })])
  assert.is(answer.status, 200)
  assert.equal([answer.body.created, answer.body.skipped, deps.nginx.reloads], [['a', 'b', 'c', 'd'], [], 1])
  assert.is(servedPort(deps, 'b.example.com'), 8002)
  const again = await call(exportRoutes, deps, '/export')
  assert.is(again.text.replace(/,\{"droplet_name":"d".*?\}/, ''), text)
  assert.is(again.body.routes[3].source, 'registry')
  assert.equal((await importing(deps, again.body.routes)).body.unchanged, ['a', 'b', 'c', 'd'])
  assert.is(deps.nginx.reloads, 1)
})

test('a route that cannot be put is skipped with its reason; require_healthy=false puts one whose droplet is down', async () => {
  const deps = await fakeDeps()
  await put(deps, 'own', 'own.example.com', 8001)
  const routes = [route('a', 8001), route('b', 8002, { domain: 'own.example.com' }), route('down', 9)]
  deps.nginx.upstreams.set(9, 503)
  const { body } = await importing(deps, routes)
  const names = (skipped: readonly { readonly name: string }[]) => skipped.map(({ name }) => name).sort()
  assert.equal(
    [body.created, names(body.skipped), body.skipped_count, body.orphaned],
    [['a'], ['b', 'down'], 2, ['own']],
  )
  const second = await importing(deps, routes, '?require_healthy=false')
  assert.equal([second.body.created, names(second.body.skipped)], [['down'], ['b']])
})

test('prune deletes what the document does not have; many deletions need their number', async () => {
  const deps = await fakeDeps()
  for (const name of ['a', 'b', 'c', 'd']) await put(deps, name, `${name}.example.com`, 8001)
  const before = contentsOf(deps.disk)
  const refused = await importing(deps, [route('a', 8001)], '?prune=true')
  assert.equal(assertError(refused, 'BLAST_RADIUS').orphaned, ['b', 'c', 'd'])
  const planned = await importing(deps, [route('a', 8001)], '?prune=true&dry_run=true')
  assert.equal([planned.body.dry_run, planned.body.confirm_needed, planned.body.deleted], [true, 3, ['b', 'c', 'd']])
  assert.ok(planned.body.plan.changes.length >= 3)
  assert.equal(contentsOf(deps.disk), before)
  const { body } = await importing(deps, [route('a', 8001)], '?prune=true&confirm=3')
  assert.equal([body.deleted, body.unchanged, body.orphaned], [['b', 'c', 'd'], ['a'], []])
  assert.is(servedPort(deps, 'b.example.com'), undefined)
})

test('every fault of the document is reported with its place, and nothing is changed', async () => {
  const deps = await fakeDeps()
  const before = contentsOf(deps.disk)
  assertIssues(await importing(deps, [route('a', 8001), { ...route('b', 0), surprise: 1 }]), [
    ['routes.1.upstream_port', 'must be an integer from 1 to 65535'],
    ['routes.1.surprise', 'is not a known field'],
  ])
  assertIssues(await importing(deps, [route('a', 8001), route('a', 8002)]), [
    ['routes', 'must not have a droplet_name twice'],
  ])
  const other = await call(importRoutes, deps, '/import', { method: 'POST', body: { version: 2, routes: [] } })
  assertIssues(other, [['version', 'must be 1']])
  assert.equal(contentsOf(deps.disk), before)
})

test('a document of more than 64 KiB is accepted, and one of more than 4 MiB is not', async () => {
  const deps = await fakeDeps()
  const many = Array.from({ length: 600 }, (_, i) =>
    route(`r${i}`, 8001, { options: { read_timeout_s: 60, buffering: true } }),
  )
  assert.ok(JSON.stringify(many).length > 65_536)
  assert.is((await importing(deps, many)).body.created.length, 600)
  assertError(await importing(deps, [{ padding: 'x'.repeat(4 * 1024 * 1024) }]), 'PAYLOAD_TOO_LARGE')
})

test('of a document with a million faults only the first is collected', async () => {
  const deps = await fakeDeps()
  const startedMs = performance.now()
  const few = await importing(deps, [{}, {}])
  const routes = Array.from({ length: 300_000 }, () => ({}))
  const many = await importing(deps, routes)
  assert.equal([few.body.error.details.issues.length > 2, many.body.error.details.issues.length], [true, 1])
  assertIssues(many, [['routes.0.droplet_name', 'is required']])
  assert.ok(performance.now() - startedMs < 5000)
})

test.run()
