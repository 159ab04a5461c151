import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import { certificateStore } from '../../lib/keyring/store.ts'
import type { CertificateWish } from '../../lib/keyring/wish.ts'
import { contentsOf, refusal } from '../helpers/arrange.ts'
import {
  type Certificate,
  CONFIG,
  certbotThatIssues,
  certificateFor,
  DAY_MS,
  HOUR_MS,
  issue,
  loadedFingerprint,
  OTHER_RENEWAL,
  OUR_RENEWAL,
  putChoosing,
  putLineage,
  putSecure,
  START_MS,
  upload,
} from '../helpers/certbot.ts'
import { eventsOf, put, remove } from '../helpers/world.ts'

const test = suite('keyring: choice')

const DOMAIN = 'app.example.com'
const OWN = certificateFor(DOMAIN)
const EXACT = certificateFor('example.com', { aliases: [DOMAIN] })
const WILDCARD = certificateFor('*.example.com', { aliases: ['example.com'] })
const RENEWED = certificateFor('*.example.com', { aliases: ['example.com'], fromMs: START_MS - HOUR_MS / 2 })

interface Lineage {
  readonly name: string
  readonly certificate: Certificate
  readonly isOurs?: boolean
}

async function withLineages(...lineages: readonly Lineage[]): Promise<FakeDeps> {
  const deps = await fakeDeps()
  for (const { name, certificate, isOurs = false } of lineages)
    putLineage(deps.disk, name, certificate, 1, isOurs ? OUR_RENEWAL : OTHER_RENEWAL)
  return deps
}

/** The source of the certificate that is chosen, or why there is none. */
function chosen({ host }: FakeDeps, wish: Partial<CertificateWish> = {}): unknown {
  const found = certificateStore(host).look()({ names: [DOMAIN], from: null, ...wish })
  return found === undefined || 'fault' in found ? found?.fault : (found.summary.source ?? 'own')
}

test('the lineage of the domain comes before one that names it, and that before a wildcard', async () => {
  const wildcard = { name: 'a-wildcard', certificate: WILDCARD }
  const exact = { name: 'exact', certificate: EXACT }
  const own = { name: DOMAIN, certificate: OWN, isOurs: true }
  assert.is(chosen(await withLineages()), undefined)
  assert.equal(chosen(await withLineages(wildcard)), { lineage: 'a-wildcard' })
  assert.equal(chosen(await withLineages(wildcard, exact)), { lineage: 'exact' })
  assert.equal(chosen(await withLineages(wildcard, exact, own)), 'own')
  assert.equal(chosen(await withLineages(wildcard, { ...own, isOurs: false })), { lineage: DOMAIN })
})

test('a wildcard covers exactly one label, and a lineage is borrowed only if it covers every name', async () => {
  const deps = await withLineages({ name: 'example.com', certificate: WILDCARD })
  const choose = (...names: readonly string[]) => chosen(deps, { names })
  assert.equal(choose('a.example.com', 'b.example.com', 'example.com'), { lineage: 'example.com' })
  for (const names of [['a.b.example.com'], ['example.org'], ['a.example.com', 'a.b.example.com'], ['xexample.com']])
    assert.is(choose(...names), undefined, names.join())
})

test('a lineage is borrowed while more than a sixth of its life is left', async () => {
  for (const [daysLeft, isBorrowed] of [
    [16, true],
    [15, false],
  ] as const) {
    const certificate = certificateFor('*.example.com', { fromMs: START_MS - (90 - daysLeft) * DAY_MS })
    assert.is(chosen(await withLineages({ name: 'w', certificate })) !== undefined, isBorrowed, `${daysLeft} days`)
  }
})

