import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import { BACKUPS_KEPT, pruneBackups } from '../../lib/host/backups.ts'
import { textAt, writeAt } from '../helpers/arrange.ts'
import { backupsOf, put, worldWithRoute } from '../helpers/world.ts'

const BACKUPS = '/var/lib/proxy-manager/backups'
const ROUTE = '/etc/nginx/sites-available/fpai-old.conf'

const test = suite('backups')

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
  host.files.removeFolder = async () => {
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

test('the newest edit is never the one that is dropped, even if the clock was ahead when older ones were saved', async () => {
  const deps = await worldWithRoute()
  const year = 365 * 24 * 3600 * 1000
  for (let i = 0; i < BACKUPS_KEPT; i++)
    writeAt(deps.disk, `${BACKUPS}/fpai-old.conf.${deps.clock.nowMs() + year + i}`, `# edit ${i}\n`)
  const edited = `${textAt(deps.disk, ROUTE)}# the newest\n`
  writeAt(deps.disk, ROUTE, edited)
  await put(deps, 'old', 'old.example.com', 8001)
  const texts = deps.host.files.list(BACKUPS).map((name) => textAt(deps.disk, `${BACKUPS}/${name}`))
  assert.ok(texts.includes(edited))
  assert.not.ok(texts.includes('# edit 0\n'))
})

test('an edit whose change fails again and again is kept once, so that it does not displace older ones', async () => {
  const deps = await worldWithRoute()
  const edited = `${textAt(deps.disk, ROUTE)}# mine\n`
  writeAt(deps.disk, ROUTE, edited)
  const { append } = deps.host.files
  deps.host.files.append = async (path) => {
    throw Object.assign(new Error('EIO'), { code: 'EIO', path })
  }
  for (let i = 0; i < 3; i++) await put(deps, 'old', 'old.example.com', 8001).catch(() => undefined)
  deps.host.files.append = append
  await put(deps, 'old', 'old.example.com', 8001)
  assert.equal(backupsOf(deps), [['fpai-old.conf', edited, 0o600]])
})

test('a backup is on the medium before the file is replaced', async () => {
  const deps = await worldWithRoute()
  writeAt(deps.disk, ROUTE, `${textAt(deps.disk, ROUTE)}# mine\n`)
  const from = deps.effects.journal.length
  await put(deps, 'old', 'old.example.com', 8001)
  const effects = deps.effects.journal.slice(from).map(({ verb, subject }) => `${verb} ${subject}`)
  assert.ok(effects.indexOf(`syncFolder ${BACKUPS}`) >= 0)
  assert.ok(effects.indexOf(`syncFolder ${BACKUPS}`) < effects.indexOf(`rename ${ROUTE}`))
})

test.run()
