import { createHash } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import { enabledTexts } from '../../fixtures/fake-nginx.ts'
import { readSharedFile, renumberSharedFile } from '../../lib/render/shared-file.ts'
import {
  assertSettled,
  contentsOf,
  countEffects,
  PORT_TAKEN,
  refused,
  refuseNextReload,
  textAt,
  writeAt,
} from '../helpers/arrange.ts'
import { assertEventsMatch, backupsOf, put, restarted, servedPort, worldWithRoute } from '../helpers/world.ts'

const AVAILABLE = '/etc/nginx/sites-available'
const ENABLED = '/etc/nginx/sites-enabled'
const STATE = '/var/lib/proxy-manager'
const ROUTE = `${AVAILABLE}/fpai-old.conf`

const test = suite('recover')

/** A route's file with one more option in its record, and a valid checksum. */
function withOption(text: string, option: string): string {
  const [notice = '', , ...signed] = text.split('\n')
  const body = signed.join('\n').replace('"options":{', `"options":{${option},`)
  return [notice, `# sha256: ${createHash('sha256').update(body).digest('hex')}`, body].join('\n')
}

test('a start with nothing to do changes nothing and reloads nothing', async () => {
  const deps = await worldWithRoute()
  const before = contentsOf(deps.disk)
  const again = await restarted(deps)
  assert.equal(contentsOf(again.disk), before)
  assert.is(again.nginx.reloads, 1)
  assert.equal(again.lines, [])
})

test('a start on an empty host writes no file of NGINX', async () => {
  const deps = await fakeDeps()
  const before = contentsOf(deps.disk)
  await deps.engine.recover()
  assert.equal(contentsOf(deps.disk), before)
  assert.is(deps.nginx.reloads, 0)
})

for (const [what, tear] of Object.entries({
  empty: () => '',
  'truncated in its header': (text: string) => text.slice(0, 60),
  'truncated in the middle': (text: string) => text.slice(0, text.length / 2),
  'without its last byte': (text: string) => text.slice(0, -1),
})) {
  test(`a route's file that is ${what} is restored byte for byte, what it had is backed up, and that is logged`, async () => {
    const deps = await worldWithRoute()
    const written = textAt(deps.disk, ROUTE) ?? ''
    // It may have been an operator who removed the end.
    const found = tear(written)
    writeAt(deps.disk, ROUTE, found)
    const again = await restarted(deps)
    assert.is(textAt(again.disk, ROUTE), written)
    assert.is((await again.engine.getProxy('old')).status, 'active')
    assert.equal(
      again.lines.map(({ level, action, outcome, file }) => [level, action, outcome, file]),
      [
        ...(found === '' ? [] : [['warn', 'replace_drifted', 'backed_up', 'fpai-old.conf']]),
        ['warn', 'repair_file', 'restored', 'fpai-old.conf'],
        ['warn', 'confirm_served', 'reloaded', undefined],
      ],
    )
    assert.equal(backupsOf(again), found === '' ? [] : [['fpai-old.conf', found, 0o600]])
    await assertSettled(again)
  })
}

test('a truncated shared file is restored as well', async () => {
  const deps = await worldWithRoute()
  const shared = `${AVAILABLE}/000-proxy-manager.conf`
  const written = textAt(deps.disk, shared) ?? ''
  for (const torn of ['', written.slice(0, 100)]) {
    writeAt(deps.disk, shared, torn)
    const again = await restarted(deps)
    const text = textAt(again.disk, shared) ?? ''
    const generation = readSharedFile(text)?.generation ?? 0
    assert.ok(generation > 1, 'NGINX may have read the damaged file')
    assert.is(text, renumberSharedFile(written, generation))
    await assertSettled(again)
  }
})

test('if NGINX has loaded a truncated file, it is reloaded with the restored one', async () => {
  const deps = await worldWithRoute()
  writeAt(deps.disk, `${AVAILABLE}/000-proxy-manager.conf`, '')
  writeAt(deps.disk, ROUTE, '')
  deps.nginx.loaded = enabledTexts(deps.disk)
  assert.is(servedPort(deps, 'old.example.com'), undefined)
  const again = await restarted(deps)
  assert.is(servedPort(again, 'old.example.com'), 8001)
  await assertSettled(again)
})

