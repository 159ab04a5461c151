import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import { chooseLineage, lineagesOf, setAsideLineage } from '../../lib/certificates/lineage.ts'
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
  OTHER_RENEWAL,
  OUR_RENEWAL,
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
  writeAt(deps.disk, `${STATE}/orders/${DOMAIN}.json`, JSON.stringify({ entries: [], lineage: DOMAIN }))
  return deps
}

/** Moves broken lineages of ours aside, as an order does. Returns whether there were any. */
async function setAsideBroken({ host }: FakeDeps, domain = DOMAIN): Promise<boolean> {
  const { broken } = chooseLineage(host, domain, () => false)
  for (const name of broken) await setAsideLineage(host, domain, name)
  return broken.length > 0
}

test('an intact lineage stays in place, and is what the next order writes; without one it has the plain name', async () => {
  const deps = await arrange()
  const before = contentsOf(deps.disk)
  assert.equal(
    chooseLineage(deps.host, DOMAIN, () => false),
    { name: DOMAIN, broken: [] },
  )
  assert.equal(
    chooseLineage(deps.host, 'none.example.com', () => false),
    { name: 'none.example.com', broken: [] },
  )
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
    assert.is(await setAsideBroken(deps), true)
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
  await setAsideBroken(deps)
  await deps.clock.sleep(1)
  putLineage(deps.disk, DOMAIN, SECOND)
  await deps.host.files.remove(RENEWAL)
  await setAsideBroken(deps)
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
    assert.ok(await setAsideBroken(deps))
    await deps.clock.sleep(1)
  }
  const kept = deps.host.files.list(`${CONFIG}/broken-lineages`)
  assert.equal([...kept].sort(), Array.from({ length: 20 }, (_, i) => `${DOMAIN}.${START_MS + 5 + i}`).sort())
})

test('one that is moved aside after the clock was ahead is the newest of them, and stays', async () => {
  const deps = await arrange()
  const folder = `${CONFIG}/broken-lineages`
  for (let i = 0; i < 20; i++) await deps.host.files.makeFolder(`${folder}/${DOMAIN}.${2 * START_MS + i}`, 0o700)
  await deps.host.files.remove(RENEWAL)
  await setAsideBroken(deps)
  const aside = `${folder}/${DOMAIN}.${2 * START_MS + 20}`
  assert.is(textAt(deps.disk, `${aside}/archive/fullchain1.pem`), FIRST.fullchain)
  assert.is(deps.host.files.list(folder).length, 20)
})

