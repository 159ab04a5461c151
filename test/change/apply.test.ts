import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps, MAIN_CONFIGURATION } from '../../fixtures/deps.ts'
import type { Changed, PutRequest } from '../../lib/engine/engine.ts'
import {
  ACCEPTED,
  assertSettled,
  CERTIFICATE_GONE,
  conflicting,
  contentsOf,
  countEffects,
  installLineage,
  makeLineage,
  onReload,
  PORT_TAKEN,
  refusal,
  refused,
  refuseNextReload,
  textAt,
  writeAt,
} from '../helpers/arrange.ts'
import { filesOf, put, remove, servedPort, worldWithRoute } from '../helpers/world.ts'

const AVAILABLE = '/etc/nginx/sites-available'
const ENABLED = '/etc/nginx/sites-enabled'
const STATE = '/var/lib/proxy-manager'
/** Effects on live files; what is staged beside them, under a name that NGINX does not see, is none. */
const LIVE = /^(write|append|rename|symlink|link) (?!.*\.pm-tmp$)/

const unchanged = suite('apply: nothing to do')

unchanged('an unchanged change asks the upstream and the generation, and has no other effect', async () => {
  const deps = await worldWithRoute()
  const before = contentsOf(deps.disk)
  const from = deps.effects.journal.length
  const changed = await put(deps, 'old', 'old.example.com', 8001)
  assert.is(changed.outcome, 'unchanged')
  assert.equal(deps.effects.journal.slice(from), [
    { verb: 'probe', subject: 'localhost:8001 at 127.0.0.1' },
    { verb: 'probe', subject: 'generation.proxy-manager.invalid at 127.0.0.1' },
  ])
  assert.is(deps.nginx.reloads, 1)
  assert.equal(contentsOf(deps.disk), before)
  assert.equal(changed.receipt, {
    generation: 1,
    reloaded: false,
    proved_by: 'files_unchanged',
    proved_ms: 0,
    batch: 1,
  })
})

unchanged('what is on disk and not served is made to be served, and the receipt says so', async () => {
  const deps = await worldWithRoute()
  // Somebody started NGINX anew with other files, and put ours back since.
  deps.nginx.loaded = new Map()
  const changed = await put(deps, 'old', 'old.example.com', 8001)
  assert.is(changed.outcome, 'unchanged')
  const { reloaded, proved_by, batch: shared } = changed.receipt
  assert.equal([reloaded, proved_by, shared], [true, 'generation_probe', 1])
  assert.is(servedPort(deps, 'old.example.com'), 8001)
  await assertSettled(deps)
})

unchanged('with NGINX stopped an unchanged route is no success', async () => {
  const deps = await worldWithRoute()
  deps.nginx.running = false
  const error = await refusal(put(deps, 'old', 'old.example.com', 8001), 'NGINX_RELOAD_FAILED')
  assert.equal([error.details.reason, error.details.state], ['not_running', 'unchanged'])
})

unchanged('a thousand equal changes cost no test and no reload', async () => {
  const deps = await worldWithRoute()
  const from = deps.effects.journal.length
  const calls = Array.from({ length: 1000 }, () => put(deps, 'old', 'old.example.com', 8001))
  for (const changed of await Promise.all(calls)) assert.is(changed.outcome, 'unchanged')
  assert.is(deps.nginx.reloads, 1)
  assert.is(countEffects(deps, /^(run|write|rename|remove)/, from), 0)
})

unchanged('a deletion of what is not there touches nothing', async () => {
  const deps = await worldWithRoute()
  const before = contentsOf(deps.disk)
  await refusal(remove(deps, 'none'), 'PROXY_NOT_FOUND')
  assert.equal(contentsOf(deps.disk), before)
  assert.is(deps.nginx.reloads, 1)
})

unchanged.run()

const batch = suite('apply: batches')

batch('concurrent changes share one test and one reload, and their receipts say so', async () => {
  const deps = await worldWithRoute()
  const from = deps.effects.journal.length
  const changes = await Promise.all([1, 2, 3, 4, 5].map((n) => put(deps, `app-${n}`, `app-${n}.example.com`, 8100 + n)))
  assert.is(countEffects(deps, /^run .* -t /, from), 1)
  assert.is(deps.nginx.reloads, 2)
  for (const { receipt } of changes)
    assert.equal(receipt, { generation: 2, reloaded: true, proved_by: 'generation_probe', proved_ms: 0, batch: 5 })
  await assertSettled(deps)
})

batch('what arrives while a batch is applied becomes the next one: 100 changes, one more reload', async () => {
  const deps = await fakeDeps()
  let later: Promise<Changed[]> | undefined
  onReload(deps, () => {
    later ??= Promise.all(
      Array.from({ length: 100 }, (_, n) => put(deps, `app-${n}`, `app-${n}.example.com`, 9000 + n)),
    )
  })
  const first = await put(deps, 'first', 'first.example.com', 8001)
  const rest = (await later) ?? []
  assert.is(deps.nginx.reloads, 2)
  assert.is(first.receipt.batch, 1)
  assert.is(first.receipt.generation, 1)
  assert.is(rest.length, 100)
  for (const { receipt } of rest) assert.equal([receipt.batch, receipt.generation], [100, 2])
  assert.is(servedPort(deps, 'app-99.example.com'), 9099)
  await assertSettled(deps)
})

batch('a batch holds one change per droplet: each is acknowledged in its turn, and the last one stays', async () => {
  const deps = await fakeDeps()
  const ports = [8001, 8002, 8003, 8004]
  const changes = await Promise.all(ports.map((port) => put(deps, 'app', 'app.example.com', port)))
  assert.equal(
    changes.map(({ proxy, receipt }) => [proxy.upstream_port, receipt.batch, receipt.generation]),
    [
      [8001, 1, 1],
      [8002, 1, 2],
      [8003, 1, 3],
      [8004, 1, 4],
    ],
  )
  assert.is(servedPort(deps, 'app.example.com'), 8004)
  await assertSettled(deps)
})

batch('two droplets ask for one domain at once: one gets it, the other learns who', async () => {
  const deps = await fakeDeps()
  const [first, second] = await Promise.allSettled([
    put(deps, 'a', 'same.example.com', 8001),
    put(deps, 'b', 'same.example.com', 8002),
  ])
  assert.is(first.status, 'fulfilled')
  assert.is(second.status, 'rejected')
  const error = await refusal(put(deps, 'b', 'same.example.com', 8002), 'DOMAIN_CONFLICT')
  assert.equal(error.details.owner, { droplet_name: 'a' })
  assert.is(servedPort(deps, 'same.example.com'), 8001)
  await assertSettled(deps)
})

