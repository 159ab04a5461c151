import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import RECORDS from '../../fixtures/mesh/records.json' with { type: 'json' }
import type { RegistryAnswer } from '../../lib/mesh/registry-records.ts'
import { readRegistry } from '../helpers/read-registry.ts'

const test = suite('registry records')

const PLAIN = { name: 'app', domain: 'app.example.com', host: '10.0.0.7', port: 8001, status: 'active' }
const ROUTE = { dropletName: 'app', domain: 'app.example.com', upstream_host: '10.0.0.7', upstream_port: 8001 }

const NO_DOMAIN = 'has no domain (looked for domain, metadata.domain, fqdn, url, metadata.url)'
const NO_PORT = 'has no port (looked for port, internal_port, metadata.port, metadata.internal_port, endpoint)'

function read(answer: unknown): RegistryAnswer {
  const found = readRegistry(answer)
  if (found === undefined) throw new Error('no list of droplets')
  return found
}

/** The only reason of a list with one record. */
function reasonFor(record: unknown): string | undefined {
  const { routes, skipped } = read([record])
  assert.equal([routes.length, skipped.length], [0, 1], JSON.stringify(record))
  return skipped[0]?.reason
}

for (const [shape, record] of Object.entries({
  'name, host, port, domain and status': PLAIN,
  'a port as text': { ...PLAIN, port: '8001' },
  internal_port: { ...PLAIN, port: undefined, internal_port: 8001 },
  'no status at all': { ...PLAIN, status: undefined },
  'a status of null': { ...PLAIN, status: null },
  'a status in upper case': { ...PLAIN, status: 'ACTIVE' },
  'an endpoint, and the domain in metadata': {
    name: 'app',
    endpoint: 'http://10.0.0.7:8001',
    metadata: { domain: 'app.example.com' },
  },
  'an endpoint with a slash': { name: 'app', endpoint: 'http://10.0.0.7:8001/', domain: 'app.example.com' },
  'everything in metadata': {
    name: 'app',
    endpoint: null,
    metadata: { domain: 'app.example.com', host: '10.0.0.7', internal_port: '8001' },
  },
  'metadata of null': { ...PLAIN, metadata: null },
  'unknown fields': { ...PLAIN, id: 7, tags: ['x'], metadata: { owner: {} } },
  'a domain in upper case with a trailing dot': { ...PLAIN, domain: 'APP.Example.com.' },
})) {
  test(`a droplet with ${shape} is read`, () => {
    const wanted = { routes: [ROUTE], skipped: [], ambiguous: [] }
    assert.equal(read([record]), wanted)
    assert.equal(read({ droplets: [record], total: 1 }), wanted)
  })
}

test('the address of a droplet is in its own fields, else in its metadata, else in its endpoint', () => {
  const all = {
    ...PLAIN,
    internal_port: 8002,
    metadata: { domain: 'b.example.com', host: 'b.internal', port: 8003, internal_port: 8004 },
    endpoint: 'http://c.internal:8005',
  }
  const placeOf = (record: unknown) => {
    const [route] = read([record]).routes
    return [route?.domain, route?.upstream_host, route?.upstream_port]
  }
  assert.equal(placeOf(all), ['app.example.com', '10.0.0.7', 8001])
  assert.equal(placeOf({ ...all, port: null }), ['app.example.com', '10.0.0.7', 8002])
  const own = { ...all, port: '', internal_port: undefined, host: '', domain: null }
  assert.equal(placeOf(own), ['b.example.com', 'b.internal', 8003])
  const metadata = { domain: 'b.example.com', host: null, internal_port: 8004 }
  assert.equal(placeOf({ ...own, metadata }), ['b.example.com', 'c.internal', 8004])
  assert.equal(placeOf({ ...own, metadata: { domain: 'b.example.com' } }), ['b.example.com', 'c.internal', 8005])
  const placeless = { name: 'app', domain: 'b.example.com', port: 8001 }
  assert.equal(placeOf(placeless), ['b.example.com', 'localhost', 8001])
})

test('a name is converted to a droplet name if that is unambiguous', () => {
  for (const [name, dropletName] of [
    ['Visibility Deck', 'visibility-deck'],
    ['  Landing   Page ', 'landing-page'],
    ['api.gateway', 'api-gateway'],
    ['a_b', 'a_b'],
    ['1', '1'],
    ['X'.repeat(63), 'x'.repeat(63)],
  ])
    assert.equal(read([{ ...PLAIN, name }]).routes, [{ ...ROUTE, dropletName }], name)
})

