import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import exportRoutes from '../../functions/export-routes.ts'
import putProxy from '../../functions/put-proxy.ts'
import syncFromRegistry from '../../functions/sync-from-registry.ts'
import { APP, call } from './wire.ts'

const test = suite('GET /export')

test('GET /export answers every route by name, without what has its default, and the same bytes again', async () => {
  const deps = await fakeDeps({ settings: { REGISTRY_URL: 'http://registry.example:8000' } })
  deps.nginx.registry = { status: 200, body: JSON.stringify([{ name: 'a', domain: 'a.example.com', port: 8001 }]) }
  const options = { maintenance: true, aliases: ['b.example.com', 'a2.example.com'], read_timeout_s: 300 }
  await call(putProxy, deps, '/proxies/zoo', { method: 'PUT', body: { ...APP, options } })
  await call(putProxy, deps, '/proxies/gone', {
    method: 'PUT',
    body: { domain: 'old.example.com', enable_ssl: false, options: { redirect_to: 'new.example.com' } },
  })
  await call(syncFromRegistry, deps, '/proxy-manager/sync-from-registry', { method: 'POST' })
  const answer = await call(exportRoutes, deps, '/export')
  const upstream = { upstream_host: 'localhost', upstream_port: 8001 }
  assert.is(answer.status, 200)
  assert.equal(answer.body, {
    version: 1,
    routes: [
      { droplet_name: 'a', source: 'registry', domain: 'a.example.com', ...upstream, enable_ssl: false },
      {
        droplet_name: 'gone',
        domain: 'old.example.com',
        enable_ssl: false,
        options: { redirect_to: 'new.example.com' },
      },
      {
        droplet_name: 'zoo',
        domain: 'app.example.com',
        ...upstream,
        upstream_port: 8002,
        enable_ssl: false,
        options: { aliases: ['a2.example.com', 'b.example.com'], maintenance: true },
      },
    ],
    certificates: [],
  })
  assert.is((await call(exportRoutes, deps, '/export')).text, answer.text)
})

test('the certificates that routes name are named, each once, without their keys', async () => {
  const deps = await fakeDeps()
  const pinned = { ...APP, certificate: { lineage: 'corp.example.com' } }
  await call(putProxy, deps, '/proxies/a', { method: 'PUT', body: pinned })
  await call(putProxy, deps, '/proxies/b', { method: 'PUT', body: { ...pinned, domain: 'b.example.com' } })
  const { body } = await call(exportRoutes, deps, '/export')
  assert.equal(body.certificates, [{ lineage: 'corp.example.com' }])
  assert.equal(body.routes[0].certificate, { lineage: 'corp.example.com' })
})

test.run()
