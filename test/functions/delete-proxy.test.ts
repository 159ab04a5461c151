import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import deleteProxy from '../../functions/delete-proxy.ts'
import getProxy from '../../functions/get-proxy.ts'
import putProxy from '../../functions/put-proxy.ts'
import { contentsOf, PORT_TAKEN, refuseNextReload } from '../helpers/arrange.ts'
import { certbotThat, certificateFor, copiesOf, putLineage, putSecure } from '../helpers/certbot.ts'
import { filesOf } from '../helpers/world.ts'
import { APP, assertError, assertIssues, type CallOptions, call, NO_TIMES, revisionAt } from './wire.ts'

const test = suite('DELETE /proxies/:droplet_name')

async function depsWithApp(): Promise<FakeDeps> {
  const deps = await fakeDeps()
  await call(putProxy, deps, '/proxies/app', { method: 'PUT', body: APP })
  return deps
}

const remove = (deps: FakeDeps, path = '/proxies/app', options: CallOptions = {}) =>
  call(deleteProxy, deps, path, { method: 'DELETE', ...options })

test('DELETE /proxies/:droplet_name answers 200 with a receipt, and removes file and symlink', async () => {
  const deps = await depsWithApp()
  const answer = await remove(deps)
  assert.is(answer.status, 200)
  assert.equal(answer.body, {
    status: 'deleted',
    droplet_name: 'app',
    receipt: {
      generation: 2,
      reloaded: true,
      proved_by: 'generation_probe',
      proved_ms: 0,
      batch: 1,
      former: [{ upstream: 'http://localhost:8002', drained: true, connections: 0, waited_ms: 0 }],
    },
  })
  assert.is(answer.headers.get('server-timing'), NO_TIMES)
  assert.equal(
    [...filesOf(deps).keys()].filter((path) => path.includes('fpai-')),
    [],
  )
  assertError(await call(getProxy, deps, '/proxies/app'), 'PROXY_NOT_FOUND')
})

test('DELETE of a deleted route answers 404', async () => {
  const deps = await depsWithApp()
  await remove(deps)
  assertError(await remove(deps), 'PROXY_NOT_FOUND')
})

test('DELETE of an invalid name answers 400 and removes nothing', async () => {
  const deps = await depsWithApp()
  const before = contentsOf(deps.disk)
  for (const name of ['%2e%2e%2fnginx.conf', '000-proxy-manager', 'APP', 'app%00'])
    assertError(await remove(deps, `/proxies/${name}`), 'INVALID_REQUEST')
  assert.equal(contentsOf(deps.disk), before)
})

test('DELETE with If-Match of another revision answers 412 and removes nothing', async () => {
  const deps = await depsWithApp()
  const before = contentsOf(deps.disk)
  const stale = await remove(deps, '/proxies/app', { headers: { 'if-match': '"0000000000000000"' } })
  assert.is(assertError(stale, 'PRECONDITION_FAILED').revision, revisionAt(deps, 'app'))
  assert.equal(contentsOf(deps.disk), before)
  const etag = `"${revisionAt(deps, 'app')}"`
  assert.is((await remove(deps, '/proxies/app', { headers: { 'if-match': etag } })).status, 200)
})

test('DELETE with dry_run answers what would be removed, and removes nothing', async () => {
  const deps = await depsWithApp()
  const before = contentsOf(deps.disk)
  const { status, body } = await remove(deps, '/proxies/app?dry_run=true')
  assert.is(status, 200)
  assert.equal([body.status, body.droplet_name, body.receipt], ['would_delete', 'app', undefined])
  assert.equal(
    body.plan.changes.map(({ path, action }: { path: string; action: string }) => [path, action]),
    [
      ['/etc/nginx/sites-available/000-proxy-manager.conf', 'replace'],
      ['/etc/nginx/sites-available/fpai-app.conf', 'delete'],
      ['/etc/nginx/sites-enabled/fpai-app.conf', 'delete'],
    ],
  )
  assert.match(body.plan.changes[1].diff, '+++ /dev/null')
  assert.equal(contentsOf(deps.disk), before)
  assert.is(deps.nginx.reloads, 1)
})