test('any other name is skipped, and never part of a path', () => {
  const names = [' ', '-', 'a-', '-a', '../etc/passwd', 'a/b', 'a\\b', 'a%2fb', 'a;b', 'a"b', 'a{b', '$a', 'default']
  for (const name of [...names, '000-proxy-manager', 'ä', '草', '\u212aite', 'a\nb', 'a\u00a0b', 'a\0', 'x'.repeat(64)])
    assert.is(
      reasonFor({ ...PLAIN, name }),
      'its name cannot be converted to a valid droplet name',
      JSON.stringify(name),
    )
})

test('a droplet that is not active makes no route, and is not ambiguous either', () => {
  for (const status of ['inactive', 'stopped', 'unknown', '']) {
    const { routes, skipped, ambiguous } = read([{ ...PLAIN, status }])
    assert.equal([routes, ambiguous], [[], []])
    assert.equal(skipped, [{ name: 'app', reason: `is not active (${status})` }])
  }
  assert.equal(read([{ ...PLAIN, status: 'gone' }, PLAIN]).routes, [ROUTE])
})

test('a record without a usable address is skipped with all of its faults', () => {
  for (const [differing, reason] of [
    [{ domain: undefined }, NO_DOMAIN],
    [{ domain: '' }, NO_DOMAIN],
    [{ domain: 'localhost' }, 'has no valid domain'],
    [{ domain: '*.example.com' }, 'has no valid domain'],
    [{ domain: 'a.example.com; return 200' }, 'has no valid domain'],
    [{ domain: 'a.example.com:80' }, 'has no valid domain'],
    [{ domain: ['a.example.com'] }, 'has no valid domain'],
    [{ domain: 7 }, 'has no valid domain'],
    [{ host: 'a b' }, 'has no valid host'],
    [{ host: 'http://a' }, 'has no valid host'],
    [{ host: '127.1' }, 'has no valid host'],
    [{ host: {} }, 'has no valid host'],
    [{ port: undefined }, NO_PORT],
    [{ port: 0 }, 'has no valid port'],
    [{ port: 65_536 }, 'has no valid port'],
    [{ port: 80.5 }, 'has no valid port'],
    [{ port: -1 }, 'has no valid port'],
    [{ port: '80;' }, 'has no valid port'],
    [{ port: '0x50' }, 'has no valid port'],
    [{ port: '1e3' }, 'has no valid port'],
    [{ port: true }, 'has no valid port'],
    [{ domain: 'x', host: 'a b', port: 0 }, 'has no valid domain, host, port'],
    [{ status: 7 }, 'has no valid status'],
    [{ metadata: 'x' }, 'has no valid metadata'],
    [{ endpoint: 7, metadata: 7 }, 'has no valid endpoint, metadata'],
  ] as const)
    assert.is(reasonFor({ ...PLAIN, ...differing }), reason, JSON.stringify(differing))
})

test('an endpoint that is not http://host:port gives no address, and is the reason given', () => {
  const reason = 'has an endpoint that is not http://host:port'
  for (const endpoint of [
    'https://a:1',
    'http://a',
    'http://a:1/path',
    'http://user@a:1',
    'http://a:1?x',
    'http://a:1#x',
    'ftp://a:1',
    'a:1',
    'http://a:999999',
    'http://a:1\n',
    'http://:1',
  ])
    assert.is(reasonFor({ name: 'app', domain: 'app.example.com', endpoint }), reason, endpoint)
  const unfit = { name: 'app', domain: 'app.example.com', endpoint: 'https://a:1' }
  assert.is(reasonFor({ ...unfit, port: 0 }), 'has no valid port')
  assert.is(reasonFor({ ...unfit, endpoint: 'http://a:70000' }), 'has no valid port')
  assert.is(reasonFor({ ...unfit, endpoint: undefined }), NO_PORT)
  assert.is(read([{ ...unfit, port: 8001 }]).routes[0]?.upstream_port, 8001)
})

