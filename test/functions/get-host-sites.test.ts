import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import getHostSites from '../../functions/get-host-sites.ts'
import { writeAt } from '../helpers/arrange.ts'
import { certificateFor, putLineage } from '../helpers/certbot.ts'
import { fixture } from '../helpers/memory-tree.ts'
import { putSite } from '../helpers/sweeps.ts'
import { put } from '../helpers/world.ts'
import { call } from './wire.ts'

const test = suite('GET /host/sites')

const sitesOf = async (deps: Awaited<ReturnType<typeof fakeDeps>>) =>
  (await call(getHostSites, deps, '/host/sites')).body.sites

test('it lists each file with a hand-written server block, with the bodies of the routes that would serve it', async () => {
  const deps = await fakeDeps()
  await put(deps, 'old', 'old.example.com', 8001)
  putSite(deps, { isLinked: true })
  const [site, ...others] = await sitesOf(deps)
  assert.equal(others, [])
  assert.equal([site.file, site.verdict, site.refusals], ['sites-enabled/shop', 'adoptable_with_differences', []])
  assert.equal(
    site.servers.map(({ line, names, listens }: Record<string, unknown>) => [line, names, listens]),
    [
      [1, ['shop.example.com'], ['80']],
      [6, ['api.example.com'], ['80']],
      [11, ['www.example.com'], ['80']],
    ],
  )
  assert.equal(
    site.routes.map(({ droplet_name, body }: Record<string, { domain?: string }>) => [droplet_name, body?.domain]),
    [
      ['shop-example-com', 'shop.example.com'],
      ['api-example-com', 'api.example.com'],
      ['www-example-com', 'www.example.com'],
    ],
  )
  assert.equal(site.routes[2].body.options, { redirect_to: 'shop.example.com' })
})

test('files of one name differ by their directories, and a file that something names cannot go', async () => {
  const deps = await fakeDeps()
  const text = fixture('sites/plain-alike.conf')
  writeAt(deps.disk, '/etc/nginx/conf.d/site.conf', text)
  writeAt(deps.disk, '/etc/nginx/sites-enabled/site.conf', text.replace('plain', 'other'))
  writeAt(deps.disk, '/etc/nginx/sites-enabled/more', 'include /etc/nginx/named.conf;\n')
  writeAt(deps.disk, '/etc/nginx/named.conf', text.replace('plain', 'named'))
  const sites = await sitesOf(deps)
  assert.equal(
    sites.map(({ file, verdict }: Record<string, unknown>) => [file, verdict]),
    [
      ['conf.d/site.conf', 'adoptable'],
      ['named.conf', 'refused'],
      ['sites-enabled/site.conf', 'adoptable'],
    ],
  )
  assert.match(sites[1].refusals[0].text, 'sites-enabled/more, line 1, includes it by its name')
})

test('what another file needs, or serves too, is refused with its place', async () => {
  const deps = await fakeDeps()
  writeAt(deps.disk, '/etc/nginx/sites-enabled/a', fixture('sites/upstream-one-server.conf'))
  const other =
    'server { listen 80; server_name b.example.com blog.example.com; location / { proxy_pass http://blog_backend; } }'
  writeAt(deps.disk, '/etc/nginx/sites-enabled/b', other)
  const [a] = await sitesOf(deps)
  assert.equal(
    a.refusals.map(({ line, text }: Record<string, unknown>) => [line, text]),
    [
      [1, 'sites-enabled/b, line 1, uses it'],
      [5, 'sites-enabled/b, line 1, serves blog.example.com, too'],
    ],
  )
})

