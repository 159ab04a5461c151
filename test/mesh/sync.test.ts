import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import { QUEUE_LIMIT } from '../../lib/change/queue.ts'
import type { SyncRequest, SyncSummary } from '../../lib/mesh/sync.ts'
import {
  ACCEPTED,
  assertSettled,
  contentsOf,
  countEffects,
  PORT_TAKEN,
  refusal,
  refused,
  refuseNextReload,
  writeAt,
} from '../helpers/arrange.ts'
import { put, remove, servedPort } from '../helpers/world.ts'

const test = suite('sync')

interface Record {
  readonly name: string
  readonly domain: string
  readonly host: string
  readonly port: number
}

const record = (name: string, port: number, domain = `${name}.example.com`): Record => ({
  name,
  domain,
  host: 'localhost',
  port,
})
const records = (count: number) => Array.from({ length: count }, (_, i) => record(`app-${i}`, 9000 + i))

async function hostWith(droplets: unknown): Promise<FakeDeps> {
  const deps = await fakeDeps({ settings: { REGISTRY_URL: 'http://registry.example:8000' } })
  answer(deps, droplets)
  return deps
}

function answer({ nginx }: FakeDeps, droplets: unknown): void {
  nginx.registry = { status: 200, body: JSON.stringify(droplets) }
}

async function sync({ engine }: FakeDeps, differing: Partial<SyncRequest> = {}): Promise<SyncSummary> {
  const request = { dryRun: false, prune: false, confirm: undefined, requireHealthy: false, enableSsl: undefined }
  return await engine.syncFromRegistry({ ...request, ...differing })
}

const reasonsOf = ({ skipped }: SyncSummary) => Object.fromEntries(skipped.map(({ name, reason }) => [name, reason]))

test('each droplet is created, updated or unchanged; skipped and orphaned ones are named', async () => {
  const deps = await hostWith([record('same', 8001), record('moved', 8002), record('gone', 8003)])
  await sync(deps)
  await put(deps, 'own', 'own.example.com', 8009)
  answer(deps, [
    record('same', 8001),
    record('moved', 8102),
    record('fresh', 8004),
    record('own', 9999),
    record('broken', 0),
    { ...record('stopped', 8005), status: 'stopped' },
  ])
  assert.equal(await sync(deps), {
    synced: ['fresh', 'moved', 'same'],
    synced_count: 3,
    created: ['fresh'],
    updated: ['moved'],
    unchanged: ['same'],
    deleted: [],
    skipped: [
      { name: 'broken', reason: 'has no valid port' },
      { name: 'stopped', reason: 'is not active (stopped)' },
      { name: 'own', reason: 'the route is managed through the API' },
    ],
    skipped_count: 3,
    orphaned: ['gone'],
  })
  const ports = ['same', 'moved', 'fresh', 'own', 'gone'].map((name) => servedPort(deps, `${name}.example.com`))
  assert.equal(ports, [8001, 8102, 8004, 8009, 8003])
  await assertSettled(deps)
})

test('500 droplets take one test and one reload, and the next 500 none', async () => {
  const deps = await hostWith(records(500))
  assert.is((await sync(deps)).created.length, 500)
  assert.is(deps.nginx.reloads, 1)
  assert.is(countEffects(deps, /run .* -t /), 1)
  assert.is(servedPort(deps, 'app-499.example.com'), 9499)
  assert.is((await sync(deps)).unchanged.length, 500)
  assert.equal([deps.nginx.reloads, countEffects(deps, /run .* -t /)], [1, 1])
  await assertSettled(deps)
})

test('more droplets than the queue accepts at once are all served', async () => {
  const deps = await hostWith(records(2500))
  assert.is((await sync(deps)).created.length, 2500)
  assert.is(deps.nginx.reloads, 3)
  await assertSettled(deps)
})

test('if the queue has no room for all, the accepted ones are applied and reported, the rest are skipped', async () => {
  const deps = await hostWith(records(30))
  const others = Array.from({ length: QUEUE_LIMIT - 10 }, (_, i) => remove(deps, `nobody-${i}`).catch(() => undefined))
  const summary = await sync(deps)
  await Promise.all(others)
  assert.equal([summary.created.length, summary.skipped_count], [10, 20])
  for (const { reason } of summary.skipped) assert.is(reason, 'BUSY: Too many changes are waiting')
  assert.is(servedPort(deps, 'app-9.example.com'), 9009)
  await assertSettled(deps)
})

