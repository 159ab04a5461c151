import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import type { CheckedCertificate } from '../../lib/certificates/certificate.ts'
import { type CertificateStore, certificateStore } from '../../lib/keyring/store.ts'
import type { SnapshotRoute } from '../../lib/route/stored-route.ts'
import { readRouteFile } from '../../lib/route/stored-route.ts'
import { contentsOf, refusal, textAt, writeAt } from '../helpers/arrange.ts'
import {
  type Certificate,
  CONFIG,
  certificateFor,
  copiesOf,
  DAY_MS,
  HOUR_MS,
  putLineage,
  putSecure,
  START_MS,
  STATE,
} from '../helpers/certbot.ts'

const test = suite('certificate store')

const DOMAIN = 'app.example.com'
const FIRST = certificateFor(DOMAIN)
/** Issued later, so it is the newer one. */
const SECOND = certificateFor(DOMAIN, { fromMs: START_MS - HOUR_MS / 2 })

interface Store {
  readonly deps: FakeDeps
  readonly store: CertificateStore
}

async function arrange(certificate?: Certificate): Promise<Store> {
  const deps = await fakeDeps()
  if (certificate !== undefined) putLineage(deps.disk, DOMAIN, certificate)
  return { deps, store: certificateStore(deps.host) }
}

/** What the store has found for the domain; the test fails where that is nothing. */
function found({ store }: Store): CheckedCertificate {
  const chosen = choose(store)
  if (chosen === undefined || 'fault' in chosen) throw new Error('no certificate was found')
  return chosen
}

const choose = (store: CertificateStore, domain = DOMAIN) => store.look()({ names: [domain], from: null })

function fingerprintIn({ store }: Store): string | undefined {
  const chosen = choose(store)
  return chosen === undefined || 'fault' in chosen ? undefined : chosen.summary.fingerprint_sha256
}
const folderOf = ({ fingerprint }: Certificate) => `${STATE}/certificates/${DOMAIN}/${fingerprint}`

test("the certificate of certbot's lineage is found with both of its texts", async () => {
  const world = await arrange(FIRST)
  const { fullchain, privkey, summary } = found(world)
  assert.equal([fullchain, privkey], [FIRST.fullchain, FIRST.privkey])
  assert.is(summary.fingerprint_sha256, FIRST.fingerprint)
  assert.equal(world.store.ordered(DOMAIN), found(world))
})

test('without a lineage there is no certificate, neither ours nor of others', async () => {
  const { store } = await arrange()
  assert.is(choose(store), undefined)
  assert.is(store.ordered(DOMAIN), undefined)
  assert.equal(store.others(DOMAIN), [])
})

test('a copy is complete, readable only by root, and on the medium before anything names it', async () => {
  const world = await arrange(FIRST)
  const { deps, store } = world
  const before = deps.effects.journal.length
  assert.equal(await store.copy(new Map([[DOMAIN, found(world)]])), [`${STATE}/certificates/${DOMAIN}`])
  const folder = folderOf(FIRST)
  for (const [name, text] of [
    ['fullchain.pem', FIRST.fullchain],
    ['privkey.pem', FIRST.privkey],
  ] as const)
    assert.equal(deps.disk.get(`${folder}/${name}`), { kind: 'file', file: { text }, mode: 0o600 }, name)
  assert.equal(
    deps.effects.journal.slice(before).map(({ verb, subject }) => `${verb} ${subject.slice(STATE.length + 14)}`),
    [
      `removeFolder ${DOMAIN}/${FIRST.fingerprint}`,
      `makeFolder ${DOMAIN}`,
      `makeFolder ${DOMAIN}/${FIRST.fingerprint}`,
      `write ${DOMAIN}/${FIRST.fingerprint}/fullchain.pem`,
      `write ${DOMAIN}/${FIRST.fingerprint}/privkey.pem`,
      `syncFile ${DOMAIN}/${FIRST.fingerprint}/fullchain.pem`,
      `syncFile ${DOMAIN}/${FIRST.fingerprint}/privkey.pem`,
      `syncFolder ${DOMAIN}/${FIRST.fingerprint}`,
      `syncFolder ${DOMAIN}`,
      'syncFolder ',
    ],
  )
})

