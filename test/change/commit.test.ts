import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import {
  assertSettled,
  CERTIFICATE_GONE,
  contentsOf,
  installLineage,
  makeLineage,
  onReload,
  PORT_TAKEN,
  refusal,
  refuseNextReload,
  textAt,
  writeAt,
} from '../helpers/arrange.ts'
import { backupsOf, put, putRequest, remove, routeFilesOf, servedPort, worldWithRoute } from '../helpers/world.ts'

const AVAILABLE = '/etc/nginx/sites-available'
const ENABLED = '/etc/nginx/sites-enabled'

const reload = suite('commit: reload')

const REFUSALS = {
  'a port that is in use': { log: PORT_TAKEN, shown: 'still could not bind()' },
  'a missing certificate': { log: CERTIFICATE_GONE, shown: 'cannot load certificate "fullchain.pem"' },
}
for (const [what, { log, shown }] of Object.entries(REFUSALS)) {
  reload(`a reload that fails over ${what} is rolled back, with NGINX_RELOAD_FAILED and NGINX's message`, async () => {
    const deps = await worldWithRoute()
    const routes = routeFilesOf(deps)
    refuseNextReload(deps, log)
    const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
    assert.is(error.message, 'NGINX rejected the new configuration, although its test had passed')
    assert.equal(
      [error.details.stage, error.details.state, error.details.reason, error.details.culprit],
      ['confirm', 'rolled_back', 'refused', 'host'],
    )
    assert.match(String(error.details.nginx_output), shown)
    assert.not.match(String(error.details.nginx_output), '/etc/')
    assert.ok(JSON.stringify(error.details.diagnostics).includes('"level":"emerg"'))
    assert.equal(routeFilesOf(deps), routes)
    assert.is(servedPort(deps, 'old.example.com'), 8001)
    assert.is(servedPort(deps, 'app.example.com'), undefined)
    await assertSettled(deps)
  })
}