test('if the queue has no room for any, the sync is rejected as busy', async () => {
  const deps = await hostWith(records(30))
  const others = Array.from({ length: QUEUE_LIMIT }, (_, i) => remove(deps, `nobody-${i}`).catch(() => undefined))
  const { details } = await refusal(sync(deps), 'BUSY')
  assert.is(details.state, 'unchanged')
  await Promise.all(others)
  assert.is(deps.nginx.reloads, 0)
})

test('one hostile record of 100 is skipped, the other 99 are applied with one reload', async () => {
  const deps = await hostWith([...records(99), record('evil', 80, 'x.example.com; } server { listen 81')])
  const summary = await sync(deps)
  assert.equal([summary.created.length, reasonsOf(summary)], [99, { evil: 'has no valid domain' }])
  assert.is(deps.nginx.reloads, 1)
  await assertSettled(deps)
})

test('one route of 100 that NGINX rejects is skipped, the other 99 are applied with one reload', async () => {
  const deps = await hostWith(records(100))
  deps.nginx.judge = (texts) =>
    texts.some((text) => text.includes('server_name app-57.example.com;'))
      ? refused('fpai-app-57.conf', 12, 'invalid parameter "x"')
      : ACCEPTED
  const summary = await sync(deps)
  assert.equal([summary.created.length, Object.keys(reasonsOf(summary))], [99, ['app-57']])
  assert.match(reasonsOf(summary)['app-57'] ?? '', /^PROXY_CONFIG_FAILED: /)
  assert.is(deps.nginx.reloads, 1)
  assert.is(servedPort(deps, 'app-57.example.com'), undefined)
  await assertSettled(deps)
})

test('a forbidden upstream is skipped like any other bad record', async () => {
  const metadata = { ...record('metadata', 80), host: '169.254.169.254' }
  const deps = await hostWith([record('a', 8001), metadata, record('itself', 8100)])
  const summary = await sync(deps)
  assert.equal(summary.created, ['a'])
  for (const name of ['metadata', 'itself']) assert.match(reasonsOf(summary)[name] ?? '', /^UPSTREAM_FORBIDDEN: /)
})

test('a route that a call made is not changed by 20 syncs, to the byte', async () => {
  const deps = await hostWith([record('app', 9999)])
  await put(deps, 'app', 'app.example.com', 8001)
  const before = contentsOf(deps.disk)
  for (let i = 0; i < 20; i++) assert.is((await sync(deps, { prune: true })).skipped_count, 1)
  assert.equal(contentsOf(deps.disk), before)
  assert.is(deps.nginx.reloads, 1)
})

test('a PUT takes over the route of a sync, and 20 syncs after it change nothing', async () => {
  const deps = await hostWith([record('app', 9999)])
  await sync(deps)
  assert.is((await deps.engine.getProxy('app')).source, 'registry')
  const { proxy } = await put(deps, 'app', 'app.example.com', 8001)
  assert.is(proxy.source, 'api')
  for (let i = 0; i < 20; i++) assert.equal((await sync(deps)).synced, [])
  assert.equal([servedPort(deps, 'app.example.com'), deps.nginx.reloads], [8001, 2])
  assert.is((await deps.engine.getProxy('app')).revision, proxy.revision)
})

test('a PUT with the same configuration as the sync takes over the route, too', async () => {
  const deps = await hostWith([record('app', 8001)])
  await sync(deps)
  await put(deps, 'app', 'app.example.com', 8001)
  answer(deps, [record('other', 8002)])
  const { deleted, orphaned } = await sync(deps, { prune: true })
  assert.equal([deleted, orphaned], [[], []])
  assert.is(servedPort(deps, 'app.example.com'), 8001)
})

test('after a call has deleted its route, a sync may create it again', async () => {
  const deps = await hostWith([record('app', 9999)])
  await put(deps, 'app', 'app.example.com', 8001)
  await remove(deps, 'app')
  assert.equal((await sync(deps)).created, ['app'])
})

