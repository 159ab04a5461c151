import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { CheckedCertificate } from '../../lib/certificates/certificate.ts'
import { ProxyManagerError } from '../../lib/errors.ts'
import { wishKey } from '../../lib/keyring/wish.ts'
import type { UnmanagedServer } from '../../lib/nginx/config/host-config.ts'
import { readListen } from '../../lib/nginx/config/listen.ts'
import type { Change, Precondition } from '../../lib/plan/change.ts'
import { type BatchPlan, planBatch } from '../../lib/plan/plan-batch.ts'
import { renderRouteFile } from '../../lib/render/route-file.ts'
import { readSharedFile } from '../../lib/render/shared-file.ts'
import { namesOf } from '../../lib/route/names.ts'
import { DEFAULT_OPTIONS } from '../../lib/route/options.ts'
import type { RouteRecord } from '../../lib/route/record.ts'
import type { ProxySpec } from '../../lib/route/spec.ts'
import type { SnapshotRoute } from '../../lib/route/stored-route.ts'
import type { Snapshot } from '../../lib/snapshot/snapshot.ts'
import { AVAILABLE, after, applied, ENABLED, empty, host, LATER, NOW, put, remove, SHARED } from '../helpers/plans.ts'
import { context, routeRecord } from '../helpers/samples.ts'

const test = suite('plan-batch')

const certificate: CheckedCertificate = {
  summary: {
    issuer: 'CN=Test CA',
    not_before: '2026-01-01T00:00:00.000Z',
    expiry: '2026-04-01T00:00:00.000Z',
    domains: ['app.example.com'],
    serial: '0a',
    fingerprint_sha256: 'ab'.repeat(32),
  },
  fullchain: 'PEM',
  privkey: 'KEY',
}

/** What a snapshot has of a certificate that was looked up for app. */
function certificateFor(checked: CheckedCertificate, ...aliases: readonly string[]): Snapshot['certificates'] {
  return new Map([[wishKey({ names: ['app.example.com', ...aliases], from: null }), checked]])
}

const aliased = (...aliases: string[]) => ({ options: { ...DEFAULT_OPTIONS, aliases } })

const create = (dropletName: string, own: Partial<ProxySpec> = {}) => put(dropletName, own, { mode: 'create' })

/** `before` with one route modified. */
function withRoute(before: Snapshot, dropletName: string, own: Partial<SnapshotRoute>): Snapshot {
  const route = before.routes.get(dropletName)
  if (route === undefined) throw new Error(`no route ${dropletName}`)
  return { ...before, routes: new Map([...before.routes, [dropletName, { ...route, ...own }]]) }
}

function plan(snapshot: Snapshot, ...changes: readonly Change[]): BatchPlan {
  return planBatch(snapshot, changes, { nextGeneration: 9, now: LATER })
}

/** The outcome of each planned change, or the code of its refusal. */
function outcomes({ outcomes }: BatchPlan): string[] {
  return outcomes.map((one) => (one.outcome === 'refused' ? one.error.code : one.outcome))
}

/** The domain of each droplet's route. */
function domainsOf({ routes }: Snapshot): Record<string, string> {
  return Object.fromEntries([...routes].map(([name, { record }]) => [name, record.domain]))
}

function refusal(planned: BatchPlan): ProxyManagerError {
  const [one] = planned.outcomes
  if (one?.outcome !== 'refused') throw new Error(`not refused: ${one?.outcome}`)
  return one.error
}

/** Each file as `create`, `replace` or `delete` and its path. */
function filesOf({ files }: BatchPlan): string[] {
  return files.map(({ path, before, after }) => {
    const action = before === null ? 'create' : after === null ? 'delete' : 'replace'
    return `${action} ${path.replace('/etc/nginx/sites-', '')}`
  })
}

function recordOf(planned: BatchPlan, at = 0): RouteRecord {
  const one = planned.outcomes[at]
  if (one === undefined || one.outcome === 'refused') throw new Error('refused')
  return one.route.record
}

function foreign(...names: string[]): Snapshot {
  const server: UnmanagedServer = { names, listens: readListen(['80']), file: 'by-hand', line: 7 }
  return { ...empty, host: { ...host, servers: [server] } }
}

const one = after([put('app')])
const drifted = withRoute(one, 'app', { drifted: true, text: 'edited' })
const disabled: Snapshot = { ...withRoute(one, 'app', { enabled: false }), enabledImages: new Map() }
const byHand: Snapshot = { ...empty, unmanagedFiles: new Set(['app']) }
const taken = after([put('other', { domain: 'app.example.com' })])

