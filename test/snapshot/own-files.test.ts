import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { FakeDeps } from '../../fixtures/deps.ts'
import { assertSettled, PORT_TAKEN, refusal, refuseNextReload, textAt, writeAt } from '../helpers/arrange.ts'
import { putInEnabled } from '../helpers/sweeps.ts'
import { backupsOf, put, remove, restarted, routeFilesOf, servedPort, worldWithRoute } from '../helpers/world.ts'

const test = suite('own files')
const FILE = '/etc/nginx/sites-available/fpai-app.conf'
const LINK = '/etc/nginx/sites-enabled/fpai-app.conf'
const SITE = 'server { listen 80; server_name hand.example.com; return 204; }\n'

async function worldWithMoved(): Promise<FakeDeps> {
  const deps = await worldWithRoute()
  await putInEnabled(deps)
  return deps
}

test('a route whose file is in sites-enabled itself is listed, owns its domain, and is called drifted', async () => {
  const deps = await worldWithMoved()
  const { domain, status } = await deps.engine.getProxy('app')
  assert.equal([domain, status], ['app.example.com', 'drifted'])
  assert.equal(
    (await deps.engine.listProxies()).map((proxy) => proxy.droplet_name),
    ['app', 'old'],
  )
  await refusal(put(deps, 'other', 'app.example.com', 8009), 'DOMAIN_CONFLICT')
})

test('a start and a reconcile leave it as it is', async () => {
  const deps = await worldWithMoved()
  const before = routeFilesOf(deps)
  const again = await restarted(deps)
  await again.engine.keepReconciled()
  assert.equal(routeFilesOf(again), before)
  assert.is(again.disk.get(LINK)?.kind, 'file')
})

test('a PUT makes it a file and a symlink again, and an edit of it is kept in the backups', async () => {
  const deps = await worldWithMoved()
  writeAt(deps.disk, LINK, `${textAt(deps.disk, LINK)}# mine\n`)
  const { outcome } = await put(deps, 'app', 'app.example.com', 8002)
  assert.is(outcome, 'replaced')
  assert.equal(deps.disk.get(LINK), { kind: 'link', target: FILE })
  assert.is(servedPort(deps, 'app.example.com'), 8002)
  assert.is((await deps.engine.getProxy('app')).status, 'active')
  assert.equal(
    backupsOf(deps).map(([name, text]) => [name, text.endsWith('# mine\n')]),
    [['fpai-app.conf', true]],
  )
  await assertSettled(deps)
})

test('a DELETE removes it', async () => {
  const deps = await worldWithMoved()
  await remove(deps, 'app')
  assert.not.ok(deps.disk.has(FILE) || deps.disk.has(LINK))
  assert.is(servedPort(deps, 'app.example.com'), undefined)
  await assertSettled(deps)
})

test('a change of it that is undone leaves every byte as it was', async () => {
  for (const change of [
    (deps: FakeDeps) => put(deps, 'app', 'app.example.com', 8003),
    (deps: FakeDeps) => remove(deps, 'app'),
  ]) {
    const deps = await worldWithMoved()
    const [file, link] = [deps.disk.get(FILE), deps.disk.get(LINK)]
    refuseNextReload(deps, PORT_TAKEN)
    await refusal(change(deps), 'NGINX_RELOAD_FAILED')
    assert.equal([deps.disk.get(FILE), deps.disk.get(LINK)], [file, link])
    await assertSettled(deps)
  }
})

test('a symlink to the file of a route elsewhere is that route, and a DELETE leaves what it leads to', async () => {
  const deps = await worldWithMoved()
  const text = textAt(deps.disk, LINK) ?? ''
  writeAt(deps.disk, '/srv/app.conf', text)
  deps.disk.set(LINK, { kind: 'link', target: '/srv/app.conf' })
  assert.is((await deps.engine.getProxy('app')).status, 'drifted')
  await remove(deps, 'app')
  assert.not.ok(deps.disk.has(LINK))
  assert.is(textAt(deps.disk, '/srv/app.conf'), text)
})

for (const [what, path, place] of [
  ['in sites-enabled itself', LINK, undefined],
  ['in sites-enabled itself, through a symlink', '/srv/hand.conf', LINK],
  ['in another directory', '/etc/nginx/conf.d/fpai-app.conf', undefined],
] as const) {
  test(`a hand-written file with the name of a route, ${what}, owns its domains and is never touched`, async () => {
    const deps = await worldWithRoute()
    writeAt(deps.disk, path, SITE)
    if (place !== undefined) deps.disk.set(place, { kind: 'link', target: path })
    const error = await refusal(put(deps, 'other', 'hand.example.com', 8009), 'DOMAIN_CONFLICT')
    assert.equal(error.details.owner, { file: 'fpai-app.conf', line: 1 })
    if (!path.includes('conf.d')) await refusal(put(deps, 'app', 'app.example.com', 8002), 'DROPLET_EXISTS')
    await put(deps, 'third', 'third.example.com', 8003)
    assert.is(textAt(deps.disk, path), SITE)
  })
}

test.run()
