import { mkdirSync, writeFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Droplet } from '../../fixtures/droplet.ts'
import { call, putRoute, type RealHost, startHost, through } from '../helpers/system/host.ts'
import { setUp } from '../helpers/system/set-up.ts'

interface Context {
  host: RealHost
  droplets: ReadonlyMap<string, Droplet>
}

const test = suite<Context>('several droplets under one domain')

const DOMAIN = 'app.example.com'
/** The path of each droplet; one of them is sent paths without its own. */
const MOUNTS = { web: '/', api: '/api', v2: '/api/v2', docs: '/docs', deep: '/docs/a/b' } as const
const STRIPPED = 'api'

setUp(test, async (context, undo) => {
  context.host = await startHost()
  undo(context.host.close)
  const { host } = context
  const names = Object.keys(MOUNTS)
  const started = await Promise.all(names.map(async (name) => [name, await host.droplet(name)] as const))
  context.droplets = new Map(started)
  await Promise.all(
    started.map(([name, { port }]) => putRoute(host.manager, name, DOMAIN, port, siteOf(name as keyof typeof MOUNTS))),
  )
})

function siteOf(name: keyof typeof MOUNTS): Record<string, unknown> {
  return { path: MOUNTS[name], options: { strip_prefix: name === STRIPPED } }
}

/** The path that NGINX matches: decoded, with slashes merged and dots resolved; `undefined` if it leads above the root, which is a 400. */
function normalized(path: string): string | undefined {
  const segments: string[] = []
  const given = decodeURIComponent(path).split('/').slice(1)
  for (const segment of given) {
    if (segment === '..' && segments.pop() === undefined) return undefined
    if (!['', '.', '..'].includes(segment)) segments.push(segment)
  }
  const isFolder = ['', '.', '..'].includes(given.at(-1) ?? '')
  return `/${segments.join('/')}${isFolder && segments.length > 0 ? '/' : ''}`
}

/** The droplet with the longest path that a path has at its beginning, up to the border of a segment. */
function expected(path: string): string {
  const below = Object.entries(MOUNTS).filter(([, own]) => own === '/' || path === own || path.startsWith(`${own}/`))
  return below.sort(([, a], [, b]) => b.length - a.length)[0]?.[0] ?? ''
}

const SEGMENTS = [
  'api',
  '%61pi',
  'ap%69',
  'apiary',
  'API',
  'v2',
  'v2x',
  'docs',
  'a',
  'b',
  'x',
  '.',
  '..',
  '',
  '%2e%2e',
  'x%2Fy',
]
const request = fc
  .tuple(fc.array(fc.constantFrom(...SEGMENTS), { maxLength: 5 }), fc.constantFrom('', '?', '?x', '?a=/docs'))
  .map(([segments, query]) => `/${segments.join('/')}${query}`)

test('a request reaches the droplet with the longest path at the border of a segment, in every spelling of the path', async ({
  host,
  droplets,
}) => {
  const fixed = [
    '/api',
    '/api?x',
    '/api/',
    '/apiary',
    '/%61pi/x',
    '/api/../x',
    '/api/v2',
    '/api/v2/',
    '/api/v2x',
    '//api//x',
    '/docs/a',
    '/docs/a/b',
    '/docs/a/bc',
  ]
  const sent = async (url: string): Promise<void> => {
    const [path = '', query] = url.split(/\?(.*)/)
    const target = normalized(path)
    const answer = await through(host.nginx.httpPort, DOMAIN, url)
    if (target === undefined) return assert.is(answer, 'status 400', url)
    const name = expected(target)
    assert.is(answer, name, url)
    const seen = droplets.get(name)?.requests.at(-1)
    if (name !== STRIPPED) return assert.is(seen?.url, url)
    const [seenPath = '', seenQuery] = (seen?.url ?? '').split(/\?(.*)/)
    assert.is(decodeURIComponent(seenPath), target.slice(MOUNTS.api.length) || '/', url)
    assert.is(seenQuery ?? '', query ?? '', url)
    assert.is(seen?.headers['x-forwarded-prefix'], MOUNTS.api)
  }
  for (const url of fixed) await sent(url)
  await fc.assert(fc.asyncProperty(request, sent), { numRuns: 400 })
})

