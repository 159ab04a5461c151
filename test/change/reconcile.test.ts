import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import { enabledTexts } from '../../fixtures/fake-nginx.ts'
import type { RunResult } from '../../lib/adapters/runner.ts'
import { SHARED_FILE } from '../../lib/route/droplet-name.ts'
import { withHeader } from '../../lib/route/file-envelope.ts'
import { contentsOf, refusal, textAt, writeAt } from '../helpers/arrange.ts'
import { addPanel, servedOnPanel } from '../helpers/sweeps.ts'
import { assertInvariant, backupsOf, put, putRequest, remove, restarted, servedPort } from '../helpers/world.ts'

const test = suite('reconcile')
const AVAILABLE = '/etc/nginx/sites-available'
const ROUTE = `${AVAILABLE}/fpai-app.conf`
const MARK = '/var/lib/proxy-manager/rendered.json'
const MINUTE_MS = 60_000

async function depsWithApp(): Promise<FakeDeps> {
  const deps = await fakeDeps()
  await put(deps, 'app', 'app.example.com', 8002)
  await deps.engine.idle()
  return deps
}

/** The mark that a start writes on this host as it is. */
async function markOfHost({ disk }: FakeDeps): Promise<{ readonly fingerprint: string }> {
  const fresh = await fakeDeps({ disk: new Map(disk) })
  await fresh.engine.keepReconciled()
  return JSON.parse(textAt(fresh.disk, MARK) ?? '')
}

const refuse = (text: string): RunResult => ({ exitCode: 1, output: `nginx: [emerg] ${text}` })
const linesOf = ({ lines }: FakeDeps) =>
  lines.filter(({ action }) => action === 'reconcile').map(({ result, outcome }) => outcome ?? result)

test('a route is rendered again for an address that the host has got, proved, and its revision stays', async () => {
  const deps = await depsWithApp()
  const { revision } = await deps.engine.getProxy('app')
  addPanel(deps)
  const { routes, receipt } = await deps.engine.reconcile()
  assert.equal([routes, receipt?.proved_by, receipt?.reloaded], [['app'], 'generation_probe', true])
  assert.ok(servedOnPanel(deps))
  assert.is((await deps.engine.getProxy('app')).revision, revision)
  assert.equal(linesOf(deps), ['rendered_again'])
  await assertInvariant(deps)
})

test('a host that has not changed costs no test, no reload and no write', async () => {
  const deps = await depsWithApp()
  const [from, before] = [deps.effects.journal.length, contentsOf(deps.disk)]
  assert.equal(await deps.engine.reconcile(), { routes: [], shared: false, drifted: [] })
  assert.is(deps.effects.journal.length, from)
  assert.equal(contentsOf(deps.disk), before)
})

test('a change of another route renders stale files first, in a batch of their own', async () => {
  const deps = await depsWithApp()
  addPanel(deps)
  const reloads = deps.nginx.reloads
  await put(deps, 'other', 'other.example.com', 8003)
  assert.ok(servedOnPanel(deps))
  assert.is(servedPort(deps, 'other.example.com'), 8003)
  assert.is(deps.nginx.reloads, reloads + 2)
})

test("a directive that another package sets leaves the shared file, so that NGINX's test passes again", async () => {
  const deps = await depsWithApp()
  writeAt(deps.disk, '/etc/nginx/conf.d/x.conf', 'server_names_hash_bucket_size 128;\n')
  const isDuplicate = (texts: readonly string[]) => texts.some((text) => text.includes('server_names_hash_bucket_size'))
  const { judge } = deps.nginx
  deps.nginx.judge = (texts) =>
    isDuplicate(texts) ? refuse('"server_names_hash_bucket_size" is duplicate') : judge(texts)
  await put(deps, 'other', 'other.example.com', 8003)
  assert.not.match(textAt(deps.disk, `${AVAILABLE}/${SHARED_FILE}`) ?? '', 'server_names_hash_bucket_size')
  assert.is(servedPort(deps, 'app.example.com'), 8002)
})

