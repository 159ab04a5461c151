import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import { missingFilesFault } from '../../lib/snapshot/missing-files.ts'
import { filesOf, put, remove, worldWithRoute } from '../helpers/world.ts'

const test = suite('missing files')
const AVAILABLE = '/etc/nginx/sites-available'
const ENABLED = '/etc/nginx/sites-enabled'

/** Takes away what is in a directory, as if its file system were not mounted. */
function unmount({ disk }: FakeDeps, folder: string, isGone = false): void {
  for (const path of [...disk.keys()]) if (path.startsWith(`${folder}/`)) disk.delete(path)
  if (isGone) disk.delete(folder)
}

test('a host without a route, and one with routes in place, lacks nothing', async () => {
  assert.is(missingFilesFault((await fakeDeps()).host), undefined)
  assert.is(missingFilesFault((await worldWithRoute()).host), undefined)
})

test('a host whose routes were all deleted lacks nothing, even if a last good copy is left', async () => {
  const deps = await worldWithRoute()
  const copy = '/var/lib/proxy-manager/last-good/fpai-old.conf'
  const entry = deps.disk.get(copy)
  await remove(deps, 'old')
  await deps.engine.idle()
  assert.is(missingFilesFault(deps.host), undefined)
  if (entry !== undefined) deps.disk.set(copy, entry)
  assert.is(missingFilesFault(deps.host), undefined)
})

for (const isGone of [false, true]) {
  test(`if sites-available is ${isGone ? 'missing' : 'empty'}, recovery changes nothing and leaves every symlink`, async () => {
    const deps = await worldWithRoute()
    await put(deps, 'app', 'app.example.com', 8002)
    await deps.engine.idle()
    unmount(deps, AVAILABLE, isGone)
    const before = filesOf(deps)
    assert.match(missingFilesFault(deps.host) ?? '', /symlinks in sites-enabled/)
    const again = await fakeDeps({ disk: deps.disk, nginx: deps.nginx })
    assert.ok((await again.engine.recover()).includes('repair_files'))
    assert.equal(filesOf(again), before)
  })
}

test('if both directories are empty, the last good copies show that routes are missing', async () => {
  const deps = await worldWithRoute()
  for (const folder of [AVAILABLE, ENABLED]) unmount(deps, folder)
  assert.match(missingFilesFault(deps.host) ?? '', /known routes/)
})

test('one route whose file is gone is damage, not a missing file system', async () => {
  const deps = await worldWithRoute()
  deps.disk.delete(`${AVAILABLE}/fpai-old.conf`)
  assert.is(missingFilesFault(deps.host), undefined)
})

test.run()