batch('a change and a deletion of one droplet at once end as if one came after the other', async () => {
  const deps = await worldWithRoute()
  await Promise.all([put(deps, 'app', 'app.example.com', 8002), remove(deps, 'old')])
  const [written, deleted] = await Promise.all([put(deps, 'app', 'app.example.com', 8003), remove(deps, 'app')])
  // The deletion has no upstream to probe, so it gets into the queue first.
  assert.equal([deleted.outcome, written.outcome], ['deleted', 'created'])
  assert.ok(deleted.receipt.generation < written.receipt.generation)
  assert.is(servedPort(deps, 'app.example.com'), 8003)
  await assertSettled(deps)
})

batch('NGINX refuses one of seven: it alone fails, with the words and where; the others share one reload', async () => {
  const deps = await worldWithRoute()
  deps.nginx.judge = (texts) =>
    texts.some((text) => text.includes('app-5.example.com'))
      ? refused('fpai-app-5.conf', 7, 'host not found in upstream "app-5"')
      : ACCEPTED
  const from = deps.effects.journal.length
  const results = await Promise.allSettled(
    [1, 2, 3, 4, 5, 6, 7].map((n) => put(deps, `app-${n}`, `app-${n}.example.com`, 8100 + n)),
  )
  assert.equal(
    results.map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
  )
  const [rejected] = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
  assert.is(rejected.code, 'PROXY_CONFIG_FAILED')
  assert.equal(rejected.details, {
    stage: 'test',
    state: 'unchanged',
    culprit: 'caller',
    retryable: false,
    remedy: 'See nginx_output and diagnostics',
    nginx_output:
      '2026/01/01 00:00:00 [emerg] 4242#4242: host not found in upstream "app-5" in fpai-app-5.conf:7\nnginx: configuration file nginx.conf test failed',
    diagnostics: [{ level: 'emerg', file: 'fpai-app-5.conf', line: 7, message: 'host not found in upstream "app-5"' }],
  })
  assert.is(deps.nginx.reloads, 2)
  assert.ok(countEffects(deps, /^run .* -t /, from) <= 8)
  for (const result of results) if (result.status === 'fulfilled') assert.is(result.value.receipt.batch, 6)
  assert.is(servedPort(deps, 'app-4.example.com'), 8104)
  assert.is(servedPort(deps, 'app-5.example.com'), undefined)
  assert.is(textAt(deps.disk, `${AVAILABLE}/fpai-app-5.conf`), undefined)
  await assertSettled(deps)
})

batch('what goes live is what was tested last, to the byte: nothing of a refused change stays in it', async () => {
  const deps = await worldWithRoute()
  await installLineage(deps, 'tls.example.com', makeLineage('tls.example.com'))
  deps.nginx.judge = (texts) =>
    texts.some((text) => text.includes('tls.example.com')) ? refused('fpai-tls.conf', 3, 'invalid parameter') : ACCEPTED
  const tested: string[] = []
  const judge = deps.nginx.judge
  deps.nginx.judge = (texts) => {
    const result = judge(texts)
    if (result.exitCode === 0) tested.push([...texts].join(''))
    return result
  }
  const [http, tls] = await Promise.allSettled([
    put(deps, 'app', 'app.example.com', 8002),
    deps.engine.putProxy(request('tls', 'tls.example.com', 8003, true)),
  ])
  assert.equal([http.status, tls.status], ['fulfilled', 'rejected'])
  assert.not.match(textAt(deps.disk, `${AVAILABLE}/000-proxy-manager.conf`) ?? '', 'ssl')
  for (const name of ['000-proxy-manager.conf', 'fpai-app.conf'])
    assert.ok(tested.at(-1)?.includes(deps.nginx.loaded.get(name) ?? 'nothing'), name)
  await assertSettled(deps)
})

batch('a refused change of a route that shows no certificate leaves the others of its batch alone', async () => {
  const deps = await worldWithRoute()
  await installLineage(deps, 'tls.example.com', makeLineage('tls.example.com'))
  await deps.engine.putProxy(request('tls', 'tls.example.com', 8003, true))
  deps.disk.delete(`${ENABLED}/fpai-tls.conf`)
  const stale = { ...request('tls', 'tls.example.com', 8004, true), precondition: { ifMatch: ['0123456789abcdef'] } }
  const [wrong, valid] = await Promise.all([
    refusal(deps.engine.putProxy(stale), 'PRECONDITION_FAILED'),
    put(deps, 'app', 'app.example.com', 8002),
  ])
  assert.equal([wrong.details.state, valid.outcome], ['unchanged', 'created'])
  assert.is(servedPort(deps, 'app.example.com'), 8002)
  await assertSettled(deps)
})

batch('NGINX refuses every change of a batch: nothing live is touched', async () => {
  const deps = await worldWithRoute()
  const before = contentsOf(deps.disk)
  deps.nginx.judge = (texts) =>
    texts.some((text) => text.includes('app-')) ? refused('fpai-app-1.conf', 1, 'invalid parameter') : ACCEPTED
  const results = await Promise.allSettled([1, 2].map((n) => put(deps, `app-${n}`, `app-${n}.example.com`, 8100 + n)))
  for (const result of results) assert.is(result.status, 'rejected')
  assert.equal(contentsOf(deps.disk), before)
  assert.is(deps.nginx.reloads, 1)
})

/** A deletion of nothing, a conflict, an unchanged PUT, and one that is to be made: each one's answer, in one batch. */
async function answersOfMixedBatch(deps: FakeDeps): Promise<string[]> {
  const results = await Promise.allSettled([
    remove(deps, 'nobody'),
    put(deps, 'thief', 'old.example.com', 8002),
    put(deps, 'old', 'old.example.com', 8001),
    put(deps, 'app', 'app.example.com', 8003),
  ])
  return results.map((result) => (result.status === 'fulfilled' ? result.value.outcome : result.reason.code))
}

for (const [what, arrange, code] of [
  ['reload is refused', (deps) => refuseNextReload(deps, PORT_TAKEN), 'NGINX_RELOAD_FAILED'],
  [
    'host is broken',
    (deps) => {
      deps.nginx.judge = () => refused('shop.conf', 12, 'unknown directive "x"')
    },
    'NGINX_ALREADY_BROKEN',
  ],
  [
    'disk is full',
    (deps) => {
      deps.host.files.write = async (path) => {
        throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', path })
      }
    },
    'CONFIG_WRITE_FAILED',
  ],
] as const satisfies readonly (readonly [string, (deps: FakeDeps) => void, string])[]) {
  batch(
    `where the ${what}, the changes that were to be made fail; others of the batch keep their answers`,
    async () => {
      const deps = await worldWithRoute()
      arrange(deps)
      assert.equal(await answersOfMixedBatch(deps), ['PROXY_NOT_FOUND', 'DOMAIN_CONFLICT', 'unchanged', code])
      await assertSettled(deps)
    },
  )
}