test('a call between the observation and the change wins', async () => {
  const deps = await hostWith([
    { ...record('new', 9001), host: 'slow.internal' },
    { ...record('old', 9002), host: 'slow.internal' },
    record('c', 9003),
  ])
  answer(deps, [record('old', 8001), record('gone', 8002), record('c', 9003)])
  await sync(deps)
  answer(deps, [
    { ...record('new', 9001), host: 'slow.internal' },
    { ...record('old', 9002), host: 'slow.internal' },
    record('c', 9003),
  ])
  let calls: Promise<unknown> | undefined
  deps.host.network.lookup = async () => {
    calls ??= Promise.all(['new', 'old', 'gone'].map((name) => put(deps, name, `${name}.example.com`, 8080)))
    await calls
    return ['10.0.0.7']
  }
  const summary = await sync(deps, { prune: true })
  const reason = 'the route was changed meanwhile; repeat the call'
  assert.equal(reasonsOf(summary), { gone: reason, new: reason, old: reason })
  assert.equal([summary.unchanged, summary.deleted], [['c'], []])
  for (const name of ['new', 'old', 'gone']) assert.is(servedPort(deps, `${name}.example.com`), 8080, name)
  await assertSettled(deps)
})

test('a sync looks up at most 64 names at a time', async () => {
  const droplets = Array.from({ length: 150 }, (_, i) => ({ ...record(`d${i}`, 9001), host: `d${i}.internal` }))
  const deps = await hostWith(droplets)
  let [running, most] = [0, 0]
  deps.host.network.lookup = async () => {
    most = Math.max(most, ++running)
    await new Promise((resolve) => setImmediate(resolve))
    running--
    return ['10.0.0.7']
  }
  assert.is((await sync(deps)).created.length, 150)
  assert.is(most, 64)
})

test('a domain that another owner has is skipped, and the owner named', async () => {
  const deps = await hostWith([record('a', 9001, 'own.example.com'), record('b', 9002, 'hand.example.com')])
  await put(deps, 'own', 'own.example.com', 8001)
  writeAt(deps.disk, '/etc/nginx/conf.d/hand.conf', 'server {\n    listen 80;\n    server_name hand.example.com;\n}\n')
  const summary = await sync(deps)
  assert.equal(reasonsOf(summary), {
    a: 'DOMAIN_CONFLICT: Another route already serves this domain (own)',
    b: 'DOMAIN_CONFLICT: A server block written by hand already serves this domain (hand.conf, line 1)',
  })
})

test('a hand-written file of that name is not replaced', async () => {
  const deps = await hostWith([record('app', 8001)])
  writeAt(deps.disk, '/etc/nginx/sites-available/fpai-app.conf', 'server { listen 81; }\n')
  const before = contentsOf(deps.disk)
  assert.match(reasonsOf(await sync(deps)).app ?? '', /^DROPLET_EXISTS: .* \(fpai-app\.conf\)$/)
  assert.equal(contentsOf(deps.disk), before)
})

test('a renamed droplet gets its domain in the sync that prunes the old name', async () => {
  const deps = await hostWith([record('old', 8001, 'app.example.com')])
  await sync(deps)
  answer(deps, [record('new', 8002, 'app.example.com')])
  const held = await sync(deps)
  assert.equal(
    [reasonsOf(held), held.orphaned],
    [{ new: 'DOMAIN_CONFLICT: Another route already serves this domain (old)' }, ['old']],
  )
  const { created, deleted, orphaned } = await sync(deps, { prune: true })
  assert.equal([created, deleted, orphaned], [['new'], ['old'], []])
  assert.equal([servedPort(deps, 'app.example.com'), deps.nginx.reloads], [8002, 2])
  await assertSettled(deps)
})

test('two droplets that swap their domains in the Registry do so in one sync', async () => {
  const deps = await hostWith([record('blue', 8001, 'app.example.com'), record('green', 8002, 'next.example.com')])
  await sync(deps)
  answer(deps, [record('blue', 8001, 'next.example.com'), record('green', 8002, 'app.example.com')])
  assert.equal((await sync(deps, { dryRun: true })).updated, ['blue', 'green'])
  const { updated, skipped } = await sync(deps)
  assert.equal([updated, skipped], [['blue', 'green'], []])
  assert.equal([servedPort(deps, 'app.example.com'), servedPort(deps, 'next.example.com')], [8002, 8001])
  assert.is(deps.nginx.reloads, 2)
  await assertSettled(deps)
})