test('each state of a route and each change have the outcome of the table', () => {
  const asWanted = [put('app'), create('app'), remove('app')]
  const otherwise = [put('app', { upstream_port: 9 }), create('app', { upstream_port: 9 }), remove('app')]
  const stale = { ifMatch: ['0123456789abcdef'] }
  const table: readonly (readonly [string, Snapshot, readonly Change[], string])[] = [
    ['no route', empty, asWanted, 'created created PROXY_NOT_FOUND'],
    ['the requested route, enabled', one, asWanted, 'unchanged unchanged deleted'],
    ['the requested route, drifted', drifted, asWanted, 'replaced replaced deleted'],
    ['the requested route, disabled', disabled, asWanted, 'replaced replaced deleted'],
    ['the route with another configuration', one, otherwise, 'replaced DROPLET_EXISTS deleted'],
    ['drifted, with another configuration', drifted, otherwise, 'replaced DROPLET_EXISTS deleted'],
    ['a file written by hand', byHand, asWanted, 'DROPLET_EXISTS DROPLET_EXISTS DROPLET_EXISTS'],
    ['another droplet with the domain', taken, asWanted, 'DOMAIN_CONFLICT DOMAIN_CONFLICT PROXY_NOT_FOUND'],
    [
      'a hand-written server block with the domain',
      foreign('app.example.com'),
      asWanted,
      'DOMAIN_CONFLICT DOMAIN_CONFLICT PROXY_NOT_FOUND',
    ],
    [
      'another revision than If-Match names',
      one,
      [
        put('app', {}, { precondition: stale }),
        put('app', {}, { precondition: stale, mode: 'create' }),
        remove('app', stale),
      ],
      'PRECONDITION_FAILED PRECONDITION_FAILED PRECONDITION_FAILED',
    ],
  ]
  for (const [found, snapshot, changes, expected] of table) {
    assert.is(changes.map((change) => outcomes(plan(snapshot, change)).join()).join(' '), expected, found)
  }
})

test('a new route is its file and its symlink, after the shared file and its symlink', () => {
  const planned = plan(empty, put('app'))
  assert.equal(filesOf(planned), [
    `create available/${SHARED}`,
    `create enabled/${SHARED}`,
    'create available/fpai-app.conf',
    'create enabled/fpai-app.conf',
  ])
  const [shared, sharedLink, file, link] = planned.files.map(({ after }) => after)
  assert.equal(readSharedFile(shared !== null && shared !== undefined && 'text' in shared ? shared.text : ''), {
    generation: 9,
    intact: true,
  })
  assert.equal(sharedLink, { linkTo: `${AVAILABLE}/${SHARED}` })
  const record = routeRecord({
    last_health_checked_at: NOW,
    created_at: LATER,
    updated_at: LATER,
  })
  assert.equal(file, { text: renderRouteFile(record, context) })
  assert.equal(link, { linkTo: `${AVAILABLE}/fpai-app.conf` })
  assert.is(planned.generation, 9)
  assert.equal([...planned.domains], ['app.example.com'])
  assert.is(planned.certificates.size, 0)
})

test('a change renumbers the shared file, so that its generation can be queried', () => {
  const planned = plan(one, put('app', { upstream_port: 8002 }))
  assert.equal(filesOf(planned), [`replace available/${SHARED}`, 'replace available/fpai-app.conf'])
  assert.is(applied(one, planned).shared?.generation, 9)
})

test('an unchanged route changes no file and keeps its generation', () => {
  for (const changes of [
    [put('app')],
    [create('app')],
    [put('app', {}, { health: { status: 'unknown', checkedAt: null } })],
  ]) {
    const planned = plan(one, ...changes)
    assert.equal(outcomes(planned), ['unchanged'])
    assert.equal(planned.files, [])
    assert.is(planned.generation, 1)
    assert.is(recordOf(planned).updated_at, NOW)
  }
})

test('a refused change changes no file, even if the shared file is missing or stale', () => {
  const stale: Snapshot = { ...one, shared: undefined }
  for (const [snapshot, change] of [
    [byHand, put('app')],
    [foreign('app.example.com'), put('app')],
    [empty, remove('app')],
    [stale, create('app', { upstream_port: 9 })],
  ] as const) {
    const planned = plan(snapshot, change)
    assert.equal(planned.files, [])
    assert.is(planned.generation, 0)
    assert.is(planned.certificates.size, 0)
    assert.is(planned.domains.size, 0)
  }
  assert.is(plan(one, remove('nobody')).generation, 1)
})