test('a truncated file without an intact copy is left as it is, and the other routes are served', async () => {
  const deps = await worldWithRoute()
  writeAt(deps.disk, `${AVAILABLE}/fpai-lost.conf`, '')
  writeAt(deps.disk, `${STATE}/last-good/fpai-lost.conf`, '# not whole\n')
  const again = await restarted(deps)
  assert.is(textAt(again.disk, `${AVAILABLE}/fpai-lost.conf`), '')
  assert.is(servedPort(again, 'old.example.com'), 8001)
})

test('an edit by hand is not damage: it stays', async () => {
  const deps = await worldWithRoute()
  const edited = (textAt(deps.disk, ROUTE) ?? '').replace('64m', '128m')
  writeAt(deps.disk, ROUTE, edited)
  const again = await restarted(deps)
  assert.is(textAt(again.disk, ROUTE), edited)
  assert.is((await again.engine.getProxy('old')).status, 'drifted')
})

test('a file with an option of a newer version is left as it is and reported, until a PUT replaces it', async () => {
  const deps = await worldWithRoute()
  const written = textAt(deps.disk, ROUTE) ?? ''
  const newer = withOption(written, '"gzip":true')
  writeAt(deps.disk, ROUTE, newer)
  const again = await restarted(deps)
  await put(again, 'other', 'other.example.com', 8002)
  assert.is(textAt(again.disk, ROUTE), newer)
  assert.is(servedPort(again, 'old.example.com'), 8001)
  const reasons = async () => (await again.engine.readHealth()).reasons
  assert.equal(await reasons(), ['fpai-old.conf is damaged: repeat PUT /proxies/old'])
  await put(again, 'old', 'old.example.com', 8001)
  assert.equal(await reasons(), [])
  assert.is((await again.engine.getProxy('old')).status, 'active')
  await assertSettled(again)
})

test('a dangling symlink of ours, with which NGINX would not start, is removed', async () => {
  const deps = await worldWithRoute()
  deps.disk.set(`${ENABLED}/fpai-gone.conf`, { kind: 'link', target: `${AVAILABLE}/fpai-gone.conf` })
  const again = await restarted(deps)
  assert.not.ok(again.disk.has(`${ENABLED}/fpai-gone.conf`))
  assert.equal(
    again.lines.map(({ action, outcome, file }) => [action, outcome, file]),
    [['repair_link', 'removed', 'fpai-gone.conf']],
  )
  await assertSettled(again)
})

test('files and symlinks that are not ours are never touched, damaged or not', async () => {
  const deps = await worldWithRoute()
  writeAt(deps.disk, `${AVAILABLE}/shop.conf`, '')
  writeAt(deps.disk, `${AVAILABLE}/fpai-hand.conf`, 'server { listen 8080; }\n')
  writeAt(deps.disk, `${AVAILABLE}/fpai-old.conf~`, 'x')
  writeAt(deps.disk, `${AVAILABLE}/.shop.conf.swp`, 'x')
  writeAt(deps.disk, '/etc/nginx/.proxy-manager.conf.bak', 'x')
  deps.disk.set(`${ENABLED}/shop.conf`, { kind: 'link', target: `${AVAILABLE}/none.conf` })
  deps.disk.set(`${ENABLED}/fpai-BAD.conf`, { kind: 'link', target: `${AVAILABLE}/none.conf` })
  const before = contentsOf(deps.disk)
  const again = await restarted(deps)
  assert.equal(contentsOf(again.disk), before)
})

for (const [what, text] of Object.entries({
  'cut off': '{"generation":7,"files":[{"path":"/etc/nginx/sites-avail',
  empty: '',
  garbage: '\u0000\u0001 not JSON\n',
  'of another shape': '{"generation":"7","files":{}}\n',
})) {
  test(`a journal that is ${what} was written before anything live changed: it is quarantined, and that is logged`, async () => {
    const deps = await worldWithRoute()
    writeAt(deps.disk, `${STATE}/journal`, text)
    const again = await restarted(deps)
    const [kept] = [...again.disk.keys()].filter((path) => path.startsWith(`${STATE}/backups/journal.`))
    assert.is(textAt(again.disk, kept ?? ''), text)
    assert.equal(
      again.lines.map(({ action, outcome }) => [action, outcome]),
      [['recover_journal', 'quarantined']],
    )
    assert.is((await again.engine.readHealth()).status, 'healthy')
    await assertSettled(again)
    await put(again, 'next', 'next.example.com', 8009)
    await assertSettled(again)
  })
}

