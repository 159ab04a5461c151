import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import getProxy from '../../functions/get-proxy.ts'
import putProxy from '../../functions/put-proxy.ts'
import { textAt, writeAt } from '../helpers/arrange.ts'
import { APP, appDetails, assertError, assertIssues, call, revisionAt } from './wire.ts'

const test = suite('GET /proxies/:droplet_name')

async function depsWithApp(): Promise<FakeDeps> {
  const deps = await fakeDeps()
  await call(putProxy, deps, '/proxies/app', { method: 'PUT', body: APP })
  return deps
}

test('GET /proxies/:droplet_name answers 200, the route and its ETag', async () => {
  const deps = await depsWithApp()
  const answer = await call(getProxy, deps, '/proxies/app')
  assert.is(answer.status, 200)
  assert.equal(answer.body, appDetails(deps))
  assert.is(answer.headers.get('etag'), `"${revisionAt(deps, 'app')}"`)
})

test('GET of a droplet without a route answers 404', async () => {
  const deps = await depsWithApp()
  assertError(await call(getProxy, deps, '/proxies/none'), 'PROXY_NOT_FOUND')
})

test('GET of an invalid name answers 400, never a path', async () => {
  const deps = await depsWithApp()
  writeAt(deps.disk, '/etc/nginx/secret.conf', 'secret')
  for (const name of ['%2e%2e', '%2e%2e%2fsecret', '..%252F..', 'app%00', 'APP', '%61pp', 'a'.repeat(64)])
    assertError(await call(getProxy, deps, `/proxies/${name}`), 'INVALID_REQUEST')
})

test('GET with a parameter answers 400 with its name', async () => {
  const deps = await depsWithApp()
  assertIssues(await call(getProxy, deps, '/proxies/app?verbose=1'), [['verbose', 'is not a known parameter']])
})

test('GET shows a manual edit; the ETag stays, since the record is the same', async () => {
  const deps = await depsWithApp()
  const path = '/etc/nginx/sites-available/fpai-app.conf'
  const before = revisionAt(deps, 'app')
  writeAt(deps.disk, path, `${textAt(deps.disk, path)}# mine\n`)
  const answer = await call(getProxy, deps, '/proxies/app')
  assert.equal(answer.body, appDetails(deps, { status: 'drifted' }))
  assert.is(answer.body.revision, before)
})

test('GET shows a route without its symlink as disabled', async () => {
  const deps = await depsWithApp()
  deps.disk.delete('/etc/nginx/sites-enabled/fpai-app.conf')
  assert.is((await call(getProxy, deps, '/proxies/app')).body.status, 'disabled')
})

test('GET of a file that another program has corrupted answers 404, not 500', async () => {
  const deps = await depsWithApp()
  writeAt(deps.disk, '/etc/nginx/sites-available/fpai-app.conf', '\u0000\u0001')
  assertError(await call(getProxy, deps, '/proxies/app'), 'PROXY_NOT_FOUND')
})

test.run()
