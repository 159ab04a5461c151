import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import deleteCertificate from '../../functions/delete-certificate.ts'
import { contentsOf } from '../helpers/arrange.ts'
import { certificateFor, putChoosing, putSecure, STATE, upload } from '../helpers/certbot.ts'
import { eventsOf, remove } from '../helpers/world.ts'
import { assertError, call } from './wire.ts'

const test = suite('DELETE /certificates/:name')

const DOMAIN = 'app.example.com'
const FIRST = certificateFor(DOMAIN)

const del = (deps: FakeDeps, query = '') =>
  call(deleteCertificate, deps, `/certificates/corp${query}`, { method: 'DELETE' })

test('an unused certificate is deleted with its key; a dry run only says so', async () => {
  const deps = await fakeDeps()
  await upload(deps, 'corp', FIRST)
  const before = contentsOf(deps.disk)
  const dryRun = await del(deps, '?dry_run=true')
  assert.equal([dryRun.status, dryRun.body.status, dryRun.body.plan.changes.length], [200, 'would_delete', 1])
  assert.equal(contentsOf(deps.disk), before)
  const { status, body } = await del(deps)
  assert.equal([status, body], [200, { status: 'deleted', name: 'corp' }])
  assert.equal(
    [...deps.disk.keys()].filter((path) => path.startsWith(`${STATE}/uploads/`)),
    [],
  )
  assert.is(eventsOf(deps).at(-1)?.type, 'certificate.deleted')
  assertError(await del(deps), 'CERTIFICATE_NOT_FOUND')
})

test('one that a route has chosen, or is still served with, is 409 with the names of these routes', async () => {
  const deps = await fakeDeps()
  await upload(deps, 'corp', FIRST)
  await putChoosing(deps, 'app', DOMAIN, { name: 'corp' })
  assert.equal(assertError(await del(deps), 'CERTIFICATE_IN_USE').users, ['app'])
  await putSecure(deps, 'app', DOMAIN)
  assert.equal(assertError(await del(deps), 'CERTIFICATE_IN_USE').users, ['app'])
  await remove(deps, 'app')
  assert.is((await del(deps)).status, 200)
})

test.run()