batch(
  'an unchanged PUT beside a change that is rolled back is answered with the generation that is served',
  async () => {
    const deps = await worldWithRoute()
    refuseNextReload(deps, PORT_TAKEN)
    const [{ receipt }] = await Promise.all([
      put(deps, 'old', 'old.example.com', 8001),
      refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED'),
    ])
    assert.equal([receipt.generation, receipt.reloaded], [3, false])
    assert.match([...deps.nginx.loaded.values()].join(), 'return 200 3;')
  },
)

batch('with NGINX stopped a refused change keeps its answer, and an unchanged one is no success', async () => {
  const deps = await worldWithRoute()
  deps.nginx.running = false
  const failed = 'NGINX_RELOAD_FAILED'
  assert.equal(await answersOfMixedBatch(deps), ['PROXY_NOT_FOUND', 'DOMAIN_CONFLICT', failed, failed])
})

batch('where even the restore fails, a refused change keeps its answer, and nothing is built on the rest', async () => {
  const deps = await worldWithRoute()
  deps.nginx.refuseReload = PORT_TAKEN
  const failed = 'NGINX_RELOAD_FAILED'
  assert.equal(await answersOfMixedBatch(deps), ['PROXY_NOT_FOUND', 'DOMAIN_CONFLICT', failed, failed])
  assert.ok(deps.disk.has(`${STATE}/journal`))
})

batch('what NGINX itself refuses keeps its words, whatever becomes of the others', async () => {
  const deps = await worldWithRoute()
  deps.nginx.judge = (texts) =>
    texts.some((text) => text.includes('bad.example.com')) ? refused('fpai-bad.conf', 7, 'invalid parameter') : ACCEPTED
  refuseNextReload(deps, PORT_TAKEN)
  const [bad] = await Promise.all([
    refusal(put(deps, 'bad', 'bad.example.com', 8002), 'PROXY_CONFIG_FAILED'),
    refusal(put(deps, 'app', 'app.example.com', 8003), 'NGINX_RELOAD_FAILED'),
  ])
  assert.match(String(bad.details.nginx_output), 'invalid parameter in fpai-bad.conf:7')
  await assertSettled(deps)
})

batch('a domain whose first taker fails is the next one’s', async () => {
  const deps = await worldWithRoute()
  refuseNextReload(deps, PORT_TAKEN)
  const [, next] = await Promise.all([
    refusal(put(deps, 'a', 'same.example.com', 8002), 'NGINX_RELOAD_FAILED'),
    put(deps, 'b', 'same.example.com', 8003),
  ])
  assert.is(next.outcome, 'created')
  assert.is(servedPort(deps, 'same.example.com'), 8003)
  await assertSettled(deps)
})

batch.run()

const test = suite('apply: test')

test("the host's own configuration is broken: NGINX_ALREADY_BROKEN names the file, and nothing is written", async () => {
  const deps = await worldWithRoute()
  const before = contentsOf(deps.disk)
  const from = deps.effects.journal.length
  deps.nginx.judge = () => refused('shop.conf', 12, 'unknown directive "proxy_passs"')
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_ALREADY_BROKEN')
  assert.is(error.status, 503)
  assert.is(error.details.state, 'unchanged')
  assert.is(error.details.culprit, 'host')
  assert.is(error.details.remedy, 'Fix shop.conf (nginx -t shows the same), then call again')
  assert.equal(error.details.diagnostics, [
    { level: 'emerg', file: 'shop.conf', line: 12, message: 'unknown directive "proxy_passs"' },
  ])
  assert.is(countEffects(deps, LIVE, from), 0)
  assert.equal(contentsOf(deps.disk), before)
})

test('a warning that two server blocks have our name is a refusal, although NGINX exits with 0', async () => {
  const deps = await worldWithRoute()
  deps.nginx.judge = (texts) =>
    texts.some((text) => text.includes('app.example.com')) ? conflicting('app.example.com') : ACCEPTED
  const before = contentsOf(deps.disk)
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'PROXY_CONFIG_FAILED')
  assert.match(String(error.details.nginx_output), 'conflicting server name "app.example.com"')
  assert.equal(contentsOf(deps.disk), before)
  assert.is(deps.nginx.reloads, 1)
})

test("a warning that two server blocks have someone else's name stops no change", async () => {
  const deps = await worldWithRoute()
  deps.nginx.judge = () => conflicting('shop.example.com')
  await put(deps, 'app', 'app.example.com', 8002)
  assert.is(servedPort(deps, 'app.example.com'), 8002)
})

test('a name that was claimed twice before stops no change of another route', async () => {
  const deps = await worldWithRoute()
  deps.nginx.judge = () => conflicting('old.example.com')
  await put(deps, 'app', 'app.example.com', 8002)
  assert.is(servedPort(deps, 'app.example.com'), 8002)
})

test('a test that hangs ends in a refusal that says so', async () => {
  const deps = await worldWithRoute()
  deps.nginx.judge = (texts) =>
    texts.some((text) => text.includes('app.example.com')) ? { exitCode: 124, output: '' } : ACCEPTED
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'PROXY_CONFIG_FAILED')
  assert.is(error.details.nginx_output, 'nginx -t did not end within 15 s')
})

test('the candidate stands beside the main configuration, has a pid file of its own, and is gone after the test', async () => {
  const deps = await worldWithRoute()
  let candidate = ''
  deps.nginx.judge = () => {
    const path = [...deps.disk.keys()].find((name) => name.startsWith('/etc/nginx/.proxy-manager-'))
    candidate = textAt(deps.disk, path ?? '') ?? ''
    return ACCEPTED
  }
  await put(deps, 'app', 'app.example.com', 8002)
  assert.is(
    candidate,
    MAIN_CONFIGURATION.replace('pid /run/nginx.pid;', `pid "${STATE}/staging/id-2.pid";`).replace(
      'include /etc/nginx/sites-enabled/*;',
      [
        `include "${AVAILABLE}/.000-proxy-manager.conf.pm-tmp";`,
        `include "${AVAILABLE}/.fpai-app.conf.pm-tmp";`,
        `include "${ENABLED}/fpai-old.conf";`,
      ].join(' '),
    ),
  )
  await assertSettled(deps)
})

