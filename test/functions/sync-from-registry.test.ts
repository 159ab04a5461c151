import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import { createApp } from '../../functions/index.ts'
import putProxy from '../../functions/put-proxy.ts'
import syncFromRegistry from '../../functions/sync-from-registry.ts'
import { contentsOf } from '../helpers/arrange.ts'
import { servedPort } from '../helpers/world.ts'
import { APP, answerOf, assertError, assertIssues, call, requestTo } from './wire.ts'

const test = suite('POST /proxy-manager/sync-from-registry')

interface Droplet {
  readonly name: string
  readonly domain: unknown
  readonly host: string
  readonly port: unknown
}

const droplet = (name: string, port: number): Droplet => ({
  name,
  domain: `${name}.example.com`,
  host: 'localhost',
  port,
})

async function depsWith(droplets: unknown, settings: Readonly<Record<string, string>> = {}): Promise<FakeDeps> {
  const deps = await fakeDeps({ settings: { REGISTRY_URL: 'http://registry.example:8000', ...settings } })
  deps.nginx.registry = { status: 200, body: JSON.stringify(droplets) }
  return deps
}

const sync = (deps: FakeDeps, query = '', method = 'POST') =>
  call(syncFromRegistry, deps, `/proxy-manager/sync-from-registry${query}`, { method })

test('POST answers 200 with the outcome of each droplet, after one reload for all', async () => {
  const deps = await depsWith([droplet('b', 8002), droplet('a', 8001)])
  const answer = await sync(deps)
  assert.is(answer.status, 200)
  assert.equal(answer.body, {
    synced: ['a', 'b'],
    synced_count: 2,
    created: ['a', 'b'],
    updated: [],
    unchanged: [],
    deleted: [],
    skipped: [],
    skipped_count: 0,
    orphaned: [],
  })
  assert.is(deps.nginx.reloads, 1)
  assert.is(servedPort(deps, 'a.example.com'), 8001)
})

test('a second sync of the same list changes nothing', async () => {
  const deps = await depsWith({ droplets: [droplet('a', 8001)] })
  await sync(deps)
  const before = contentsOf(deps.disk)
  const { body } = await sync(deps)
  assert.equal([body.unchanged, body.created, body.updated], [['a'], [], []])
  assert.equal(contentsOf(deps.disk), before)
  assert.is(deps.nginx.reloads, 1)
})

test('an invalid record is skipped with a reason, and does not stop the others', async () => {
  const deps = await depsWith([
    droplet('a', 8001),
    { ...droplet('bad', 1), domain: 'x;\nserver{}' },
    { ...droplet('worse', 1), port: '0177.1' },
    7,
  ])
  const { status, body } = await sync(deps)
  assert.equal([status, body.created, body.skipped_count], [200, ['a'], 3])
  for (const { reason } of body.skipped) assert.type(reason, 'string')
})

test('a route that was created by a call is never changed', async () => {
  const deps = await depsWith([droplet('app', 9999)])
  await call(putProxy, deps, '/proxies/app', { method: 'PUT', body: APP })
  const before = contentsOf(deps.disk)
  const { body } = await sync(deps, '?prune=true')
  assert.equal([body.synced, body.deleted, body.skipped.map(({ name }: { name: string }) => name)], [[], [], ['app']])
  assert.equal(contentsOf(deps.disk), before)
})

test('a route whose droplet is gone is listed, and deleted only with prune', async () => {
  const deps = await depsWith([droplet('a', 8001), droplet('b', 8002)])
  await sync(deps)
  deps.nginx.registry = { status: 200, body: JSON.stringify([droplet('a', 8001)]) }
  const named = await sync(deps)
  assert.equal([named.body.orphaned, named.body.deleted], [['b'], []])
  assert.is(servedPort(deps, 'b.example.com'), 8002)
  const pruned = await sync(deps, '?prune=true')
  assert.equal(pruned.body.deleted, ['b'])
  assert.is(servedPort(deps, 'b.example.com'), undefined)
})

