import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import { setAsideBrokenLineage } from '../../lib/certificates/lineage.ts'
import { contentsOf, countEffects, refusal, textAt, writeAt } from '../helpers/arrange.ts'
import {
  CONFIG,
  certbotThat,
  certbotThatIssues,
  certificateFor,
  copiesOf,
  HOUR_MS,
  issue,
  ledgerText,
  putLineage,
  putSecure,
  START_MS,
  STATE,
  servedFingerprint,
} from '../helpers/certbot.ts'
import { assertInvariant, put, servedPort } from '../helpers/world.ts'

const DOMAIN = 'app.example.com'
const OTHER = 'app.example.com.other.example'
const FIRST = certificateFor(DOMAIN)
const SECOND = certificateFor(DOMAIN, { fromMs: START_MS - HOUR_MS / 2 })
const ASIDE = `${CONFIG}/broken-lineages/${DOMAIN}.${START_MS}`

const test = suite('lineage: broken lineages')

/** Paths under certbot's folder, without those of the neighbour. */
function pathsOf({ disk }: FakeDeps): readonly string[] {
  return [...disk.keys()]
    .filter((path) => path.startsWith(`${CONFIG}/`) && !path.includes(OTHER))
    .map((path) => path.slice(CONFIG.length + 1))
    .sort()
}

async function arrange(): Promise<FakeDeps> {
  const deps = await fakeDeps()
  putLineage(deps.disk, OTHER, certificateFor(OTHER))
  putLineage(deps.disk, DOMAIN, FIRST)
  return deps
}

test('an intact lineage stays in place; without one nothing happens', async () => {
  const deps = await arrange()
  const before = contentsOf(deps.disk)
  assert.is(await setAsideBrokenLineage(deps.host, DOMAIN), false)
  assert.is(await setAsideBrokenLineage(deps.host, 'none.example.com'), false)
  assert.equal(contentsOf(deps.disk), before)
})

const live = (name: string) => `${CONFIG}/live/${DOMAIN}/${name}.pem`
const archive = (name: string) => `${CONFIG}/archive/${DOMAIN}/${name}1.pem`
const RENEWAL = `${CONFIG}/renewal/${DOMAIN}.conf`

function removeAll({ disk }: FakeDeps, ...paths: readonly string[]): void {
  for (const path of paths)
    for (const inside of [...disk.keys()]) if (inside === path || inside.startsWith(`${path}/`)) disk.delete(inside)
}

const SHAPES: Readonly<Record<string, (deps: FakeDeps) => void>> = {
  'an emptied renewal file': ({ disk }) => writeAt(disk, RENEWAL, ''),
  'a truncated renewal file': ({ disk }) => writeAt(disk, RENEWAL, 'version = 2.1.0\narchive_dir = '),
  'no renewal file': (deps) => removeAll(deps, RENEWAL),
  'only a live directory': (deps) => removeAll(deps, RENEWAL, `${CONFIG}/archive/${DOMAIN}`),
  'an empty live directory': (deps) => {
    removeAll(deps, `${CONFIG}/live/${DOMAIN}`)
    deps.disk.set(`${CONFIG}/live/${DOMAIN}`, { kind: 'folder' })
  },
  'no live directory': (deps) => removeAll(deps, `${CONFIG}/live/${DOMAIN}`),
  'only an archive': (deps) => removeAll(deps, RENEWAL, `${CONFIG}/live/${DOMAIN}`),
  'only a renewal file': (deps) => removeAll(deps, `${CONFIG}/live/${DOMAIN}`, `${CONFIG}/archive/${DOMAIN}`),
  'dangling symlinks': (deps) => {
    removeAll(deps, `${CONFIG}/archive/${DOMAIN}`)
    deps.disk.set(`${CONFIG}/archive/${DOMAIN}`, { kind: 'folder' })
  },
  'no archive': (deps) => removeAll(deps, `${CONFIG}/archive/${DOMAIN}`),
  'a missing symlink': (deps) => removeAll(deps, live('chain')),
  'a missing certificate': (deps) => removeAll(deps, archive('cert')),
  'a missing key': (deps) => removeAll(deps, archive('privkey')),
}