test('an unchanged route repairs a missing, disabled or stale shared file, and nothing else', () => {
  const { shared } = one
  if (shared === undefined) throw new Error('no shared file')
  const withoutImage = { ...one, shared: undefined, enabledImages: new Map() }
  assert.equal(filesOf(plan(withoutImage, put('app'))), [`create available/${SHARED}`, `create enabled/${SHARED}`])
  const off = { ...one, shared: { ...shared, enabled: false }, enabledImages: new Map() }
  assert.equal(filesOf(plan(off, put('app'))), [`replace available/${SHARED}`, `create enabled/${SHARED}`])
  const setByHost = new Map([['server_names_hash_max_size', ['512']]])
  const other = { ...one, context: { ...one.context, setByHost } }
  assert.equal(filesOf(plan(other, put('app'))), [`replace available/${SHARED}`])
})

test('a deleted route loses symlink and file, and a new one does not inherit its creation time', () => {
  const planned = plan(one, remove('app'))
  assert.equal(filesOf(planned), [
    `replace available/${SHARED}`,
    'delete available/fpai-app.conf',
    'delete enabled/fpai-app.conf',
  ])
  assert.is(recordOf(planned).domain, 'app.example.com')
  assert.is(recordOf(plan(applied(one, planned), put('app'))).created_at, LATER)
})

test('a replaced route keeps only its creation time', () => {
  const record = recordOf(plan(one, put('app', { upstream_port: 8002 })))
  assert.is(record.created_at, NOW)
  assert.is(record.updated_at, LATER)
})

test('a drifted file is replaced with its text as the before image, a disabled one gets its symlink back', () => {
  const repaired = plan(drifted, put('app'))
  assert.equal(repaired.files[1]?.before, { text: 'edited' })
  assert.equal(filesOf(repaired), [`replace available/${SHARED}`, 'replace available/fpai-app.conf'])
  const linked = plan(disabled, put('app'))
  assert.ok(filesOf(linked).includes('create enabled/fpai-app.conf'))
})

test('a symlink with another target, and a file in its place, are replaced', () => {
  for (const image of [{ linkTo: '/etc/passwd' }, { text: 'server { }' }]) {
    const astray: Snapshot = { ...disabled, enabledImages: new Map([['fpai-app.conf', image]]) }
    const link = plan(astray, put('app')).files.find(({ path }) => path === `${ENABLED}/fpai-app.conf`)
    assert.equal(link, {
      path: `${ENABLED}/fpai-app.conf`,
      before: image,
      after: { linkTo: `${AVAILABLE}/fpai-app.conf` },
    })
  }
})

test('an empty file in place of a route is replaced by the route', () => {
  const damaged: Snapshot = {
    ...empty,
    availableImages: new Map([
      ['fpai-app.conf', { text: '' }],
      [SHARED, { text: '' }],
    ]),
  }
  const planned = plan(damaged, put('app'))
  assert.equal(outcomes(planned), ['created'])
  assert.equal(filesOf(planned), [
    `replace available/${SHARED}`,
    `create enabled/${SHARED}`,
    'replace available/fpai-app.conf',
    'create enabled/fpai-app.conf',
  ])
})

test('a hand-written file with the name of a route is reported, and never replaced', () => {
  const error = refusal(plan(byHand, put('app')))
  assert.equal(error.details.owner, { file: 'fpai-app.conf' })
  assert.is(error.details.culprit, 'host')
  assert.equal(outcomes(plan(byHand, put('app'), put('b'))), ['DROPLET_EXISTS', 'created'])
})

test('a conflict names its owner: a droplet, or the file and line of a hand-written server block', () => {
  const byRoute = refusal(plan(taken, put('app')))
  assert.equal(byRoute.details.owner, { droplet_name: 'other' })
  assert.is(byRoute.details.culprit, 'other_route')
  assert.equal(refusal(plan(foreign('.app.example.com'), put('app'))).details.owner, { file: 'by-hand', line: 7 })
  assert.equal(outcomes(plan(foreign('*.example.com', 'example.com'), put('app'))), ['created'])
})

