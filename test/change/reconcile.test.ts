import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import { enabledTexts } from '../../fixtures/fake-nginx.ts'
import type { RunResult } from '../../lib/adapters/runner.ts'
import { withHeader } from '../../lib/route/file-envelope.ts'
import { SHARED_FILE } from '../../lib/route/file-names.ts'
import { contentsOf, textAt, writeAt } from '../helpers/arrange.ts'
import { addPanel, servedOnPanel } from '../helpers/sweeps.ts'
import { assertInvariant, put, remove, restarted, servedPort } from '../helpers/world.ts'

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

test("a route's file of an earlier version is rendered again once; status, options and revision stay", async () => {
  const deps = await depsWithApp()
  const [now, before] = [textAt(deps.disk, ROUTE) ?? '', await deps.engine.getProxy('app')]
  const [, , line = '', ...configuration] = now.split('\n')
  const record = line.slice('# record: '.length).replace(',"header_buffer_size":"16k","upstream_keepalive_s":4', '')
  const earlier = configuration.filter((directive) => !/busy_buffers|temp_file_write/.test(directive)).join('\n')
  writeAt(deps.disk, ROUTE, withHeader(record, earlier))
  deps.nginx.loaded = enabledTexts(deps.disk)
  const updated = await restarted(deps)
  assert.equal(await updated.engine.getProxy('app'), before)
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