test('a shared file that nobody needs any more follows the host as well', async () => {
  const deps = await depsWithApp()
  await remove(deps, 'app')
  writeAt(deps.disk, '/etc/nginx/conf.d/x.conf', 'server { listen 80 default_server; server_name _; }\n')
  const { routes, shared } = await deps.engine.reconcile()
  assert.equal([routes, shared], [[], true])
  assert.not.match(textAt(deps.disk, `${AVAILABLE}/${SHARED_FILE}`) ?? '', 'listen 80 default_server')
})

test('a route that was edited by hand or is disabled is left as it is; the first is named', async () => {
  const deps = await depsWithApp()
  await put(deps, 'off', 'off.example.com', 8003)
  deps.disk.delete('/etc/nginx/sites-enabled/fpai-off.conf')
  writeAt(deps.disk, ROUTE, `${textAt(deps.disk, ROUTE)}# mine\n`)
  const before = textAt(deps.disk, ROUTE)
  addPanel(deps)
  const { routes, drifted } = await deps.engine.reconcile()
  assert.equal([routes, drifted], [[], ['app']])
  assert.is(textAt(deps.disk, ROUTE), before)
})

test('while NGINX is stopped, files are rendered that NGINX accepts, and the receipt says that nothing is served', async () => {
  const deps = await depsWithApp()
  addPanel(deps)
  deps.nginx.running = false
  const { receipt } = await deps.engine.reconcile()
  assert.equal([receipt?.proved_by, receipt?.reloaded], ['config_test', false])
  assert.match(textAt(deps.disk, ROUTE) ?? '', 'listen 192.0.2.10:80;')
})

test('a start renders stale files before NGINX reads them', async () => {
  const deps = await depsWithApp()
  addPanel(deps)
  deps.nginx.running = false
  const again = await restarted(deps)
  assert.match(textAt(again.disk, ROUTE) ?? '', 'listen 192.0.2.10:80;')
})

test('what a graceful stop saves is what the next start would find, so it renders no route again', async () => {
  const deps = await depsWithApp()
  await deps.engine.saveRenderedMark()
  const saved = textAt(deps.disk, MARK)
  const again = await restarted(deps)
  await again.engine.keepReconciled()
  assert.ok(saved !== undefined)
  assert.is(textAt(again.disk, MARK), saved)
})

test('a start after a look at an unchanged host renders no route again', async () => {
  const deps = await depsWithApp()
  await deps.engine.keepReconciled()
  const saved = textAt(deps.disk, MARK)
  assert.match(saved ?? '', /^{"fingerprint":"[0-9a-f]{64}","files":\["[0-9a-f]{16}"\]}$/)
  const again = await restarted(deps)
  await again.engine.keepReconciled()
  assert.is(textAt(again.disk, MARK), saved)
})

test('a start renders the files again that the mark of the last look does not name, and no others', async () => {
  const deps = await depsWithApp()
  await deps.engine.keepReconciled()
  const mark = JSON.parse(textAt(deps.disk, MARK) ?? '')
  await put(deps, 'other', 'other.example.com', 8003)
  // Both are stale from here on, but the mark says that one of them was found current on this very host.
  addPanel(deps)
  const { fingerprint } = await markOfHost(deps)
  writeAt(deps.disk, MARK, JSON.stringify({ ...mark, fingerprint }))
  const again = await restarted(deps)
  assert.not.match(textAt(again.disk, ROUTE) ?? '', 'listen 192.0.2.10:80;')
  assert.match(textAt(again.disk, `${AVAILABLE}/fpai-other.conf`) ?? '', 'listen 192.0.2.10:80;')
})

test('a failure changes nothing, is logged once, shown by health, and not tried by each change; it ends with its cause', async () => {
  const deps = await depsWithApp()
  addPanel(deps)
  const { judge } = deps.nginx
  deps.nginx.judge = (texts) =>
    texts.some((text) => text.includes('192.0.2.10')) ? refuse('bind() to 192.0.2.10:80 failed') : judge(texts)
  const before = textAt(deps.disk, ROUTE)
  await deps.engine.keepReconciled()
  await deps.clock.sleep(MINUTE_MS)
  await deps.engine.keepReconciled()
  assert.equal(linesOf(deps), ['failure'])
  assert.is(textAt(deps.disk, ROUTE), before)
  const { status, reasons } = await deps.engine.readHealth()
  assert.is(status, 'degraded')
  assert.match(reasons.join(), 'the files of app could not be rendered again for this host')
  deps.nginx.judge = judge
  await deps.clock.sleep(MINUTE_MS)
  await deps.engine.keepReconciled()
  assert.ok(servedOnPanel(deps))
  assert.is((await deps.engine.readHealth()).status, 'healthy')
})

