import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import { BACKUPS_KEPT, pruneBackups } from '../../lib/host/prune-backups.ts'
import { textAt, writeAt } from '../helpers/arrange.ts'
import { put, worldWithRoute } from '../helpers/world.ts'

const BACKUPS = '/var/lib/proxy-manager/backups'
const ROUTE = '/etc/nginx/sites-available/fpai-old.conf'

const test = suite('prune backups')

test('of one name the newest stay, whatever the number of digits; what has another name is left alone', async () => {
  const { host, disk } = await fakeDeps()
  const times = [9, 10, ...Array.from({ length: BACKUPS_KEPT }, (_, i) => 100 + i)]
  for (const time of times) writeAt(disk, `${BACKUPS}/a.conf.${time}`, String(time))
  const others = ['a.conf', 'a.conf.1.2', 'a.conf.x', 'b.a.conf.1', 'a.confused.1']
  for (const name of others) writeAt(disk, `${BACKUPS}/${name}`, name)
  await pruneBackups(host, BACKUPS, 'a.conf')
  const left = host.files.list(BACKUPS)
  assert.equal(
    left.filter((name) => !others.includes(name)).sort(),
    times.slice(2).map((time) => `a.conf.${time}`),
  )
  assert.equal(left.filter((name) => others.includes(name)).sort(), [...others].sort())
})

test('a folder that is not there, or in which nothing can be removed, is no failure', async () => {
  const { host } = await fakeDeps()
  await pruneBackups(host, '/nowhere', 'a')
  host.files.list = () => Array.from({ length: BACKUPS_KEPT + 1 }, (_, i) => `a.${i}`)
  host.files.remove = async () => {
    throw new Error('EROFS')
  }
  await pruneBackups(host, BACKUPS, 'a')
})

test('a route that is edited by hand again and again keeps its newest edits', async () => {
  const deps = await worldWithRoute()
  const edits = BACKUPS_KEPT + 5
  for (let edit = 0; edit < edits; edit++) {
    writeAt(deps.disk, ROUTE, `${textAt(deps.disk, ROUTE)}# edit ${edit}\n`)
    await put(deps, 'old', 'old.example.com', 8001)
    await deps.clock.sleep(1)
  }
  const kept = deps.host.files.list(BACKUPS)
  assert.is(kept.length, BACKUPS_KEPT)
  const texts = kept.map((name) => textAt(deps.disk, `${BACKUPS}/${name}`) ?? '')
  for (let edit = edits - BACKUPS_KEPT; edit < edits; edit++)
    assert.ok(
      texts.some((text) => text.endsWith(`# edit ${edit}\n`)),
      `edit ${edit} is gone`,
    )
})

test.run()
