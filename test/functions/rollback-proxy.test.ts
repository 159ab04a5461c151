import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { FakeDeps } from '../../fixtures/deps.ts'
import putProxy from '../../functions/put-proxy.ts'
import rollbackProxy from '../../functions/rollback-proxy.ts'
import { eventsOf, put, remove, routeFilesOf, servedPort, worldWithRoute } from '../helpers/world.ts'
import { assertError, assertIssues, call } from './wire.ts'

const test = suite('POST /proxies/:droplet_name/rollback')

const back = (deps: FakeDeps, body: object = {}, query = '', headers = {}) =>
  call(rollbackProxy, deps, `/proxies/old/rollback${query}`, { method: 'POST', body, headers })

async function world(): Promise<FakeDeps> {
  const deps = await worldWithRoute()
  for (const port of [8002, 8003]) await put(deps, 'old', 'old.example.com', port)
  return deps
}

test('it puts the version before, or the one that is named, as a new version', async () => {
  const deps = await world()
  const { status, body } = await back(deps)
  assert.equal([status, body.upstream_port, body.receipt.reloaded], [200, 8002, true])
  assert.is(servedPort(deps, 'old.example.com'), 8002)
  assert.is((await back(deps, { to: 1 })).body.upstream_port, 8001)
  const events = eventsOf(deps).filter(({ type }) => type === 'route.rolled_back')
  assert.equal(
    events.map(({ details }) => details.version),
    [2, 1],
  )
  const versions = await deps.engine.readHistory('old')
  assert.equal(versions.map(({ version, outcome }) => [version, outcome]).slice(0, 2), [
    [5, 'rolled_back'],
    [4, 'rolled_back'],
  ])
})

test('it brings a deleted route back as it was served last', async () => {
  const deps = await world()
  await remove(deps, 'old')
  assert.is((await back(deps)).status, 201)
  assert.is(servedPort(deps, 'old.example.com'), 8003)
})

test('it is a PUT: it can be tried, has preconditions, and is refused as any other', async () => {
  const deps = await world()
  const files = routeFilesOf(deps)
  const tried = await back(deps, { to: 1 }, '?dry_run=true')
  assert.equal([tried.body.upstream_port, tried.body.plan.changes.length > 0], [8001, true])
  assertError(await back(deps, {}, '', { 'if-match': '"x"' }), 'PRECONDITION_FAILED')
  deps.nginx.upstreams.set(8002, 503)
  assertError(await back(deps), 'UPSTREAM_UNHEALTHY')
  assert.equal(routeFilesOf(deps), files)
})

test('a version that there is not, a deletion, and a droplet without history are refused', async () => {
  const deps = await world()
  assertError(await back(deps, { to: 9 }), 'VERSION_NOT_FOUND')
  await remove(deps, 'old')
  assertError(await back(deps, { to: 4 }), 'VERSION_NOT_FOUND')
  const path = '/proxies/none/rollback'
  assertError(await call(rollbackProxy, deps, path, { method: 'POST', body: {} }), 'PROXY_NOT_FOUND')
  assertIssues(await back(deps, { to: '1' }), [['to', 'must be the number of a version']])
})

test('a version with several upstreams comes back with all of them, and its event says that they have changed', async () => {
  const deps = await worldWithRoute()
  const upstreams = [
    { host: '10.0.0.1', port: 1, backup: true },
    { host: '10.0.0.2', port: 2, backup: false },
  ]
  const body = {
    domain: 'old.example.com',
    upstreams,
    enable_ssl: false,
    options: { request_headers: { Cookie: null } },
  }
  await call(putProxy, deps, '/proxies/old', { method: 'PUT', body })
  const [newest] = await deps.engine.readHistory('old')
  assert.equal(newest?.route?.upstreams, upstreams)
  await put(deps, 'old', 'old.example.com', 8003)
  const answer = (await back(deps)).body
  assert.equal([answer.upstreams, answer.options.request_headers], [upstreams, { Cookie: null }])
  const event = eventsOf(deps).findLast(({ type }) => type === 'route.rolled_back')
  assert.equal(event?.details.changed, ['upstream_host', 'upstream_port', 'upstreams', 'options'])
  assert.is((await deps.engine.readHistory('old')).length, 4)
})

test.run()