test('if a lineage cannot be moved, nothing is ordered, and no failure is counted, however often it is tried', async () => {
  const deps = await fakeDeps({ settings: { SSL_PREFLIGHT: 'off' } })
  await putSecure(deps, 'app', DOMAIN)
  putLineage(deps.disk, DOMAIN, certificateFor('other.example.com'))
  await deps.host.files.removeFolder(`${CONFIG}/archive/${DOMAIN}`)
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

const owners = suite('lineage: whose it is')

const SECOND_NAME = `${DOMAIN}-0001`
const WEBROOT = 'authenticator = webroot\n'
const OTHERS: Readonly<Record<string, string>> = {
  "an operator's, with a DNS plugin and a hook": OTHER_RENEWAL,
  'one of certbot --nginx': 'authenticator = nginx\ninstaller = nginx\n',
  'one with our webroot and another hook': `${WEBROOT}webroot_path = ${STATE}/acme,\nrenew_hook = systemctl reload postfix\n`,
  'one with our hook and another authenticator': OUR_RENEWAL.replace('webroot\n', 'standalone\n'),
  'one with a hook that only resembles ours': `${WEBROOT}webroot_path = /var/www/html,\nrenew_hook = touch '/srv/renewed'\n`,
}
const OURS: Readonly<Record<string, string>> = {
  'one of this state directory': OUR_RENEWAL,
  'one of another state directory': `${WEBROOT}webroot_path = /srv/old/acme,\nrenew_hook = touch '/srv/old/renewed'\n`,
  'one of another state directory with the same ACME_WEBROOT': OUR_RENEWAL.replace("/renewed'", "-old/renewed'"),
  'one whose values certbot has put into quotes': `${WEBROOT}webroot_path = /srv/a b/acme,\nrenew_hook = "touch '/srv/a b/renewed'"\n`,
}

for (const [what, renewal] of Object.entries(OURS)) {
  owners(`${what} is ours: the next order writes it`, async () => {
    const deps = await fakeDeps()
    putLineage(deps.disk, DOMAIN, FIRST, 1, renewal)
    assert.equal(lineagesOf(deps.host, DOMAIN), [{ name: DOMAIN, isOurs: true }])
    assert.is(chooseLineage(deps.host, DOMAIN, () => false).name, DOMAIN)
  })
}

const underConfig = ({ disk }: FakeDeps, name: string) =>
  contentsOf(disk).filter(([path]) => path.startsWith(CONFIG) && new RegExp(`/${name}(\\.conf|/|$)`).test(path))

for (const [what, renewal] of Object.entries(OTHERS)) {
  owners(
    `${what} is used, but never changed: an order writes its own, and that one is served from then on`,
    async () => {
      const deps = await fakeDeps()
      putLineage(deps.disk, DOMAIN, FIRST, 1, renewal)
      const before = underConfig(deps, DOMAIN)
      assert.is((await putSecure(deps, 'app', DOMAIN)).proxy.certificate?.fingerprint_sha256, FIRST.fingerprint)
      const calls = certbotThatIssues(deps, SECOND)
      assert.is((await issue(deps, 'app', true)).proxy.certificate?.fingerprint_sha256, SECOND.fingerprint)
      assert.ok(calls[0]?.includes(`--cert-name=${SECOND_NAME}`))
      assert.equal(underConfig(deps, DOMAIN), before)
      await issue(deps, 'app', true).catch(() => undefined)
      assert.ok(calls[1]?.includes(`--cert-name=${SECOND_NAME}`))
      assert.is(servedFingerprint(deps, DOMAIN), SECOND.fingerprint)
    },
  )

  owners(`${what} is not deleted with the route: the answer says why`, async () => {
    const deps = await fakeDeps()
    putLineage(deps.disk, DOMAIN, FIRST, 1, renewal)
    const before = underConfig(deps, DOMAIN)
    await putSecure(deps, 'app', DOMAIN)
    const calls = certbotThat(deps, () => ({ exitCode: 0, output: '' }))
    const deleted = await deps.engine.deleteProxy({ dropletName: 'app', precondition: {}, deleteCertificate: true })
    assert.equal(
      [deleted.certificateDeleted, deleted.certificateKept],
      [false, `certbot's lineage ${DOMAIN} was not made by Proxy Manager`],
    )
    assert.equal([calls, underConfig(deps, DOMAIN)], [[], before])
  })
}

const LEFTOVERS: Readonly<Record<string, (deps: FakeDeps) => void>> = {
  'plain files that are kept by hand': ({ disk }) => {
    disk.set(`${CONFIG}/live/${DOMAIN}`, { kind: 'folder' })
    for (const name of ['fullchain', 'privkey'] as const)
      writeAt(disk, `${CONFIG}/live/${DOMAIN}/${name}.pem`, SECOND[name])
  },
  'an empty renewal file of unknown origin': ({ disk }) => writeAt(disk, RENEWAL, ''),
  'an archive of unknown origin': ({ disk }) => {
    disk.set(`${CONFIG}/archive/${DOMAIN}`, { kind: 'folder' })
    writeAt(disk, archive('cert'), FIRST.cert)
  },
}

for (const [what, leave] of Object.entries(LEFTOVERS)) {
  owners(`${what}: the order gets the next free name, and nothing is moved`, async () => {
    const deps = await fakeDeps()
    putLineage(deps.disk, SECOND_NAME, FIRST, 1, OTHER_RENEWAL)
    leave(deps)
    const before = contentsOf(deps.disk)
    assert.equal(
      chooseLineage(deps.host, DOMAIN, () => false),
      { name: `${DOMAIN}-0002`, broken: [] },
    )
    assert.equal(contentsOf(deps.disk), before)
  })
}

owners('plain files are not moved aside even if a lineage of ours had that name before', async () => {
  const deps = await arrange()
  removeAll(deps, `${CONFIG}/live/${DOMAIN}`, `${CONFIG}/archive/${DOMAIN}`, RENEWAL)
  LEFTOVERS['plain files that are kept by hand']?.(deps)
  assert.equal(
    chooseLineage(deps.host, DOMAIN, () => false),
    { name: SECOND_NAME, broken: [] },
  )
})

owners('a broken lineage of ours that a site reads stays in place, and the order writes another one', async () => {
  const deps = await arrange()
  await putSecure(deps, 'app', DOMAIN)
  writeAt(deps.disk, '/etc/nginx/conf.d/mail.conf', `server { ssl_certificate ${live('fullchain')}; }`)
  removeAll(deps, live('chain'))
  const before = underConfig(deps, DOMAIN)
  const calls = certbotThatIssues(deps, SECOND)
  assert.is((await issue(deps, 'app', true)).proxy.certificate?.fingerprint_sha256, SECOND.fingerprint)
  assert.ok(calls[0]?.includes(`--cert-name=${SECOND_NAME}`))
  assert.equal(underConfig(deps, DOMAIN), before)
})

owners(
  'if certbot writes another lineage of the domain than the one it was asked for, that one is served',
  async () => {
    const deps = await fakeDeps()
    await putSecure(deps, 'app', DOMAIN)
    certbotThat(deps, () => {
      // Somebody has made this lineage since the order was prepared.
      putLineage(deps.disk, DOMAIN, certificateFor('other.example.com'), 1, OTHER_RENEWAL)
      putLineage(deps.disk, SECOND_NAME, SECOND)
      return { exitCode: 0, output: '' }
    })
    assert.is((await issue(deps, 'app')).proxy.certificate?.fingerprint_sha256, SECOND.fingerprint)
  },
)

owners("a renewal of another's lineage during an order is not taken for its result", async () => {
  const deps = await fakeDeps()
  putLineage(deps.disk, DOMAIN, FIRST, 1, OTHER_RENEWAL)
  await putSecure(deps, 'app', DOMAIN)
  certbotThat(deps, () => {
    putLineage(deps.disk, DOMAIN, SECOND, 2, OTHER_RENEWAL)
    return { exitCode: 0, output: '' }
  })
  const { details } = await refusal(issue(deps, 'app', true), 'SSL_ISSUANCE_FAILED')
  assert.match(String(details.said), /there is no new certificate/)
})

owners("another's lineage is left to its owner's timer until a quarter of its lifetime is left", async () => {
  for (const [days, isOrdered] of [
    [65, false],
    [68, true],
  ] as const) {
    const deps = await fakeDeps()
    putLineage(deps.disk, DOMAIN, FIRST, 1, OTHER_RENEWAL)
    await putSecure(deps, 'app', DOMAIN)
    await deps.clock.sleep(days * 24 * HOUR_MS)
    certbotThatIssues(deps, certificateFor(DOMAIN, { fromMs: deps.clock.nowMs() }))
    assert.is((await issue(deps, 'app')).ordered, isOrdered)
  }
})

owners("a dry run names the lineage that would be written, and another's with all of its names", async () => {
  const deps = await fakeDeps()
  const shared = certificateFor(DOMAIN, { aliases: ['mail.example.net'] })
  putLineage(deps.disk, DOMAIN, shared, 1, OTHER_RENEWAL)
  await putSecure(deps, 'app', DOMAIN)
  const before = contentsOf(deps.disk)
  const { wouldOrder, lineage } = await deps.engine.dryRunIssue({ dropletName: 'app', forceRenew: true })
  assert.is(wouldOrder, true)
  assert.equal(lineage, { name: SECOND_NAME, others: [{ name: DOMAIN, domains: [DOMAIN, 'mail.example.net'] }] })
  assert.equal(contentsOf(deps.disk), before)
})

owners.run()

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

deleting('what the configuration of the host reads stays, and the answer names the file and the line', async () => {
  const target = `${CONFIG}/archive/${DOMAIN}/privkey1.pem`
  for (const site of [
    `server { ssl_certificate ${live('fullchain')}; }`,
    `server { ssl_certificate_key ${target}; }`,
    'server { ssl_certificate_key linked.pem; }',
    `map $ssl_server_name $file { default ${live('fullchain')}; }`,
    `server { ssl_certificate ${CONFIG}/live/$ssl_server_name/fullchain.pem; }`,
    `server { location /a { proxy_ssl_certificate ${live('cert')}; } }`,
  ]) {
    const deps = await secured()
    deps.disk.set('/etc/nginx/linked.pem', { kind: 'link', target })
    writeAt(deps.disk, '/etc/nginx/conf.d/site.conf', site)
    const before = underConfig(deps, DOMAIN)
    const calls = certbotThat(deps, () => ({ exitCode: 0, output: '' }))
    const deleted = await deps.engine.deleteProxy({ dropletName: 'app', precondition: {}, deleteCertificate: true })
    assert.equal(
      [deleted.certificateDeleted, deleted.certificateKept],
      [false, `certbot's lineage ${DOMAIN} is read by site.conf, line 1`],
      site,
    )
    assert.equal([calls, underConfig(deps, DOMAIN)], [[], before], site)
  }
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
