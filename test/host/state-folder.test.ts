import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { hostClock } from '../../lib/adapters/clock.ts'
import { type Files, hostFiles } from '../../lib/adapters/files.ts'
import {
  makeStateFolders,
  openFolders,
  type StatePaths,
  stateFolderFault,
  statePaths,
} from '../../lib/host/state-folder.ts'
import { parseSettings } from '../../lib/settings/parse-settings.ts'
import type { Settings } from '../../lib/settings/settings.ts'

interface World {
  files: Files
  root: string
  settings: Settings
  paths: StatePaths
}

const test = suite<World>('state directory')

test.before.each((world) => {
  const root = mkdtempSync(join(tmpdir(), 'state-'))
  chmodSync(root, 0o755)
  const settings = parseSettings({ PROXY_MANAGER_STATE_DIR: root })
  if ('faults' in settings) throw new Error(settings.faults.join())
  Object.assign(world, { root, settings, files: hostFiles(), paths: statePaths(settings) })
})
test.after.each(({ root }) => rmSync(root, { recursive: true }))

const make = ({ files, paths }: World) => makeStateFolders({ files, clock: hostClock() }, paths)
const faultOf = ({ files, settings }: World) => stateFolderFault(files, settings)
const modeOf = (path: string) => statSync(path).mode & 0o7777

const CLOSED = ['staging', 'last-good', 'backups', 'certificates', 'orders']

/** What every start of the first versions made: no mark. */
function makeOlder({ root }: World): void {
  for (const name of CLOSED) mkdirSync(join(root, name), { mode: 0o700 })
  for (const name of ['lock', 'last-reload.json']) writeFileSync(join(root, name), '')
  writeFileSync(join(root, 'last-good/fpai-a.conf'), 'x')
}

test('one that does not exist is created, so that NGINX can pass through it and nobody can read the secrets', async (world) => {
  rmSync(world.root, { recursive: true })
  assert.is(faultOf(world), undefined)
  await make(world)
  assert.is(modeOf(world.root), 0o711)
  for (const name of [...CLOSED, 'certbot', 'certbot/no-user-configuration'])
    assert.is(modeOf(join(world.root, name)), 0o700, name)
  assert.is(modeOf(join(world.root, 'acme')), 0o755)
  assert.is(faultOf(world), undefined)
})

for (const mode of [0o700, 0o755, 0o2775, 0o1777])
  test(`an empty directory becomes one and keeps its mode ${mode.toString(8)}`, async (world) => {
    chmodSync(world.root, mode)
    assert.is(faultOf(world), undefined)
    await make(world)
    assert.is(modeOf(world.root), mode)
    assert.is(faultOf(world), undefined)
  })

test("a directory with somebody else's files is refused, whatever their names", (world) => {
  for (const path of ['staging/shop/index.html', 'backups/dump.sql', 'certificates/a.example.com/key.pem', 'shop/a']) {
    mkdirSync(join(world.root, path, '..'), { recursive: true, mode: 0o700 })
    writeFileSync(join(world.root, path), 'x')
    const fault = faultOf(world) ?? ''
    assert.match(fault, `(${path.slice(0, path.indexOf('/'))})`)
    assert.match(fault, `create an empty file ${world.root}/proxy-manager`)
    rmSync(join(world.root, path.slice(0, path.indexOf('/'))), { recursive: true })
  }
})

test('a directory that holds a state directory is not taken for one', (world) => {
  mkdirSync(join(world.root, 'proxy-manager'))
  mkdirSync(join(world.root, 'dpkg'))
  assert.match(faultOf(world) ?? '', '(dpkg)')
})

test('one of an older version is taken over with its contents, and marked, whatever else is in it', async (world) => {
  makeOlder(world)
  for (const path of ['compile-cache/v24', 'certbot/no-user-configuration', 'acme/.well-known', 'letsencrypt/live'])
    mkdirSync(join(world.root, path), { recursive: true, mode: 0o700 })
  const records = ['rendered.json', 'last-proof.json', 'last-certificate.json', 'acme-accounts.json', 'renewed']
  for (const name of [...records, 'journal', '.rendered.json.pm-tmp', 'token', 'notes.txt'])
    writeFileSync(join(world.root, name), '')
  assert.is(faultOf(world), undefined)
  assert.equal(await make(world), [])
  assert.is(readFileSync(join(world.root, 'last-good/fpai-a.conf'), 'utf8'), 'x')
  rmSync(join(world.root, 'lock'))
  assert.is(faultOf(world), undefined)
})