test('a main configuration that never includes sites-enabled: refused with the missing line, nothing written', async () => {
  const deps = await fakeDeps({ mainConfiguration: 'events {}\nhttp {\n    include /etc/nginx/conf.d/*.conf;\n}\n' })
  const before = contentsOf(deps.disk)
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'PROXY_CONFIG_FAILED')
  assert.is(error.message, "NGINX's main configuration does not include sites-enabled")
  assert.is(
    error.details.remedy,
    `Add "include /etc/nginx/sites-enabled/*;" to the http block of NGINX's main configuration`,
  )
  assert.equal([error.details.stage, error.details.culprit, error.details.state], ['plan', 'host', 'unchanged'])
  assert.equal(contentsOf(deps.disk), before)
})

test('a hand-written server block that has the domain already wins: refused with file and line', async () => {
  const deps = await worldWithRoute()
  writeAt(deps.disk, '/etc/nginx/conf.d/shop.conf', '\nserver {\n  listen 80;\n  server_name SHOP.example.com;\n}\n')
  const error = await refusal(put(deps, 'shop', 'shop.example.com', 8002), 'DOMAIN_CONFLICT')
  assert.equal(error.details.owner, { file: 'shop.conf', line: 2 })
  await assertSettled(deps)
})

test.run()

const reload = suite('apply: reload')

const REFUSALS = {
  'a port that another process holds': { words: PORT_TAKEN, said: 'still could not bind()' },
  'a certificate that is gone': { words: CERTIFICATE_GONE, said: 'cannot load certificate "fullchain.pem"' },
}
for (const [what, { words, said }] of Object.entries(REFUSALS)) {
  reload(
    `the master gives up over ${what}: NGINX_RELOAD_FAILED with its words, files and service as before`,
    async () => {
      const deps = await worldWithRoute()
      const routes = routeFilesOf(deps)
      refuseNextReload(deps, words)
      const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
      assert.is(error.message, 'NGINX refused the new configuration after its test had passed')
      assert.equal(
        [error.details.stage, error.details.state, error.details.reason, error.details.culprit],
        ['confirm', 'rolled_back', 'refused', 'host'],
      )
      assert.match(String(error.details.nginx_output), said)
      assert.not.match(String(error.details.nginx_output), '/etc/')
      assert.ok(JSON.stringify(error.details.diagnostics).includes('"level":"emerg"'))
      assert.equal(routeFilesOf(deps), routes)
      assert.is(servedPort(deps, 'old.example.com'), 8001)
      assert.is(servedPort(deps, 'app.example.com'), undefined)
      await assertSettled(deps)
    },
  )
}

