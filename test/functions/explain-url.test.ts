import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import deleteProxy from '../../functions/delete-proxy.ts'
import explainUrl from '../../functions/explain-url.ts'
import putProxy from '../../functions/put-proxy.ts'
import { contentsOf, onReload, textAt, writeAt } from '../helpers/arrange.ts'
import { certbotThatIssues, certificateFor, issue, putSecure } from '../helpers/certbot.ts'
import { APP, assertIssues, call, HEALTHY } from './wire.ts'

const test = suite('GET /explain')

const AT = '2026-01-01T00:00:00.000Z'
const SITE = '/etc/nginx/sites-enabled/hand'

async function depsWithApp(): Promise<FakeDeps> {
  const deps = await fakeDeps()
  await call(putProxy, deps, '/proxies/app', { method: 'PUT', body: APP })
  return deps
}

const explain = async (deps: FakeDeps, url: string) => {
  const { status, body } = await call(explainUrl, deps, `/explain?url=${encodeURIComponent(url)}`)
  assert.is(status, 200, JSON.stringify(body))
  return body
}

/** What was asked since the last look: name and address. */
function probes({ effects }: FakeDeps, from: number): string[] {
  return effects.journal.slice(from).map(({ verb, subject }) => `${verb} ${subject}`)
}

test('a route is named with its block, its location, its droplet, its last change, and the answer of NGINX', async () => {
  const deps = await depsWithApp()
  const before = contentsOf(deps.disk)
  const from = deps.effects.journal.length
  const { server_block: block, ...body } = await explain(deps, 'http://APP.example.com/x?y#z')
  const { text, ...shown } = block
  assert.equal(shown, {
    kind: 'route',
    file: 'sites-enabled/fpai-app.conf',
    line: 10,
    listen: '80',
    matched_by: 'exact',
    names: ['app.example.com'],
  })
  assert.match(text, /^server \{\n {4}listen 80;[\s\S]*\n\}$/)
  assert.equal(body, {
    url: 'http://app.example.com/x?y',
    summary:
      'Route app answers (sites-enabled/fpai-app.conf, line 10), from http://localhost:8002 (healthy). NGINX answered 200.',
    location: { match: '/', file: 'sites-enabled/fpai-app.conf', line: 21 },
    route: {
      droplet_name: 'app',
      path: '/',
      upstream: 'http://localhost:8002',
      status: 'active',
      health: HEALTHY,
      updated_at: AT,
      updated_by: { kind: 'local' },
    },
    certificate: null,
    nginx: { address: '127.0.0.1:80', status: 200, location: null, certificate_fingerprint: null, failure: null },
    agrees: true,
    difference: null,
  })
  assert.equal(contentsOf(deps.disk), before)
  assert.equal(probes(deps, from), ['probe app.example.com at 127.0.0.1', 'probe app.example.com at ::1'])
})

test('of several droplets under one domain the one that gets the path is named, or that none gets it', async () => {
  const deps = await depsWithApp()
  const put = (name: string, path: string, upstream_port: number) =>
    call(putProxy, deps, `/proxies/${name}`, { method: 'PUT', body: { ...APP, path, upstream_port } })
  await put('api', '/api', 8003)
  await put('v2', '/api/v2', 8004)
  const shown = ['/api', '/api/v2/x', '/apiary', '/%61pi/../api/v1'].map(async (path) => {
    const { route, location, summary } = await explain(deps, `http://app.example.com${path}`)
    assert.ok(summary.startsWith(`Route ${route.droplet_name} answers (sites-enabled/fpai-app.conf, line `), summary)
    assert.ok(summary.includes(`, from ${route.upstream} (healthy).`), summary)
    return [route.droplet_name, route.path, location.match]
  })
  assert.equal(await Promise.all(shown), [
    ['api', '/api', '= /api'],
    ['v2', '/api/v2', '^~ /api/v2/'],
    ['app', '/', '/'],
    ['api', '/api', '^~ /api/'],
  ])
  await call(deleteProxy, deps, '/proxies/app', { method: 'DELETE' })
  deps.nginx.upstreams.set(80, 404)
  const { route, summary } = await explain(deps, 'http://app.example.com/')
  assert.is(route, null)
  assert.match(summary, /^A server block of Proxy Manager answers \(sites-enabled\/fpai-api\.conf, line \d+\): 404\./)
})