test('temporary files of every kind are removed', async () => {
  const deps = await worldWithRoute()
  const leftovers = [
    `${AVAILABLE}/.fpai-app.conf.pm-tmp`,
    `${AVAILABLE}/.fpai-app.conf.pm-undo`,
    `${ENABLED}/.fpai-app.conf.pm-undo`,
    `${STATE}/.journal.pm-tmp`,
    `${STATE}/staging/id-9/fpai-app.conf`,
    '/etc/nginx/.proxy-manager-id-9.conf',
  ]
  for (const path of leftovers) writeAt(deps.disk, path, 'half')
  deps.disk.set(`${STATE}/staging/id-9`, { kind: 'folder' })
  deps.disk.set(`${ENABLED}/.fpai-app.conf.pm-tmp`, { kind: 'link', target: `${AVAILABLE}/fpai-app.conf` })
  const again = await restarted(deps)
  for (const path of [...leftovers, `${STATE}/staging/id-9`, `${ENABLED}/.fpai-app.conf.pm-tmp`])
    assert.not.ok(again.disk.has(path), path)
  await assertSettled(again)
})

test('if NGINX serves an older generation than the one on disk, that is tested and reloaded', async () => {
  const deps = await worldWithRoute()
  const older = deps.nginx.loaded
  await put(deps, 'app', 'app.example.com', 8002)
  deps.nginx.loaded = older
  const again = await restarted(deps)
  assert.is(servedPort(again, 'app.example.com'), 8002)
  assert.is(countEffects(again, /^run .* -t /), 1)
  assert.equal(
    again.lines.map(({ action, outcome, generation }) => [action, outcome, generation]),
    [['confirm_served', 'reloaded', 2]],
  )
  await assertSettled(again)
})

test('a configuration on disk that fails its test is not reloaded; the API starts all the same, and health says why', async () => {
  const deps = await worldWithRoute()
  const older = deps.nginx.loaded
  await put(deps, 'app', 'app.example.com', 8002)
  deps.nginx.loaded = older
  deps.nginx.judge = () => refused('shop.conf', 3, 'unknown directive "x"')
  const reloads = deps.nginx.reloads
  const again = await restarted(deps)
  assert.is(again.nginx.reloads, reloads)
  assert.is((await again.engine.readHealth()).status, 'unhealthy')
})

test('a journal that names a file which is not ours is quarantined, and that file is not touched', async () => {
  const deps = await worldWithRoute()
  for (const path of ['/etc/passwd', `${AVAILABLE}/default`, `${AVAILABLE}/../fpai-old.conf`, '/srv/fpai-old.conf']) {
    writeAt(deps.disk, path, 'mine')
    const file = { path, before: { text: 'planted' }, after: { text: 'mine' } }
    writeAt(deps.disk, `${STATE}/journal`, `${JSON.stringify({ generation: 9, files: [file] })}\n`)
    const again = await restarted(deps)
    assert.is(textAt(again.disk, path), 'mine')
    assert.ok(again.lines.some(({ outcome }) => outcome === 'quarantined'))
    assert.not.ok(again.disk.has(`${STATE}/journal`))
  }
})

test('an empty shared file without a copy is written again at the start', async () => {
  const deps = await worldWithRoute()
  writeAt(deps.disk, `${AVAILABLE}/000-proxy-manager.conf`, '\n')
  deps.disk.delete(`${STATE}/last-good/000-proxy-manager.conf`)
  const again = await restarted(deps)
  assert.ok(readSharedFile(textAt(again.disk, `${AVAILABLE}/000-proxy-manager.conf`) ?? '')?.intact)
  await assertSettled(again)
})