reload('a refusal ends the wait at once: a failed bind that is tried again does not', async () => {
  const deps = await worldWithRoute()
  const [firstTry = ''] = PORT_TAKEN.split('\n')
  const started = deps.clock.monotonicMs()
  refuseNextReload(deps, PORT_TAKEN)
  await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  assert.ok(deps.clock.monotonicMs() - started < 100)

  const patient = await worldWithRoute()
  refuseNextReload(patient, firstTry)
  const waited = patient.clock.monotonicMs()
  const error = await refusal(put(patient, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  assert.is(error.details.reason, 'not_confirmed')
  assert.ok(patient.clock.monotonicMs() - waited >= 10_000)
})

reload('the log of an earlier refusal is not taken for an answer to this reload', async () => {
  const deps = await worldWithRoute()
  writeAt(deps.disk, '/var/log/nginx/error.log', `${PORT_TAKEN}\n`)
  await put(deps, 'app', 'app.example.com', 8002)
  assert.is(servedPort(deps, 'app.example.com'), 8002)
})

reload('a reload that is not confirmed within 10 s is undone', async () => {
  const deps = await worldWithRoute()
  const routes = routeFilesOf(deps)
  refuseNextReload(deps, '')
  const started = deps.clock.monotonicMs()
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  const waitedMs = deps.clock.monotonicMs() - started
  assert.is(error.message, 'NGINX did not serve the new configuration in time')
  assert.equal([error.details.state, error.details.reason], ['rolled_back', 'not_confirmed'])
  assert.ok(waitedMs >= 10_000 && waitedMs < 11_000, String(waitedMs))
  assert.equal(routeFilesOf(deps), routes)
  await assertSettled(deps)
})

reload('a failed deletion leaves the route served and its link in place', async () => {
  const deps = await worldWithRoute()
  const routes = routeFilesOf(deps)
  refuseNextReload(deps, PORT_TAKEN)
  await refusal(remove(deps, 'old'), 'NGINX_RELOAD_FAILED')
  assert.equal(routeFilesOf(deps), routes)
  assert.is(servedPort(deps, 'old.example.com'), 8001)
  await assertSettled(deps)
})

reload('two attempts never share a generation, so that an old answer proves nothing', async () => {
  const deps = await worldWithRoute()
  refuseNextReload(deps, PORT_TAKEN)
  await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  const { receipt } = await put(deps, 'app', 'app.example.com', 8002)
  assert.is(receipt.generation, 4)
  await assertSettled(deps)
})

for (const [what, change] of Object.entries({
  'a change': (deps: FakeDeps) => put(deps, 'app', 'app.example.com', 8002),
  'a deletion': (deps: FakeDeps) => remove(deps, 'old'),
})) {
  reload(`NGINX is not running: ${what} is refused, says so, and writes nothing`, async () => {
    const deps = await worldWithRoute()
    const before = contentsOf(deps.disk)
    deps.nginx.running = false
    const error = await refusal(change(deps), 'NGINX_RELOAD_FAILED')
    assert.is(error.message, 'NGINX is not running')
    assert.equal(
      [error.details.stage, error.details.state, error.details.reason],
      ['reload', 'unchanged', 'not_running'],
    )
    assert.is(error.details.remedy, 'Start NGINX (systemctl start nginx), then call again')
    assert.equal(contentsOf(deps.disk), before)
  })
}

reload('the pid file names a process that is no master: it is not signalled', async () => {
  const deps = await worldWithRoute()
  const pids: number[] = []
  onReload(deps, () => pids.push(1))
  for (const text of ['', '1\n', '-1\n', '4242\n', 'nonsense\n', '0\n']) {
    writeAt(deps.disk, '/run/nginx.pid', text)
    const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
    assert.is(error.details.reason, 'not_running', text)
  }
  assert.equal(pids, [])
})

reload('a master that may not be signalled is asked through the binary, and its refusal is told', async () => {
  const deps = await worldWithRoute()
  const { processes, runner } = deps.host
  processes.sendHup = () => false
  const run = runner.run
  const asked: string[][] = []
  runner.run = async (file, args, options) => {
    if (args[0] !== '-s') return await run(file, args, options)
    asked.push([file, ...args])
    return { exitCode: 1, output: 'nginx: [alert] kill(100, 1) failed (1: Operation not permitted)\n' }
  }
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  assert.equal(asked[0], ['/usr/sbin/nginx', '-s', 'reload'])
  assert.is(error.details.nginx_output, 'nginx: [alert] kill(100, 1) failed (1: Operation not permitted)')
})

reload.run()

const restore = suite('apply: restore')

restore(
  'the restore fails too: degraded, the journal stays, health says so; the next change finishes it and works',
  async () => {
    const deps = await worldWithRoute()
    const routes = routeFilesOf(deps)
    deps.nginx.refuseReload = PORT_TAKEN
    const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
    assert.is(error.details.state, 'degraded')
    assert.is(error.details.remedy, 'Fix the cause; the next call or a restart completes the rollback')
    assert.ok(deps.disk.has(`${STATE}/journal`))
    assert.equal(routeFilesOf(deps), routes)
    assert.is(servedPort(deps, 'old.example.com'), 8001)
    const sick = await deps.engine.readHealth()
    assert.is(sick.status, 'unhealthy')
    assert.ok(
      sick.reasons.includes('a change failed and could not be undone; the next call or a restart tries again'),
      sick.reasons.join('; '),
    )

    deps.nginx.refuseReload = undefined
    const started = deps.clock.monotonicMs()
    const changed = await put(deps, 'next', 'next.example.com', 8009)
    assert.is(changed.outcome, 'created')
    assert.ok(deps.clock.monotonicMs() - started < 1000, `it took ${deps.clock.monotonicMs() - started} ms`)
    assert.is(servedPort(deps, 'next.example.com'), 8009)
    assert.is(servedPort(deps, 'app.example.com'), undefined)
    assert.is((await deps.engine.readHealth()).status, 'healthy')
    await assertSettled(deps)
  },
)

restore('what was answered as failed is not finished afterwards, even where NGINX has taken it already', async () => {
  const deps = await worldWithRoute()
  const { files } = deps.host
  const { remove, rename } = files
  const refuse = async (path: string) => {
    throw Object.assign(new Error('EROFS'), { code: 'EROFS', path })
  }
  // The disk turns read-only once the change is served: neither can the journal be dropped, nor the former files be put back.
  files.remove = async (path) => {
    if (path !== `${STATE}/journal`) return await remove(path)
    Object.assign(files, { remove: refuse, rename: refuse })
    await refuse(path)
  }
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'CONFIG_WRITE_FAILED')
  assert.is(error.details.state, 'degraded')
  Object.assign(files, { remove, rename })
  await put(deps, 'next', 'next.example.com', 8009)
  assert.is(servedPort(deps, 'app.example.com'), undefined)
  assert.is(servedPort(deps, 'next.example.com'), 8009)
  await assertSettled(deps)
})

restore('a change whose journal is gone stands, although the folder of the journal could not be synced', async () => {
  const deps = await worldWithRoute()
  const { syncFolder } = deps.host.files
  deps.host.files.syncFolder = async (path) => {
    if (path === STATE && !deps.disk.has(`${STATE}/journal`))
      throw Object.assign(new Error('EIO'), { code: 'EIO', path })
    await syncFolder(path)
  }
  assert.is((await put(deps, 'app', 'app.example.com', 8002)).outcome, 'created')
  assert.is(servedPort(deps, 'app.example.com'), 8002)
  await assertSettled(deps)
})

restore('while the fault lasts, every further change is refused as degraded and nothing more is written', async () => {
  const deps = await worldWithRoute()
  deps.nginx.refuseReload = PORT_TAKEN
  await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  const error = await refusal(put(deps, 'next', 'next.example.com', 8009), 'NGINX_RELOAD_FAILED')
  assert.equal([error.details.stage, error.details.state], ['restore', 'degraded'])
  assert.is(textAt(deps.disk, `${AVAILABLE}/fpai-next.conf`), undefined)
  assert.is(servedPort(deps, 'old.example.com'), 8001)
})

restore(
  'a disk that is full: CONFIG_WRITE_FAILED names errno, file and remedy, and the next change works',
  async () => {
    const deps = await worldWithRoute()
    const routes = routeFilesOf(deps)
    const { files } = deps.host
    const write = files.write
    files.write = async (path, text, mode) => {
      if (path.startsWith(AVAILABLE)) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', path })
      await write(path, text, mode)
    }
    const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'CONFIG_WRITE_FAILED')
    assert.equal(error.details, {
      stage: 'write',
      state: 'unchanged',
      culprit: 'host',
      retryable: true,
      errno: 'ENOSPC',
      file: '.000-proxy-manager.conf.pm-tmp',
      remedy: 'The disk is full: free some space, then call again',
    })
    assert.equal(routeFilesOf(deps), routes)
    assert.is(deps.nginx.reloads, 1)
    files.write = write
    await put(deps, 'app', 'app.example.com', 8002)
    await assertSettled(deps)
  },
)

restore(
  'a state folder in which NGINX could not test is a full or read-only disk, no broken configuration',
  async () => {
    const deps = await worldWithRoute()
    const before = contentsOf(deps.disk)
    const { files } = deps.host
    const { writeUnsynced } = files
    files.writeUnsynced = async (path, text, mode) => {
      if (path.startsWith(`${STATE}/staging/`)) throw Object.assign(new Error('EROFS'), { code: 'EROFS', path })
      await writeUnsynced(path, text, mode)
    }
    const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'CONFIG_WRITE_FAILED')
    assert.equal([error.details.errno, error.details.state], ['EROFS', 'unchanged'])
    assert.equal(contentsOf(deps.disk), before)
  },
)

restore('no right to write sites-enabled, found out halfway: the file in sites-available goes again', async () => {
  const deps = await worldWithRoute()
  const before = contentsOf(deps.disk)
  const { files } = deps.host
  files.symlink = async (_target, path) => {
    throw Object.assign(new Error('EACCES'), { code: 'EACCES', path })
  }
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'CONFIG_WRITE_FAILED')
  assert.equal([error.details.errno, error.details.state], ['EACCES', 'rolled_back'])
  assert.equal(contentsOf(deps.disk), before)
  assert.is(deps.nginx.reloads, 1)
})

restore.run()

const drift = suite('apply: hand edits')

drift('a route that was edited by hand is replaced by its PUT, and the edited text is kept', async () => {
  const deps = await worldWithRoute()
  const path = `${AVAILABLE}/fpai-old.conf`
  const written = textAt(deps.disk, path) ?? ''
  const edited = written.replace('client_max_body_size 64m;', 'client_max_body_size 128m;')
  writeAt(deps.disk, path, edited)
  assert.is((await deps.engine.getProxy('old')).status, 'drifted')
  const { outcome, proxy } = await put(deps, 'old', 'old.example.com', 8001)
  assert.equal([outcome, proxy.status], ['replaced', 'active'])
  assert.not.match(textAt(deps.disk, path) ?? '', '128m')
  assert.equal(backupsOf(deps), [['fpai-old.conf', edited, 0o600]])
  await assertSettled(deps)
})

