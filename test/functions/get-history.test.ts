import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import getHistory from '../../functions/get-history.ts'
import type { Origin } from '../../lib/events/event.ts'
import { certbotThatIssues, certificateFor } from '../helpers/certbot.ts'
import { put, putRequest, remove, restarted, worldWithRoute } from '../helpers/world.ts'
import { assertError, call } from './wire.ts'

const test = suite('GET /proxies/:droplet_name/history')

interface Shown {
  readonly version: number
  readonly outcome: string
  readonly route: { readonly upstream_port: number } | null
  readonly diff: string
}

const get = (deps: FakeDeps, name: string) => call(getHistory, deps, `/proxies/${name}/history`)

async function versions(deps: FakeDeps, name: string): Promise<[number, string, number | undefined][]> {
  const { body } = await get(deps, name)
  return body.versions.map(({ version, outcome, route }: Shown) => [version, outcome, route?.upstream_port])
}

test('it answers the versions that were served, the newest first, each with its difference to the one before', async () => {
  const deps = await worldWithRoute()
  for (const port of [8002, 8003, 8003]) await put(deps, 'old', 'old.example.com', port)
  assert.equal(await versions(deps, 'old'), [
    [3, 'replaced', 8003],
    [2, 'replaced', 8002],
    [1, 'created', 8001],
  ])
  const [newest] = (await get(deps, 'old')).body.versions
  assert.match(newest.diff, /^- {2}"upstream_port": 8002,\n\+ {2}"upstream_port": 8003,$/m)
  assert.equal([newest.actor.kind, newest.generation], ['local', 3])
  assert.equal(Object.keys(newest.route), ['domain', 'upstream_host', 'upstream_port', 'enable_ssl', 'options'])
  assertError(await get(deps, 'none'), 'PROXY_NOT_FOUND')
})

test('a refused change is no version; the last 50 are kept', async () => {
  const deps = await worldWithRoute()
  deps.nginx.upstreams.set(8099, 503)
  await put(deps, 'old', 'old.example.com', 8099).catch(() => undefined)
  for (let i = 0; i < 55; i++) await put(deps, 'old', 'old.example.com', 9000 + i)
  const shown = await versions(deps, 'old')
  assert.equal([shown.length, shown[0], shown[49]], [50, [56, 'replaced', 9054], [7, 'replaced', 9005]])
})

test('a deleted route keeps its history for 30 days, and continues with it if it comes back', async () => {
  const deps = await worldWithRoute()
  await put(deps, 'app', 'app.example.com', 8002)
  await remove(deps, 'app')
  assert.equal(await versions(deps, 'app'), [
    [2, 'deleted', undefined],
    [1, 'created', 8002],
  ])
  await put(deps, 'app', 'app.example.com', 8004)
  assert.equal((await versions(deps, 'app'))[0], [3, 'created', 8004])
  await remove(deps, 'app')
  await deps.clock.sleep(31 * 24 * 3_600_000)
  await put(deps, 'other', 'other.example.com', 8005)
  await remove(deps, 'other')
  assertError(await get(deps, 'app'), 'PROXY_NOT_FOUND')
})

test('a rename takes the history along', async () => {
  const deps = await worldWithRoute()
  await put(deps, 'old', 'old.example.com', 8002)
  await deps.engine.renameProxy({ dropletName: 'old', newName: 'new', precondition: {} })
  assert.equal(await versions(deps, 'new'), [
    [3, 'renamed', 8002],
    [2, 'replaced', 8002],
    [1, 'created', 8001],
  ])
  assertError(await get(deps, 'old'), 'PROXY_NOT_FOUND')
})

test('what was not recorded, because the process stopped or the file is lost, is found in the route itself', async () => {
  const deps = await worldWithRoute()
  await put(deps, 'old', 'old.example.com', 8002)
  await deps.engine.idle()
  deps.disk.delete('/var/lib/proxy-manager/history/old.json')
  assert.equal(await versions(deps, 'old'), [[1, 'found', 8002]])
  await put(deps, 'old', 'old.example.com', 8003)
  assert.equal(await versions(await restarted(deps), 'old'), [
    [2, 'replaced', 8003],
    [1, 'found', 8002],
  ])
})

test('a history that cannot be written harms no change', async () => {
  const deps = await fakeDeps()
  const { replaceUnsynced } = deps.host.files
  deps.host.files.replaceUnsynced = async (path, ...rest) => {
    if (path.includes('/history/')) throw new Error('ENOSPC')
    await replaceUnsynced(path, ...rest)
  }
  assert.is((await put(deps, 'app', 'app.example.com', 8002)).outcome, 'created')
  await deps.engine.idle()
  assert.ok(deps.lines.some(({ action, result }) => action === 'record_history' && result === 'failure'))
})

test('a route says who made its newest version, in the list as well, and after a restart, a renewal and a rename', async () => {
  const deps = await worldWithRoute()
  const origin: Origin = { actor: { kind: 'token', name: 'ci' } }
  await deps.engine.putProxy({ ...putRequest('app', 'app.example.com', 8002, true), origin })
  certbotThatIssues(deps, certificateFor('app.example.com'))
  await deps.engine.issueCertificate({ dropletName: 'app', forceRenew: false, origin: { actor: { kind: 'registry' } } })
  await deps.engine.idle()
  const authors = async ({ engine }: FakeDeps) =>
    (await engine.listProxies()).map(({ droplet_name, updated_by }) => [droplet_name, updated_by?.name ?? updated_by])
  const expected = [
    ['app', 'ci'],
    ['old', { kind: 'local' }],
  ]
  assert.equal(await authors(deps), expected)
  const next = await restarted(deps)
  await next.engine.dryRunPut(putRequest('app', 'other.example.com', 8003, true))
  assert.equal(await authors(next), expected)
  await next.engine.renameProxy({
    dropletName: 'app',
    newName: 'web',
    precondition: {},
    origin: { actor: { kind: 'token', name: 'ops' } },
  })
  assert.is((await next.engine.getProxy('web')).updated_by?.name, 'ops')
  await remove(next, 'web')
  const { proxy } = await put(next, 'web', 'web.example.com', 8002)
  assert.equal(proxy.updated_by, { kind: 'local' })
})

test('of a route that this service has not written, or whose history is lost, it is null; each history is read once', async () => {
  const deps = await worldWithRoute()
  await put(deps, 'app', 'app.example.com', 8002)
  await deps.engine.idle()
  deps.disk.delete('/var/lib/proxy-manager/history/app.json')
  const next = await restarted(deps)
  const { readFrom } = next.host.files
  const reads: string[] = []
  next.host.files.readFrom = (path, offset) => {
    if (path.includes('/history/')) reads.push(path)
    return readFrom(path, offset)
  }
  for (let i = 0; i < 3; i++)
    assert.equal(
      (await next.engine.listProxies()).map(({ updated_by }) => updated_by),
      [null, { kind: 'local' }],
    )
  assert.is(reads.length, 2)
})

test.run()