for (const isFinished of [true, false])
  test(`the copy of a file is as new as the file after an interrupted change that is ${isFinished ? 'finished' : 'undone'}`, async () => {
    const deps = await worldWithRoute()
    const { remove, append } = deps.host.files
    // The last step of a change, or the one right before its reload.
    await new Promise<void>((stopped) => {
      const stopAt = async (path: string): Promise<void> => {
        if (path !== `${STATE}/journal`) return
        stopped()
        await new Promise<never>(() => undefined)
      }
      if (isFinished) deps.host.files.remove = (path) => stopAt(path).then(() => remove(path))
      else deps.host.files.append = (path, text) => stopAt(path).then(() => append(path, text))
      void put(deps, 'old', 'old.example.com', 8002)
    })
    const again = await restarted(deps)
    assert.is(servedPort(again, 'old.example.com'), isFinished ? 8002 : 8001)
    assert.is(textAt(again.disk, `${STATE}/last-good/fpai-old.conf`), textAt(again.disk, ROUTE))
    await assertSettled(again)
  })

test('an edit of the shared file is backed up before a rollback gives it another generation', async () => {
  const deps = await worldWithRoute()
  const shared = `${AVAILABLE}/000-proxy-manager.conf`
  const edited = `${textAt(deps.disk, shared)}# mine\n`
  refuseNextReload(deps, PORT_TAKEN)
  const { sendHup } = deps.host.processes
  deps.host.processes.sendHup = (pid) => {
    deps.host.processes.sendHup = sendHup
    writeAt(deps.disk, shared, edited)
    return sendHup(pid)
  }
  await put(deps, 'app', 'app.example.com', 8002).catch(() => undefined)
  await deps.engine.idle()
  assert.ok(backupsOf(deps).some(([name, text]) => name === '000-proxy-manager.conf' && text === edited))
})

test('an interrupted change whose reload was refused stays in the journal until the fault is gone', async () => {
  const deps = await worldWithRoute()
  deps.nginx.refuseReload = PORT_TAKEN
  await put(deps, 'app', 'app.example.com', 8002).catch(() => undefined)
  const unhealthy = await restarted(deps)
  assert.ok(unhealthy.disk.has(`${STATE}/journal`))
  const health = await unhealthy.engine.readHealth()
  assert.equal([health.status, health.reasons[0]], ['unhealthy', 'a change was interrupted and is not undone yet'])
  assert.is(servedPort(unhealthy, 'old.example.com'), 8001)
  unhealthy.nginx.refuseReload = undefined
  const healthy = await restarted(unhealthy)
  assert.equal((await healthy.engine.readHealth()).reasons, [
    'the last reload failed (refused) and was undone: see the log, then repeat the change',
  ])
  assert.is(servedPort(healthy, 'app.example.com'), undefined)
  await assertSettled(healthy)
})

test('a rollback that a kill interrupts is completed: no part of the refused changes is taken for finished', async () => {
  for (let at = 0, isInterrupted = true; isInterrupted; at++) {
    const deps = await worldWithRoute()
    refuseNextReload(deps, PORT_TAKEN)
    deps.effects.arrange({ at, kind: 'stop_after' })
    const calls = [
      put(deps, 'old', 'old.example.com', 8011, false),
      put(deps, 'a', 'a.example.com', 8002, false),
      put(deps, 'b', 'b.example.com', 8003, false),
    ]
    const ended = Promise.allSettled(calls).then(() => deps.engine.idle())
    isInterrupted = await Promise.race([ended.then(() => false), deps.effects.stopped.then(() => true)])
    deps.nginx.refuseReload = undefined
    const again = await restarted(deps)
    await assertSettled(again)
    const ports = ['old', 'a', 'b'].map((name) => servedPort(again, `${name}.example.com`))
    assert.ok([8001, 8011].includes(ports[0] ?? 0))
    assert.equal(ports.slice(1), ports[0] === 8001 ? [undefined, undefined] : [8002, 8003], `stopped after ${at}`)
    assertEventsMatch(again)
  }
})