test('a dry run shows what would be rendered again, and changes nothing', async () => {
  const deps = await depsWithApp()
  addPanel(deps)
  const before = contentsOf(deps.disk)
  const { routes, files, test: result } = await deps.engine.dryRunReconcile()
  assert.equal([routes, result.ok], [['app'], true])
  assert.equal(
    files.map(({ path }) => path),
    [`${AVAILABLE}/${SHARED_FILE}`, ROUTE],
  )
  assert.equal(contentsOf(deps.disk), before)
})

const NAMES = ['a', 'b', 'c', 'd']

/** A host with four routes, whose files are as they were before an address was added. */
async function depsWithStale(): Promise<FakeDeps> {
  const deps = await fakeDeps()
  for (const [i, name] of NAMES.entries()) await put(deps, name, `${name}.example.com`, 8002 + i)
  await deps.engine.idle()
  addPanel(deps)
  return deps
}

/** NGINX rejects the texts of routes for which this is true, and names the file of the first, or none. */
function rejectTexts({ nginx }: FakeDeps, isRejected: (text: string, name: string) => boolean, isNamed: boolean): void {
  nginx.judge = (texts) => {
    const found = texts.flatMap((text) => {
      const name = /"droplet_name":"(\w+)"/.exec(text)?.[1]
      return name !== undefined && isRejected(text, name) ? [name] : []
    })
    const [first] = found
    if (first === undefined) return { exitCode: 0, output: '' }
    return refuse(
      isNamed ? `no such thing in /etc/nginx/sites-enabled/fpai-${first}.conf:9` : 'cannot load certificate',
    )
  }
}

const isRendered = ({ disk }: FakeDeps, name: string) =>
  textAt(disk, `${AVAILABLE}/fpai-${name}.conf`)?.includes('listen 192.0.2.10:80;') === true

for (const isNamed of [true, false]) {
  const how = isNamed ? 'by name' : 'without a name'

  test(`if NGINX rejects every stale file, and one also as it would be (${how}), the others are in place, and one DELETE is enough`, async () => {
    const deps = await depsWithStale()
    rejectTexts(deps, (text, name) => name === 'c' || !text.includes('listen 192.0.2.10:80;'), isNamed)
    const { routes, rejected, receipt } = await deps.engine.reconcile()
    assert.equal([routes, rejected], [['a', 'b', 'd'], ['c']])
    assert.equal([receipt?.proved_by, receipt?.reloaded], ['config_test', false])
    assert.equal(
      NAMES.map((name) => isRendered(deps, name)),
      [true, true, false, true],
    )
    assert.match((await deps.engine.readHealth()).reasons.join(), 'the files of c could not be rendered again')
    const deleted = await remove(deps, 'c')
    assert.is(deleted.receipt.proved_by, 'generation_probe')
    assert.equal((await deps.engine.readHealth()).reasons, [])
    await assertInvariant(deps)
  })

  test(`a stale file that NGINX accepts only as it is (${how}) stays so, and the others are served`, async () => {
    const deps = await depsWithStale()
    const isNew = (text: string) => text.includes('listen 192.0.2.10:80;')
    rejectTexts(deps, (text, name) => (name === 'c') === isNew(text), isNamed)
    const { routes, rejected, receipt } = await deps.engine.reconcile()
    assert.equal([routes, rejected], [['a', 'b', 'd'], ['c']])
    assert.equal([receipt?.proved_by, receipt?.reloaded], ['generation_probe', true])
    assert.is(servedPort(deps, 'c.example.com'), 8004)
    await assertInvariant(deps)
  })
}