drift('a route that was edited by hand and is deleted leaves its text in the backups', async () => {
  const deps = await worldWithRoute()
  const path = `${AVAILABLE}/fpai-old.conf`
  const edited = `${textAt(deps.disk, path)}# mine\n`
  writeAt(deps.disk, path, edited)
  await remove(deps, 'old')
  assert.equal(backupsOf(deps), [['fpai-old.conf', edited, 0o600]])
  await assertSettled(deps)
})

drift('an edit that reached the header is kept as well', async () => {
  const deps = await worldWithRoute()
  const path = `${AVAILABLE}/fpai-old.conf`
  const edited = (textAt(deps.disk, path) ?? '').replace('# record: {', '# record: ')
  writeAt(deps.disk, path, edited)
  await put(deps, 'old', 'old.example.com', 8001)
  assert.equal(backupsOf(deps), [['fpai-old.conf', edited, 0o600]])
  await assertSettled(deps)
})

drift('a file in place of the symlink is kept before the symlink takes its place', async () => {
  const deps = await worldWithRoute()
  const text = 'server { listen 80; server_name old.example.com; }\n'
  writeAt(deps.disk, `${ENABLED}/fpai-old.conf`, text)
  await put(deps, 'old', 'old.example.com', 8001)
  assert.is(deps.disk.get(`${ENABLED}/fpai-old.conf`)?.kind, 'link')
  assert.equal(backupsOf(deps), [['fpai-old.conf', text, 0o600]])
  await assertSettled(deps)
})

drift('a file of that name which Proxy Manager did not write is never touched', async () => {
  const deps = await worldWithRoute()
  writeAt(deps.disk, `${AVAILABLE}/fpai-app.conf`, 'server { listen 8080; }\n')
  const before = contentsOf(deps.disk)
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'DROPLET_EXISTS')
  assert.equal(error.details.owner, { file: 'fpai-app.conf' })
  await refusal(remove(deps, 'app'), 'DROPLET_EXISTS')
  assert.equal(contentsOf(deps.disk), before)
})

drift('a symlink in place of a route is not written through', async () => {
  const deps = await worldWithRoute()
  writeAt(deps.disk, '/etc/passwd', 'root:x:0:0\n')
  deps.disk.set(`${AVAILABLE}/fpai-app.conf`, { kind: 'link', target: '/etc/passwd' })
  await put(deps, 'app', 'app.example.com', 8002).catch(() => undefined)
  assert.is(textAt(deps.disk, '/etc/passwd'), 'root:x:0:0\n')
})

drift('a temporary that someone made in advance leads nowhere', async () => {
  const deps = await worldWithRoute()
  writeAt(deps.disk, '/etc/passwd', 'root:x:0:0\n')
  for (const folder of [AVAILABLE, ENABLED])
    deps.disk.set(`${folder}/.fpai-app.conf.pm-tmp`, { kind: 'link', target: '/etc/passwd' })
  await put(deps, 'app', 'app.example.com', 8002)
  assert.is(textAt(deps.disk, '/etc/passwd'), 'root:x:0:0\n')
  await assertSettled(deps)
})

drift.run()

const bare = suite('apply: a host without a main configuration')

bare(
  'files are swapped, then tested, then NGINX is told to reload; the receipt claims no more than an exit status',
  async () => {
    const deps = await fakeDeps({ mainConfiguration: null })
    const { receipt } = await put(deps, 'app', 'app.example.com', 8002)
    assert.equal([receipt.reloaded, receipt.proved_by], [true, 'exit_status'])
    const order = deps.effects.journal
      .filter(({ verb, subject }) => verb === 'run' || subject.startsWith('/etc/nginx/'))
      .map(({ verb, subject }) => `${verb} ${subject}`)
    const last = order.lastIndexOf(`rename ${ENABLED}/fpai-app.conf`)
    const [tested, reloaded] = ['run /usr/sbin/nginx -t', 'run /usr/sbin/nginx -s reload'].map((run) =>
      order.indexOf(run),
    )
    assert.ok(last > 0 && tested !== undefined && reloaded !== undefined && last < tested && tested < reloaded)
    assert.is(deps.nginx.reloads, 0)
    assert.is(countEffects(deps, /^run .* -t/), 1)
  },
)

bare('a refused test restores the files and does not reload', async () => {
  const deps = await fakeDeps({ mainConfiguration: null })
  await put(deps, 'old', 'old.example.com', 8001)
  const before = contentsOf(deps.disk)
  const from = deps.effects.journal.length
  deps.nginx.judge = () => refused('fpai-app.conf', 3, 'invalid parameter "x"')
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'PROXY_CONFIG_FAILED')
  assert.is(error.details.state, 'rolled_back')
  assert.equal(error.details.diagnostics, [
    { level: 'emerg', file: 'fpai-app.conf', line: 3, message: 'invalid parameter "x"' },
  ])
  assert.equal(contentsOf(deps.disk), before)
  assert.is(countEffects(deps, /-s reload/, from), 0)
})

bare('a refused reload restores the files and reloads them', async () => {
  const deps = await fakeDeps({ mainConfiguration: null })
  await put(deps, 'old', 'old.example.com', 8001)
  const routes = routeFilesOf(deps)
  const { runner } = deps.host
  const run = runner.run
  let reloads = 0
  runner.run = async (file, args, options) => {
    if (args[0] === '-s' && ++reloads === 1)
      return { exitCode: 1, output: 'nginx: [error] open() "/run/nginx.pid" failed (2: No such file or directory)\n' }
    return await run(file, args, options)
  }
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  assert.equal([error.details.state, error.details.reason], ['rolled_back', 'refused'])
  assert.is(error.details.nginx_output, 'nginx: [error] open() "nginx.pid" failed (2: No such file or directory)')
  assert.equal(routeFilesOf(deps), routes)
  assert.is(reloads, 2)
  assert.not.ok(deps.disk.has(`${STATE}/journal`))
})

bare('NGINX_CONF is handed to every call', async () => {
  const deps = await fakeDeps({ mainConfiguration: null, settings: { NGINX_CONF: '/opt/nginx/nginx.conf' } })
  await put(deps, 'app', 'app.example.com', 8002)
  assert.equal(
    deps.effects.journal.filter(({ verb }) => verb === 'run').map(({ subject }) => subject),
    [
      '/usr/sbin/nginx -V',
      '/usr/sbin/nginx -t -c /opt/nginx/nginx.conf',
      '/usr/sbin/nginx -s reload -c /opt/nginx/nginx.conf',
    ],
  )
})