test('a failed recovery step is logged, and stops neither the other steps nor the start of the API', async () => {
  const deps = await worldWithRoute()
  writeAt(deps.disk, `${ENABLED}/.fpai-app.conf.pm-tmp`, 'half')
  writeAt(deps.disk, ROUTE, '')
  const again = await fakeDeps({ disk: deps.disk, nginx: deps.nginx })
  const remove = again.host.files.remove
  again.host.files.remove = async (path) => {
    if (path.endsWith('fpai-app.conf.pm-tmp')) throw Object.assign(new Error('EROFS: read-only'), { code: 'EROFS' })
    await remove(path)
  }
  await again.engine.recover()
  assert.equal(
    again.lines.map(({ level, action, result, outcome }) => [level, action, outcome ?? result]),
    [
      ['error', 'sweep_temporaries', 'failure'],
      ['warn', 'repair_file', 'restored'],
      ['warn', 'confirm_served', 'reloaded'],
    ],
  )
  assert.is((await again.engine.getProxy('old')).upstream_port, 8001)
})

test('a damaged file that NGINX read under the current generation is repaired, and then served', async () => {
  const deps = await worldWithRoute()
  const written = textAt(deps.disk, ROUTE) ?? ''
  writeAt(deps.disk, ROUTE, '')
  deps.nginx.loaded = enabledTexts(deps.disk)
  deps.nginx.worker++
  const again = await restarted(deps)
  assert.is(textAt(again.disk, ROUTE), written)
  assert.is(servedPort(again, 'old.example.com'), 8001)
  await assertSettled(again)
})

/** Somebody else reloads NGINX with a route's file edited, and then puts the file back. */
function reloadEdited(deps: FakeDeps): void {
  const written = textAt(deps.disk, ROUTE) ?? ''
  writeAt(deps.disk, ROUTE, written.replace('127.0.0.1:8001', '127.0.0.1:8009'))
  deps.nginx.loaded = enabledTexts(deps.disk)
  deps.nginx.worker++
  writeAt(deps.disk, ROUTE, written)
}

test('after a reload by somebody else, an unchanged PUT, a restart and the next look prove again what is served', async () => {
  const proofs: readonly ((deps: FakeDeps) => Promise<FakeDeps>)[] = [
    async (deps) => {
      const { receipt } = await put(deps, 'old', 'old.example.com', 8001)
      assert.equal([receipt.reloaded, receipt.proved_by], [true, 'generation_probe'])
      return deps
    },
    restarted,
    async (deps) => {
      await deps.engine.proveServed()
      return deps
    },
  ]
  for (const prove of proofs) {
    const deps = await worldWithRoute()
    reloadEdited(deps)
    assert.is(servedPort(deps, 'old.example.com'), 8009)
    const after = await prove(deps)
    assert.is(servedPort(deps, 'old.example.com'), 8001)
    const { reloads } = deps.nginx
    await after.engine.proveServed()
    assert.is(deps.nginx.reloads, reloads, 'what is proved is left alone')
    await assertSettled(deps)
  }
})

test('one worker that crashed and was replaced is no reload', async () => {
  const deps = await worldWithRoute()
  const workers = [7, deps.nginx.worker - 1].map((pid) => ({ pid, startTime: `${pid}` }))
  writeAt(deps.disk, `${STATE}/last-proof.json`, JSON.stringify({ workers }))
  const again = await fakeDeps({ disk: deps.disk, nginx: deps.nginx })
  const { workerState } = again.host.processes
  again.host.processes.workerState = (pid) => (pid === 7 ? 'accepting' : workerState(pid))
  const { reloads } = deps.nginx
  await again.engine.proveServed()
  assert.is(deps.nginx.reloads, reloads)
})

test('a process ID that another worker has now is not the worker of the last proof', async () => {
  const deps = await worldWithRoute()
  deps.host.processes.startTime = () => 'later'
  const { reloads } = deps.nginx
  await deps.engine.proveServed()
  assert.is(deps.nginx.reloads, reloads + 1)
})

test('a restart reads the routes from disk: a restored backup is what the API shows', async () => {
  const deps = await worldWithRoute()
  const backup = textAt(deps.disk, ROUTE) ?? ''
  await put(deps, 'old', 'old.example.com', 8005)
  writeAt(deps.disk, ROUTE, backup)
  const again = await restarted(deps)
  const proxy = await again.engine.getProxy('old')
  assert.equal([proxy.upstream_port, proxy.status], [8001, 'active'])
})

test('no generation is used again after a restart', async () => {
  const deps: FakeDeps = await worldWithRoute()
  const again = await restarted(deps)
  const { receipt } = await put(again, 'app', 'app.example.com', 8002)
  assert.is(receipt.generation, 2)
})

test.run()