test('the files of the CA, maintenance, and clients that are not allowed are not taken for the droplet', async () => {
  const deps = await depsWithApp()
  const put = (options: object) => call(putProxy, deps, '/proxies/app', { method: 'PUT', body: { ...APP, options } })
  const challenge = await explain(deps, 'http://app.example.com/.well-known/acme-challenge/x')
  assert.is(challenge.location.match, '^~ /.well-known/acme-challenge/')
  assert.is(challenge.summary, 'Route app answers (sites-enabled/fpai-app.conf, line 10). NGINX answered 404.')
  await put({ allow: ['192.0.2.7'] })
  deps.nginx.upstreams.set(80, 403)
  const denied = await explain(deps, 'http://app.example.com/')
  assert.equal([denied.agrees, denied.nginx.status], [true, 403])
  assert.match(denied.summary, /NGINX answered 403: it allows only some addresses, and this host is none of them\.$/)
  await put({ maintenance: true })
  deps.nginx.upstreams.set(80, 503)
  const closed = await explain(deps, 'http://app.example.com/')
  assert.match(closed.summary, /^Route app answers \(.*\): 503\. NGINX answered 503\.$/)
})

test('over HTTPS it has the certificate; another one than that of the files is a difference', async () => {
  const deps = await fakeDeps()
  const certificate = certificateFor('own.example.net')
  certbotThatIssues(deps, certificate)
  await putSecure(deps, 'own', 'own.example.net')
  await issue(deps, 'own')
  const { agrees, certificate: shown, nginx } = await explain(deps, 'https://own.example.net/')
  assert.equal(shown, {
    domains: ['own.example.net'],
    issuer: 'CN=Test CA',
    expiry: '2026-03-31T23:00:00.000Z',
    fingerprint_sha256: nginx.certificate_fingerprint,
    source: 'own',
  })
  assert.is(agrees, true)
  deps.host.probe.handshake = async () => ({ fingerprint: 'f'.repeat(64) })
  const other = await explain(deps, 'https://own.example.net/')
  const expected = shown.fingerprint_sha256.slice(0, 16)
  const difference = `At 127.0.0.1:443: expected the certificate ${expected}…, and got ffffffffffffffff….`
  assert.equal([other.agrees, other.difference], [false, difference])
  assert.ok(other.summary.endsWith(difference))
  // The answers about plain HTTP are those of the scripted NGINX: not the redirect that the file has.
  const plain = await explain(deps, 'http://own.example.net/a?b')
  assert.equal(plain.difference, 'At 127.0.0.1:80: expected 308, and got 200.')
  assert.match(plain.summary, 'line 10): 308 to https://own.example.net/a?b. At')
})

test('a name that no block has gets the catch-all, which closes the connection; a similar name is shown', async () => {
  const deps = await depsWithApp()
  deps.nginx.upstreams.set(80, 'ECONNRESET')
  const body = await explain(deps, 'http://ap.example.com/')
  assert.is(
    body.summary,
    'No server block has the name ap.example.com: the connection is closed without an answer. A similar name: app.example.com.',
  )
  assert.equal(
    [body.server_block.kind, body.server_block.matched_by, body.route, body.location, body.nginx.failure, body.agrees],
    ['shared', 'default_server', null, null, 'ECONNRESET', true],
  )
  deps.nginx.upstreams.set(80, 200)
  const open = await explain(deps, 'http://other.example.org/')
  const difference = 'At 127.0.0.1:80: expected that the connection is closed without an answer, and got 200.'
  assert.equal([open.agrees, open.difference], [false, difference])
})