for (const bad of ['blue', 'green']) {
  test(`if NGINX rejects ${bad} of two that swap their domains, neither moves, and others continue`, async () => {
    const domains = { blue: 'app.example.com', green: 'next.example.com' }
    const deps = await hostWith([record('blue', 8001, domains.blue), record('green', 8002, domains.green)])
    await sync(deps)
    const before = await deps.engine.listProxies()
    const exchanged = [record('blue', 8001, domains.green), record('green', 8002, domains.blue)]
    for (const position of [0, 1, 2, 3]) {
      const others = [0, 1, 2].map((i) => record(`other-${position}-${i}`, 9000 + i))
      answer(deps, [...others.slice(0, position), ...exchanged, ...others.slice(position)])
      deps.nginx.judge = (texts) =>
        texts.some(
          (text) =>
            text.includes(bad === 'blue' ? '8001' : '8002') &&
            text.includes(domains[bad === 'blue' ? 'green' : 'blue']),
        )
          ? refused(`fpai-${bad}.conf`, 7, 'invalid parameter "x"')
          : ACCEPTED
      const { created, updated, skipped } = await sync(deps)
      assert.equal([created.length, updated, skipped.map(({ name }) => name).sort()], [3, [], ['blue', 'green']])
      const after = await deps.engine.listProxies()
      assert.equal(after.slice(0, 2), before)
      await assertSettled(deps)
    }
    assert.equal([servedPort(deps, domains.blue), servedPort(deps, domains.green)], [8001, 8002])
  })
}

for (const [ours, gone, isRefused] of [
  [2, 1, false],
  [3, 2, false],
  [4, 3, true],
  [10, 2, false],
  [10, 3, true],
  [14, 3, true],
  [15, 3, false],
  [15, 4, true],
  [100, 20, false],
  [100, 21, true],
] as const) {
  test(`${gone} of ${ours} gone: pruning ${isRefused ? 'requires the number as confirmation' : 'deletes them'}`, async () => {
    const deps = await hostWith(records(ours))
    await sync(deps)
    answer(deps, records(ours).slice(gone))
    const names = records(gone).map(({ name }) => name)
    if (isRefused) {
      const before = contentsOf(deps.disk)
      for (const confirm of [undefined, 0, gone - 1, gone + 1]) {
        const { details } = await refusal(sync(deps, { prune: true, confirm }), 'BLAST_RADIUS')
        assert.equal([details.orphaned, details.count], [names.sort(), gone])
      }
      assert.equal(contentsOf(deps.disk), before)
    }
    for (const confirm of [undefined, gone - 1, gone]) {
      const proposed = await sync(deps, { prune: true, dryRun: true, confirm })
      const needed = isRefused && confirm !== gone ? gone : undefined
      assert.equal([proposed.deleted, proposed.confirm_needed], [[...names].sort(), needed])
    }
    assert.is((await sync(deps, { dryRun: true })).confirm_needed, undefined)
    const { deleted, unchanged } = await sync(deps, { prune: true, confirm: isRefused ? gone : undefined })
    assert.equal([deleted, unchanged.length], [names.sort(), ours - gone])
    assert.is(deps.nginx.reloads, 2)
    await assertSettled(deps)
  })
}

test('routes of calls do not count towards what a sync may delete', async () => {
  const deps = await hostWith(records(3))
  await sync(deps)
  for (let i = 0; i < 20; i++) await put(deps, `own-${i}`, `own-${i}.example.com`, 8000)
  answer(deps, [record('fresh', 8001)])
  await refusal(sync(deps, { prune: true }), 'BLAST_RADIUS')
})

test('an answer of which no record can be read deletes nothing, confirmed or not', async () => {
  const deps = await hostWith([record('a', 8001), record('b', 8002)])
  await sync(deps)
  const before = contentsOf(deps.disk)
  for (const empty of [[], { droplets: [] }, [null], [{ ...record('a', 8001), status: 'inactive' }]]) {
    answer(deps, empty)
    for (const confirm of [undefined, 2]) assert.equal((await sync(deps, { prune: true, confirm })).deleted, [])
  }
  assert.equal(contentsOf(deps.disk), before)
})