for (const [what, damage] of Object.entries(SHAPES)) {
  test(`${what}: everything of it moves aside, nothing is lost, and other lineages stay`, async () => {
    const deps = await arrange()
    damage(deps)
    const before = pathsOf(deps)
    const neighbours = contentsOf(deps.disk).filter(([path]) => path.includes(OTHER))
    assert.is(await setAsideBrokenLineage(deps.host, DOMAIN), true)
    const moved = before
      .filter((path) => path.includes(DOMAIN))
      .map((path) =>
        path === `renewal/${DOMAIN}.conf`
          ? `broken-lineages/${DOMAIN}.${START_MS}/renewal.conf`
          : path.replace(/^(live|archive)\/[^/]+/, `broken-lineages/${DOMAIN}.${START_MS}/$1`),
      )
    const folders = before.filter((path) => !path.includes(DOMAIN))
    const made = ['broken-lineages', `broken-lineages/${DOMAIN}.${START_MS}`]
    assert.equal(pathsOf(deps), [...folders, ...made, ...moved].sort())
    assert.equal(
      contentsOf(deps.disk).filter(([path]) => path.includes(OTHER)),
      neighbours,
    )
  })

  test(`${what}: the next order writes the lineage of that name, while the copy is served`, async () => {
    const deps = await arrange()
    await putSecure(deps, 'app', DOMAIN)
    damage(deps)
    certbotThat(deps, () => {
      // What certbot would stumble over is out of its way by now.
      for (const path of [RENEWAL, `${CONFIG}/live/${DOMAIN}`, `${CONFIG}/archive/${DOMAIN}`])
        assert.not.ok(deps.disk.has(path), path)
      assert.is(servedFingerprint(deps, DOMAIN), FIRST.fingerprint)
      putLineage(deps.disk, DOMAIN, SECOND)
      return { exitCode: 0, output: '' }
    })
    assert.is((await issue(deps, 'app', true)).proxy.certificate?.fingerprint_sha256, SECOND.fingerprint)
  })
}

test('a second one within the same process gets its own directory', async () => {
  const deps = await arrange()
  await deps.host.files.remove(RENEWAL)
  await setAsideBrokenLineage(deps.host, DOMAIN)
  await deps.clock.sleep(1)
  putLineage(deps.disk, DOMAIN, SECOND)
  await deps.host.files.remove(RENEWAL)
  await setAsideBrokenLineage(deps.host, DOMAIN)
  const text = (folder: string) => textAt(deps.disk, `${folder}/archive/fullchain1.pem`)
  assert.equal(
    [text(ASIDE), text(`${CONFIG}/broken-lineages/${DOMAIN}.${START_MS + 1}`)],
    [FIRST.fullchain, SECOND.fullchain],
  )
})

test('the newest 20 of one domain stay', async () => {
  const deps = await arrange()
  for (let i = 0; i < 25; i++) {
    putLineage(deps.disk, DOMAIN, FIRST)
    await deps.host.files.remove(RENEWAL)
    assert.ok(await setAsideBrokenLineage(deps.host, DOMAIN))
    await deps.clock.sleep(1)
  }
  const kept = deps.host.files.list(`${CONFIG}/broken-lineages`)
  assert.equal([...kept].sort(), Array.from({ length: 20 }, (_, i) => `${DOMAIN}.${START_MS + 5 + i}`).sort())
})

test('if a lineage cannot be moved, nothing is ordered, and no failure is counted, however often it is tried', async () => {
  const deps = await fakeDeps({ settings: { SSL_PREFLIGHT: 'off' } })
  await putSecure(deps, 'app', DOMAIN)
  putLineage(deps.disk, DOMAIN, certificateFor('other.example.com'))
  await deps.host.files.remove(RENEWAL)
  const calls = certbotThatIssues(deps, FIRST)
  const { rename } = deps.host.files
  deps.host.files.rename = async (from, to) => {
    if (to.includes('broken-lineages')) throw Object.assign(new Error('EROFS'), { code: 'EROFS', path: from })
    await rename(from, to)
  }
  for (let tries = 0; tries < 4; tries++) {
    const { details } = await refusal(issue(deps, 'app'), 'CONFIG_WRITE_FAILED')
    assert.equal([details.errno, details.stage, calls.length], ['EROFS', 'issue', 0])
  }
  assert.is(ledgerText(deps, DOMAIN), undefined)
})

