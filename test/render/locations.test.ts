import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { pathField, RoutePath } from '../../lib/net/path.ts'
import { type ReadDirective, readNginx } from '../../lib/nginx/config/parse.ts'
import { renderRouteFile } from '../../lib/render/route-file.ts'
import { DEFAULT_OPTIONS } from '../../lib/route/options.ts'
import { placesIn } from '../../lib/route/site.ts'
import { context, routeRecord } from '../helpers/samples.ts'

const test = suite('locations')

const UNRESERVED = 'abcXYZ019-._~'.split('')
const segment = fc.string({ unit: fc.constantFrom(...UNRESERVED), minLength: 1, maxLength: 8 })
const path = fc
  .oneof(
    fc.array(fc.oneof(segment, fc.constantFrom('api', 'v2', '~', '=', '^~', '.well-known')), { maxLength: 4 }),
    fc.constantFrom(['.well-known', 'acme-challenge'], ['.well-known', 'acme-challenges'], ['api', '..']),
  )
  .map((segments) => `/${segments.join('/')}`)
  .filter((one) => v.is(RoutePath, one))
const paths = fc.uniqueArray(path, { minLength: 1, maxLength: 12 })

/** The server block of a site with these paths, read again. */
function serverOf(mounted: readonly string[]): readonly ReadDirective[] {
  const site = mounted.map((one, i) => {
    const options = { ...DEFAULT_OPTIONS, strip_prefix: one !== '/' && i % 2 === 0 }
    const record = routeRecord({ droplet_name: `d${i}`, ...pathField({ path: one }), options })
    return { record, enabled: true, drifted: false }
  })
  const places = placesIn(site)
  const texts = site.map((one) => renderRouteFile(one.record, context, places.get(one)))
  const servers = texts.flatMap((text) => readNginx(text).directives).filter(({ name }) => name === 'server')
  assert.is(servers.length, 1)
  return servers[0]?.block ?? []
}

/** The upstream of the location that NGINX chooses for a path: an exact one, or else the longest prefix (ngx_http_core_module, location). */
function chosen(block: readonly ReadDirective[], asked: string): string | undefined {
  const locations = block.filter(({ name }) => name === 'location')
  const exact = locations.find(({ args }) => args[0] === '=' && args[1] === asked)
  const prefixes = locations.filter(({ args }) => args[0] !== '=' && asked.startsWith(args.at(-1) ?? ''))
  const longest = prefixes.sort((a, b) => (b.args.at(-1) ?? '').length - (a.args.at(-1) ?? '').length)[0]
  const found = (exact ?? longest)?.block ?? []
  return found.find(({ name }) => name === 'proxy_pass')?.args[0]?.replace(/\/$/, '')
}

test('whatever the paths of a site are: each has its two locations, and there is nothing else', () => {
  const property = fc.property(paths, (mounted) => {
    const found = serverOf(mounted).flatMap(({ name, args }) => (name === 'location' ? [args.join(' ')] : []))
    const own = mounted.filter((one) => one !== '/').flatMap((one) => [`= ${one}`, `^~ ${one}/`])
    assert.equal(found.sort(), ['/', '^~ /.well-known/acme-challenge/', ...own].sort())
  })
  fc.assert(property, { numRuns: 200 })
})

test('of several paths the longest one is chosen, at the border of a segment', () => {
  const property = fc.property(
    paths,
    fc.array(fc.oneof(segment, fc.constantFrom('api', 'v2', '')), { maxLength: 4 }),
    (mounted, asked) => {
      const block = serverOf(mounted)
      for (const request of [
        `/${asked.join('/')}`,
        ...mounted.flatMap((one) => [one, `${one}/`, `${one}x`, `${one}/x`]),
      ]) {
        if (request.startsWith('/.well-known/acme-challenge/')) continue
        const below = mounted.filter((one) => one === '/' || request === one || request.startsWith(`${one}/`))
        const longest = below.sort((a, b) => b.length - a.length)[0]
        const expected = longest === undefined ? undefined : `http://fpai_d${mounted.indexOf(longest)}`
        assert.is(chosen(block, request), expected, `${request} of ${mounted}`)
      }
    },
  )
  fc.assert(property, { numRuns: 200 })
})

test('a path has segments of unreserved characters only, and none that is needed for challenges', () => {
  for (const good of [
    '/',
    '/api',
    '/api/v2',
    '/~user',
    '/a.b-c_d',
    '/...a',
    '/.well-known',
    '/.well-known/acme-challenges',
  ])
    assert.ok(v.is(RoutePath, good), good)
  for (const bad of [
    ...[
      '',
      'api',
      '/api/',
      '//',
      '/a//b',
      '/.',
      '/..',
      '/a/../b',
      '/...',
      '/a b',
      '/a%20b',
      '/a?b',
      '/a#b',
      '/a;b',
      '/a{b',
      '/a$b',
    ],
    ...['/a"b', "/a'b", '/a\\b', '/a\nb', '/é', '/a*', '/(a)', `/${'a'.repeat(255)}`],
    ...['/.well-known/acme-challenge', '/.well-known/acme-challenge/x'],
  ])
    assert.not.ok(v.is(RoutePath, bad), bad)
  const faultOf = (path: string) => v.safeParse(RoutePath, path).issues?.[0].message ?? ''
  assert.match(faultOf('/api/'), 'must not end in "/"')
  assert.match(faultOf('/.well-known/acme-challenge'), "needed for the CA's challenges")
})

test.run()
