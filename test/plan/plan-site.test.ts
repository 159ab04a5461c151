import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { CheckedCertificate } from '../../lib/certificates/certificate.ts'
import type { ProxyManagerError } from '../../lib/errors.ts'
import { wishKey } from '../../lib/keyring/wish.ts'
import type { Change } from '../../lib/plan/change.ts'
import { type BatchPlan, planBatch } from '../../lib/plan/plan-batch.ts'
import { staleFinder } from '../../lib/plan/stale.ts'
import { DEFAULT_OPTIONS } from '../../lib/route/options.ts'
import { siteLinker } from '../../lib/route/site.ts'
import type { ProxySpec } from '../../lib/route/spec.ts'
import type { SnapshotRoute } from '../../lib/route/stored-route.ts'
import type { Snapshot } from '../../lib/snapshot/snapshot.ts'
import { after, applied, empty, LATER, put, remove } from '../helpers/plans.ts'

const test = suite('plan-site')

const DOMAIN = 'app.example.com'
const at = (dropletName: string, path: string, own: Partial<ProxySpec> = {}) =>
  put(dropletName, { domain: DOMAIN, ...(path === '/' ? {} : { path }), ...own })

function plan(snapshot: Snapshot, ...changes: readonly Change[]): BatchPlan {
  return planBatch(snapshot, changes, { nextGeneration: 9, now: LATER })
}

/** The names of the files that a plan writes or removes, without the shared one. */
function written({ files }: BatchPlan): string[] {
  const names = files.flatMap(({ path }) => /sites-available\/fpai-(.*)\.conf$/.exec(path)?.[1] ?? [])
  return names.sort()
}

function refusal({ outcomes }: BatchPlan): ProxyManagerError {
  const [one] = outcomes
  if (one?.outcome !== 'refused') throw new Error(`not refused: ${one?.outcome}`)
  return one.error
}

