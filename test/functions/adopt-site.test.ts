import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import { enabledTexts } from '../../fixtures/fake-nginx.ts'
import adoptSite from '../../functions/adopt-site.ts'
import getHostSites from '../../functions/get-host-sites.ts'
import { ACCEPTED, contentsOf, PORT_TAKEN, refused, refuseNextReload, writeAt } from '../helpers/arrange.ts'
import { certificateFor, putLineage, servedFingerprint } from '../helpers/certbot.ts'
import { fixture } from '../helpers/memory-tree.ts'
import { putSite } from '../helpers/sweeps.ts'
import {
  assertEventsMatch,
  assertInvariant,
  backupsOf,
  eventsOf,
  put,
  servedPort,
  worldWithRoute,
} from '../helpers/world.ts'
import { type Answer, assertError, assertIssues, call } from './wire.ts'

const test = suite('POST /host/sites/adopt')

const ENABLED = '/etc/nginx/sites-enabled'
const NAMES = { 'shop.example.com': 'shop', 'api.example.com': 'api' }

async function depsWithSite(listen?: string): Promise<FakeDeps> {
  const deps = await worldWithRoute()
  putSite(deps, { isLinked: true, ...(listen === undefined ? {} : { listen }) })
  return deps
}

function adopt(deps: FakeDeps, body: Readonly<Record<string, unknown>> = {}, query = ''): Promise<Answer> {
  const all = { file: 'sites-enabled/shop', accept_differences: true, ...body }
  return call(adoptSite, deps, `/host/sites/adopt${query}`, { method: 'POST', body: all })
}

const enabled = (deps: FakeDeps) => [...enabledTexts(deps.disk).keys()]

test('routes take the place of the file with one reload; its symlink goes, and the file itself stays', async () => {
  const deps = await depsWithSite()
  const reloads = deps.nginx.reloads
  const { status, body } = await adopt(deps, { droplet_names: NAMES })
  assert.is(status, 200)
  assert.equal(
    body.routes.map(({ droplet_name, status: of }: Record<string, unknown>) => [droplet_name, of]),
    [
      ['shop', 'active'],
      ['api', 'active'],
      ['www-example-com', 'active'],
    ],
  )
  assert.equal([body.receipt.batch, body.receipt.proved_by, body.file], [3, 'generation_probe', 'sites-enabled/shop'])
  assert.ok(body.differences.length > 0)
  assert.is(deps.nginx.reloads, reloads + 1)
  assert.equal(enabled(deps), [
    '000-proxy-manager.conf',
    'fpai-api.conf',
    'fpai-old.conf',
    'fpai-shop.conf',
    'fpai-www-example-com.conf',
  ])
  assert.ok(deps.disk.has('/etc/nginx/sites-available/shop'))
  assert.equal([servedPort(deps, 'shop.example.com'), servedPort(deps, 'api.example.com')], [8002, 8003])
  assert.equal((await call(getHostSites, deps, '/host/sites')).body.sites, [])
  const [event] = eventsOf(deps).filter(({ type }) => type === 'site.adopted')
  assert.equal(event?.details, { file: 'sites-enabled/shop', routes: ['shop', 'api', 'www-example-com'] })
  const versions = await deps.engine.readHistory('shop')
  assert.equal(
    versions.map(({ outcome }) => outcome),
    ['created'],
  )
  assertInvariant(deps)
  assertEventsMatch(deps)
})

test('a file in conf.d goes to the backups, and one of that name in sites-enabled stays', async () => {
  const deps = await worldWithRoute()
  const text = fixture('sites/plain-alike.conf')
  writeAt(deps.disk, '/etc/nginx/conf.d/site.conf', text)
  writeAt(deps.disk, `${ENABLED}/site.conf`, text.replace('plain', 'other'))
  let tested: readonly string[] = []
  deps.nginx.judge = (texts) => {
    tested = texts
    return ACCEPTED
  }
  const { status } = await adopt(deps, { file: 'conf.d/site.conf' })
  assert.is(status, 200)
  assert.ok(tested.some((one) => one.includes('other.example.com')))
  assert.not.ok(deps.disk.has('/etc/nginx/conf.d/site.conf'))
  assert.ok(deps.disk.has(`${ENABLED}/site.conf`))
  assert.equal(backupsOf(deps), [['site.conf', text, 0o600]])
  assert.is(servedPort(deps, 'plain.example.com'), 3000)
})

test("a file of the specification's other implementation becomes the route that it is named after", async () => {
  const deps = await worldWithRoute()
  const text = fixture('sites/fpai-payments.conf')
  writeAt(deps.disk, '/etc/nginx/sites-available/fpai-payments.conf', text)
  deps.disk.set(`${ENABLED}/fpai-payments.conf`, {
    kind: 'link',
    target: '/etc/nginx/sites-available/fpai-payments.conf',
  })
  const { status, body } = await adopt(deps, { file: 'sites-enabled/fpai-payments.conf' })
  assert.equal([status, body.routes[0]?.droplet_name], [200, 'payments'])
  assert.is(servedPort(deps, 'payments.example.org'), 8050)
  assert.equal(backupsOf(deps), [['fpai-payments.conf', text, 0o600]])
  assertInvariant(deps)
})

