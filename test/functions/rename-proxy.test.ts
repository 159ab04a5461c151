import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import getProxy from '../../functions/get-proxy.ts'
import putProxy from '../../functions/put-proxy.ts'
import renameProxy from '../../functions/rename-proxy.ts'
import { contentsOf, PORT_TAKEN, refuseNextReload, writeAt } from '../helpers/arrange.ts'
import { certificateFor, putLineage, putSecure, servedFingerprint } from '../helpers/certbot.ts'
import { assertInvariant, backupsOf, filesOf, put, servedPort } from '../helpers/world.ts'
import { APP, assertError, assertIssues, type CallOptions, call, HEALTHY, NO_TIMES, revisionAt } from './wire.ts'

const test = suite('POST /proxies/:droplet_name/rename')

const FILE = '/etc/nginx/sites-available/fpai-app.conf'

async function depsWithApp(): Promise<FakeDeps> {
  const deps = await fakeDeps()
  await call(putProxy, deps, '/proxies/app', { method: 'PUT', body: APP })
  return deps
}

const rename = (deps: FakeDeps, name = 'other', options: CallOptions = {}, query = '') =>
  call(renameProxy, deps, `/proxies/app/rename${query}`, { method: 'POST', body: { droplet_name: name }, ...options })

test('it answers 200 with the route under its new name and a receipt; only the name, revision and time have changed', async () => {
  const deps = await depsWithApp()
  const before = (await call(getProxy, deps, '/proxies/app')).body
  await deps.clock.sleep(1000)
  const { status, body, headers } = await rename(deps)
  const { receipt, ...proxy } = body
  const changed = { droplet_name: 'other', revision: revisionAt(deps, 'other'), updated_at: body.updated_at }
  assert.equal([status, proxy], [200, { ...before, ...changed, health: HEALTHY }])
  assert.not.equal([body.revision, body.updated_at], [before.revision, before.updated_at])
  assert.equal(receipt, {
    generation: 2,
    reloaded: true,
    proved_by: 'generation_probe',
    proved_ms: 0,
    batch: 1,
    former: [],
  })
  assert.equal([headers.get('etag'), headers.get('server-timing')], [`"${body.revision}"`, NO_TIMES])
  assert.equal((await call(getProxy, deps, '/proxies/other')).body, { ...before, ...changed })
  assertError(await call(getProxy, deps, '/proxies/app'), 'PROXY_NOT_FOUND')
  assert.equal([...filesOf(deps).keys()].filter((path) => path.includes('fpai-')).sort(), [
    '/etc/nginx/sites-available/fpai-other.conf',
    '/etc/nginx/sites-enabled/fpai-other.conf',
  ])
  assertInvariant(deps)
})

test('the certificate moves along, and a health check that is later than the file', async () => {
  const deps = await fakeDeps()
  const certificate = certificateFor('app.example.com')
  putLineage(deps.disk, 'app.example.com', certificate)
  await putSecure(deps, 'app', 'app.example.com')
  await deps.clock.sleep(60_000)
  const { last_health_checked_at } = (await putSecure(deps, 'app', 'app.example.com')).proxy
  const { body } = await rename(deps)
  assert.equal([body.status, body.receipt.proved_by], ['active', 'tls_handshake'])
  assert.is(body.last_health_checked_at, last_health_checked_at)
  assert.is(servedFingerprint(deps, 'app.example.com'), certificate.fingerprint)
  assertInvariant(deps)
})