bare('no binary at all: the change is undone, and the error says what is missing', async () => {
  const deps = await fakeDeps({ settings: { NGINX_BIN: '/opt/none/nginx' } })
  const before = contentsOf(deps.disk)
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'PROXY_CONFIG_FAILED')
  assert.is(error.details.nginx_output, 'NGINX cannot be run: install it, or correct NGINX_BIN')
  assert.equal(contentsOf(deps.disk), before)
})

bare.run()

const reads = suite('apply: reads and rehearsals')

reads('what is not confirmed yet is not shown: reads answer the state of before', async () => {
  const deps = await worldWithRoute()
  const seen: Promise<unknown>[] = []
  onReload(deps, () => {
    assert.match(textAt(deps.disk, `${ENABLED}/fpai-old.conf`) ?? '', '8002')
    seen.push(
      deps.engine.getProxy('old').then((proxy) => proxy.upstream_port),
      deps.engine.listProxies().then((proxies) => proxies.map((proxy) => proxy.droplet_name)),
      refusal(deps.engine.getProxy('app'), 'PROXY_NOT_FOUND').then(({ code }) => code),
    )
  })
  await Promise.all([put(deps, 'old', 'old.example.com', 8002), put(deps, 'app', 'app.example.com', 8003)])
  assert.equal(await Promise.all(seen), [8001, ['old'], 'PROXY_NOT_FOUND'])
  assert.is((await deps.engine.getProxy('old')).upstream_port, 8002)
  assert.is((await deps.engine.listProxies()).length, 2)
})

reads('a dry run changes nothing, shows the difference, and has the verdict of NGINX', async () => {
  const deps = await worldWithRoute()
  const before = contentsOf(deps.disk)
  const { files, test, outcome, proxy } = await deps.engine.dryRunPut(request('old', 'old.example.com', 8002))
  assert.equal(contentsOf(deps.disk), before)
  assert.is(deps.nginx.reloads, 1)
  assert.equal(
    [test.ok, test.output],
    [true, 'nginx: the configuration file syntax is ok\nnginx: configuration file test is successful'],
  )
  assert.equal([outcome, proxy.upstream_port], ['replaced', 8002])
  assert.equal(
    files.map(({ path }) => path),
    [`${AVAILABLE}/000-proxy-manager.conf`, `${AVAILABLE}/fpai-old.conf`],
  )
  assert.is((await deps.engine.getProxy('old')).upstream_port, 8001)
  await assertSettled(deps)
})

reads('a dry run that NGINX refuses is an answer, with its words', async () => {
  const deps = await worldWithRoute()
  const before = contentsOf(deps.disk)
  deps.nginx.judge = () => refused('fpai-app.conf', 2, 'invalid parameter')
  const { test } = await deps.engine.dryRunPut(request('app', 'app.example.com', 8002))
  assert.is(test.ok, false)
  assert.is(
    test.output,
    '2026/01/01 00:00:00 [emerg] 4242#4242: invalid parameter in fpai-app.conf:2\nnginx: configuration file nginx.conf test failed',
  )
  assert.equal(contentsOf(deps.disk), before)
})

reads('a dry run of a deletion names file and link, and leaves both', async () => {
  const deps = await worldWithRoute()
  const before = contentsOf(deps.disk)
  const { files, outcome } = await deps.engine.dryRunDelete({ dropletName: 'old', precondition: {} })
  assert.is(outcome, 'deleted')
  assert.equal(
    files.map(({ path, after }) => [path, after === null]),
    [
      [`${AVAILABLE}/000-proxy-manager.conf`, false],
      [`${AVAILABLE}/fpai-old.conf`, true],
      [`${ENABLED}/fpai-old.conf`, true],
    ],
  )
  assert.equal(contentsOf(deps.disk), before)
})

reads('a dry run waits for the batch that is being applied, and sees its result', async () => {
  const deps = await worldWithRoute()
  const [, rehearsed] = await Promise.all([
    put(deps, 'old', 'old.example.com', 8002),
    put(deps, 'app', 'app.example.com', 8003).then(() =>
      deps.engine.dryRunPut(request('old', 'old.example.com', 8002)),
    ),
  ])
  assert.equal([rehearsed.outcome, rehearsed.files], ['unchanged', []])
})

reads('what is told of an upstream is never what was asked of a former one', async () => {
  const deps = await worldWithRoute()
  const told = async () => {
    const { last_health_status, last_health_checked_at } = await deps.engine.getProxy('old')
    return [last_health_status, last_health_checked_at]
  }
  await deps.clock.sleep(1000)
  await put(deps, 'old', 'old.example.com', 8001)
  assert.equal(await told(), ['healthy', '2026-01-01T00:00:01.000Z'])
  const { proxy } = await put(deps, 'old', 'old.example.com', 8002, false)
  assert.is(proxy.last_health_status, 'unknown')
  assert.equal(await told(), ['unknown', null])
  await put(deps, 'old', 'old.example.com', 8003)
  await put(deps, 'old', 'old.example.com', 8004, false)
  assert.equal(await told(), ['unknown', null])
  await put(deps, 'old', 'old.example.com', 8004)
  await remove(deps, 'old')
  await put(deps, 'old', 'old.example.com', 8005, false)
  assert.equal(await told(), ['unknown', null])
})

reads.run()

const certificates = suite('apply: certificates')
const lineage = makeLineage('app.example.com')

certificates('a lineage of certbot is served from a checked copy that only the owner can read', async () => {
  const deps = await fakeDeps()
  await installLineage(deps, 'app.example.com', lineage)
  const { proxy } = await deps.engine.putProxy(request('app', 'app.example.com', 8002, true))
  assert.equal([proxy.status, proxy.ssl_enabled, proxy.certificate?.domains], ['active', true, ['app.example.com']])
  const folder = `${STATE}/certificates/app.example.com/${proxy.certificate?.fingerprint_sha256}`
  const text = textAt(deps.disk, `${ENABLED}/fpai-app.conf`) ?? ''
  assert.match(text, `ssl_certificate ${folder}/fullchain.pem;`)
  assert.match(text, `ssl_certificate_key ${folder}/privkey.pem;`)
  assert.not.match(text, '/etc/letsencrypt')
  assert.match(text, 'return 308 https://app.example.com$request_uri;')
  for (const [name, pem] of Object.entries({ 'fullchain.pem': lineage.fullchain, 'privkey.pem': lineage.privkey })) {
    const entry = deps.disk.get(`${folder}/${name}`)
    assert.ok(entry?.kind === 'file')
    assert.equal([entry.file.text, entry.mode], [pem, 0o600])
  }
  await assertSettled(deps)
})