reload('a reload that is not confirmed within 10 s is rolled back', async () => {
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

reload('a failed deletion leaves the route served and its symlink in place', async () => {
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

reload('while NGINX is not running, a change is refused and writes nothing', async () => {
  const deps = await worldWithRoute()
  const before = contentsOf(deps.disk)
  deps.nginx.running = false
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  assert.is(error.message, 'NGINX is not running')
  assert.equal([error.details.stage, error.details.state, error.details.reason], ['reload', 'unchanged', 'not_running'])
  assert.is(error.details.remedy, 'Start NGINX (systemctl start nginx), then call again')
  assert.equal(contentsOf(deps.disk), before)
})

reload(
  'while NGINX is not running, a route can be deleted: NGINX accepts what is left, and the receipt says so',
  async () => {
    const deps = await worldWithRoute()
    deps.nginx.running = false
    const [deleted, refused] = await Promise.allSettled([
      remove(deps, 'old'),
      put(deps, 'app', 'app.example.com', 8002),
    ])
    if (deleted.status === 'rejected') throw deleted.reason
    const { proved_by, reloaded } = deleted.value.receipt
    assert.equal([proved_by, reloaded], ['config_test', false])
    assert.is(refused.status, 'rejected')
    assert.equal(
      [...deps.disk.keys()].filter((path) => path.includes('fpai-')),
      [],
    )
  },
)

reload.run()

const certificates = suite('commit: certificates')

const lineage = makeLineage('app.example.com')

certificates('a new certificate is proved by a handshake that presents it', async () => {
  const deps = await fakeDeps()
  await installLineage(deps, 'app.example.com', lineage)
  const { receipt } = await deps.engine.putProxy(putRequest('app', 'app.example.com', 8002, true))
  assert.equal([receipt.proved_by, receipt.reloaded], ['tls_handshake', true])
})

for (const [what, shown] of Object.entries({
  'another certificate': { fingerprint: '0'.repeat(64) },
  'no certificate': { failure: 'ECONNREFUSED' },
})) {
  certificates(`a handshake that presents ${what} rolls the change back`, async () => {
    const deps = await fakeDeps()
    await put(deps, 'app', 'app.example.com', 8002)
    const routes = routeFilesOf(deps)
    await installLineage(deps, 'app.example.com', lineage)
    deps.host.probe.handshake = async () => shown
    const error = await refusal(
      deps.engine.putProxy(putRequest('app', 'app.example.com', 8002, true)),
      'NGINX_RELOAD_FAILED',
    )
    assert.equal([error.details.state, error.details.reason], ['rolled_back', 'wrong_certificate'])
    assert.equal(routeFilesOf(deps), routes)
    assert.is(servedPort(deps, 'app.example.com'), 8002)
    await assertSettled(deps)
  })
}

certificates.run()

const edits = suite('commit: hand edits')

edits('a PUT replaces a route that was edited by hand, and keeps the edited text in the backups', async () => {
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

edits('a DELETE of a route that was edited by hand keeps its text in the backups', async () => {
  const deps = await worldWithRoute()
  const path = `${AVAILABLE}/fpai-old.conf`
  const edited = `${textAt(deps.disk, path)}# mine\n`
  writeAt(deps.disk, path, edited)
  await remove(deps, 'old')
  assert.equal(backupsOf(deps), [['fpai-old.conf', edited, 0o600]])
  await assertSettled(deps)
})

edits('an edit of the header is kept as well', async () => {
  const deps = await worldWithRoute()
  const path = `${AVAILABLE}/fpai-old.conf`
  const edited = (textAt(deps.disk, path) ?? '').replace('# record: {', '# record: ')
  writeAt(deps.disk, path, edited)
  await put(deps, 'old', 'old.example.com', 8001)
  assert.equal(backupsOf(deps), [['fpai-old.conf', edited, 0o600]])
  await assertSettled(deps)
})

edits('a file in place of the symlink is backed up before the symlink replaces it', async () => {
  const deps = await worldWithRoute()
  const text = 'server { listen 80; server_name old.example.com; }\n'
  writeAt(deps.disk, `${ENABLED}/fpai-old.conf`, text)
  await put(deps, 'old', 'old.example.com', 8001)
  assert.is(deps.disk.get(`${ENABLED}/fpai-old.conf`)?.kind, 'link')
  assert.equal(backupsOf(deps), [['fpai-old.conf', text, 0o600]])
  await assertSettled(deps)
})

edits(
  'hand edits in both directories are kept, each under its own name, even if backed up at the same moment',
  async () => {
    const deps = await worldWithRoute()
    const [file, copy] = ['/etc/nginx/sites-available/fpai-old.conf', '/etc/nginx/sites-enabled/fpai-old.conf']
    const edited = `${textAt(deps.disk, file)}# mine\n`
    const text = 'server { listen 80; server_name old.example.com; }\n'
    writeAt(deps.disk, file, edited)
    writeAt(deps.disk, copy, text)
    await put(deps, 'old', 'old.example.com', 8001)
    const backups = [...deps.disk.keys()].filter((path) => path.includes('/backups/fpai-old.conf.'))
    assert.equal(backups.map((path) => textAt(deps.disk, path)).sort(), [edited, text].sort())
    await assertSettled(deps)
  },
)

/** Calls `edit` during the next tests of a change, with their number. */
function duringTests(deps: FakeDeps, edit: (test: number) => void): void {
  const { run } = deps.host.runner
  let tests = 0
  deps.host.runner.run = async (file, args, options) => {
    if (args.includes('-t')) edit(++tests)
    return await run(file, args, options)
  }
}

const OLD = `${AVAILABLE}/fpai-old.conf`

for (const [what, change] of Object.entries({
  'a PUT': (deps: FakeDeps) => put(deps, 'old', 'old.example.com', 8002),
  'a DELETE': (deps: FakeDeps) => remove(deps, 'old'),
}))
  edits(`an edit that is saved while ${what} of its route is tested is kept in the backups`, async () => {
    const deps = await worldWithRoute()
    const edited = `${textAt(deps.disk, OLD)}# mine\n`
    duringTests(deps, (number) => {
      if (number === 1) writeAt(deps.disk, OLD, edited)
    })
    await change(deps)
    assert.equal(backupsOf(deps), [['fpai-old.conf', edited, 0o600]])
    assert.not.match(textAt(deps.disk, OLD) ?? '', 'mine')
    await assertSettled(deps)
  })

edits('a file that appears under the name of a route while its creation is tested is not replaced', async () => {
  const deps = await worldWithRoute()
  const path = `${AVAILABLE}/fpai-app.conf`
  duringTests(deps, () => writeAt(deps.disk, path, '# by hand\n'))
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'DROPLET_EXISTS')
  assert.is(error.details.state, 'unchanged')
  assert.is(textAt(deps.disk, path), '# by hand\n')
  assert.not.ok(deps.disk.has(`${ENABLED}/fpai-app.conf`))
})

edits(
  'a file that is edited during every test is left as it is, and the change fails and leaves nothing behind',
  async () => {
    const deps = await worldWithRoute()
    duringTests(deps, (number) => writeAt(deps.disk, OLD, `${textAt(deps.disk, OLD)}# edit ${number}\n`))
    const error = await refusal(put(deps, 'old', 'old.example.com', 8002), 'CONFIG_WRITE_FAILED')
    assert.equal([error.details.reason, error.details.file], ['edited_meanwhile', 'fpai-old.conf'])
    assert.equal([error.details.state, error.details.retryable], ['unchanged', true])
    assert.match(textAt(deps.disk, OLD) ?? '', '# edit 3\n')
    assert.equal(
      [...deps.disk.keys()].filter((path) => path.includes('.pm-')),
      [],
    )
    await put(deps, 'app', 'app.example.com', 8002)
  },
)

for (const verb of ['rename', 'link'] as const)
  edits(
    `an edit right before any ${verb} of a swap but the one that replaces the file is not lost either`,
    async () => {
      let isDone = false
      for (let at = 1; !isDone; at++) {
        const deps = await worldWithRoute()
        const edited = `${textAt(deps.disk, OLD)}# mine\n`
        const effect = deps.host.files[verb]
        let count = 0
        let wasEdited = false
        deps.host.files[verb] = async (from, to) => {
          if (++count === at && to !== OLD) {
            wasEdited = true
            writeAt(deps.disk, OLD, edited)
          }
          await effect(from, to)
        }
        await put(deps, 'old', 'old.example.com', 8002)
        await deps.engine.idle()
        isDone = count < at
        const texts = [textAt(deps.disk, OLD), ...backupsOf(deps).map(([, text]) => text)]
        assert.is(texts.includes(edited), wasEdited, `${verb} ${at}`)
      }
    },
  )

edits('what an editor writes to the replaced file, which it had open, is kept', async () => {
  const deps = await worldWithRoute()
  const edited = `${textAt(deps.disk, OLD)}# mine\n`
  onReload(deps, () => writeAt(deps.disk, `${AVAILABLE}/.fpai-old.conf.pm-undo`, edited))
  await put(deps, 'old', 'old.example.com', 8002)
  await deps.engine.idle()
  assert.equal(backupsOf(deps), [['fpai-old.conf', edited, 0o600]])
  await assertSettled(deps)
})

edits.run()

const lastGood = suite('commit: last good copies')

lastGood('a copy is as new as the answer, on the medium: it is there when the caller is answered', async () => {
  const deps = await worldWithRoute()
  const copy = '/var/lib/proxy-manager/last-good/fpai-old.conf'
  const from = deps.effects.journal.length
  await put(deps, 'old', 'old.example.com', 8002)
  // Nothing of what follows the answer has run yet.
  assert.is(textAt(deps.disk, copy), textAt(deps.disk, OLD))
  const effects = deps.effects.journal.slice(from).map(({ verb, subject }) => `${verb} ${subject}`)
  const at = (effect: string) => effects.indexOf(effect)
  assert.ok(at(`rename ${copy}`) < at('syncFolder /var/lib/proxy-manager/last-good'))
  assert.ok(at('syncFolder /var/lib/proxy-manager/last-good') < at('remove /var/lib/proxy-manager/journal'))
  await remove(deps, 'old')
  assert.not.ok(deps.disk.has(copy))
  await assertSettled(deps)
})

lastGood(
  'a copy that cannot be replaced is removed: an older one would undo the change if the file were damaged',
  async () => {
    const deps = await worldWithRoute()
    const { writeUnsynced } = deps.host.files
    deps.host.files.writeUnsynced = async (path, ...rest) => {
      if (path.includes('/last-good/')) throw Object.assign(new Error('EIO'), { code: 'EIO', path })
      await writeUnsynced(path, ...rest)
    }
    await put(deps, 'old', 'old.example.com', 8002)
    assert.equal(deps.host.files.list('/var/lib/proxy-manager/last-good'), [])
    await assertSettled(deps)
  },
)

lastGood.run()