test('a site of certbot is served with the same certificate', async () => {
  const deps = await worldWithRoute()
  const certificate = certificateFor('shop.example.com')
  putLineage(deps.disk, 'shop.example.com', certificate)
  writeAt(deps.disk, '/etc/letsencrypt/options-ssl-nginx.conf', 'ssl_session_tickets off;\n')
  writeAt(deps.disk, `${ENABLED}/shop`, fixture('sites/certbot.conf'))
  const { status, body } = await adopt(deps)
  assert.equal([status, body.receipt.proved_by], [200, 'tls_handshake'])
  assert.is(servedFingerprint(deps, 'shop.example.com'), certificate.fingerprint)
  assert.not.ok(enabled(deps).includes('shop'))
})

test('an unknown name, a refused file and differences that are not accepted are refused, and nothing is changed', async () => {
  const deps = await depsWithSite()
  writeAt(deps.disk, `${ENABLED}/static`, fixture('sites/static-files.conf'))
  const before = contentsOf(deps.disk)
  for (const file of ['shop', '../sites-available/shop', '/etc/nginx/sites-enabled/shop', 'nginx.conf', ''])
    assertError(await adopt(deps, { file }), 'SITE_NOT_ADOPTABLE')
  const { findings } = assertError(await adopt(deps, { file: 'sites-enabled/static' }), 'SITE_NOT_ADOPTABLE')
  assert.ok(Array.isArray(findings))
  assert.ok(findings.some(({ directive, line }) => directive === 'location /' && line === 5))
  const details = assertError(await adopt(deps, { accept_differences: false }), 'SITE_NOT_ADOPTABLE')
  assert.match(String(details.remedy), '"accept_differences": true')
  assertIssues(await adopt(deps, { droplet_names: { 'nobody.example.com': 'x' } }), [
    ['droplet_names.nobody.example.com', 'is none of its routes: shop.example.com, api.example.com, www.example.com'],
  ])
  assert.equal(contentsOf(deps.disk), before)
})

test('a name that another route has refuses the whole file', async () => {
  const deps = await depsWithSite()
  const before = contentsOf(deps.disk)
  assertError(await adopt(deps, { droplet_names: { 'api.example.com': 'old' } }), 'DROPLET_EXISTS')
  assert.equal(contentsOf(deps.disk), before)
})

test('a dry run shows the plan and changes nothing', async () => {
  const deps = await depsWithSite()
  const before = contentsOf(deps.disk)
  const { status, body } = await adopt(deps, { accept_differences: false }, '?dry_run=true')
  assert.is(status, 200)
  assert.equal(
    body.plan.changes
      .map(({ path, action }: Record<string, string>) => [path?.replace('/etc/nginx/', ''), action])
      .at(-1),
    ['sites-enabled/shop', 'delete'],
  )
  assert.ok(body.plan.nginx_test.ok)
  assert.equal(contentsOf(deps.disk), before)
})

test('if NGINX rejects one of the routes, or the reload, the site is served as before', async () => {
  const deps = await depsWithSite()
  const before = contentsOf(deps.disk)
  deps.nginx.judge = (texts) =>
    texts.some((text) => text.includes('fpai_api')) ? refused('fpai-api-example-com.conf', 3, 'no') : ACCEPTED
  assertError(await adopt(deps), 'PROXY_CONFIG_FAILED')
  assert.equal(contentsOf(deps.disk), before)
  deps.nginx.judge = () => ACCEPTED
  refuseNextReload(deps, PORT_TAKEN)
  const details = assertError(await adopt(deps), 'NGINX_RELOAD_FAILED')
  assert.is(details.state, 'rolled_back')
  assert.equal(enabled(deps), ['000-proxy-manager.conf', 'fpai-old.conf', 'shop'])
  assert.ok(deps.nginx.loaded.has('shop'))
  assertInvariant(deps)
})

test('a file that is edited while its routes are tested is not adopted', async () => {
  const deps = await depsWithSite()
  const { reloads } = deps.nginx
  deps.nginx.judge = () => {
    writeAt(
      deps.disk,
      '/etc/nginx/sites-available/shop',
      'server { listen 80; server_name new.example.com; return 404; }\n',
    )
    return ACCEPTED
  }
  const details = assertError(await adopt(deps), 'CONFIG_WRITE_FAILED')
  assert.equal([details.reason, details.file], ['edited_meanwhile', 'shop'])
  assert.equal(enabled(deps), ['000-proxy-manager.conf', 'fpai-old.conf', 'shop'])
  assert.is(deps.nginx.reloads, reloads)
})

test('on a host without routes, the shared file comes with those of the site', async () => {
  const deps = await fakeDeps()
  putSite(deps, { isLinked: true, listen: '80 default_server' })
  assert.is((await adopt(deps)).status, 200)
  assert.match(deps.nginx.loaded.get('000-proxy-manager.conf') ?? '', 'listen 80 default_server;')
  await put(deps, 'next', 'next.example.com', 8009)
  assertInvariant(deps)
})

test.run()