test('an intact copy is not touched; a renewal gets its own directory', async () => {
  const world = await arrange(FIRST)
  const { deps, store } = world
  const first = found(world)
  await store.copy(new Map([[DOMAIN, first]]))
  const effects = deps.effects.journal.length
  assert.equal(await store.copy(new Map([[DOMAIN, first]])), [])
  assert.is(deps.effects.journal.length, effects)
  putLineage(deps.disk, DOMAIN, SECOND, 2)
  assert.equal(await store.copy(new Map([[DOMAIN, found(world)]])), [folderOf(SECOND)])
  assert.equal(copiesOf(deps, DOMAIN), [FIRST.fingerprint, SECOND.fingerprint])
  assert.is(textAt(deps.disk, `${folderOf(FIRST)}/fullchain.pem`), FIRST.fullchain)
})

test('a damaged copy is written again', async () => {
  const world = await arrange(FIRST)
  const { deps, store } = world
  await store.copy(new Map([[DOMAIN, found(world)]]))
  writeAt(deps.disk, `${folderOf(FIRST)}/privkey.pem`, '')
  assert.equal(await store.copy(new Map([[DOMAIN, found(world)]])), [folderOf(FIRST)])
  assert.is(textAt(deps.disk, `${folderOf(FIRST)}/privkey.pem`), FIRST.privkey)
})

test('a full disk while copying is reported as such', async () => {
  const world = await arrange(FIRST)
  const { deps, store } = world
  for (let at = 0; at < 9; at++) {
    await deps.host.files.removeFolder(`${STATE}/certificates/${DOMAIN}`)
    deps.effects.arrange({ at, kind: 'error', code: 'ENOSPC' })
    const error = await refusal(store.copy(new Map([[DOMAIN, found(world)]])), 'CONFIG_WRITE_FAILED')
    assert.is(error.details.errno, 'ENOSPC')
    deps.effects.arrange(undefined)
  }
  await store.copy(new Map([[DOMAIN, found(world)]]))
  assert.is(textAt(deps.disk, `${folderOf(FIRST)}/fullchain.pem`), FIRST.fullchain)
})

const DAMAGES: Readonly<Record<string, readonly [fault: string, damage: (deps: FakeDeps) => void]>> = {
  'a missing key': ['one of its files is missing', ({ disk }) => disk.delete(archived('privkey'))],
  'a missing certificate': ['one of its files is missing', ({ disk }) => disk.delete(archived('fullchain'))],
  'the key of another certificate': [
    'the private key belongs to another certificate',
    ({ disk }) => writeAt(disk, archived('privkey'), SECOND.privkey),
  ],
  'the certificate of another name': [
    'the certificate is for another name',
    ({ disk }) => putLineage(disk, DOMAIN, certificateFor('other.example.com')),
  ],
  'an empty certificate': [
    'the certificate file contains no certificate',
    ({ disk }) => {
      writeAt(disk, archived('fullchain'), '')
      writeAt(disk, archived('chain'), '')
    },
  ],
  'a certificate that is cut short': [
    'its chain is not complete',
    ({ disk }) => writeAt(disk, archived('fullchain'), FIRST.fullchain.slice(0, FIRST.cert.length + 100)),
  ],
  'a chain that is missing': [
    'its chain is not complete',
    ({ disk }) => writeAt(disk, archived('fullchain'), FIRST.cert),
  ],
  'a garbled key': [
    'the certificate or its key cannot be read',
    ({ disk }) => writeAt(disk, archived('privkey'), FIRST.privkey.slice(0, 60)),
  ],
  'an expired certificate': [
    'the certificate has expired',
    ({ disk }) => putLineage(disk, DOMAIN, certificateFor(DOMAIN, { fromMs: START_MS - 7 * DAY_MS, days: 6 })),
  ],
  'a certificate of the future': [
    'the certificate is not valid yet',
    ({ disk }) => putLineage(disk, DOMAIN, certificateFor(DOMAIN, { fromMs: START_MS + HOUR_MS })),
  ],
}

function archived(name: string): string {
  return `${CONFIG}/archive/${DOMAIN}/${name}1.pem`
}

for (const [what, [fault, damage]] of Object.entries(DAMAGES)) {
  test(`${what}: the lineage is not used, the reason is reported, and the previous copy is served`, async () => {
    const fresh = await arrange(FIRST)
    damage(fresh.deps)
    assert.is(choose(fresh.store), undefined)
    assert.equal(fresh.store.ordered(DOMAIN), { fault })

    const world = await arrange(FIRST)
    await world.store.copy(new Map([[DOMAIN, found(world)]]))
    damage(world.deps)
    assert.is(fingerprintIn(world), FIRST.fingerprint)
    assert.equal(world.store.ordered(DOMAIN), { fault })
  })
}