test('a create that finds another configuration reports the existing route', () => {
  const error = refusal(plan(one, create('app', { domain: 'b.example.com' })))
  assert.is(error.code, 'DROPLET_EXISTS')
  assert.equal(error.details.owner, { droplet_name: 'app', domain: 'app.example.com' })
})

test('a create finds the route unchanged even if its upstream resolves differently or it has a certificate now', () => {
  const moved = put('app', {}, { mode: 'create', upstream: { addresses: ['10.0.0.1'], resolvers: [] } })
  assert.equal(outcomes(plan(one, moved)), ['replaced'])
  const issued: Snapshot = { ...one, certificates: certificateFor(certificate) }
  assert.equal(outcomes(plan(issued, create('app'))), ['replaced'])
})

test('of two changes in one batch that want the same domain, the first gets it', () => {
  const planned = plan(empty, put('a', { domain: 'x.example.com' }), put('b', { domain: 'x.example.com' }))
  assert.equal(outcomes(planned), ['created', 'DOMAIN_CONFLICT'])
  assert.equal(filesOf(planned).slice(2), ['create available/fpai-a.conf', 'create enabled/fpai-a.conf'])
  assert.equal([...planned.domains], ['x.example.com'])
})

test('a domain moves from one droplet to another in one batch, only in that order', () => {
  const before = after([put('a', { domain: 'x.example.com' })])
  const taking = put('b', { domain: 'x.example.com' })
  const moved = plan(before, remove('a'), taking)
  assert.equal(outcomes(moved), ['deleted', 'created'])
  assert.equal(filesOf(moved), [
    `replace available/${SHARED}`,
    'delete available/fpai-a.conf',
    'delete enabled/fpai-a.conf',
    'create available/fpai-b.conf',
    'create enabled/fpai-b.conf',
  ])
  assert.equal(outcomes(plan(before, taking, remove('a'))), ['DOMAIN_CONFLICT', 'deleted'])
})

test('a name that a put drops is free for the others of its batch, in either order', () => {
  const before = after([put('a', { domain: 'x.example.com' })])
  const [taking, giving] = [put('b', { domain: 'x.example.com' }), put('a', { domain: 'y.example.com' })]
  assert.equal(outcomes(plan(before, giving, taking)), ['replaced', 'created'])
  const moved = plan(before, taking, giving)
  assert.equal(outcomes(moved), ['created', 'replaced'])
  assert.equal(domainsOf(applied(before, moved)), { a: 'y.example.com', b: 'x.example.com' })
})

const ring = after(['a', 'b', 'c', 'd'].map((name) => put(name)))
const turned = (...moves: readonly string[]) =>
  moves.map(([from = '', to = '']) => put(from, { domain: `${to}.example.com` }))

test('routes exchange their domains in one batch: two of them, or a ring', () => {
  const two = plan(ring, ...turned('ab', 'ba'))
  assert.equal(outcomes(two), ['replaced', 'replaced'])
  assert.equal(domainsOf(applied(ring, two)), {
    a: 'b.example.com',
    b: 'a.example.com',
    c: 'c.example.com',
    d: 'd.example.com',
  })
  const four = plan(ring, ...turned('ab', 'bc', 'cd', 'da'))
  assert.equal(outcomes(four), ['replaced', 'replaced', 'replaced', 'replaced'])
  assert.equal(domainsOf(applied(ring, four)), {
    a: 'b.example.com',
    b: 'c.example.com',
    c: 'd.example.com',
    d: 'a.example.com',
  })
})

test('if one change of an exchange is refused, all of the exchange is, and nothing else', () => {
  const stale = { precondition: { ifMatch: ['0123456789abcdef'] } }
  for (const [changes, expected] of [
    [turned('ab', 'bc'), 'DOMAIN_CONFLICT DOMAIN_CONFLICT'],
    [[...turned('ab'), put('b', { domain: 'a.example.com' }, stale)], 'DOMAIN_CONFLICT PRECONDITION_FAILED'],
    [[put('a', { domain: 'b.example.com' }, stale), ...turned('ba')], 'PRECONDITION_FAILED DOMAIN_CONFLICT'],
    [
      [...turned('ab', 'bc'), put('c', { domain: 'a.example.com' }, stale)],
      'DOMAIN_CONFLICT DOMAIN_CONFLICT PRECONDITION_FAILED',
    ],
  ] as const) {
    const planned = plan(ring, ...changes, put('d', { domain: 'e.example.com' }), put('f', { domain: 'd.example.com' }))
    assert.is(outcomes(planned).join(' '), `${expected} replaced created`)
    const { a, b, c, d, f } = domainsOf(applied(ring, planned))
    assert.equal(
      [a, b, c, d, f],
      ['a', 'b', 'c', 'e', 'd'].map((name) => `${name}.example.com`),
    )
  }
})