test('a record that does not fit affects no other, whatever it is', () => {
  const hostile: readonly unknown[] = [
    ...[null, 7, 'app', true, [], [PLAIN], {}, { name: 7 }, { name: null }, { name: 'x'.repeat(254) }],
    JSON.parse('{"__proto__":{"name":"app","domain":"evil.example.com","port":1}}'),
    JSON.parse('{"name":"b","__proto__":{"domain":"evil.example.com"},"constructor":1,"port":1}'),
    { name: 'app\u001b[31m', domain: 'b.example.com', port: 1 },
  ]
  const { routes, skipped } = read([...hostile, PLAIN])
  assert.equal(routes, [ROUTE])
  assert.is(skipped.length, hostile.length)
  assert.equal(skipped[1], { name: 'record 2', reason: 'is not an object' })
})

test("the Registry's names and texts are shortened and made printable", () => {
  const { skipped } = read([
    { ...PLAIN, name: `\u001b]0;x\u0007${'é'.repeat(100)}` },
    { ...PLAIN, name: 'b', status: `\r\n\u202e${'x'.repeat(500)}` },
    { ...PLAIN, name: 'c\n', port: 0 },
  ])
  for (const { name, reason } of skipped) {
    assert.match(name, /^[\x20-\x7e]{1,80}$/)
    assert.match(reason, /^[\x20-\x7e]{1,120}$/)
  }
  assert.is(skipped[0]?.name, `?]0;x?${'?'.repeat(74)}`)
})

test('two records with the same droplet name are both skipped, and each names the other', () => {
  const other = { ...PLAIN, name: 'App', domain: 'b.example.com' }
  const { routes, skipped, ambiguous } = read([PLAIN, other, { ...PLAIN, name: 'c', domain: 'c.example.com' }])
  assert.equal(
    routes.map(({ dropletName }) => dropletName),
    ['c'],
  )
  assert.equal(skipped, [
    { name: 'app', reason: 'becomes the same droplet name as App' },
    { name: 'App', reason: 'becomes the same droplet name as app' },
  ])
  assert.equal(ambiguous, ['app', 'app'])
})

test('two records with the same domain are both skipped, however it is spelled', () => {
  const { routes, skipped, ambiguous } = read([PLAIN, { ...PLAIN, name: 'b', domain: 'APP.example.com.' }])
  assert.equal(routes, [])
  assert.equal(
    skipped.map(({ reason }) => reason),
    ['has the same domain as b', 'has the same domain as app'],
  )
  assert.equal(ambiguous, ['app', 'b'])
})

test('a record that cannot be read is ambiguous under the droplet name that its route would have', () => {
  for (const differing of [{ domain: null }, { port: 0 }, { status: 7 }, { metadata: 'x' }])
    assert.equal(read([{ ...PLAIN, name: 'My App', ...differing }]).ambiguous, ['my-app'], JSON.stringify(differing))
})

test('a name is looked for in name, metadata.name and id; a number is none', () => {
  const { name: _, ...nameless } = PLAIN
  for (const [fields, dropletName] of [
    [{ name: 'app', metadata: { name: 'b' }, id: 'c' }, 'app'],
    [{ name: null, metadata: { name: 'b' }, id: 'c' }, 'b'],
    [{ name: '', id: 'C D' }, 'c-d'],
    [{ name: 7, metadata: 'x', id: 'c' }, undefined],
  ] as const)
    assert.is(read([{ ...nameless, ...fields }]).routes[0]?.dropletName, dropletName, JSON.stringify(fields))
  assert.is(reasonFor({ ...nameless, id: 7 }), 'has no valid name (looked for name, metadata.name, id)')
})

test('a URL with a name and no port is that of the site; any other gives an address at most', () => {
  const { domain: _, host: __, port: ___, ...bare } = PLAIN
  for (const [fields, route] of [
    [{ port: 8001, fqdn: 'app.example.com' }, ['app.example.com', 'localhost', 8001]],
    [{ port: 8001, url: 'https://App.example.com/' }, ['app.example.com', 'localhost', 8001]],
    [
      { endpoint: 'http://10.0.0.7:8001', metadata: { url: 'http://app.example.com' } },
      ['app.example.com', '10.0.0.7', 8001],
    ],
    [{ fqdn: 'app.example.com', url: 'http://10.0.0.7:8001' }, ['app.example.com', '10.0.0.7', 8001]],
  ] as const) {
    const [found] = read([{ ...bare, ...fields }]).routes
    assert.equal([found?.domain, found?.upstream_host, found?.upstream_port], route, JSON.stringify(fields))
  }
  for (const url of [
    'http://10.0.0.7:8001',
    'https://app.example.com:8443/',
    'ftp://app.example.com',
    'app.example.com',
    7,
  ])
    assert.is(reasonFor({ ...bare, port: 8001, url }), NO_DOMAIN, String(url))
})