test('the CA gets its challenge, whatever is mounted beside it', async ({ host }) => {
  const folder = `${host.nginx.root}/state/acme/.well-known/acme-challenge`
  mkdirSync(folder, { recursive: true })
  writeFileSync(`${folder}/token`, 'key authorization')
  const { port } = await host.droplet('known')
  assert.is((await putRoute(host.manager, 'known', DOMAIN, port, { path: '/.well-known' })).status, 201)
  assert.is(await through(host.nginx.httpPort, DOMAIN, '/.well-known/acme-challenge/token'), 'key authorization')
  assert.is(await through(host.nginx.httpPort, DOMAIN, '/.well-known/openid'), 'known')
  for (const path of ['/.well-known/acme-challenge', '/.well-known/acme-challenge/x'])
    assert.is((await putRoute(host.manager, 'x', DOMAIN, port, { path })).body.error?.code, 'INVALID_REQUEST')
  assert.is((await call(host.manager, 'DELETE', '/proxies/known')).status, 200)
})

test('without a route for the path / it is a 404, and the mounts are served as before', async ({ host, droplets }) => {
  const { httpPort } = host.nginx
  assert.is((await call(host.manager, 'DELETE', '/proxies/web')).status, 200)
  assert.is(await through(httpPort, DOMAIN, '/'), 'status 404')
  assert.is(await through(httpPort, DOMAIN, '/apiary'), 'status 404')
  for (const [name, path] of Object.entries(MOUNTS).slice(1)) assert.is(await through(httpPort, DOMAIN, path), name)
  const { port } = droplets.get('web') ?? { port: 0 }
  assert.is((await putRoute(host.manager, 'web', DOMAIN, port)).status, 201)
  assert.is(await through(httpPort, DOMAIN, '/apiary'), 'web')
})

test('no request is lost while routes of the domain come, change and go', async ({ host, droplets }) => {
  const { httpPort } = host.nginx
  let isDone = false
  const failures: string[] = []
  const watch = async () => {
    for (let sent = 0; !isDone || sent === 0; sent++) {
      const answer = await through(httpPort, DOMAIN, '/docs/x')
      if (answer !== 'docs') failures.push(answer)
    }
  }
  const watching = [watch(), watch()]
  const { port } = droplets.get('web') ?? { port: 0 }
  for (const [method, name, path] of [
    ['PUT', 'aaa', '/first'],
    ['DELETE', 'web', ''],
    ['PUT', 'aaa', '/second'],
    ['DELETE', 'aaa', ''],
    ['PUT', 'web', '/'],
  ] as const) {
    const body = { domain: DOMAIN, upstream_port: port, enable_ssl: false, path }
    const { status } = await call(host.manager, method, `/proxies/${name}`, method === 'PUT' ? body : undefined)
    assert.ok(status < 300, `${method} ${name}: ${status}`)
  }
  isDone = true
  await Promise.all(watching)
  assert.equal(failures, [])
})

test('an edited file with the server blocks is named when one of its mounts is to change', async ({
  host,
  droplets,
}) => {
  const file = `${host.nginx.sitesAvailable}/fpai-web.conf`
  const { readFileSync } = await import('node:fs')
  const text = readFileSync(file, 'utf8')
  writeFileSync(file, text.replace('proxy_read_timeout 300s', 'proxy_read_timeout 301s'))
  const { port } = droplets.get('docs') ?? { port: 0 }
  const refused = await putRoute(host.manager, 'docs', DOMAIN, port, { path: '/documents' })
  assert.is(refused.body.error?.code, 'DOMAIN_CONFLICT')
  assert.equal(refused.body.error?.details.owner, { droplet_name: 'web' })
  writeFileSync(file, text)
  assert.is((await putRoute(host.manager, 'docs', DOMAIN, port, { path: '/docs' })).status, 200)
})

test.run()