test('after any batch each name has one route, and a route whose change is refused is as before', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f')
  const change = fc.record({
    dropletName: name,
    domain: name,
    aliases: fc.uniqueArray(name, { maxLength: 2 }),
    isStale: fc.boolean(),
    isDeletion: fc.nat(5).map((n) => n === 0),
  })
  const batch = fc.uniqueArray(change, { selector: ({ dropletName }) => dropletName, maxLength: 6 })
  const toChange = ({
    dropletName,
    domain,
    aliases,
    isStale,
    isDeletion,
  }: typeof change extends fc.Arbitrary<infer T> ? T : never) => {
    const precondition = isStale ? { ifMatch: ['0123456789abcdef'] } : {}
    if (isDeletion) return remove(dropletName, precondition)
    const others = aliases.filter((alias) => alias !== domain).map((alias) => `${alias}.example.com`)
    return put(dropletName, { domain: `${domain}.example.com`, ...aliased(...others) }, { precondition })
  }
  const property = fc.property(batch, batch, (first, second) => {
    const before = after(first.filter(({ isStale }) => !isStale).map(toChange))
    const changes = second.map(toChange)
    const planned = plan(before, ...changes)
    const { routes } = applied(before, planned)
    const names = [...routes.values()].flatMap(({ record }) => namesOf(record))
    assert.is(new Set(names).size, names.length)
    for (const [i, one] of planned.outcomes.entries()) {
      const dropletName = changes[i]?.dropletName ?? ''
      const expected = one.outcome === 'refused' ? before.routes.get(dropletName) : one.route
      assert.is(routes.get(dropletName)?.text, one.outcome === 'deleted' ? undefined : expected?.text)
    }
  })
  fc.assert(property, { numRuns: 1000 })
})

test('a batch of a thousand routes that all shift by one name is planned, or refused, in one pass', () => {
  const many = Array.from({ length: 1000 }, (_, i) => `app-${i}`)
  const before = after(many.map((own) => put(own)))
  const chain = (last: string) => many.map((own, i) => put(own, { domain: `${many[i + 1] ?? last}.example.com` }))
  assert.equal(new Set(outcomes(plan(before, ...chain('app-0')))), new Set(['replaced']))
  const blocked = after([put('other')], before)
  assert.equal(new Set(outcomes(plan(blocked, ...chain('other')))), new Set(['DOMAIN_CONFLICT']))
})

test('several changes share one plan and one generation; a refused one does not affect the others', () => {
  const before = after([put('a'), put('b')])
  const planned = plan(before, put('a', { upstream_port: 9 }), remove('nobody'), remove('b'), put('c'), put('a'))
  assert.equal(outcomes(planned), ['replaced', 'PROXY_NOT_FOUND', 'deleted', 'created', 'replaced'])
  assert.is(planned.generation, 9)
  assert.is(planned.files.filter(({ path }) => path.endsWith(SHARED)).length, 1)
  assert.equal([...applied(before, planned).routes.keys()].sort(), ['a', 'c'])
  assert.equal([...planned.domains].sort(), ['a.example.com', 'c.example.com'])
})

test('the source of a route is part of it: the same configuration from another source replaces it', () => {
  const synced = put('app', {}, { source: 'registry' })
  assert.is(recordOf(plan(empty, synced)).source, 'registry')
  assert.equal(outcomes(plan(after([synced]), synced)), ['unchanged'])
  const taken = plan(after([synced]), put('app'))
  assert.equal(outcomes(taken), ['replaced'])
  assert.is(recordOf(taken).source, 'api')
})

test('a route that is created and deleted in one batch leaves no file', () => {
  const planned = plan(one, put('b'), remove('b'))
  assert.equal(outcomes(planned), ['created', 'deleted'])
  assert.equal(planned.files, [])
})

test('the same snapshot and changes give the same plan, and the snapshot is not modified', () => {
  const changes = [remove('app'), put('b', { domain: 'app.example.com' })]
  const routes = [...one.routes]
  assert.equal(plan(one, ...changes), plan(one, ...changes))
  assert.equal([...one.routes], routes)
})