test('DELETE that NGINX does not apply answers 500 and keeps the route', async () => {
  const deps = await depsWithApp()
  refuseNextReload(deps, PORT_TAKEN)
  assert.is(assertError(await remove(deps), 'NGINX_RELOAD_FAILED').state, 'rolled_back')
  assert.is((await call(getProxy, deps, '/proxies/app')).status, 200)
})

test('DELETE with an unknown parameter answers 400', async () => {
  const deps = await depsWithApp()
  assertIssues(await remove(deps, '/proxies/app?force=true'), [['force', 'is not a known parameter']])
})

const DOMAIN = 'app.example.com'
const LINEAGE = `/etc/letsencrypt/live/${DOMAIN}/fullchain.pem`

async function depsWithCertificate(): Promise<FakeDeps> {
  const deps = await fakeDeps()
  putLineage(deps.disk, DOMAIN, certificateFor(DOMAIN))
  assert.is((await putSecure(deps, 'app', DOMAIN)).proxy.status, 'active')
  return deps
}

test('DELETE keeps the certificate, and does not mention it', async () => {
  const deps = await depsWithCertificate()
  const { status, body } = await remove(deps)
  assert.equal([status, body.certificate_deleted], [200, undefined])
  assert.ok(deps.disk.has(LINEAGE))
})

test('DELETE with delete_certificate deletes lineage and copies after the route, and says so', async () => {
  const deps = await depsWithCertificate()
  const calls = certbotThat(deps, () => {
    assert.equal(
      [...filesOf(deps).keys()].filter((path) => path.includes('fpai-')),
      [],
    )
    for (const path of [...deps.disk.keys()]) if (path.startsWith('/etc/letsencrypt/')) deps.disk.delete(path)
    return { exitCode: 0, output: '' }
  })
  const { status, body } = await remove(deps, '/proxies/app?delete_certificate=true')
  assert.equal([status, body.status, body.certificate_deleted], [200, 'deleted', true])
  assert.is(body.receipt.reloaded, true)
  assert.equal(
    calls.map(([verb]) => verb),
    ['delete'],
  )
  assert.equal(copiesOf(deps, DOMAIN), [])
})

test('DELETE whose certificate cannot be deleted answers 200, and says so', async () => {
  const deps = await depsWithCertificate()
  certbotThat(deps, () => ({ exitCode: 1, output: '' }))
  const { rename } = deps.host.files
  deps.host.files.rename = async (from, to) => {
    if (from.startsWith('/etc/letsencrypt/')) throw Object.assign(new Error('EROFS'), { code: 'EROFS' })
    await rename(from, to)
  }
  const { status, body } = await remove(deps, '/proxies/app?delete_certificate=true')
  assert.equal([status, body.status, body.certificate_deleted], [200, 'deleted', false])
  assert.ok(deps.disk.has(LINEAGE))
})

test('DELETE with delete_certificate keeps the certificate if the route is not removed', async () => {
  const deps = await depsWithCertificate()
  const calls = certbotThat(deps, () => ({ exitCode: 0, output: '' }))
  refuseNextReload(deps, PORT_TAKEN)
  assertError(await remove(deps, '/proxies/app?delete_certificate=true'), 'NGINX_RELOAD_FAILED')
  assert.equal([calls.length, deps.disk.has(LINEAGE)], [0, true])
  const before = contentsOf(deps.disk)
  assert.is((await remove(deps, '/proxies/app?delete_certificate=true&dry_run=true')).status, 200)
  assert.equal(contentsOf(deps.disk), before)
})

test('DELETE with a delete_certificate that is neither true nor false answers 400 and removes nothing', async () => {
  const deps = await depsWithCertificate()
  const before = contentsOf(deps.disk)
  assertError(await remove(deps, '/proxies/app?delete_certificate=yes'), 'INVALID_REQUEST')
  assert.equal(contentsOf(deps.disk), before)
})

test.run()