test('the path of a site is that of its route; several records may have one domain with different paths', () => {
  const { domain: _, ...bare } = PLAIN
  const at = (name: string, url: string) => ({ ...bare, name, url })
  const pathsIn = (...records: readonly unknown[]) => read(records).routes.map(({ domain, path }) => [domain, path])
  const [app, orders] = ['https://app.example.com', 'https://app.example.com/orders/']
  assert.equal(pathsIn(at('a', app), at('b', orders), { ...bare, name: 'c', metadata: { url: `${orders}v2` } }), [
    ['app.example.com', undefined],
    ['app.example.com', '/orders'],
    ['app.example.com', '/orders/v2'],
  ])
  assert.equal(pathsIn({ ...PLAIN, url: 'https://elsewhere.example.com/orders' }), [['app.example.com', undefined]])
  assert.is(reasonFor(at('a', 'https://app.example.com/a%20b')), 'has no valid path')
  assert.is(reasonFor(at('a', 'https://app.example.com/.well-known/acme-challenge')), 'has no valid path')
  assert.equal(
    read([at('a', orders), at('b', orders)]).skipped.map(({ reason }) => reason),
    ['has the same domain and path as b', 'has the same domain and path as a'],
  )
})

test('a droplet that runs is one with the status active, healthy, online or running', () => {
  for (const status of ['active', 'Healthy', 'online', 'RUNNING'])
    assert.equal(read([{ ...PLAIN, status }]).routes, [ROUTE], status)
  for (const status of ['inactive', 'error', 'degraded', 'offline', ''])
    assert.is(reasonFor({ ...PLAIN, status }), `is not active (${status})`)
})

test('an answer that is not a list of droplets is rejected', () => {
  for (const answer of [undefined, null, 7, 'x', {}, { droplets: {} }, { droplets: null }, { items: [] }, '[]'])
    assert.is(readRegistry(answer), undefined, JSON.stringify(answer))
  for (const answer of [[], { droplets: [] }]) assert.equal(read(answer), { routes: [], skipped: [], ambiguous: [] })
})

test('a list of the greatest allowed length is parsed quickly', () => {
  const records = Array.from({ length: 60_000 }, (_, i) => ({ name: `a${i}`, domain: `a${i}.b.co`, port: 1 }))
  const started = process.cpuUsage()
  assert.is(read(records).routes.length, records.length)
  // Of the processor's time, since others may have it meanwhile; comparing each of them with all the others takes minutes.
  assert.ok(process.cpuUsage(started).user < 10_000_000)
})

test('whatever a Registry answers: nothing is thrown, every record is a route or skipped, and no two routes collide', () => {
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('app', 'App', 'a.example.com', 'b.example.com'))
  const value = fc.oneof(text, fc.integer(), fc.constant(null), fc.jsonValue())
  const record = fc.record(
    { name: text, domain: value, host: value, port: value, status: value, endpoint: value, metadata: value },
    { requiredKeys: [] },
  )
  const listing = fc.array(fc.oneof(record, fc.jsonValue()), { maxLength: 6 })
  fc.assert(
    fc.property(listing, (records) => {
      const { routes, skipped } = read(records)
      assert.is(routes.length + skipped.length, records.length)
      for (const key of ['dropletName', 'domain'] as const)
        assert.is(new Set(routes.map((route) => route[key])).size, routes.length)
      for (const { dropletName, domain } of routes) {
        assert.match(dropletName, /^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$/)
        assert.match(domain, /^[a-z0-9.-]+$/)
      }
      for (const { name, reason } of skipped) assert.match(name + reason, /^[\x20-\x7e]+$/)
    }),
    { numRuns: 300 },
  )
})

for (const { what, record, route, skipped } of RECORDS)
  test(`a record of a deployed Registry with ${what} ${route === undefined ? 'is skipped with its reason' : 'makes a route'}`, () => {
    if (route === undefined) assert.is(reasonFor(record), skipped)
    else assert.equal(read([record]).routes, [route])
  })

test.run()