test('a droplet with an invalid record is not gone: prune keeps its route', async () => {
  const deps = await depsWith([droplet('a', 8001), droplet('b', 8002)])
  await sync(deps)
  for (const records of [
    [{ ...droplet('b', 8002), domain: null }],
    [{ ...droplet('b', 8002), status: 7 }],
    [droplet('b', 8002), { ...droplet('b', 8003), domain: 'b2.example.com' }],
    [droplet('b', 8002), { ...droplet('c', 8003), domain: 'b.example.com' }],
  ]) {
    deps.nginx.registry = { status: 200, body: JSON.stringify([droplet('a', 8001), ...records]) }
    const { body } = await sync(deps, '?prune=true')
    assert.equal([body.deleted, body.skipped_count], [[], records.length])
    assert.is(servedPort(deps, 'b.example.com'), 8002)
  }
})

test('a droplet that is no longer active counts as gone', async () => {
  const deps = await depsWith([droplet('a', 8001), droplet('b', 8002)])
  await sync(deps)
  const stopped = { ...droplet('b', 8002), status: 'inactive' }
  deps.nginx.registry = { status: 200, body: JSON.stringify([droplet('a', 8001), stopped]) }
  assert.equal((await sync(deps, '?prune=true')).body.deleted, ['b'])
})

test('more deletions than allowed answer an error and delete nothing until they are confirmed', async () => {
  const names = ['a', 'b', 'c', 'd', 'e']
  const deps = await depsWith(names.map((name, i) => droplet(name, 8001 + i)))
  await sync(deps)
  deps.nginx.registry = { status: 200, body: JSON.stringify([droplet('a', 8001)]) }
  const before = contentsOf(deps.disk)
  for (const query of ['?prune=true', '?prune=true&confirm=3']) {
    const details = assertError(await sync(deps, query), 'BLAST_RADIUS')
    assert.equal([details.count, details.orphaned], [4, ['b', 'c', 'd', 'e']])
  }
  assert.equal(contentsOf(deps.disk), before)
  assert.equal((await sync(deps, '?prune=true&confirm=4')).body.deleted, ['b', 'c', 'd', 'e'])
})

for (const [what, registry] of Object.entries({
  'that cannot be reached': { failure: 'ECONNREFUSED' },
  'that answers 500': { status: 500, body: '[]' },
  'that answers HTML': { status: 200, body: '<html>' },
  'that answers half of JSON': { status: 200, body: '[{"name":' },
  'that answers another shape': { status: 200, body: '{"items":[]}' },
})) {
  test(`a Registry ${what} answers 503 and deletes nothing`, async () => {
    const deps = await depsWith([droplet('a', 8001)])
    await sync(deps)
    const before = contentsOf(deps.disk)
    deps.nginx.registry = registry
    assertError(await sync(deps, '?prune=true'), 'REGISTRY_UNAVAILABLE')
    assert.equal(contentsOf(deps.disk), before)
  })
}

test('an empty list deletes nothing, with or without prune', async () => {
  const deps = await depsWith([droplet('a', 8001)])
  await sync(deps)
  deps.nginx.registry = { status: 200, body: '[]' }
  const { body } = await sync(deps, '?prune=true&confirm=1')
  assert.equal([body.deleted, body.orphaned], [[], ['a']])
  assert.is(servedPort(deps, 'a.example.com'), 8001)
})

test('a dry run answers what would happen to each, and changes nothing', async () => {
  const deps = await depsWith([droplet('a', 8001)])
  const before = contentsOf(deps.disk)
  const { status, body } = await sync(deps, '?dry_run=true')
  assert.equal([status, body.created, body.dry_run], [200, ['a'], true])
  assert.equal(contentsOf(deps.disk), before)
})

/** A GET through the app, by a caller with this remote address. */
async function get(
  deps: FakeDeps,
  query: string,
  headers: Readonly<Record<string, string>>,
  remoteAddress = '127.0.0.1',
) {
  const app = createApp(() => deps)
  const path = `/proxy-manager/sync-from-registry${query}`
  return await answerOf(await app(requestTo(path, { headers }), { req: { socket: { remoteAddress } } }))
}