test('If-Match holds for the current revision, for any of a list, and with * for any route', () => {
  const revision = one.routes.get('app')?.revision ?? ''
  const withMatch = (ifMatch: readonly string[] | '*') => [
    put('app', { upstream_port: 9 }, { precondition: { ifMatch } }),
    remove('app', { ifMatch }),
  ]
  const outcomesOf = (snapshot: Snapshot, changes: readonly Change[]) =>
    changes.map((change) => outcomes(plan(snapshot, change)).join()).join(' ')
  assert.is(outcomesOf(one, withMatch([revision])), 'replaced deleted')
  assert.is(outcomesOf(one, withMatch(['x', revision])), 'replaced deleted')
  assert.is(outcomesOf(one, withMatch('*')), 'replaced deleted')
  for (const ifMatch of [[], ['x'], [revision.toUpperCase()]])
    assert.is(outcomesOf(one, withMatch(ifMatch)), 'PRECONDITION_FAILED PRECONDITION_FAILED')
  for (const ifMatch of ['*', [revision]] as const)
    assert.is(outcomesOf(empty, withMatch(ifMatch)), 'PRECONDITION_FAILED PRECONDITION_FAILED')
  const { details } = refusal(plan(one, remove('app', { ifMatch: ['x'] })))
  assert.is(details.revision, revision)
  assert.is(refusal(plan(empty, remove('app', { ifMatch: '*' }))).details.revision, null)
})

test('If-None-Match: * holds only if there is no route yet', () => {
  const change = put('app', {}, { precondition: { ifNoneMatchAny: true } })
  assert.equal(outcomes(plan(empty, change)), ['created'])
  assert.equal(outcomes(plan(one, change)), ['PRECONDITION_FAILED'])
  assert.equal(outcomes(plan(drifted, change)), ['PRECONDITION_FAILED'])
})

test('a precondition is checked against the result of the previous changes of the batch', () => {
  const revision = one.routes.get('app')?.revision ?? ''
  const planned = plan(one, put('app', { upstream_port: 9 }), remove('app', { ifMatch: [revision] }))
  assert.equal(outcomes(planned), ['replaced', 'PRECONDITION_FAILED'])
})

const issued: Snapshot = { ...empty, certificates: certificateFor(certificate) }

test('a route with a certificate is served over HTTPS, and unknown names are refused the handshake', () => {
  const planned = plan(issued, put('app'))
  const after = applied(issued, planned)
  assert.equal(recordOf(planned).certificate, certificate.summary)
  assert.equal([...planned.certificates], [['app.example.com', certificate]])
  const text = after.routes.get('app')?.text ?? ''
  assert.match(text, `ssl_certificate /state/certificates/app.example.com/${'ab'.repeat(32)}/fullchain.pem;`)
  assert.match(text, 'return 308 https://app.example.com$request_uri;')
  assert.match(after.shared?.text ?? '', 'ssl_reject_handshake on;')
  assert.not.match(one.shared?.text ?? '', 'ssl_reject_handshake')
})

test('the HTTPS default server is removed with the last route that is served over HTTPS', () => {
  const served = after([put('app'), put('plain')], issued)
  const planned = plan(served, remove('app'))
  assert.not.match(applied(served, planned).shared?.text ?? '', 'ssl_reject_handshake')
  assert.match(applied(served, plan(served, remove('plain'))).shared?.text ?? '', 'ssl_reject_handshake')
})

test('a route without enable_ssl is served over HTTP, even if there is a certificate', () => {
  const planned = plan(issued, put('app', { enable_ssl: false }))
  assert.is(recordOf(planned).certificate, null)
  assert.is(planned.certificates.size, 0)
})

test('a route that moves to another domain never keeps the certificate of the old one', () => {
  const planned = plan(after([put('app')], issued), put('app', { domain: 'new.example.com' }))
  assert.is(recordOf(planned).certificate, null)
  assert.is(planned.certificates.size, 0)
})