test('one that the caller names is served as long as it is valid and covers every name; else it is said why not', async () => {
  const late = certificateFor('*.example.com', { fromMs: START_MS - 80 * DAY_MS })
  const deps = await withLineages({ name: 'late', certificate: late }, { name: DOMAIN, certificate: OWN, isOurs: true })
  await upload(deps, 'corp', OWN)
  assert.equal(chosen(deps, { from: { lineage: 'late' } }), { lineage: 'late' })
  assert.match(JSON.stringify(chosen(deps, { from: { name: 'corp' } })), /"name":"corp"/)
  const names = [DOMAIN, 'b.example.com']
  assert.is(chosen(deps, { from: { name: 'corp' }, names }), 'it does not cover b.example.com')
  assert.is(chosen(deps, { from: { name: 'none' } }), 'no certificate was uploaded as none')
  assert.is(chosen(deps, { from: { lineage: 'none' } }), 'certbot has no lineage none')
})

test('a borrowed lineage is served, shown with its reason, and never touched; its renewal is installed', async () => {
  const deps = await withLineages({ name: 'example.com', certificate: WILDCARD })
  const lineageFiles = () => contentsOf(deps.disk).filter(([path]) => path.startsWith(CONFIG))
  const { proxy } = await putSecure(deps, 'app', DOMAIN)
  const { source, lineage, why } = proxy.certificate ?? {}
  assert.equal(
    [proxy.status, source, lineage, why],
    [
      'active',
      'lineage',
      'example.com',
      'no lineage of its own is valid, and its wildcard covers the names of the route',
    ],
  )
  const before = lineageFiles()
  const calls = certbotThatIssues(deps, OWN)
  assert.is((await issue(deps, 'app')).ordered, false)
  await deps.engine.certificates.renewDue()
  assert.equal([calls.length, lineageFiles()], [0, before])
  putLineage(deps.disk, 'example.com', RENEWED, 2, OTHER_RENEWAL)
  await deps.engine.certificates.adoptRenewals()
  assert.is(loadedFingerprint(deps, DOMAIN), RENEWED.fingerprint)
  const { ordered, proxy: own } = await issue(deps, 'app', true)
  assert.equal([ordered, own.certificate?.source, calls.length], [true, 'own', 1])
  assert.is(loadedFingerprint(deps, DOMAIN), OWN.fingerprint)
})

test('when a lineage that is borrowed or chosen vanishes, its copy stays served, and a PUT changes nothing', async () => {
  for (const from of [undefined, { lineage: 'example.com' }]) {
    const deps = await withLineages({ name: 'example.com', certificate: WILDCARD })
    const again = () => (from === undefined ? putSecure(deps, 'app', DOMAIN) : putChoosing(deps, 'app', DOMAIN, from))
    await again()
    for (const path of [...deps.disk.keys()]) if (path.startsWith(CONFIG)) deps.disk.delete(path)
    assert.is((await again()).outcome, 'unchanged')
    await deps.engine.certificates.adoptRenewals()
    assert.is(loadedFingerprint(deps, DOMAIN), WILDCARD.fingerprint)
    if (from === undefined) assert.is((await issue(deps, 'app')).ordered, false)
    else await refusal(issue(deps, 'app'), 'CERTIFICATE_INVALID')
  }
})

test('a choice that may not be served is refused with the reason, and the route stays as it was', async () => {
  const deps = await withLineages({ name: 'other', certificate: certificateFor('other.example.org') })
  await put(deps, 'app', DOMAIN, 8001, false)
  for (const from of [{ lineage: 'other' }, { lineage: 'none' }, { name: 'none' }])
    await refusal(putChoosing(deps, 'app', DOMAIN, from), 'CERTIFICATE_INVALID')
  assert.is((await deps.engine.getProxy('app')).enable_ssl, false)
})

test('an order that is forced ends the choice; one that is not forced is not made', async () => {
  const deps = await fakeDeps()
  await upload(deps, 'corp', EXACT)
  await putChoosing(deps, 'app', DOMAIN, { name: 'corp' })
  const calls = certbotThatIssues(deps, OWN)
  assert.is((await issue(deps, 'app')).ordered, false)
  await deps.engine.certificates.renewOverdue()
  assert.is(calls.length, 0)
  const { proxy } = await issue(deps, 'app', true)
  assert.equal([proxy.certificate_from, proxy.certificate?.source], [undefined, 'own'])
})