certificates('the copy is made before the test reads it, and not again for the next change', async () => {
  const deps = await fakeDeps()
  await installLineage(deps, 'app.example.com', lineage)
  await deps.engine.putProxy(request('app', 'app.example.com', 8002, true))
  const subjects = deps.effects.journal.map(({ verb, subject }) => `${verb} ${subject}`)
  const copied = subjects.findIndex((subject) => /^write .*\/privkey\.pem$/.test(subject))
  const tested = subjects.findIndex((subject) => / -t /.test(subject))
  assert.ok(copied > 0 && copied < tested)
  const from = deps.effects.journal.length
  await deps.engine.putProxy(request('app', 'app.example.com', 8003, true))
  assert.is(countEffects(deps, /^write .*\.pem$/, from), 0)
})

const BROKEN = {
  'a key of another certificate': { ...lineage, privkey: makeLineage('app.example.com').privkey },
  'a certificate for another name': makeLineage('other.example.com'),
  'an empty certificate file': { ...lineage, fullchain: '' },
  'a key that is cut off': { ...lineage, privkey: lineage.privkey.slice(0, 80) },
}
for (const [what, broken] of Object.entries(BROKEN)) {
  certificates(`${what} is never served: the route stays on HTTP and says it is pending`, async () => {
    const deps = await fakeDeps()
    await installLineage(deps, 'app.example.com', broken)
    const { proxy } = await deps.engine.putProxy(request('app', 'app.example.com', 8002, true))
    assert.equal([proxy.status, proxy.ssl_enabled, proxy.certificate], ['pending_ssl', false, null])
    assert.not.match(textAt(deps.disk, `${ENABLED}/fpai-app.conf`) ?? '', 'ssl_certificate')
    assert.is(servedPort(deps, 'app.example.com'), 8002)
    assert.not.ok([...deps.disk.keys()].some((path) => path.startsWith(`${STATE}/certificates/`)))
    await assertSettled(deps)
  })
}

certificates('an expired certificate is not served', async () => {
  const deps = await fakeDeps()
  await installLineage(deps, 'app.example.com', lineage)
  await deps.clock.sleep(31 * 86_400_000)
  const { proxy } = await deps.engine.putProxy(request('app', 'app.example.com', 8002, true))
  assert.is(proxy.status, 'pending_ssl')
})

certificates('a lineage that is torn later does not take HTTPS away: the copy goes on', async () => {
  const deps = await fakeDeps()
  await installLineage(deps, 'app.example.com', lineage)
  const { proxy } = await deps.engine.putProxy(request('app', 'app.example.com', 8002, true))
  writeAt(deps.disk, '/etc/letsencrypt/live/app.example.com/fullchain.pem', '')
  const again = await deps.engine.putProxy(request('app', 'app.example.com', 8003, true))
  assert.is(again.proxy.certificate?.fingerprint_sha256, proxy.certificate?.fingerprint_sha256)
  await assertSettled(deps)
})

certificates('a certificate never serves another domain of the same droplet', async () => {
  const deps = await fakeDeps()
  await installLineage(deps, 'app.example.com', lineage)
  await deps.engine.putProxy(request('app', 'app.example.com', 8002, true))
  const { proxy } = await deps.engine.putProxy(request('app', 'new.example.com', 8002, true))
  assert.equal([proxy.status, proxy.certificate], ['pending_ssl', null])
  assert.not.match(textAt(deps.disk, `${ENABLED}/fpai-app.conf`) ?? '', 'fullchain.pem')
})

certificates('a new certificate is proved by the handshake that shows it', async () => {
  const deps = await fakeDeps()
  await installLineage(deps, 'app.example.com', lineage)
  const { receipt } = await deps.engine.putProxy(request('app', 'app.example.com', 8002, true))
  assert.equal([receipt.proved_by, receipt.reloaded], ['tls_handshake', true])
})

for (const [what, shown] of Object.entries({
  'another certificate': { fingerprint: '0'.repeat(64) },
  'no certificate': { failure: 'ECONNREFUSED' },
})) {
  certificates(`a handshake that shows ${what} undoes the change`, async () => {
    const deps = await fakeDeps()
    await put(deps, 'app', 'app.example.com', 8002)
    const routes = routeFilesOf(deps)
    await installLineage(deps, 'app.example.com', lineage)
    deps.host.probe.handshake = async () => shown
    const error = await refusal(
      deps.engine.putProxy(request('app', 'app.example.com', 8002, true)),
      'NGINX_RELOAD_FAILED',
    )
    assert.equal([error.details.state, error.details.reason], ['rolled_back', 'wrong_certificate'])
    assert.equal(routeFilesOf(deps), routes)
    assert.is(servedPort(deps, 'app.example.com'), 8002)
    await assertSettled(deps)
  })
}

certificates('HTTPS that is not wanted is not served, certificate or not', async () => {
  const deps = await fakeDeps()
  await installLineage(deps, 'app.example.com', lineage)
  const { proxy } = await deps.engine.putProxy(request('app', 'app.example.com', 8002, false))
  assert.equal([proxy.status, proxy.ssl_enabled], ['active', false])
})

certificates('a dry run with a certificate leaves the disk as it was', async () => {
  const deps = await fakeDeps()
  await installLineage(deps, 'app.example.com', lineage)
  const before = contentsOf(deps.disk)
  const { proxy } = await deps.engine.dryRunPut(request('app', 'app.example.com', 8002, true))
  assert.is(proxy.status, 'active')
  assert.equal(contentsOf(deps.disk), before)
})

certificates.run()

function request(dropletName: string, domain: string, port: number, ssl = false): PutRequest {
  const spec = { domain, upstream_host: 'localhost', upstream_port: port, require_healthy: true, enable_ssl: ssl }
  return { dropletName, spec, mode: 'replace', precondition: {} }
}

/** The files of the two folders, the shared one (whose generation moves on) left out. */
function routeFilesOf(deps: FakeDeps): [string, string][] {
  return [...filesOf(deps)].filter(([path]) => path.includes('fpai-')).sort()
}

/** Name (without its time), text and mode of every backup. */
function backupsOf({ disk }: FakeDeps): [string, string, number][] {
  const folder = `${STATE}/backups/`
  return [...disk].flatMap(([path, entry]) =>
    path.startsWith(folder) && entry.kind === 'file'
      ? [[path.slice(folder.length).replace(/\.\d+$/, ''), entry.file.text, entry.mode]]
      : [],
  )
}
