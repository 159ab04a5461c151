import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import { registration } from '../../lib/mesh/announcements.ts'
import { registrar } from '../../lib/mesh/registrar.ts'
import { type FakeRegistry, fakeRegistry } from '../helpers/fake-registry.ts'

const test = suite('registrar')
const LOST = { status: 404, body: '{"detail":"Not Found"}' }

async function world() {
  const { host } = await fakeDeps({ settings: { REGISTRY_URL: 'http://registry.example/api' } })
  const registry = fakeRegistry()
  host.http.request = registry.request
  const own = registration(host.settings, '1.2.3')
  return { registry, own, keep: registrar(host, own) }
}

/** The requests that changed something. */
const changesOf = ({ requests }: FakeRegistry) => requests.filter((request) => !request.startsWith('GET '))

test('a missing record is made, and one that is right is left alone', async () => {
  const { registry, own, keep } = await world()
  assert.equal(await keep(), { outcome: 'registered' })
  assert.equal(registry.records, [{ id: 1, ...own }])
  for (let i = 0; i < 3; i++) assert.equal(await keep(), { outcome: 'unchanged' })
  assert.equal(changesOf(registry), ['POST /droplets'])
})

test('a Registry that was restarted and lost the record gets it again', async () => {
  const { registry, keep } = await world()
  await keep()
  registry.records.length = 0
  assert.equal(await keep(), { outcome: 'registered' })
  assert.is(registry.records.length, 1)
})

test('a record with another address, or that says that we do not run, is corrected by its number', async () => {
  for (const wrong of [
    { endpoint: 'http://10.0.0.9:8100' },
    { port: 9 },
    { status: 'inactive' },
    { metadata: { droplet_id: 'proxy-manager', version: '0.9.0' } },
  ]) {
    const { registry, own, keep } = await world()
    registry.records.push({ id: 7, ...own, ...wrong })
    assert.equal(await keep(), { outcome: 'updated' }, JSON.stringify(wrong))
    assert.equal(registry.records, [{ id: 7, ...own }])
    assert.equal(await keep(), { outcome: 'unchanged' })
    assert.equal(changesOf(registry), ['PATCH /droplets/7'])
  }
})

test('what a Registry does not store, or says in its own words, is not corrected', async () => {
  const { registry, own, keep } = await world()
  registry.records.push({
    id: 7,
    name: own.name,
    endpoint: `${own.endpoint}/`,
    status: 'Online',
    metadata: { more: 1 },
  })
  assert.equal(await keep(), { outcome: 'unchanged' })
  assert.equal(changesOf(registry), [])
})

test('a Registry that stores something else than it was sent is corrected once, not at every look', async () => {
  const { registry, own, keep } = await world()
  registry.records.push({ id: 7, ...own, endpoint: 'http://proxy.example/normalized' })
  registry.override = (method) => (method === 'PATCH' ? { status: 200, body: '{}' } : undefined)
  assert.equal(await keep(), { outcome: 'updated' })
  assert.equal([await keep(), await keep()], [{ outcome: 'unchanged' }, { outcome: 'unchanged' }])
})

test('without a look-up by name the record is found in the list', async () => {
  const { registry, own, keep } = await world()
  registry.override = (_, path) => (path.startsWith('/droplets/name/') ? LOST : undefined)
  registry.records.push({ id: 3, ...own, port: 9 })
  assert.equal([await keep(), await keep()], [{ outcome: 'updated' }, { outcome: 'unchanged' }])
  assert.equal(changesOf(registry), ['PATCH /droplets/3'])
})

test('a Registry that does not show its records is asked to add this one once, and 409 is as good as 201', async () => {
  for (const status of [201, 409]) {
    const { registry, keep } = await world()
    registry.override = (method) => (method === 'GET' ? { status: 403, body: '' } : { status, body: '' })
    assert.equal([await keep(), await keep()], [{ outcome: 'registered' }, { outcome: 'unchanged' }])
    assert.equal(changesOf(registry), ['POST /droplets'])
  }
})

test('a failure is named, whichever request it is, and makes no second record', async () => {
  for (const [answers, failure] of [
    [() => ({ failure: 'ECONNREFUSED' }), 'ECONNREFUSED'],
    [() => ({ status: 500, body: '' }), 'status 500'],
    [(method: string) => (method === 'POST' ? { status: 422, body: '' } : undefined), 'status 422'],
    [(method: string) => (method === 'POST' ? { status: 302, body: '' } : undefined), 'status 302'],
  ] as const) {
    const { registry, keep } = await world()
    registry.override = answers
    assert.equal(await keep(), { failure })
    assert.equal(registry.records, [])
  }
  const { registry, own, keep } = await world()
  registry.records.push({ id: 7, ...own, port: 9 })
  registry.override = (method) => (method === 'PATCH' ? { status: 405, body: '' } : undefined)
  for (let i = 0; i < 2; i++) assert.equal(await keep(), { failure: 'PATCH: status 405' })
})

test.run()
