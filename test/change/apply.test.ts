import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import type { Changed } from '../../lib/engine/engine.ts'
import {
  assertSettled,
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
import { put, putRequest, remove, servedPort, worldWithRoute } from '../helpers/world.ts'

const AVAILABLE = '/etc/nginx/sites-available'
const ENABLED = '/etc/nginx/sites-enabled'
const STATE = '/var/lib/proxy-manager'

const unchanged = suite('apply: nothing to do')

unchanged('a PUT that changes nothing probes the upstream and the generation, and has no other effect', async () => {
  const deps = await worldWithRoute()
  const before = contentsOf(deps.disk)
  const from = deps.effects.journal.length
  const changed = await put(deps, 'old', 'old.example.com', 8001)
  assert.is(changed.outcome, 'unchanged')
  assert.equal(deps.effects.journal.slice(from), [
    { verb: 'probe', subject: 'localhost:8001 at 127.0.0.1' },
    { verb: 'probe', subject: 'generation.proxy-manager.invalid at 127.0.0.1' },
    { verb: 'probe', subject: 'generation.proxy-manager.invalid at ::1' },
  ])
  assert.is(deps.nginx.reloads, 1)
  assert.equal(contentsOf(deps.disk), before)
  assert.equal(changed.receipt, {
    generation: 1,
    reloaded: false,
    proved_by: 'files_unchanged',
    proved_ms: 0,
    batch: 1,
    former: [],
  })
})

unchanged('an unchanged PUT that rewrites the shared file says that NGINX was reloaded for it', async () => {
  const deps = await worldWithRoute()
  const main = textAt(deps.disk, '/etc/nginx/nginx.conf') ?? ''
  writeAt(deps.disk, '/etc/nginx/nginx.conf', main.replace('http {', 'http { server_names_hash_max_size 4096;'))
  const { outcome, receipt } = await put(deps, 'old', 'old.example.com', 8001)
  assert.equal([outcome, receipt.reloaded, receipt.proved_by], ['unchanged', true, 'generation_probe'])
  assert.equal([receipt.generation, deps.nginx.reloads], [2, 2])
  await assertSettled(deps)
})

unchanged('an unchanged PUT reloads NGINX if it does not serve what is on disk, and the receipt says so', async () => {
  const deps = await worldWithRoute()
  // Somebody restarted NGINX with other files, and has put ours back since.
  deps.nginx.loaded = new Map()
  const changed = await put(deps, 'old', 'old.example.com', 8001)
  assert.is(changed.outcome, 'unchanged')
  const { reloaded, proved_by, batch: shared } = changed.receipt
  assert.equal([reloaded, proved_by, shared], [true, 'generation_probe', 1])
  assert.is(servedPort(deps, 'old.example.com'), 8001)
  await assertSettled(deps)
})

unchanged('an unchanged PUT fails while NGINX is stopped', async () => {
  const deps = await worldWithRoute()
  deps.nginx.running = false
  const error = await refusal(put(deps, 'old', 'old.example.com', 8001), 'NGINX_RELOAD_FAILED')
  assert.equal([error.details.reason, error.details.state], ['not_running', 'unchanged'])
})

unchanged('a thousand identical PUTs cost no test and no reload', async () => {
  const deps = await worldWithRoute()
  const from = deps.effects.journal.length
  const calls = Array.from({ length: 1000 }, () => put(deps, 'old', 'old.example.com', 8001))
  for (const changed of await Promise.all(calls)) assert.is(changed.outcome, 'unchanged')
  assert.is(deps.nginx.reloads, 1)
  assert.is(countEffects(deps, /^(run|write|rename|remove)/, from), 0)
})

unchanged('the deletion of a missing route touches nothing', async () => {
  const deps = await worldWithRoute()
  const before = contentsOf(deps.disk)
  await refusal(remove(deps, 'none'), 'PROXY_NOT_FOUND')
  assert.equal(contentsOf(deps.disk), before)
  assert.is(deps.nginx.reloads, 1)
})

unchanged(
  'if the main configuration does not include sites-enabled, a change is refused with the missing line',
  async () => {
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
  },
)

unchanged('a domain that a hand-written server block serves is refused, with file and line', async () => {
  const deps = await worldWithRoute()
  writeAt(deps.disk, '/etc/nginx/conf.d/shop.conf', '\nserver {\n  listen 80;\n  server_name SHOP.example.com;\n}\n')
  const error = await refusal(put(deps, 'shop', 'shop.example.com', 8002), 'DOMAIN_CONFLICT')
  assert.equal(error.details.owner, { file: 'shop.conf', line: 2 })
  await assertSettled(deps)
})

unchanged('a file with the name of a route that Proxy Manager did not write is never touched', async () => {
  const deps = await worldWithRoute()
  writeAt(deps.disk, `${AVAILABLE}/fpai-app.conf`, 'server { listen 8080; }\n')
  const before = contentsOf(deps.disk)
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'DROPLET_EXISTS')
  assert.equal(error.details.owner, { file: 'fpai-app.conf' })
  await refusal(remove(deps, 'app'), 'DROPLET_EXISTS')
  assert.equal(contentsOf(deps.disk), before)
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
    assert.equal(receipt, {
      generation: 2,
      reloaded: true,
      proved_by: 'generation_probe',
      proved_ms: 0,
      batch: 5,
      former: [],
    })
  await assertSettled(deps)
})