test('a dry run answers what the sync will answer, and changes nothing', async () => {
  const deps = await hostWith([record('same', 8001), record('moved', 8002), record('gone', 8003)])
  await sync(deps)
  await put(deps, 'own', 'own.example.com', 8009)
  answer(deps, [
    record('same', 8001),
    record('moved', 8102),
    record('fresh', 8004),
    record('own', 1),
    record('taken', 8005, 'own.example.com'),
  ])
  const before = contentsOf(deps.disk)
  const { dryRun, ...proposed } = await sync(deps, { dryRun: true, prune: true })
  assert.equal([proposed.created, proposed.updated, proposed.deleted], [['fresh'], ['moved'], ['gone']])
  assert.equal([contentsOf(deps.disk), deps.nginx.reloads], [before, 2])
  assert.ok(dryRun?.test.ok)
  assert.equal(
    dryRun?.files.map(({ path, before, after }) => [path.replace('/etc/nginx/', ''), before === null, after === null]),
    [
      ['sites-available/000-proxy-manager.conf', false, false],
      ['sites-available/fpai-gone.conf', false, true],
      ['sites-enabled/fpai-gone.conf', false, true],
      ['sites-available/fpai-moved.conf', false, false],
      ['sites-available/fpai-fresh.conf', true, false],
      ['sites-enabled/fpai-fresh.conf', true, false],
    ],
  )
  assert.equal(await sync(deps, { prune: true }), proposed)
})

test('a dry run of many changes that NGINX rejects shows its message, and costs no more tests than a batch', async () => {
  const deps = await hostWith(records(60))
  const message = 'nginx: [emerg] cannot load certificate'
  deps.nginx.judge = (texts) =>
    texts.some((text) => text.includes('app-')) ? { exitCode: 1, output: message } : { exitCode: 0, output: '' }
  const from = deps.effects.journal.length
  const { dryRun } = await sync(deps, { dryRun: true })
  assert.equal([dryRun?.test.ok, dryRun?.test.output], [false, message])
  assert.ok(countEffects(deps, / -t /, from) <= 12)
})

test('routes are served over HTTP unless HTTPS is requested, and keep what they have', async () => {
  const deps = await hostWith([record('a', 8001)])
  const wantsSsl = async () => (await deps.engine.getProxy('a')).enable_ssl
  await sync(deps)
  assert.is(await wantsSsl(), false)
  assert.equal((await sync(deps, { enableSsl: true })).updated, ['a'])
  assert.is((await deps.engine.getProxy('a')).status, 'pending_ssl')
  assert.equal((await sync(deps)).unchanged, ['a'])
  answer(deps, [record('a', 8002)])
  assert.equal((await sync(deps)).updated, ['a'])
  assert.is(await wantsSsl(), true)
  assert.equal((await sync(deps, { enableSsl: false })).updated, ['a'])
  assert.is(await wantsSsl(), false)
})

test('if health is required, an unhealthy upstream is skipped, and its route stays', async () => {
  const deps = await hostWith([record('a', 8001), record('b', 8002)])
  await sync(deps)
  answer(deps, [record('a', 8101), record('b', 8102)])
  deps.nginx.upstreams.set(8102, 503)
  const summary = await sync(deps, { requireHealthy: true })
  assert.equal(summary.updated, ['a'])
  assert.match(reasonsOf(summary).b ?? '', /^UPSTREAM_UNHEALTHY: /)
  assert.equal([servedPort(deps, 'a.example.com'), servedPort(deps, 'b.example.com')], [8101, 8002])
  assert.is((await deps.engine.getProxy('a')).last_health_status, 'healthy')
})