test('a renewal between the replacement of certificate and key is not used until it is complete', async () => {
  const world = await arrange(FIRST)
  const { deps, store } = world
  await store.copy(new Map([[DOMAIN, found(world)]]))
  // certbot replaces the links one after another: cert, privkey, chain, fullchain.
  for (const name of ['cert', 'privkey'] as const) {
    const target = `${CONFIG}/archive/${DOMAIN}/${name}2.pem`
    writeAt(deps.disk, target, SECOND[name])
    deps.disk.set(`${CONFIG}/live/${DOMAIN}/${name}.pem`, { kind: 'link', target })
    assert.is(fingerprintIn(world), FIRST.fingerprint, name)
  }
  putLineage(deps.disk, DOMAIN, SECOND, 2)
  assert.is(fingerprintIn(world), SECOND.fingerprint)
})

test('a certificate that was verified before is rejected once it has expired', async () => {
  const world = await arrange(certificateFor(DOMAIN, { days: 6 }))
  assert.ok(choose(world.store))
  await world.deps.clock.sleep(6 * DAY_MS)
  assert.is(choose(world.store), undefined)
  assert.equal(world.store.ordered(DOMAIN), { fault: 'the certificate has expired' })
})

test('a valid lineage has priority over every copy, whatever its dates; without one the newest intact copy counts', async () => {
  const world = await arrange(SECOND)
  const { deps, store } = world
  await store.copy(new Map([[DOMAIN, found(world)]]))
  putLineage(deps.disk, DOMAIN, FIRST)
  assert.is(fingerprintIn(world), FIRST.fingerprint)
  await store.copy(new Map([[DOMAIN, found(world)]]))
  for (const name of ['cert', 'privkey', 'chain', 'fullchain']) deps.disk.delete(`${CONFIG}/live/${DOMAIN}/${name}.pem`)
  assert.is(fingerprintIn(world), SECOND.fingerprint)
  writeAt(deps.disk, `${folderOf(SECOND)}/fullchain.pem`, SECOND.cert.slice(10))
  assert.is(fingerprintIn(world), FIRST.fingerprint)
})

/** The route `app` as it stands on disk. */
function routeOf({ disk }: FakeDeps): SnapshotRoute {
  const route = readRouteFile('app', textAt(disk, '/etc/nginx/sites-available/fpai-app.conf') ?? '')
  if (route === undefined) throw new Error('there is no route')
  return { ...route, enabled: true }
}

test('the copy of a route exists once it is written, even when it has expired, but not when it is torn', async () => {
  const deps = await fakeDeps()
  putLineage(deps.disk, DOMAIN, FIRST)
  const { proxy } = await putSecure(deps, 'app', DOMAIN)
  assert.is(proxy.status, 'active')
  const store = certificateStore(deps.host)
  const { record } = routeOf(deps)
  assert.ok(store.isCopied(record))
  assert.ok(store.isCopied({ ...record, certificate: null }))
  await deps.clock.sleep(91 * DAY_MS)
  assert.ok(store.isCopied(record))
  writeAt(deps.disk, `${folderOf(FIRST)}/privkey.pem`, SECOND.privkey)
  assert.not.ok(store.isCopied(record))
  await deps.host.files.removeFolder(folderOf(FIRST))
  assert.not.ok(store.isCopied(record))
})

test('copies that no route names are removed; those of other domains stay', async () => {
  const deps = await fakeDeps()
  putLineage(deps.disk, DOMAIN, FIRST)
  putLineage(deps.disk, 'other.example.com', certificateFor('other.example.com'))
  await putSecure(deps, 'app', DOMAIN)
  await putSecure(deps, 'other', 'other.example.com')
  const store = certificateStore(deps.host)
  putLineage(deps.disk, DOMAIN, SECOND, 2)
  await store.copy(new Map([[DOMAIN, found({ deps, store })]]))
  const routes = new Map([['app', routeOf(deps)]])
  await store.removeUnused([DOMAIN, DOMAIN, 'unknown.example.com'], async () => routes)
  assert.equal(copiesOf(deps, DOMAIN), [FIRST.fingerprint])
  assert.is(copiesOf(deps, 'other.example.com').length, 1)
  await store.removeUnused([DOMAIN], async () => new Map())
  assert.equal(copiesOf(deps, DOMAIN), [])
  assert.not.ok(deps.disk.has(`${STATE}/certificates/${DOMAIN}`))
  assert.is(textAt(deps.disk, `${CONFIG}/live/${DOMAIN}/privkey.pem`), SECOND.privkey)
})

test('reading certificates changes nothing on disk', async () => {
  const { deps, store } = await arrange(FIRST)
  const before = contentsOf(deps.disk)
  choose(store)
  store.ordered(DOMAIN)
  store.others(DOMAIN)
  assert.equal(contentsOf(deps.disk), before)
})

test.run()