/** For each route the paths of its locations besides the challenge; none if it has no server blocks. */
function locations({ routes }: Snapshot): Record<string, string[]> {
  const pathsOf = ({ text }: SnapshotRoute) =>
    [...text.matchAll(/^ {4}location (?:= |\^~ )?(\S+) \{/gm)].map(([, path = '']) => path)
  return Object.fromEntries(
    [...routes].map(([name, route]) => [name, pathsOf(route).filter((path) => !path.startsWith('/.well-known'))]),
  )
}

function withRoute(before: Snapshot, dropletName: string, own: Partial<SnapshotRoute>): Snapshot {
  const routes = new Map(before.routes)
  const found = routes.get(dropletName)
  if (found === undefined) throw new Error(`no route ${dropletName}`)
  const { mounts: _, servedBy: __, ...route } = found
  routes.set(dropletName, { ...route, ...own })
  return { ...before, routes: siteLinker()(routes) }
}

const certificate: CheckedCertificate = {
  summary: {
    issuer: 'CN=Test CA',
    not_before: '2026-01-01T00:00:00.000Z',
    expiry: '2026-04-01T00:00:00.000Z',
    domains: [DOMAIN],
    serial: '0a',
    fingerprint_sha256: 'ab'.repeat(32),
  },
  fullchain: 'PEM',
  privkey: 'KEY',
}
const withCertificate = (snapshot: Snapshot): Snapshot => ({
  ...snapshot,
  certificates: new Map([[wishKey({ names: [DOMAIN], from: null }), certificate]]),
})
/** The routes whose records have the certificate. */
const certified = ({ routes }: Snapshot) =>
  [...routes].flatMap(([name, { record }]) => (record.certificate === null ? [] : [name]))

const two = after([at('web', '/'), at('api', '/api')])

test('the server blocks of a domain are in the file of its route with the path /, else in the first by name', () => {
  assert.equal(locations(two), { web: ['/', '/api', '/api/'], api: [] })
  const mounted = after([at('b', '/b'), at('a', '/a/deep')])
  assert.equal(locations(mounted), { b: [], a: ['/', '/a/deep', '/a/deep/', '/b', '/b/'] })
})

test('a change of a mount writes its file and that with the server blocks; other mounts stay as they are', () => {
  const three = after([at('docs', '/docs')], two, 2)
  assert.equal(written(plan(three, at('api', '/v2'))), ['api', 'web'])
  assert.equal(written(plan(three, remove('api'))), ['api', 'web'])
  assert.equal(written(plan(three, at('api', '/api', { upstream_port: 9 }))), ['api'])
  assert.equal(written(plan(three, at('web', '/', { upstream_port: 9 }))), ['web'])
  assert.equal(written(plan(three, at('api', '/api'))), [])
})

test('whatever happens to the routes of a domain, each file is what it would be if it were rendered again', () => {
  const steps: readonly (readonly [what: string, changes: readonly Change[], locations: Record<string, string[]>])[] = [
    ['a mount before the whole domain', [at('b', '/b')], { b: ['/', '/b', '/b/'] }],
    ['a mount with an earlier name', [at('a', '/a')], { b: [], a: ['/', '/a', '/a/', '/b', '/b/'] }],
    ['the whole domain', [at('web', '/')], { b: [], a: [], web: ['/', '/a', '/a/', '/b', '/b/'] }],
    ['another path', [at('b', '/a/b')], { b: [], a: [], web: ['/', '/a', '/a/', '/a/b', '/a/b/'] }],
    [
      'another name',
      [{ kind: 'rename', dropletName: 'a', newName: 'z', precondition: {} }],
      { b: [], z: [], web: ['/', '/a', '/a/', '/a/b', '/a/b/'] },
    ],
    ['without the whole domain', [remove('web')], { b: ['/', '/a', '/a/', '/a/b', '/a/b/'], z: [] }],
    ['a move to another domain', [put('z', { path: '/z' })], { b: ['/', '/a/b', '/a/b/'], z: ['/', '/z', '/z/'] }],
  ]
  let now = empty
  for (const [i, [what, changes, expected]] of steps.entries()) {
    now = after(changes, now, i + 1)
    assert.equal(locations(now), expected, what)
    assert.is(staleFinder(undefined).find(now), undefined, what)
  }
})

test('a path of a domain has one route; another path, or another domain, is no conflict', () => {
  const conflict = refusal(plan(two, at('other', '/api')))
  assert.is(conflict.code, 'DOMAIN_CONFLICT')
  assert.equal(
    [conflict.details.domain, conflict.details.path, conflict.details.owner],
    [DOMAIN, '/api', { droplet_name: 'api' }],
  )
  assert.equal(refusal(plan(two, at('other', '/'))).details.owner, { droplet_name: 'web' })
  assert.is(plan(two, at('other', '/api/v2')).outcomes[0]?.outcome, 'created')
  const swapped = plan(two, at('api', '/'), at('web', '/api'))
  assert.equal(locations(applied(two, swapped)), { web: [], api: ['/', '/api', '/api/'] })
})

test('an alias of one domain is no domain of another route, whatever its path', () => {
  const aliases = (...names: string[]) => ({ options: { ...DEFAULT_OPTIONS, aliases: names } })
  const aliased = after([at('web', '/', aliases('www.example.com'))])
  assert.is(refusal(plan(aliased, put('api', { domain: 'www.example.com', path: '/api' }))).code, 'DOMAIN_CONFLICT')
  const mounted = after([put('api', { domain: 'www.example.com', path: '/api' })])
  assert.is(refusal(plan(mounted, at('web', '/', aliases('www.example.com')))).code, 'DOMAIN_CONFLICT')
  assert.is(plan(aliased, at('web', '/', aliases())).outcomes[0]?.outcome, 'replaced')
})

test('a file with server blocks that was edited, or is not enabled, is named, and not replaced by a change of a mount', () => {
  for (const state of [{ drifted: true }, { enabled: false }]) {
    const unusable = withRoute(two, 'web', state)
    for (const change of [at('api', '/v2'), remove('api'), at('docs', '/docs')]) {
      const error = refusal(plan(unusable, change))
      assert.is(error.code, 'DOMAIN_CONFLICT')
      assert.equal(error.details.owner, { droplet_name: 'web' })
      assert.match(String(error.details.remedy), /PUT \/proxies\/web/)
    }
    assert.is(plan(unusable, at('web', '/')).outcomes[0]?.outcome, 'replaced')
    assert.equal(refusal(plan(withRoute(two, 'api', state), remove('web'))).details.owner, { droplet_name: 'api' })
  }
})

test('a mount that is not enabled has no location, so that NGINX does not miss its upstream', () => {
  const disabled = withRoute(two, 'api', { enabled: false })
  assert.equal(staleFinder(undefined).find(disabled), { routes: ['web'], shared: false })
  assert.equal(locations(after([{ kind: 'rerender', dropletName: 'web' }], disabled, 2)).web, ['/'])
})

test('the certificate of a domain is in one record, and HTTPS is wanted if any of its routes wants it', () => {
  const http = { enable_ssl: false }
  const both = withCertificate(after([at('web', '/', http), at('api', '/api')], withCertificate(empty)))
  assert.equal(certified(both), ['web'])
  assert.equal([...plan(both, at('api', '/api', { upstream_port: 9 })).secured.keys()], [DOMAIN])
  assert.equal(certified(after([remove('web')], both, 2)), ['api'])
  assert.equal(certified(after([at('api', '/api', http)], both, 2)), [])
  const kept = after([at('z', '/')], { ...after([remove('web')], both, 2), certificates: new Map() }, 3)
  assert.equal(certified(kept), ['z'])
  assert.is(kept.routes.get('api')?.servedBy?.certificate?.serial, '0a')
})

test('certify by any route gives the domain its certificate', () => {
  const plain = withCertificate(two)
  const planned = plan(plain, { kind: 'certify', dropletName: 'api', domain: DOMAIN })
  assert.equal(written(planned), ['api', 'web'])
  assert.equal(certified(applied(plain, planned)), ['web'])
  assert.equal([...planned.certificates.keys()], [DOMAIN])
  const served = withCertificate(applied(plain, planned))
  assert.equal(plan(served, { kind: 'certify', dropletName: 'api', domain: DOMAIN }).files, [])
})

test.run()
