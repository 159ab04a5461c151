import { readdirSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { MODULE_NAMES } from '../../lib/nginx/config/build.ts'
import { readNginx } from '../../lib/nginx/config/parse.ts'
import { type Directive, printNginx } from '../../lib/nginx/config/print.ts'
import { isAtLeast } from '../../lib/nginx/config/version.ts'
import { upstreamName } from '../../lib/render/failover.ts'
import { routeDirectives } from '../../lib/render/server-block.ts'
import { sharedDirectives } from '../../lib/render/shared-file.ts'
import { dropletOfFileName, SHARED_FILE } from '../../lib/route/droplet-name.ts'
import { namesOf } from '../../lib/route/names.ts'
import { ProxyOptions } from '../../lib/route/options.ts'
import { RouteRecord } from '../../lib/route/record.ts'
import { fixture } from '../helpers/memory-tree.ts'

const test = suite('server-block')

const texts = v.array(v.string())
const HostEntries = v.strictObject({
  nginxVersion: v.tuple([v.number(), v.number(), v.number()]),
  opensslVersion: v.tuple([v.number(), v.number()]),
  httpPort: v.number(),
  httpsPort: v.number(),
  publicHttpPort: v.optional(v.number()),
  publicHttpsPort: v.optional(v.number()),
  trustedProxies: v.optional(texts, []),
  httpListens: texts,
  httpsListens: texts,
  resolvers: v.optional(texts, []),
  setByHost: v.pipe(
    v.optional(v.record(v.string(), texts), {}),
    v.transform((directives) => new Map(Object.entries(directives))),
  ),
  webroot: v.string(),
  certificates: v.string(),
  trustedCas: v.optional(v.string()),
  missingModules: v.optional(v.array(v.picklist(MODULE_NAMES)), ['stub_status']),
})
const Host = v.pipe(
  HostEntries,
  v.transform(({ publicHttpPort, publicHttpsPort, trustedCas, ...host }) => ({
    ...host,
    ...(trustedCas === undefined ? {} : { trustedCas }),
    publicHttpPort: publicHttpPort ?? host.httpPort,
    publicHttpsPort: publicHttpsPort ?? host.httpsPort,
  })),
)
const Route = v.strictObject({
  droplet_name: v.string(),
  domain: v.string(),
  path: v.exactOptional(v.string()),
  upstream_host: v.nullable(v.string()),
  upstream_port: v.nullable(v.number()),
  upstream_addresses: v.nullable(texts),
  upstreams: RouteRecord.entries.upstreams,
  resolvers: texts,
  fingerprint_sha256: v.nullable(v.string()),
  /** The names in the certificate; by default those of the route. */
  certified: v.optional(texts),
  options: v.optional(ProxyOptions, {}),
})
const Shared = v.strictObject({
  generation: v.number(),
  catchAllHttp: texts,
  catchAllHttps: texts,
  hasNamedUpstream: v.boolean(),
})
/** `mounts` are the other routes of its domain; if it is a mount itself, `served_by` has its server blocks. */
const Site = { route: Route, mounts: v.optional(v.array(Route), []), served_by: v.optional(v.string()) }
const Case = v.union([v.strictObject({ ...Site, host: Host }), v.strictObject({ shared: Shared, host: Host })])

function recordOf({ fingerprint_sha256, certified, ...route }: v.InferOutput<typeof Route>): RouteRecord {
  const time = '2026-01-01T00:00:00.000Z'
  const domains = [...(certified ?? namesOf(route))]
  return {
    version: 1,
    ...route,
    enable_ssl: true,
    source: 'api',
    certificate:
      fingerprint_sha256 === null
        ? null
        : { issuer: 'x', not_before: time, expiry: time, domains, serial: '1', fingerprint_sha256 },
    last_health_status: 'healthy',
    last_health_checked_at: time,
    created_at: time,
    updated_at: time,
  }
}

function directivesOf(name: string): Directive[] {
  const found = v.parse(Case, JSON.parse(fixture(`server-blocks/${name}.json`)))
  if ('shared' in found) return sharedDirectives(found.shared, found.host)
  const { route, mounts, served_by, host } = found
  const servedBy = { droplet_name: served_by ?? '', enabled: true, drifted: false, certificate: null }
  const place = served_by === undefined ? { mounts: mounts.map(recordOf) } : { servedBy }
  return routeDirectives(recordOf(route), host, place)
}

const files = readdirSync(new URL('../../fixtures/server-blocks/', import.meta.url))
const cases = files.filter((file) => file.endsWith('.json')).map((file) => file.replace(/\.json$/, ''))

test('no golden has a directive with a history of overflows: no rewrite, no if, no map of a regular expression, no capture', () => {
  for (const name of cases) {
    const text = fixture(`server-blocks/${name}.conf`)
    assert.not.match(text, /^ *(rewrite|if)\b/m, name)
    assert.not.match(text, /^ *"?~/m, name)
    assert.not.match(text, /\$\d/, name)
    assert.not.match(text, /location ~/, name)
  }
})

test('there is a golden file for each case, and a case for each golden file', () => {
  assert.equal(files.sort(), cases.flatMap((name) => [`${name}.conf`, `${name}.json`]).sort())
  assert.ok(cases.length >= 15)
})

for (const name of cases) {
  test(`${name} is rendered byte for byte`, () => {
    assert.fixture(printNginx(directivesOf(name)), fixture(`server-blocks/${name}.conf`))
  })
}

test('a rendered route is read as one upstream and its server blocks for HTTP and HTTPS', () => {
  const names = (name: string) => readNginx(printNginx(directivesOf(name))).directives.map((found) => found.name)
  assert.equal(names('http'), ['upstream', 'server'])
  assert.equal(names('upstream-name'), ['server'])
  assert.equal(names('https-before-1.25.1'), ['upstream', 'server', 'server'])
})

test('each name redirects to itself over HTTPS, and a name that the certificate does not cover is served over HTTP', () => {
  const blocks = readNginx(printNginx(directivesOf('aliases-partly-certified'))).directives
  const served = blocks.slice(1).map(({ block = [] }) => {
    const named = (name: string, among = block) => among.find((directive) => directive.name === name)?.args
    const main = block.findLast((directive) => directive.name === 'location')?.block ?? []
    return [named('listen')?.[0], named('server_name'), named('return', main) ?? named('proxy_pass', main)]
  })
  assert.equal(served, [
    ['80', ['shop.example.com'], ['308', 'https://shop.example.com$request_uri']],
    ['80', ['shop.example.net'], ['308', 'https://shop.example.net$request_uri']],
    ['80', ['new.example.org'], ['http://fpai_shop']],
    ['443', ['shop.example.com', 'shop.example.net'], ['http://fpai_shop']],
  ])
})

test('versions are compared part by part', () => {
  assert.ok(isAtLeast([1, 25, 1], [1, 25, 1]))
  assert.ok(isAtLeast([1, 26, 0], [1, 25, 1]))
  assert.ok(isAtLeast([2, 0, 0], [1, 25, 1]))
  assert.ok(isAtLeast([3, 5], [3, 5]))
  assert.not.ok(isAtLeast([1, 25, 0], [1, 25, 1]))
  assert.not.ok(isAtLeast([1, 9, 15], [1, 19, 4]))
  assert.not.ok(isAtLeast([3], [3, 5]))
})

test('the shared file sorts before every route, and is not one', () => {
  assert.ok(SHARED_FILE < 'fpai-')
  assert.is(dropletOfFileName(SHARED_FILE), undefined)
})

test("the name of a route's upstream block cannot be a host name that another site uses", () => {
  assert.is(upstreamName('a-b_c'), 'fpai_a-b_c')
})

test.run()