test('a route keeps HTTPS even if no certificate is valid right now; another domain does not get it', () => {
  const served = applied(issued, plan(issued, put('app')))
  const fingerprint = served.routes.get('app')?.record.certificate?.fingerprint_sha256
  assert.ok(fingerprint)
  const expired = { ...served, certificates: new Map() }
  const same = plan(expired, put('app'))
  assert.equal([same.outcomes.map(({ outcome }) => outcome), same.files], [['unchanged'], []])
  const moved = plan(expired, put('app', { upstream_port: 9 }))
  assert.equal(outcomeRecord(moved)?.certificate?.fingerprint_sha256, fingerprint)
  assert.is(outcomeRecord(plan(expired, put('app', { domain: 'other.example.com' })))?.certificate, null)
  assert.is(outcomeRecord(plan(expired, put('app', { enable_ssl: false })))?.certificate, null)
})

test('the host keeps its own default servers', () => {
  const listens = [...readListen(['80', 'default_server']), ...readListen(['[::]:443', 'ssl', 'default_server'])]
  const servers: UnmanagedServer[] = [{ names: ['_'], listens, file: 'default', line: 1 }]
  const planned = plan({ ...issued, host: { ...host, servers } }, put('app'))
  const shared = applied(issued, planned).shared?.text ?? ''
  assert.not.match(shared, 'listen 80 default_server;')
  assert.match(shared, 'listen [::]:80 default_server;')
  assert.match(shared, 'listen 443 ssl http2 default_server;')
  assert.not.match(shared, 'listen [::]:443 ssl http2 default_server;')
})

test("directives that the host's http block has are not set again", () => {
  const context = { ...empty.context, setByHost: new Map([['server_names_hash_bucket_size', ['512']]]) }
  const shared = applied(empty, plan({ ...empty, context }, put('app'))).shared?.text ?? ''
  assert.not.match(shared, 'server_names_hash_bucket_size')
  assert.match(shared, 'server_names_hash_max_size')
})

test('a new certificate goes to the route that still has its domain', () => {
  const certify: Change = { kind: 'certify', dropletName: 'app', domain: 'app.example.com' }
  const waiting: Snapshot = { ...one, certificates: issued.certificates }
  const planned = plan(waiting, certify)
  assert.equal(outcomes(planned), ['replaced'])
  assert.equal(recordOf(planned).certificate, certificate.summary)
  assert.equal([...planned.certificates.keys()], ['app.example.com'])
  assert.equal(filesOf(planned), [`replace available/${SHARED}`, 'replace available/fpai-app.conf'])
  const served = applied(waiting, planned)
  assert.equal(outcomes(plan(served, certify)), ['unchanged'])
  assert.equal(plan(served, certify).files, [])
})

test('a route whose certificate was deleted is served over HTTP again', () => {
  const certify: Change = { kind: 'certify', dropletName: 'app', domain: 'app.example.com' }
  const served = after([put('app')], issued)
  const planned = plan({ ...served, certificates: new Map() }, certify)
  assert.equal(outcomes(planned), ['replaced'])
  assert.is(recordOf(planned).certificate, null)
})

test('a certificate does not go to a route that was deleted, moved, or written by hand', () => {
  const certify: Change = { kind: 'certify', dropletName: 'app', domain: 'app.example.com' }
  assert.equal(outcomes(plan(issued, certify)), ['PROXY_NOT_FOUND'])
  const moved = after([put('app', { domain: 'new.example.com' })])
  assert.equal(outcomes(plan({ ...moved, certificates: issued.certificates }, certify)), ['PRECONDITION_FAILED'])
  assert.equal(outcomes(plan({ ...byHand, certificates: issued.certificates }, certify)), ['DROPLET_EXISTS'])
})

test('every refusal has an error code of the catalogue', () => {
  for (const snapshot of [byHand, taken, foreign('app.example.com')])
    assert.instance(refusal(plan(snapshot, put('app'))), ProxyManagerError)
})

/** The record that results from the only change of a plan. */
function outcomeRecord({ outcomes: [one] }: BatchPlan): RouteRecord | undefined {
  return one === undefined || one.outcome === 'refused' ? undefined : one.route.record
}

test('an alias has one owner, whether others request it as their domain or as an alias', () => {
  const before = after([put('a', aliased('shared.example.com'))])
  const others = [
    put('b', { domain: 'shared.example.com' }),
    put('c', aliased('x.example.com', 'shared.example.com')),
    put('d', aliased('a.example.com')),
  ]
  const refused = plan(before, ...others)
  assert.equal(outcomes(refused), ['DOMAIN_CONFLICT', 'DOMAIN_CONFLICT', 'DOMAIN_CONFLICT'])
  const wanted = refused.outcomes.map((one) => (one.outcome === 'refused' ? one.error.details.domain : ''))
  assert.equal(wanted, ['shared.example.com', 'shared.example.com', 'a.example.com'])
  const planned = plan(before, put('a'), ...others)
  assert.equal(outcomes(planned), ['replaced', 'created', 'DOMAIN_CONFLICT', 'DOMAIN_CONFLICT'])
  assert.equal([...planned.domains], ['a.example.com', 'shared.example.com'])
})

