import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import listProxies from '../../functions/list-proxies.ts'
import putProxy from '../../functions/put-proxy.ts'
import { textAt, writeAt } from '../helpers/arrange.ts'
import { APP, appProxy, assertIssues, call } from './wire.ts'

const test = suite('GET /proxies')

async function put(deps: FakeDeps, name: string, ssl = false): Promise<void> {
  const body = { ...APP, domain: `${name.replace('_', '-u-')}.example.com`, enable_ssl: ssl }
  await call(putProxy, deps, `/proxies/${name}`, { method: 'PUT', body })
}

const list = async (deps: FakeDeps, query = ''): Promise<string[]> => {
  const { status, body } = await call(listProxies, deps, `/proxies${query}`)
  assert.is(status, 200)
  return body.map(({ droplet_name }: { droplet_name: string }) => droplet_name)
}

test('GET /proxies answers an empty list if there are no routes', async () => {
  const deps = await fakeDeps()
  const answer = await call(listProxies, deps, '/proxies')
  assert.equal([answer.status, answer.text], [200, '[]'])
})

test('GET /proxies answers every route, sorted by name', async () => {
  const deps = await fakeDeps()
  for (const name of ['zoo', 'app', 'b-1', 'b_1', 'a']) await put(deps, name)
  assert.equal(await list(deps), ['a', 'app', 'b-1', 'b_1', 'zoo'])
  const { body } = await call(listProxies, deps, '/proxies')
  assert.equal(body[1], appProxy(deps))
})

test('?domain= answers one route, for any spelling of the domain', async () => {
  const deps = await fakeDeps()
  await put(deps, 'a')
  await put(deps, 'app')
  for (const domain of ['app.example.com', 'APP.EXAMPLE.COM.'])
    assert.equal(await list(deps, `?domain=${domain}`), ['app'])
  assert.equal(await list(deps, '?domain=none.example.com'), [])
})

test('?status= answers the routes with that status', async () => {
  const deps = await fakeDeps()
  for (const name of ['active', 'edited', 'off']) await put(deps, name)
  await put(deps, 'pending', true)
  const edited = '/etc/nginx/sites-available/fpai-edited.conf'
  writeAt(deps.disk, edited, `${textAt(deps.disk, edited)}# mine\n`)
  deps.disk.delete('/etc/nginx/sites-enabled/fpai-off.conf')
  assert.equal(await list(deps, '?status=active'), ['active'])
  assert.equal(await list(deps, '?status=drifted'), ['edited'])
  assert.equal(await list(deps, '?status=disabled'), ['off'])
  assert.equal(await list(deps, '?status=pending_ssl'), ['pending'])
  assert.equal(await list(deps, '?status=active&domain=active.example.com'), ['active'])
  assert.equal(await list(deps, '?status=active&domain=off.example.com'), [])
})

test('an invalid filter answers 400 with every fault', async () => {
  const deps = await fakeDeps()
  const { body, status } = await call(listProxies, deps, '/proxies?status=broken&domain=*&page=2')
  assert.is(status, 400)
  assert.equal(body.error.details.issues.map(({ path }: { path: string }) => path).sort(), ['domain', 'page', 'status'])
  assertIssues(await call(listProxies, deps, '/proxies?domain=a.example.com&domain=b.example.com'), [
    ['domain', 'duplicate parameter'],
  ])
})

test('a list runs no test and writes nothing', async () => {
  const deps = await fakeDeps()
  await put(deps, 'app')
  const from = deps.effects.journal.length
  await list(deps)
  assert.equal(deps.effects.journal.slice(from), [])
})

test('server blocks that are not managed are not listed', async () => {
  const deps = await fakeDeps()
  await put(deps, 'app')
  writeAt(deps.disk, '/etc/nginx/sites-available/shop.conf', 'server {}\n')
  writeAt(deps.disk, '/etc/nginx/sites-available/fpai-hand.conf', 'server {}\n')
  assert.equal(await list(deps), ['app'])
})

test.run()
