import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { isSameDestination, leavingUpstreams, servedUpstreams } from '../../lib/plan/leaving-upstream.ts'
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

/** A route with these ports of one host; a negative one is a backup. */
function several(...ports: readonly number[]): SnapshotRoute {
  const upstreams = ports.map((port) => ({
    host: '10.0.0.1',
    port: Math.abs(port),
    backup: port < 0,
    addresses: ['10.0.0.1'],
  }))
  return route({ upstream_host: '10.0.0.1', upstream_port: ports[0] ?? 0, upstream_addresses: ['10.0.0.1'], upstreams })
}

const CASES: readonly (readonly [
  what: string,
  former: SnapshotRoute | undefined,
  present: SnapshotRoute | undefined,
  left: string | readonly string[] | undefined,
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
  ['one of several taken out', several(8001, 8002, 8003), several(8001, 8003), 'http://10.0.0.1:8002'],
  ['one that becomes a backup', several(8001, 8002), several(8001, -8002), undefined],
  ['one more', several(8001, 8002), several(8001, 8002, 8003), undefined],
  ['a deletion of several', several(8001, -8002), undefined, ['http://10.0.0.1:8001', 'http://10.0.0.1:8002']],
]

for (const [what, former, present, left] of CASES) {
  test(`${what} leaves ${left === undefined ? 'no upstream' : 'the former upstream'}`, () => {
    assert.equal(
      leavingUpstreams(former, present).map(({ url }) => url),
      left === undefined ? [] : [left].flat(),
    )
  })
}

function same(one: Partial<RouteRecord>, other: Partial<RouteRecord>): boolean {
  const [[a], [b]] = [servedUpstreams(route(one)), servedUpstreams(route(other))]
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