test('a route that is missing is a 404, a name that is taken a 409, the same or an invalid name a 400; nothing changes', async () => {
  const deps = await depsWithApp()
  await put(deps, 'taken', 'taken.example.com', 8003)
  writeAt(deps.disk, '/etc/nginx/sites-available/fpai-foreign.conf', 'server {}\n')
  await deps.engine.idle()
  const before = contentsOf(deps.disk)
  const missing = await call(renameProxy, deps, '/proxies/none/rename', { method: 'POST', body: { droplet_name: 'b' } })
  assertError(missing, 'PROXY_NOT_FOUND')
  const owner = { droplet_name: 'taken', domain: 'taken.example.com' }
  assert.equal(assertError(await rename(deps, 'taken'), 'DROPLET_EXISTS').owner, owner)
  assert.equal(assertError(await rename(deps, 'foreign'), 'DROPLET_EXISTS').owner, { file: 'fpai-foreign.conf' })
  assertIssues(await rename(deps, 'app'), [['droplet_name', 'must be another name than the present one']])
  for (const name of ['', 'APP', '../app', '000-proxy-manager', 'a'.repeat(64), null, 1])
    assertError(await rename(deps, 'x', { body: { droplet_name: name } }), 'INVALID_REQUEST')
  assertIssues(await rename(deps, 'x', { body: {} }), [['droplet_name', 'is required']])
  assertIssues(await rename(deps, 'x', { body: { droplet_name: 'x', domain: 'b.example.com' } }), [
    ['domain', 'is not a known field'],
  ])
  assert.equal(contentsOf(deps.disk), before)
})

test('If-Match of another revision is a 412, that of the route succeeds', async () => {
  const deps = await depsWithApp()
  const stale = await rename(deps, 'other', { headers: { 'if-match': '"0000000000000000"' } })
  assert.is(assertError(stale, 'PRECONDITION_FAILED').revision, revisionAt(deps, 'app'))
  const current = { 'if-match': `"${revisionAt(deps, 'app')}"` }
  assert.is((await rename(deps, 'other', { headers: current })).status, 200)
})

test('with dry_run it answers the route as it would be and the plan, and changes nothing', async () => {
  const deps = await depsWithApp()
  const before = contentsOf(deps.disk)
  const { status, body } = await rename(deps, 'other', {}, '?dry_run=true')
  assert.equal([status, body.droplet_name, body.receipt], [200, 'other', undefined])
  assert.equal(
    body.plan.changes.map(({ path, action }: { path: string; action: string }) => [path.slice(11), action]),
    [
      ['sites-available/000-proxy-manager.conf', 'replace'],
      ['sites-available/fpai-app.conf', 'delete'],
      ['sites-enabled/fpai-app.conf', 'delete'],
      ['sites-available/fpai-other.conf', 'create'],
      ['sites-enabled/fpai-other.conf', 'create'],
    ],
  )
  assert.equal(contentsOf(deps.disk), before)
})

test('a rename that NGINX does not apply leaves the old name, and an edit by hand is kept in the backups', async () => {
  const deps = await depsWithApp()
  const file = deps.disk.get(FILE)
  const edited = `${file?.kind === 'file' ? file.file.text : ''}# by hand\n`
  writeAt(deps.disk, FILE, edited)
  refuseNextReload(deps, PORT_TAKEN)
  assert.is(assertError(await rename(deps), 'NGINX_RELOAD_FAILED').state, 'rolled_back')
  assert.is((await call(getProxy, deps, '/proxies/app')).body.status, 'drifted')
  assert.is((await rename(deps)).body.status, 'active')
  assert.equal(backupsOf(deps).at(-1)?.slice(0, 2), ['fpai-app.conf', edited])
  assertInvariant(deps)
})

test('whatever arrives with a rename, every name is served by one route, in the order of the calls', async () => {
  const deps = await depsWithApp()
  const renamed = deps.engine.renameProxy({ dropletName: 'app', newName: 'other', precondition: {} })
  const results = await Promise.allSettled([
    renamed,
    put(deps, 'app', 'app.example.com', 8005, false),
    put(deps, 'other', 'app.example.com', 8006, false),
    put(deps, 'third', 'app.example.com', 8007, false),
  ])
  await deps.engine.idle()
  const outcomes = results.map((result) => (result.status === 'fulfilled' ? result.value.outcome : result.reason.code))
  assert.equal(outcomes, ['replaced', 'DOMAIN_CONFLICT', 'replaced', 'DOMAIN_CONFLICT'])
  assert.is(servedPort(deps, 'app.example.com'), 8006)
  assertInvariant(deps)
})

test.run()