test('a route that does not serve its name over this scheme, or is disabled, is named', async () => {
  const deps = await depsWithApp()
  const { summary, route } = await explain(deps, 'https://app.example.com/')
  const secure =
    'NGINX does not listen on port 443; its ports are 80 (http). Route app has the name app.example.com, but does not serve it over https.'
  assert.equal([summary, route], [secure, null])
  deps.disk.delete('/etc/nginx/sites-enabled/fpai-app.conf')
  deps.nginx.upstreams.set(80, 'ECONNRESET')
  const disabled =
    'Route app has the name app.example.com, but is disabled: the connection is closed without an answer.'
  assert.is((await explain(deps, 'http://app.example.com/')).summary, disabled)
})

test('of a hand-written block file and line are shown, and nothing of its text', async () => {
  const deps = await depsWithApp()
  writeAt(
    deps.disk,
    SITE,
    `# first\nserver { listen 80; listen [::]:80; server_name hand.example.org; auth_basic_user_file /etc/secret.htpasswd;
      location /a { proxy_set_header Authorization "Basic c2VjcmV0"; proxy_pass http://127.0.0.1:1; } }`,
  )
  const body = await explain(deps, 'http://hand.example.org/a/b')
  assert.equal(body.server_block, {
    kind: 'hand_written',
    file: 'sites-enabled/hand',
    line: 2,
    listen: '80',
    matched_by: 'exact',
    names: ['hand.example.org'],
    text: null,
  })
  assert.equal(body.location, { match: '/a', file: 'sites-enabled/hand', line: 3 })
  assert.equal([body.route, body.agrees], [null, true])
  assert.not.match(JSON.stringify(body), /secret|c2VjcmV0/)
})

test('the text of a file of ours that somebody has edited is not shown', async () => {
  const deps = await depsWithApp()
  const path = '/etc/nginx/sites-available/fpai-app.conf'
  writeAt(deps.disk, path, (textAt(deps.disk, path) ?? '').replace('location / {', 'location / { # secret\n'))
  const body = await explain(deps, 'http://app.example.com/')
  assert.equal([body.server_block.kind, body.server_block.text, body.route.status], ['route', null, 'drifted'])
  assert.not.match(JSON.stringify(body), /secret/)
})

test("the host's own default server gets unknown names", async () => {
  const deps = await depsWithApp()
  writeAt(deps.disk, SITE, 'server { listen 81 default_server; return 301 https://home.example.org$request_uri; }')
  deps.nginx.upstreams.set(81, 301)
  const body = await explain(deps, 'http://unknown.example.org:81/x')
  assert.equal([body.server_block.kind, body.server_block.matched_by], ['default_server', 'default_server'])
  assert.is(
    body.difference,
    'At 127.0.0.1:81: expected a redirect to https://home.example.org/x, and got one to nowhere.',
  )
  const other = 'No server block has the name unknown.example.org. The server block for unknown names gets it'
  assert.ok(body.summary.startsWith(other), body.summary)
})

test('without a default server the first block of all files gets unknown names, also one of a route', async () => {
  const deps = await depsWithApp()
  deps.disk.delete('/etc/nginx/sites-enabled/000-proxy-manager.conf')
  const { server_block: block, route, summary } = await explain(deps, 'http://unknown.example.org/')
  assert.equal([block.kind, block.matched_by, route.droplet_name], ['default_server', 'first', 'app'])
  const gets = 'No server block has the name unknown.example.org. The server block for unknown names gets it'
  assert.ok(summary.startsWith(`${gets} (sites-enabled/fpai-app.conf, line 10), from http://localhost:8002`), summary)
})

test('what depends on "if", on a regular expression that is not tried, or on a change in progress is not known', async () => {
  const deps = await depsWithApp()
  let during: ReturnType<typeof explain> | undefined
  onReload(deps, () => {
    during ??= explain(deps, 'http://app.example.com/')
  })
  await call(putProxy, deps, '/proxies/app', { method: 'PUT', body: { ...APP, upstream_port: 8003 } })
  const { agrees, difference } = (await during) ?? {}
  assert.equal([agrees, difference], [null, 'A change was being applied meanwhile: call again.'])
  writeAt(
    deps.disk,
    SITE,
    'server { listen 80; listen [::]:80; server_name if.example.org; if ($host = x) { return 404; } }',
  )
  const conditional = await explain(deps, 'http://if.example.org/')
  assert.equal(
    [conditional.agrees, conditional.difference],
    [null, 'What it answers depends on an "if" or a "rewrite", which is not evaluated here.'],
  )
  writeAt(deps.disk, SITE, '\nserver { listen 80; listen [::]:80; server_name ~^(a+)+$; }')
  const untried = await explain(deps, 'http://aaaa/')
  assert.equal(
    [untried.agrees, untried.difference],
    [
      null,
      'A regular expression was not tried, since that may take very long: that of sites-enabled/hand, line 2, may match.',
    ],
  )
})