test('HTTPS is adoptable only with a certificate of certbot that a route would serve, for every name', async () => {
  const deps = await fakeDeps()
  const refusals = async () => (await sitesOf(deps))[0].refusals.map(({ text }: Record<string, unknown>) => text)
  writeAt(deps.disk, '/etc/letsencrypt/options-ssl-nginx.conf', 'ssl_session_tickets off;\n')
  writeAt(deps.disk, '/etc/nginx/sites-enabled/example', fixture('sites/certbot-two-names.conf'))
  assert.equal(await refusals(), ['lineage example.com: certbot has no lineage example.com'])
  putLineage(deps.disk, 'example.com', certificateFor('example.com'))
  assert.equal(await refusals(), ['lineage example.com: it does not cover www.example.com'])
  putLineage(deps.disk, 'example.com', certificateFor('example.com', { aliases: ['www.example.com'] }), 2)
  assert.equal(await refusals(), [])
})

test('a lineage that a route would not be given by itself is chosen', async () => {
  const deps = await fakeDeps()
  writeAt(deps.disk, '/etc/letsencrypt/options-ssl-nginx.conf', 'ssl_session_tickets off;\n')
  const text = fixture('sites/certbot.conf')
  writeAt(deps.disk, '/etc/nginx/sites-enabled/shop', text.replaceAll('live/shop.example.com', 'live/old.example.com'))
  const choice = async () => (await sitesOf(deps))[0].routes[0].body.certificate
  putLineage(deps.disk, 'old.example.com', certificateFor('old.example.com', { aliases: ['shop.example.com'] }))
  assert.is(await choice(), undefined)
  putLineage(deps.disk, 'shop.example.com', certificateFor('shop.example.com'))
  assert.equal(await choice(), { lineage: 'old.example.com' })
})

test('a host without hand-written sites has none', async () => {
  const deps = await fakeDeps()
  await put(deps, 'old', 'old.example.com', 8001)
  assert.equal(await sitesOf(deps), [])
  assert.equal(await sitesOf(await fakeDeps({ mainConfiguration: null })), [])
})

test('names that JavaScript or a regular expression would read otherwise are those of a header and of a variable', async () => {
  const deps = await fakeDeps()
  const site = (header: string) =>
    `server { listen 80; server_name a.example.com; location / { proxy_pass http://127.0.0.1:1; proxy_set_header ${header} x; } }`
  for (const header of ['constructor', '__proto__', 'prototype', 'toString']) {
    writeAt(deps.disk, '/etc/nginx/sites-enabled/shop', site(header))
    const [{ verdict, refusals, routes }] = await sitesOf(deps)
    const isUsable = header === 'toString'
    assert.is(verdict, isUsable ? 'adoptable_with_differences' : 'refused', header)
    assert.is(refusals[0]?.text, isUsable ? undefined : 'a route has no header of this name')
    assert.equal(routes[0]?.body.options.request_headers, isUsable ? { toString: 'x' } : undefined)
  }
  writeAt(deps.disk, '/etc/nginx/sites-enabled/shop', `map $http_upgrade "$a(" { default ""; }\n${site('X-A')}`)
  assert.is((await sitesOf(deps))[0].verdict, 'adoptable_with_differences')
})

test('a token that may only read sees nothing of a hand-written file that may be a secret', async () => {
  const deps = await fakeDeps()
  const site = (more: string) =>
    `server { listen 80; server_name a.example.com; location / { proxy_pass http://127.0.0.1:1; proxy_set_header X-Key hidden; proxy_set_header X-Gone ""; ${more} } }`
  const shownTo = async (grant: 'all' | 'read', more = '') => {
    writeAt(deps.disk, '/etc/nginx/sites-enabled/shop', site(more))
    return (await call(getHostSites, { ...deps, caller: { grant, kind: 'token' } }, '/host/sites')).body.sites[0]
  }
  const headers = { 'X-Key': 'hidden', 'X-Gone': null }
  assert.equal((await shownTo('all')).routes[0].body.options.request_headers, headers)
  assert.equal((await shownTo('read')).routes[0].body.options.request_headers, { ...headers, 'X-Key': '…' })
  const refused = 'set $key hidden;'
  assert.is((await shownTo('all', refused)).refusals[0].directive, 'set $key hidden')
  assert.is((await shownTo('read', refused)).refusals[0].directive, 'set')
})

test.run()
