import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import udcDependencies from '../../functions/udc-dependencies.ts'
import { settled } from '../helpers/arrange.ts'
import { assertIssues, call } from './wire.ts'

const test = suite('GET /dependencies')
const checked_at = '2026-01-01T00:00:00.000Z'

test('GET answers exactly what is needed and whether it is available', async () => {
  const deps = await fakeDeps({ settings: { REGISTRY_URL: 'http://registry.example:8000' } })
  deps.nginx.registry = { status: 200, body: '[]' }
  await call(udcDependencies, deps, '/dependencies')
  await settled()
  const { status, body } = await call(udcDependencies, deps, '/dependencies')
  assert.is(status, 200)
  assert.equal(body, {
    required: [{ name: 'nginx', status: 'available' }],
    optional: ['certbot', 'registry', 'acme_ca'].map((name) => ({ name, status: 'available' })),
    missing: [],
    required_services: [{ name: 'nginx', status: 'available', checked_at }],
    optional_services: [
      { name: 'certbot', status: 'available', checked_at },
      { name: 'registry', status: 'available', checked_at },
    ],
    external_apis: [{ name: 'acme_ca', status: 'available', checked_at }],
  })
})

test('a dependency that does not answer is missing; one that is not configured or not yet checked is not', async () => {
  const deps = await fakeDeps()
  deps.disk.delete('/usr/bin/certbot')
  const first = await call(udcDependencies, deps, '/dependencies')
  assert.equal(first.body.missing, ['certbot'])
  assert.equal(first.body.required, [{ name: 'nginx', status: 'available' }])
  assert.equal(first.body.optional, [{ name: 'certbot', status: 'unavailable' }])
  assert.equal(first.body.external_apis, [{ name: 'acme_ca', status: 'unknown', checked_at: null }])
  await settled()
  const { body } = await call(udcDependencies, deps, '/dependencies')
  assert.equal(body.missing, ['certbot', 'acme_ca'])
  assert.equal(
    body.optional_services.map(({ status }: { status: string }) => status),
    ['unavailable', 'not_configured'],
  )
})

test('a dependency that hangs delays no call', async () => {
  const deps = await fakeDeps({ settings: { REGISTRY_URL: 'http://registry.example:8000' } })
  deps.host.http.request = () => new Promise(() => undefined)
  for (let i = 0; i < 3; i++) assert.is((await call(udcDependencies, deps, '/dependencies')).status, 200)
})

test('a parameter answers 400', async () => {
  assertIssues(await call(udcDependencies, await fakeDeps(), '/dependencies?x=1'), [['x', 'is not a known parameter']])
})

test.run()