batch('changes that arrive while a batch is applied form the next one: 100 changes, one more reload', async () => {
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

batch('a batch holds one change per droplet: each is acknowledged in its turn, and the last one wins', async () => {
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

batch('of two droplets that request one domain at once one gets it, and the other learns who has it', async () => {
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

batch('a concurrent change and deletion of one droplet end as if they came one after the other', async () => {
  const deps = await worldWithRoute()
  await Promise.all([put(deps, 'app', 'app.example.com', 8002), remove(deps, 'old')])
  const [written, deleted] = await Promise.all([put(deps, 'app', 'app.example.com', 8003), remove(deps, 'app')])
  // The deletion has no upstream to probe, so it gets into the queue first.
  assert.equal([deleted.outcome, written.outcome], ['deleted', 'created'])
  assert.ok(deleted.receipt.generation < written.receipt.generation)
  assert.is(servedPort(deps, 'app.example.com'), 8003)
  await assertSettled(deps)
})

/** The results of one batch: a deletion of a missing route, a conflict, an unchanged PUT, and a change. */
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
    `if the ${what}, only the changes that needed a reload fail; the others of the batch keep their answers`,
    async () => {
      const deps = await worldWithRoute()
      arrange(deps)
      assert.equal(await answersOfMixedBatch(deps), ['PROXY_NOT_FOUND', 'DOMAIN_CONFLICT', 'unchanged', code])
      await assertSettled(deps)
    },
  )
}

batch('an unchanged PUT beside a change that is rolled back is answered with the served generation', async () => {
  const deps = await worldWithRoute()
  refuseNextReload(deps, PORT_TAKEN)
  const [{ receipt }] = await Promise.all([
    put(deps, 'old', 'old.example.com', 8001),
    refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED'),
  ])
  assert.equal([receipt.generation, receipt.reloaded], [3, false])
  assert.match([...deps.nginx.loaded.values()].join(), 'return 200 3;')
})

batch('while NGINX is stopped, a refused change keeps its answer and an unchanged one fails', async () => {
  const deps = await worldWithRoute()
  deps.nginx.running = false
  const failed = 'NGINX_RELOAD_FAILED'
  assert.equal(await answersOfMixedBatch(deps), ['PROXY_NOT_FOUND', 'DOMAIN_CONFLICT', failed, failed])
})

batch('if the rollback fails too, a refused change keeps its answer and no other is retried', async () => {
  const deps = await worldWithRoute()
  deps.nginx.refuseReload = PORT_TAKEN
  const failed = 'NGINX_RELOAD_FAILED'
  assert.equal(await answersOfMixedBatch(deps), ['PROXY_NOT_FOUND', 'DOMAIN_CONFLICT', failed, failed])
  assert.ok(deps.disk.has(`${STATE}/journal`))
})

batch('a domain goes to the next change of a batch if the first one fails', async () => {
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

const dryRun = suite('apply: dry runs')

dryRun('a dry run changes nothing, and shows the difference and the test result of NGINX', async () => {
  const deps = await worldWithRoute()
  const before = contentsOf(deps.disk)
  const { files, test, outcome, proxy } = await deps.engine.dryRunPut(putRequest('old', 'old.example.com', 8002))
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

dryRun("a dry run that NGINX refuses returns NGINX's message", async () => {
  const deps = await worldWithRoute()
  const before = contentsOf(deps.disk)
  deps.nginx.judge = () => refused('fpai-app.conf', 2, 'invalid parameter')
  const { test } = await deps.engine.dryRunPut(putRequest('app', 'app.example.com', 8002))
  assert.is(test.ok, false)
  assert.is(
    test.output,
    '2026/01/01 00:00:00 [emerg] 4242#4242: invalid parameter in fpai-app.conf:2\nnginx: configuration file nginx.conf test failed',
  )
  assert.equal(contentsOf(deps.disk), before)
})

dryRun('a dry run of a deletion names file and symlink, and leaves both', async () => {
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

dryRun('a dry run waits for the running batch, and sees its result', async () => {
  const deps = await worldWithRoute()
  const [, dryRunResult] = await Promise.all([
    put(deps, 'old', 'old.example.com', 8002),
    put(deps, 'app', 'app.example.com', 8003).then(() =>
      deps.engine.dryRunPut(putRequest('old', 'old.example.com', 8002)),
    ),
  ])
  assert.equal([dryRunResult.outcome, dryRunResult.files], ['unchanged', []])
})

dryRun.run()

const certificates = suite('apply: certificates')

const lineage = makeLineage('app.example.com')

certificates('a certbot lineage is served from a checked copy that only its owner can read', async () => {
  const deps = await fakeDeps()
  await installLineage(deps, 'app.example.com', lineage)
  const { proxy } = await deps.engine.putProxy(putRequest('app', 'app.example.com', 8002, true))
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

certificates('the copy is made before the test reads it, and is not made again for the next change', async () => {
  const deps = await fakeDeps()
  await installLineage(deps, 'app.example.com', lineage)
  await deps.engine.putProxy(putRequest('app', 'app.example.com', 8002, true))
  const subjects = deps.effects.journal.map(({ verb, subject }) => `${verb} ${subject}`)
  const copied = subjects.findIndex((subject) => /^write .*\/privkey\.pem$/.test(subject))
  const tested = subjects.findIndex((subject) => / -t /.test(subject))
  assert.ok(copied > 0 && copied < tested)
  const from = deps.effects.journal.length
  await deps.engine.putProxy(putRequest('app', 'app.example.com', 8003, true))
  assert.is(countEffects(deps, /^write .*\.pem$/, from), 0)
})

const BROKEN = {
  'a key of another certificate': { ...lineage, privkey: makeLineage('app.example.com').privkey },
  'a certificate for another name': makeLineage('other.example.com'),
  'an empty certificate file': { ...lineage, fullchain: '' },
  'a key that is cut off': { ...lineage, privkey: lineage.privkey.slice(0, 80) },
}
for (const [what, broken] of Object.entries(BROKEN)) {
  certificates(`${what} is never served: the route stays on HTTP and is shown as pending`, async () => {
    const deps = await fakeDeps()
    await installLineage(deps, 'app.example.com', broken)
    const { proxy } = await deps.engine.putProxy(putRequest('app', 'app.example.com', 8002, true))
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
  const { proxy } = await deps.engine.putProxy(putRequest('app', 'app.example.com', 8002, true))
  assert.is(proxy.status, 'pending_ssl')
})

certificates('a lineage that is damaged later does not end HTTPS: the copy is still served', async () => {
  const deps = await fakeDeps()
  await installLineage(deps, 'app.example.com', lineage)
  const { proxy } = await deps.engine.putProxy(putRequest('app', 'app.example.com', 8002, true))
  writeAt(deps.disk, '/etc/letsencrypt/live/app.example.com/fullchain.pem', '')
  const again = await deps.engine.putProxy(putRequest('app', 'app.example.com', 8003, true))
  assert.is(again.proxy.certificate?.fingerprint_sha256, proxy.certificate?.fingerprint_sha256)
  await assertSettled(deps)
})

certificates('a certificate never serves another domain of the same droplet', async () => {
  const deps = await fakeDeps()
  await installLineage(deps, 'app.example.com', lineage)
  await deps.engine.putProxy(putRequest('app', 'app.example.com', 8002, true))
  const { proxy } = await deps.engine.putProxy(putRequest('app', 'new.example.com', 8002, true))
  assert.equal([proxy.status, proxy.certificate], ['pending_ssl', null])
  assert.not.match(textAt(deps.disk, `${ENABLED}/fpai-app.conf`) ?? '', 'fullchain.pem')
})

certificates('a route without enable_ssl is not served over HTTPS, even if there is a certificate', async () => {
  const deps = await fakeDeps()
  await installLineage(deps, 'app.example.com', lineage)
  const { proxy } = await deps.engine.putProxy(putRequest('app', 'app.example.com', 8002, false))
  assert.equal([proxy.status, proxy.ssl_enabled], ['active', false])
})

certificates('a dry run with a certificate leaves the disk unchanged', async () => {
  const deps = await fakeDeps()
  await installLineage(deps, 'app.example.com', lineage)
  const before = contentsOf(deps.disk)
  const { proxy } = await deps.engine.dryRunPut(putRequest('app', 'app.example.com', 8002, true))
  assert.is(proxy.status, 'active')
  assert.equal(contentsOf(deps.disk), before)
})

certificates.run()