test('what NGINX accepts is in place before NGINX starts, and what it rejects is among what recovery could not do', async () => {
  const deps = await depsWithStale()
  deps.nginx.running = false
  rejectTexts(deps, (text, name) => name === 'c' || !text.includes('listen 192.0.2.10:80;'), true)
  const again = await fakeDeps({ disk: deps.disk, nginx: deps.nginx, metrics: deps.metrics })
  assert.equal(await again.engine.recover(), ['reconcile'])
  assert.equal(
    NAMES.map((name) => isRendered(deps, name)),
    [true, true, false, true],
  )
})

test('edits of several routes that NGINX rejects are removed by DELETE and replaced by PUT, and kept in the backups', async () => {
  const deps = await depsWithStale()
  await deps.engine.reconcile()
  for (const name of ['a', 'b', 'c']) {
    const path = `${AVAILABLE}/fpai-${name}.conf`
    writeAt(deps.disk, path, `${textAt(deps.disk, path)}broken ${name};\n`)
  }
  rejectTexts(deps, (text) => text.includes('broken'), true)
  const reloads = deps.nginx.reloads
  const error = await refusal(put(deps, 'c', 'c.example.com', 8004), 'NGINX_ALREADY_BROKEN')
  assert.match(
    String(error.details.remedy),
    'the file of route a (line 9: no such thing): repeat PUT /proxies/a, or DELETE /proxies/a',
  )
  await refusal(remove(deps, 'd'), 'NGINX_ALREADY_BROKEN')
  for (const name of ['a', 'b']) {
    const { receipt } = await remove(deps, name)
    assert.equal([receipt.proved_by, receipt.reloaded], ['config_test', false])
  }
  assert.is(deps.nginx.reloads, reloads)
  assert.is(servedPort(deps, 'a.example.com'), 8002)
  const { receipt } = await put(deps, 'c', 'c.example.com', 8004)
  assert.is(receipt.proved_by, 'generation_probe')
  assert.equal(
    ['a', 'b', 'c', 'd'].map((name) => servedPort(deps, `${name}.example.com`)),
    [undefined, undefined, 8004, 8005],
  )
  assert.equal(
    backupsOf(deps).map(([name, text]) => [name, /broken \w/.exec(text)?.[0]]),
    [
      ['fpai-a.conf', 'broken a'],
      ['fpai-b.conf', 'broken b'],
      ['fpai-c.conf', 'broken c'],
    ],
  )
  await assertInvariant(deps)
})

test('a dry run finds what the call would find, with several files that NGINX rejects', async () => {
  const deps = await depsWithStale()
  await deps.engine.reconcile()
  const edit = (name: string) => {
    const path = `${AVAILABLE}/fpai-${name}.conf`
    writeAt(deps.disk, path, `${textAt(deps.disk, path)}broken ${name};\n`)
  }
  for (const name of ['a', 'b']) edit(name)
  rejectTexts(deps, (text) => text.includes('broken'), true)
  const before = contentsOf(deps.disk)
  const deletion = async (dropletName: string) =>
    (await deps.engine.dryRunDelete({ dropletName, precondition: {} })).test
  const replacement = async (name: string) =>
    (await deps.engine.dryRunPut(putRequest(name, `${name}.example.com`, 8009))).test
  assert.is((await deletion('a')).ok, true)
  for (const rejected of [await deletion('c'), await replacement('a'), await replacement('c')]) {
    assert.is(rejected.ok, false)
    assert.match(rejected.output, 'no such thing in fpai-')
  }
  assert.equal(contentsOf(deps.disk), before)
  await remove(deps, 'a')
  assert.is((await replacement('b')).ok, true)
  await put(deps, 'b', 'b.example.com', 8009)
  await assertInvariant(deps)
})

test('a dry run is not refused for files that the call would first render again', async () => {
  const deps = await depsWithStale()
  rejectTexts(deps, (text) => !text.includes('listen 192.0.2.10:80;'), true)
  const before = contentsOf(deps.disk)
  const { test: result, files } = await deps.engine.dryRunPut(putRequest('new', 'new.example.com', 8009))
  assert.is(result.ok, true)
  assert.equal(
    files.map(({ path }) => path.slice(path.lastIndexOf('/') + 1)),
    [SHARED_FILE, 'fpai-new.conf', 'fpai-new.conf'],
  )
  assert.equal(contentsOf(deps.disk), before)
  await put(deps, 'new', 'new.example.com', 8009)
})