test('a route that no longer names an uploaded certificate keeps it until its own is ordered, which needs no force', async () => {
  const deps = await fakeDeps()
  await upload(deps, 'corp', EXACT)
  await putChoosing(deps, 'app', DOMAIN, { name: 'corp' })
  const { proxy } = await putSecure(deps, 'app', DOMAIN)
  assert.equal([proxy.status, proxy.certificate?.source, proxy.certificate?.name], ['active', 'uploaded', 'corp'])
  await deps.engine.certificates.adoptRenewals()
  const [kept] = await deps.engine.listProxies()
  assert.equal(kept?.certificate, proxy.certificate, 'the copy that is served is not installed as a renewal')
  certbotThatIssues(deps, OWN)
  assert.is((await issue(deps, 'app')).ordered, true)
  assert.is(loadedFingerprint(deps, DOMAIN), OWN.fingerprint)
})

test('a lineage of ours that another route is served with stays when its own route is deleted with its certificate', async () => {
  const deps = await fakeDeps()
  certbotThatIssues(deps, WILDCARD)
  await putSecure(deps, 'app', DOMAIN)
  await issue(deps, 'app')
  await putSecure(deps, 'other', 'other.example.com')
  const request = { dropletName: 'app', precondition: {}, deleteCertificate: true }
  const { certificateDeleted, certificateKept } = await deps.engine.deleteProxy(request)
  assert.equal([certificateDeleted, certificateKept], [false, `certbot's lineage ${DOMAIN} is used by route other`])
  assert.ok(deps.disk.has(`${CONFIG}/live/${DOMAIN}/privkey.pem`))
})

test('a route that is deleted with its certificate leaves an uploaded one, and says so', async () => {
  const deps = await fakeDeps()
  await upload(deps, 'corp', OWN)
  await putChoosing(deps, 'app', DOMAIN, { name: 'corp' })
  const request = { dropletName: 'app', precondition: {}, deleteCertificate: true }
  const { certificateKept } = await deps.engine.deleteProxy(request)
  assert.match(certificateKept ?? '', 'corp was uploaded')
  assert.is((await deps.engine.listCertificates()).length, 1)
})

test('the choice survives a rename, a rollback and an import', async () => {
  const deps = await withLineages({ name: 'example.com', certificate: WILDCARD })
  await putChoosing(deps, 'app', DOMAIN, { lineage: 'example.com' })
  await put(deps, 'app', DOMAIN, 8002, false)
  await deps.engine.idle()
  const { proxy } = await deps.engine.rollbackProxy({ dropletName: 'app', to: undefined, precondition: {} })
  assert.equal(proxy.certificate_from, { lineage: 'example.com' })
  await deps.engine.renameProxy({ dropletName: 'app', newName: 'new', precondition: {} })
  const { certificate_from, certificate } = await deps.engine.getProxy('new')
  assert.equal([certificate_from, certificate?.why], [{ lineage: 'example.com' }, 'the route names this lineage'])
  const spec = {
    domain: DOMAIN,
    upstream_host: 'localhost',
    upstream_port: 8001,
    require_healthy: false,
    enable_ssl: true,
  }
  const route = { droplet_name: 'new', source: 'api', ...spec, certificate_from: { lineage: 'example.com' } } as const
  const file = { version: 1, routes: [route] } as const
  const request = {
    file: { ...file, routes: [...file.routes] },
    dryRun: false,
    prune: false,
    confirm: undefined,
    requireHealthy: false,
  }
  assert.equal((await deps.engine.importRoutes(request)).unchanged, ['new'])
  assert.match(JSON.stringify(await deps.engine.exportRoutes()), '"certificate":{"lineage":"example.com"}')
  assert.not.ok(eventsOf(deps).some(({ details }) => /BEGIN|PRIVATE/.test(JSON.stringify(details))))
  await remove(deps, 'new')
})

test.run()