const NOT_JSON = { registry_status: 200, failure: 'its answer is not JSON' }
for (const [what, registry, expected] of [
  ['is down', { failure: 'ECONNREFUSED' }, { failure: 'ECONNREFUSED' }],
  ['is slow', { failure: 'TIMEOUT' }, { failure: 'TIMEOUT' }],
  ['answers too much', { failure: 'TOO_LARGE' }, { failure: 'TOO_LARGE' }],
  ['answers 404', { status: 404, body: '[]' }, { registry_status: 404 }],
  ['redirects', { status: 302, body: '' }, { registry_status: 302 }],
  ['answers nothing', { status: 200, body: '' }, NOT_JSON],
  ['answers HTML', { status: 200, body: '<!doctype html><title>secret</title>' }, NOT_JSON],
  ['answers half of JSON', { status: 200, body: '[{"name":"a","secret' }, NOT_JSON],
  [
    'answers another shape',
    { status: 200, body: '{"items":[]}' },
    { registry_status: 200, failure: 'its answer is not a list of droplets' },
  ],
] as const) {
  test(`a Registry that ${what} is an error, and all routes stay`, async () => {
    const deps = await hostWith([record('a', 8001)])
    await sync(deps)
    const before = contentsOf(deps.disk)
    deps.nginx.registry = registry
    for (const differing of [{}, { dryRun: true }, { prune: true, confirm: 1 }]) {
      const { details, status } = await refusal(sync(deps, differing), 'REGISTRY_UNAVAILABLE')
      assert.equal([status, details.state, details.retryable], [503, 'unchanged', true])
      const { failure, registry_status } = details
      assert.equal(JSON.parse(JSON.stringify({ registry_status, failure })), expected)
      assert.not.match(JSON.stringify(details), 'secret')
    }
    assert.equal([contentsOf(deps.disk), deps.nginx.reloads], [before, 1])
  })
}

test('/droplets is requested once, with a time limit and a size limit', async () => {
  for (const REGISTRY_URL of ['http://registry.example:8000/api', 'http://registry.example:8000/api//']) {
    const deps = await fakeDeps({ settings: { REGISTRY_URL } })
    const asked: unknown[] = []
    deps.host.http.request = async (request) => {
      asked.push(request)
      return { status: 200, body: '[]' }
    }
    await sync(deps)
    const url = 'http://registry.example:8000/api/droplets'
    assert.equal(asked, [{ url, timeoutMs: 5000, limitBytes: 4 * 1024 * 1024 }])
  }
})

test('without REGISTRY_URL nothing is requested', async () => {
  await refusal(sync(await fakeDeps()), 'REGISTRY_NOT_CONFIGURED')
})

test('a host whose NGINX accepts nothing is an error, not 100 skipped droplets', async () => {
  const deps = await hostWith(records(100))
  const before = contentsOf(deps.disk)
  deps.nginx.judge = () => refused('vhost.conf', 1, 'unknown directive "x"')
  await refusal(sync(deps), 'NGINX_ALREADY_BROKEN')
  assert.equal([contentsOf(deps.disk), deps.nginx.reloads], [before, 0])
})

test('a host that accepts none of the changes is an error, even if others are unchanged or rejected for themselves', async () => {
  const deps = await hostWith([record('same', 8001), record('new', 8002), record('thief', 8003, 'own.example.com')])
  await put(deps, 'own', 'own.example.com', 8009)
  answer(deps, [record('same', 8001)])
  await sync(deps)
  answer(deps, [record('same', 8001), record('new', 8002), record('thief', 8003, 'own.example.com')])
  refuseNextReload(deps, PORT_TAKEN)
  const { details } = await refusal(sync(deps), 'NGINX_RELOAD_FAILED')
  assert.is(details.state, 'rolled_back')
  const { created, unchanged, skipped } = await sync(deps)
  assert.equal([created, unchanged, skipped.map(({ name }) => name)], [['new'], ['same'], ['thief']])
  await assertSettled(deps)
})

test('two syncs at once do the work of one', async () => {
  const deps = await hostWith(records(5))
  const [one, other] = await Promise.all([sync(deps), sync(deps)])
  assert.is(one.created.length, 5)
  assert.is(other.created.length, 0)
  assert.is(deps.nginx.reloads, 1)
  await assertSettled(deps)
})

test('of very many skipped records, the first are named and all are counted', async () => {
  const deps = await hostWith(Array.from({ length: 1500 }, (_, i) => ({ name: `junk ${i}`, domain: ';' })))
  const { skipped, skipped_count } = await sync(deps)
  assert.equal([skipped.length, skipped_count, skipped[999]?.name], [1000, 1500, 'junk 999'])
})

test.run()