test('a process that ends during a deletion that cannot be served yet leaves the route or its absence, and signals nothing', async () => {
  for (let at = 0; ; at++) {
    const deps = await depsWithStale()
    await deps.engine.reconcile()
    for (const name of ['a', 'b']) {
      const path = `${AVAILABLE}/fpai-${name}.conf`
      writeAt(deps.disk, path, `${textAt(deps.disk, path)}broken ${name};\n`)
    }
    rejectTexts(deps, (text) => text.includes('broken'), true)
    deps.effects.arrange({ at, kind: 'stop_after' })
    const isDone = await Promise.race([remove(deps, 'a').then(() => true), deps.effects.stopped.then(() => false)])
    const reloads = deps.nginx.reloads
    const again = await restarted(deps)
    assert.is(again.nginx.reloads, reloads, `effect ${at}`)
    await remove(again, 'b')
    const left = textAt(again.disk, `${AVAILABLE}/fpai-a.conf`)
    assert.ok(left === undefined || left.includes('broken a'), `effect ${at}`)
    if (isDone) break
  }
})

test('with more rejected files than tests are spent at once, the next looks continue with the others', async () => {
  const deps = await fakeDeps()
  const names = Array.from({ length: 30 }, (_, i) => `n${String(i).padStart(2, '0')}`)
  for (const name of names) await put(deps, name, `${name}.example.com`, 8002)
  await deps.engine.idle()
  addPanel(deps)
  rejectTexts(deps, (text, name) => name < 'n25' || !text.includes('listen 192.0.2.10:80;'), true)
  for (let look = 0; look < 4; look++) {
    const from = deps.effects.journal.length
    await deps.engine.keepReconciled()
    const tests = deps.effects.journal.slice(from).filter(({ subject }) => subject.includes(' -t ')).length
    assert.ok(tests <= 15, String(tests))
    await deps.clock.sleep(MINUTE_MS)
  }
  assert.equal(
    names.filter((name) => isRendered(deps, name)),
    ['n25', 'n26', 'n27', 'n28', 'n29'],
  )
})

test("a route's file of an earlier version is rendered again once; status, options and revision stay", async () => {
  const deps = await depsWithApp()
  const now = textAt(deps.disk, ROUTE) ?? ''
  const { health: _, ...before } = await deps.engine.getProxy('app')
  const [, , line = '', ...configuration] = now.split('\n')
  const record = line.slice('# record: '.length).replace(',"header_buffer_size":"16k","upstream_keepalive_s":4', '')
  const earlier = configuration.filter((directive) => !/busy_buffers|temp_file_write/.test(directive)).join('\n')
  writeAt(deps.disk, ROUTE, withHeader(record, earlier))
  deps.nginx.loaded = enabledTexts(deps.disk)
  const updated = await restarted(deps)
  const { health: __, ...after } = await updated.engine.getProxy('app')
  assert.equal(after, before)
  assert.is(textAt(updated.disk, ROUTE), now)
  assertInvariant(updated)
})

test('the shared file defines a variable before a route names it, and as long as one does', async () => {
  const deps = await depsWithApp()
  const orderOf = async (settings: Readonly<Record<string, string>>) => {
    const next = await fakeDeps({ disk: deps.disk, nginx: deps.nginx, settings })
    await next.engine.recover()
    const renamed = next.effects.journal.filter(({ verb }) => verb === 'rename').map(({ subject }) => subject)
    const at = (name: string) => renamed.findIndex((subject) => subject.endsWith(`${AVAILABLE}/${name}`))
    assertInvariant(next)
    return at(SHARED_FILE) - at('fpai-app.conf')
  }
  assert.ok((await orderOf({ TRUSTED_PROXIES: '192.0.2.0/24' })) < 0)
  assert.match(textAt(deps.disk, ROUTE) ?? '', 'X-Forwarded-Proto $proxy_manager_forwarded_proto')
  assert.ok((await orderOf({})) > 0)
  assert.not.match(textAt(deps.disk, ROUTE) ?? '', 'proxy_manager_forwarded')
})

test.run()