test('a port without NGINX, or with the other scheme, is said, and nothing is asked', async () => {
  const deps = await depsWithApp()
  const from = deps.effects.journal.length
  for (const [url, summary] of Object.entries({
    'http://app.example.com:8100/': 'NGINX does not listen on port 8100; its ports are 80 (http).',
    'https://app.example.com:80/':
      'NGINX answers only http on port 80. Route app has the name app.example.com, but does not serve it over https.',
    'http://198.51.100.7/': 'NGINX does not listen on port 80 of the address 198.51.100.7 of this host.',
    'http://[2001:db8::7]/': 'NGINX does not listen on port 80 of the address 2001:db8::7 of this host.',
  })) {
    const body = await explain(deps, url)
    assert.equal([body.summary, body.server_block.kind, body.nginx, body.agrees], [summary, 'none', null, null])
  }
  assert.equal(probes(deps, from), [])
})

test('only addresses of this host at which NGINX listens are asked, whatever the URL and its name', async () => {
  const deps = await depsWithApp()
  deps.names.hosts.set('app.example.com', ['198.51.100.7'])
  writeAt(
    deps.disk,
    SITE,
    'server { listen 192.0.2.10:80; listen 198.51.100.9:80; listen 127.0.0.1:80; server_name other.example.org; return 204; }',
  )
  const from = deps.effects.journal.length
  const { elsewhere, ...body } = await explain(deps, 'http://app.example.com/')
  assert.equal(
    probes(deps, from).sort(),
    ['127.0.0.1', '192.0.2.10', '::1'].map((address) => `probe app.example.com at ${address}`),
  )
  assert.is(body.server_block.kind, 'route')
  assert.equal(
    elsewhere.map((one: Record<string, unknown>) => [one.kind, one.file, one.listen]),
    [
      ['default_server', 'sites-enabled/hand', '192.0.2.10:80'],
      ['default_server', 'sites-enabled/hand', '127.0.0.1:80'],
    ],
  )
})

test('if NGINX is stopped, the block is named all the same', async () => {
  const deps = await depsWithApp()
  deps.nginx.upstreams.set(80, 'ECONNREFUSED')
  const body = await explain(deps, 'http://app.example.com/')
  const difference =
    'At 127.0.0.1:80: expected an answer, and the connection was refused: NGINX is not running, or does not listen there.'
  assert.equal([body.server_block.kind, body.agrees, body.difference], ['route', false, difference])
  deps.nginx.upstreams.set(80, 'TIMEOUT')
  const slow = await explain(deps, 'http://app.example.com/')
  assert.equal([slow.agrees, slow.difference], [null, 'Expected an answer, and there was none in time.'])
})

test('what is no URL of a web site is a 400, and is not repeated', async () => {
  const deps = await fakeDeps()
  const url = 'http://user:secret@app.example.com/'
  const refused = await call(explainUrl, deps, `/explain?url=${encodeURIComponent(url)}`)
  assertIssues(refused, [['url', 'must not have a user name or a password']])
  assert.not.match(JSON.stringify([refused.body, deps.lines]), /secret/)
  const missing = 'must be an absolute URL, such as https://app.example.com/path'
  assertIssues(await call(explainUrl, deps, '/explain?url=app'), [['url', missing]])
  assertIssues(await call(explainUrl, deps, '/explain'), [['url', 'is required']])
  assertIssues(await call(explainUrl, deps, `/explain?host=a&url=${encodeURIComponent('http://a/')}`), [
    ['host', 'is not a known parameter'],
  ])
})

test.run()