test.run()

const deleting = suite('lineage: delete_certificate')

async function secured(): Promise<FakeDeps> {
  const deps = await arrange()
  assert.is((await putSecure(deps, 'app', DOMAIN)).proxy.status, 'active')
  await put(deps, 'old', 'old.example.com', 8001)
  return deps
}

async function deleteWithCertificate(deps: FakeDeps): Promise<boolean | undefined> {
  const { certificateDeleted } = await deps.engine.deleteProxy({
    dropletName: 'app',
    precondition: {},
    deleteCertificate: true,
  })
  await deps.engine.idle()
  assert.is(servedPort(deps, DOMAIN), undefined)
  assertInvariant(deps)
  return certificateDeleted
}

deleting('certbot deletes the lineage, and the copies are removed after it', async () => {
  const deps = await secured()
  const calls = certbotThat(deps, () => {
    assert.is(servedFingerprint(deps, DOMAIN), undefined)
    removeAll(deps, RENEWAL, `${CONFIG}/live/${DOMAIN}`, `${CONFIG}/archive/${DOMAIN}`)
    return { exitCode: 0, output: '' }
  })
  assert.is(await deleteWithCertificate(deps), true)
  assert.equal(calls, [
    ['delete', '--non-interactive', '--no-directory-hooks', `--cert-name=${DOMAIN}`, `--config-dir=${CONFIG}`],
  ])
  assert.not.ok(deps.disk.has(`${STATE}/certificates/${DOMAIN}`))
  assert.ok(deps.disk.has(`${CONFIG}/live/${OTHER}/cert.pem`))
  assert.is((await putSecure(deps, 'app', DOMAIN)).proxy.status, 'pending_ssl')
})

deleting('a lineage that certbot cannot delete is moved aside, so that a new route does not use it', async () => {
  const deps = await secured()
  certbotThat(deps, () => ({ exitCode: 1, output: 'Renewal configuration file is broken' }))
  assert.is(await deleteWithCertificate(deps), true)
  assert.is(textAt(deps.disk, `${ASIDE}/archive/privkey1.pem`), FIRST.privkey)
  assert.is((await putSecure(deps, 'app', DOMAIN)).proxy.status, 'pending_ssl')
})

deleting('without a lineage certbot is not called', async () => {
  const deps = await secured()
  removeAll(deps, RENEWAL, `${CONFIG}/live/${DOMAIN}`, `${CONFIG}/archive/${DOMAIN}`)
  assert.is(await deleteWithCertificate(deps), true)
  assert.is(countEffects(deps, /^run \/usr\/bin\/certbot/), 0)
  assert.equal(copiesOf(deps, DOMAIN), [])
})

deleting('a certificate that cannot be deleted is reported and logged; the route is deleted nevertheless', async () => {
  const deps = await secured()
  certbotThat(deps, () => ({ exitCode: 1, output: '' }))
  const { rename } = deps.host.files
  deps.host.files.rename = async (from, to) => {
    if (to.includes('broken-lineages')) throw Object.assign(new Error('EROFS'), { code: 'EROFS' })
    await rename(from, to)
  }
  assert.is(await deleteWithCertificate(deps), false)
  const line = deps.lines.find(({ action }) => action === 'delete_certificate')
  assert.equal([line?.level, line?.result, line?.domain], ['error', 'failure', DOMAIN])
})

deleting('without that parameter the lineage stays, and a new route of its domain has HTTPS at once', async () => {
  const deps = await secured()
  const { certificateDeleted } = await deps.engine.deleteProxy({
    dropletName: 'app',
    precondition: {},
    deleteCertificate: false,
  })
  assert.is(certificateDeleted, undefined)
  await deps.engine.idle()
  assert.equal(copiesOf(deps, DOMAIN), [])
  assert.is((await putSecure(deps, 'app', DOMAIN)).proxy.status, 'active')
  assert.is(servedFingerprint(deps, DOMAIN), FIRST.fingerprint)
})

deleting.run()
