import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { isSameDestination, leavingUpstream, servedUpstream } from '../../lib/plan/leaving-upstream.ts'
import { DEFAULT_OPTIONS } from '../../lib/route/options.ts'
import type { RouteRecord } from '../../lib/route/record.ts'
import type { SnapshotRoute } from '../../lib/route/stored-route.ts'
import { routeRecord } from '../helpers/samples.ts'

const test = suite('leaving-upstream')

function route(own: Partial<RouteRecord> = {}, enabled = true): SnapshotRoute {
  return { record: routeRecord(own), text: '', revision: '', digest: '', drifted: false, enabled }
}
const withOptions = (options: Partial<RouteRecord['options']>) => route({ options: { ...DEFAULT_OPTIONS, ...options } })
const OTHER = { upstream_port: 8002 }

const CASES: readonly (readonly [
  what: string,
  former: SnapshotRoute | undefined,
  present: SnapshotRoute | undefined,
  left: string | undefined,
])[] = [
  ['a new route', undefined, route(), undefined],
  ['another port', route(), route(OTHER), 'http://localhost:8001'],
  ['another scheme', route(), withOptions({ upstream_scheme: 'https' }), 'http://localhost:8001'],
  ['other addresses of its name', route(), route({ upstream_addresses: ['10.0.0.2'] }), 'http://localhost:8001'],
  ['other options', route(), withOptions({ hsts: true }), undefined],
  ['maintenance', route(), withOptions({ maintenance: true }), 'http://localhost:8001'],
  ['a redirect', route(), withOptions({ redirect_to: 'https://example.com' }), 'http://localhost:8001'],
  ['the end of maintenance', withOptions({ maintenance: true }), route(OTHER), undefined],
  ['a deletion', route(), undefined, 'http://localhost:8001'],
  ['a deletion of a route that was not served', route({}, false), undefined, undefined],
]

for (const [what, former, present, left] of CASES) {
  test(`${what} leaves ${left === undefined ? 'no upstream' : 'the former upstream'}`, () => {
    assert.is(leavingUpstream(former, present)?.url, left)
  })
}

function same(one: Partial<RouteRecord>, other: Partial<RouteRecord>): boolean {
  const [a, b] = [servedUpstream(route(one)), servedUpstream(route(other))]
  if (a === undefined || b === undefined) throw new Error('no upstream')
  return isSameDestination(a, b)
}

test('two upstreams are the same with one host, or one address, and one port', () => {
  const address = { upstream_host: '127.0.0.1', upstream_addresses: ['127.0.0.1'] }
  const mapped = { upstream_host: '::ffff:7f00:1', upstream_addresses: ['::ffff:7f00:1'] }
  assert.ok(same({}, address))
  assert.ok(same(mapped, address))
  assert.ok(
    same({ upstream_host: 'app', upstream_addresses: null }, { upstream_host: 'app', upstream_addresses: null }),
  )
  assert.not.ok(same({}, { ...address, upstream_port: 8002 }))
  assert.not.ok(same({}, { upstream_host: '10.0.0.1', upstream_addresses: ['10.0.0.1'] }))
  assert.not.ok(
    same({ upstream_host: 'a', upstream_addresses: null }, { upstream_host: 'b', upstream_addresses: null }),
  )
})

test.run()