test('an alias that a hand-written server block serves is refused, with file and line', () => {
  const { code, details } = refusal(plan(foreign('taken.example.com'), put('a', aliased('taken.example.com'))))
  assert.equal(
    [code, details.domain, details.owner],
    ['DOMAIN_CONFLICT', 'taken.example.com', { file: 'by-hand', line: 7 }],
  )
})

test('a refused change requires no certificate of its route', () => {
  const served = after([put('app')], issued)
  const stale = put('app', {}, { precondition: { ifMatch: ['0123456789abcdef'] } })
  const planned = plan(served, stale, put('b'))
  assert.equal(outcomes(planned), ['PRECONDITION_FAILED', 'created'])
  assert.equal([planned.secured.size, planned.certificates.size], [0, 0])
  const unchanged = plan(served, put('app'), put('b'))
  assert.equal(outcomes(unchanged), ['unchanged', 'created'])
  assert.equal([...unchanged.secured.keys()], ['app.example.com'])
})

test('each name that the certificate covers must present it', () => {
  const names = ['app.example.com', '*.example.net']
  const covering = { ...certificate, summary: { ...certificate.summary, domains: names } }
  const issued: Snapshot = {
    ...empty,
    certificates: certificateFor(covering, 'a.example.net', 'a.b.example.net', 'other.example.com'),
  }
  const { secured } = plan(issued, put('app', aliased('a.example.net', 'a.b.example.net', 'other.example.com')))
  const fingerprint = certificate.summary.fingerprint_sha256
  assert.equal(
    [...secured],
    [
      ['app.example.com', fingerprint],
      ['a.example.net', fingerprint],
    ],
  )
})

const rename = (dropletName: string, newName: string, precondition: Precondition = {}): Change => ({
  kind: 'rename',
  dropletName,
  newName,
  precondition,
})

test('a rename keeps the record but for name and time, replaces the files, and claims nothing', () => {
  const planned = plan(one, rename('app', 'other'))
  assert.equal(outcomes(planned), ['replaced'])
  const { record } = one.routes.get('app') ?? {}
  assert.equal(recordOf(planned), { ...record, droplet_name: 'other', updated_at: recordOf(planned).updated_at })
  assert.equal([...planned.domains], [])
  assert.equal(domainsOf(applied(one, planned)), { other: 'app.example.com' })
})

test('renames of one batch follow each other, and a name that a rename has left is free', () => {
  const chain = plan(one, rename('app', 'b'), rename('b', 'c'), put('app', { domain: 'new.example.com' }))
  assert.equal(outcomes(chain), ['replaced', 'replaced', 'created'])
  assert.equal(domainsOf(applied(one, chain)), { app: 'new.example.com', c: 'app.example.com' })
  const back = plan(one, rename('app', 'b'), rename('b', 'app'))
  assert.equal(domainsOf(applied(one, back)), { app: 'app.example.com' })
})

test('a domain that a later put of the old name would free stays with the renamed route', () => {
  const moved = put('app', { domain: 'new.example.com' })
  const planned = plan(one, put('x', { domain: 'app.example.com' }), rename('app', 'b'), moved)
  assert.equal(outcomes(planned), ['DOMAIN_CONFLICT', 'replaced', 'created'])
  assert.equal(domainsOf(applied(one, planned)), { app: 'new.example.com', b: 'app.example.com' })
})

test('a rename to a name that a route or a foreign file has is refused, whichever change came first', () => {
  assert.equal(outcomes(plan(one, put('b'), rename('app', 'b'))), ['created', 'DROPLET_EXISTS'])
  assert.equal(outcomes(plan(one, remove('app'), rename('app', 'b'))), ['deleted', 'PROXY_NOT_FOUND'])
  assert.equal(outcomes(plan({ ...one, unmanagedFiles: new Set(['b']) }, rename('app', 'b'))), ['DROPLET_EXISTS'])
  assert.equal(outcomes(plan(one, rename('app', 'b', { ifMatch: ['0'] }))), ['PRECONDITION_FAILED'])
})

test.run()