for (const name of ['lock', ...CLOSED])
  test(`without a mark and without ${name}, what is in it is a reason to ask`, (world) => {
    makeOlder(world)
    writeFileSync(join(world.root, 'notes.txt'), '')
    rmSync(join(world.root, name), { recursive: true })
    assert.match(faultOf(world) ?? '', 'notes.txt')
  })

test("Node's cache, which is there before the first start, is no reason to refuse it", async (world) => {
  mkdirSync(join(world.root, 'compile-cache/v24'), { recursive: true })
  assert.is(faultOf(world), undefined)
  assert.equal(await make(world), [])
})

test('what the settings name may be in it before the first start', async (world) => {
  const [CERTBOT_CONFIG_DIR, ACME_WEBROOT] = [join(world.root, 'letsencrypt'), join(world.root, 'www/acme')]
  for (const folder of [`${CERTBOT_CONFIG_DIR}/live`, `${ACME_WEBROOT}/.well-known`])
    mkdirSync(folder, { recursive: true })
  assert.match(faultOf(world) ?? '', '(letsencrypt, www)')
  Object.assign(world.settings, { CERTBOT_CONFIG_DIR, ACME_WEBROOT })
  assert.is(faultOf(world), undefined)
})

test('one in which every user can write is refused, unless what is ours in it is safe from them', async (world) => {
  chmodSync(world.root, 0o777)
  assert.match(faultOf(world) ?? '', `can be written by every user: chmod o-w ${world.root}`)
  chmodSync(world.root, 0o1777)
  writeFileSync(join(world.root, 'journal'), '')
  const access: Files['access'] = (path) => {
    const found = world.files.access(path)
    return found && { ...found, isOurs: !path.endsWith('/journal') }
  }
  assert.match(stateFolderFault({ ...world.files, access }, world.settings) ?? '', 'remove journal')
})

test('directories with secrets that others can enter are found, those they can write to refused; modes are left as they are', async (world) => {
  const folder = join(world.root, 'certificates')
  await make(world)
  assert.equal(openFolders(world.files, world.paths), [])
  for (const mode of [0o750, 0o701, 0o770, 0o702]) {
    chmodSync(folder, mode)
    await make(world)
    assert.equal(openFolders(world.files, world.paths), [folder])
    if ((mode & 0o022) === 0) assert.is(faultOf(world), undefined)
    else assert.match(faultOf(world) ?? '', `can write to: chmod 700 ${folder}`)
    assert.is(modeOf(folder), mode)
  }
})

test('what is of the wrong kind gets another name, so that changes work', async (world) => {
  await make(world)
  for (const name of ['last-good', 'staging']) rmSync(join(world.root, name), { recursive: true })
  writeFileSync(join(world.root, 'last-good'), 'x')
  symlinkSync('/nowhere', join(world.root, 'staging'))
  for (const name of ['journal', 'lock', 'last-reload.json']) mkdirSync(join(world.root, name))
  assert.equal((await make(world)).sort(), ['journal', 'last-good', 'last-reload.json', 'lock', 'staging'])
  assert.ok(statSync(join(world.root, 'last-good')).isDirectory())
  assert.not.ok(existsSync(join(world.root, 'journal')))
  assert.ok(readdirSync(world.root).some((name) => /^last-good\.\d+$/.test(name)))
  assert.equal(await make(world), [])
})

test('a directory of it may be a symlink to another disk', async (world) => {
  await make(world)
  const disk = mkdtempSync(join(tmpdir(), 'disk-'))
  rmSync(join(world.root, 'certificates'), { recursive: true })
  symlinkSync(disk, join(world.root, 'certificates'))
  assert.equal(await make(world), [])
  rmSync(disk, { recursive: true })
})

test.run()