const TOKEN = 'a-token-of-many-characters'

for (const [what, settings, query, headers, address] of [
  ['a browser', {}, '', { 'sec-fetch-site': 'none' }],
  ['a page of this API itself', {}, '', { 'sec-fetch-site': 'same-origin' }],
  ['a program with prune', {}, '?prune=true&confirm=1', {}],
  ['another host', { PROXY_MANAGER_HOST: '0.0.0.0', PROXY_MANAGER_INSECURE: 'true' }, '', {}, '192.0.2.1'],
] as const) {
  test(`without a token, a GET by ${what} is a dry run, and says so`, async () => {
    const deps = await depsWith([droplet('a', 8001), droplet('b', 8002)], settings)
    await sync(deps)
    deps.nginx.registry = { status: 200, body: JSON.stringify([droplet('a', 9001)]) }
    const before = contentsOf(deps.disk)
    const { status, body } = await get(deps, query, headers, address)
    assert.equal([status, body.updated, body.dry_run, body.next.method], [200, ['a'], true, 'POST'])
    assert.is(body.next.path, '/proxy-manager/sync-from-registry')
    assert.match(body.next.reason, 'nothing was changed')
    assert.type(body.plan.nginx_test.ok, 'boolean')
    assert.equal(contentsOf(deps.disk), before)
    assert.is((await sync(deps, query)).body.dry_run, undefined)
    assert.is(servedPort(deps, 'a.example.com'), 9001)
  })
}

test('a GET of a page on another site is rejected, and changes nothing', async () => {
  const deps = await depsWith([droplet('a', 8001)])
  for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { origin: 'null' }])
    assertError(await get(deps, '', headers), 'FORBIDDEN')
  assert.is(deps.nginx.reloads, 0)
})

test('without a token, a GET without prune by a program on this host syncs, as it always did', async () => {
  const deps = await depsWith([droplet('a', 8001)])
  const { status, body } = await get(deps, '', {})
  assert.equal([status, body.created, body.dry_run, body.next], [200, ['a'], undefined, undefined])
  assert.is(servedPort(deps, 'a.example.com'), 8001)
})

test('with a token that permits writing, a GET syncs from anywhere, also with prune; with a read-only one it is rejected', async () => {
  const read = 'read-token-of-enough-characters'
  const tokens = { PROXY_MANAGER_API_TOKEN: TOKEN, PROXY_MANAGER_READ_TOKEN: read }
  const deps = await depsWith([droplet('a', 8001), droplet('b', 8002)], tokens)
  const as = (token: string) => ({ authorization: `Bearer ${token}` })
  assert.equal((await get(deps, '', as(TOKEN), '192.0.2.1')).body.created, ['a', 'b'])
  deps.nginx.registry = { status: 200, body: JSON.stringify([droplet('a', 8001)]) }
  assertError(await get(deps, '?prune=true', as(read), '127.0.0.1'), 'FORBIDDEN')
  assert.is(servedPort(deps, 'b.example.com'), 8002)
  assert.equal((await get(deps, '?prune=true', as(TOKEN), '192.0.2.1')).body.deleted, ['b'])
})

test('without REGISTRY_URL it answers 503', async () => {
  const deps = await fakeDeps()
  assertError(await sync(deps), 'REGISTRY_NOT_CONFIGURED')
})

test('invalid parameters answer 400', async () => {
  const deps = await depsWith([])
  assertIssues(await sync(deps, '?confirm=all&force=1'), [
    ['confirm', 'must be a number of routes'],
    ['force', 'is not a known parameter'],
  ])
})

test('while NGINX is stopped, a sync answers an error, not a list of skipped droplets', async () => {
  const deps = await depsWith([droplet('a', 8001), droplet('b', 8002)])
  deps.nginx.running = false
  const before = contentsOf(deps.disk)
  const details = assertError(await sync(deps), 'NGINX_RELOAD_FAILED')
  assert.equal([details.reason, details.state, details.culprit], ['not_running', 'unchanged', 'host'])
  assert.equal(contentsOf(deps.disk), before)
})

test.run()
