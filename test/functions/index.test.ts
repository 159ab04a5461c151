import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import getProxy from '../../functions/get-proxy.ts'
import { createApp, endpoints } from '../../functions/index.ts'
import putProxy from '../../functions/put-proxy.ts'
import { contentsOf } from '../helpers/arrange.ts'
import { makeSigner, pemOf, tokenOf } from '../helpers/tokens.ts'
import { type Answer, APP, answerOf, assertError, type CallOptions, requestTo } from './wire.ts'

const test = suite('the app')

type App = ReturnType<typeof createApp>

async function appOn(settings: Readonly<Record<string, string>> = {}): Promise<{ app: App; deps: FakeDeps }> {
  const deps = await fakeDeps({ settings })
  return { app: createApp(() => deps), deps }
}

async function call(app: App, path: string, options: CallOptions = {}): Promise<Answer> {
  return await answerOf(await app(requestTo(path, options)))
}

const METHODS = ['GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'PATCH', 'OPTIONS'] as const
/** Every address of every endpoint of the table, with a name in place of each parameter. */
const OPERATIONS = endpoints.flatMap(({ operation }) =>
  [operation, ...(operation.aliases ?? [])].map(({ method, path }) => ({
    method,
    path: path.replace(/:\w+/g, 'app'),
    operationId: operation.operationId,
  })),
)
const PATHS = [...new Set(OPERATIONS.map(({ path }) => path))]

test('every endpoint of the table is reached under its method and path', async () => {
  const { app, deps } = await appOn()
  await call(app, '/proxies/app', { method: 'PUT', body: APP })
  for (const { method, path, operationId } of OPERATIONS) {
    const from = deps.lines.length
    await call(app, path, { method, ...(method === 'PUT' || method === 'POST' ? { body: {} } : {}) })
    assert.ok(
      deps.lines.slice(from).some(({ action }) => action === operationId),
      `${method} ${path}`,
    )
  }
})

test('a route can be created, listed, read and deleted through the app', async () => {
  const { app } = await appOn()
  assert.is((await call(app, '/proxies/app', { method: 'PUT', body: APP })).status, 201)
  assert.is((await call(app, '/proxies')).body.length, 1)
  assert.is((await call(app, '/proxies/app')).body.domain, 'app.example.com')
  assert.is((await call(app, '/proxies/app', { method: 'DELETE' })).status, 200)
  assertError(await call(app, '/proxies/app'), 'PROXY_NOT_FOUND')
})

test('an unknown path answers 404 for every method', async () => {
  const { app } = await appOn()
  for (const path of ['/proxy', '/proxies/app/none', '/proxy-manager', '/favicon.ico', '/.env', '/__proto__'])
    for (const method of METHODS) {
      const answer = await call(app, path, { method })
      if (method === 'HEAD') assert.is(answer.status, 404)
      else assertError(answer, 'NOT_FOUND')
    }
})

test('a method that a path does not have answers 405 with Allow', async () => {
  const { app } = await appOn()
  for (const path of PATHS) {
    const taken = OPERATIONS.filter((operation) => operation.path === path).map(({ method }): string => method)
    // HEAD is only for operations that read: a sync by GET is none.
    const isRead = endpoints.some(
      ({ operation }) =>
        operation.method === 'GET' &&
        [operation, ...(operation.aliases ?? [])].some((own) => own.path.replace(/:\w+/g, 'app') === path),
    )
    const wanted = ['GET', 'PUT', 'POST', 'DELETE'].flatMap((method) =>
      taken.includes(method) ? (method === 'GET' && isRead ? ['GET', 'HEAD'] : [method]) : [],
    )
    const allow = [...wanted, 'OPTIONS'].join(', ')
    for (const method of METHODS.filter((name) => name !== 'OPTIONS' && !wanted.includes(name))) {
      const answer = await call(app, path, { method })
      assert.is(answer.status, 405, `${method} ${path}`)
      assert.is(answer.headers.get('allow'), allow)
      if (method !== 'HEAD') assertError(answer, 'METHOD_NOT_ALLOWED')
    }
    const options = await call(app, path, { method: 'OPTIONS' })
    assert.equal([options.status, options.headers.get('allow'), options.text], [204, allow, ''])
    assert.is(options.headers.get('access-control-allow-origin'), null)
  }
})

test('HEAD answers the status and headers of GET, without a body', async () => {
  const { app } = await appOn()
  await call(app, '/proxies/app', { method: 'PUT', body: APP })
  for (const path of ['/proxies', '/proxies/app', '/proxies/none', '/proxy-manager/health']) {
    const get = await call(app, path)
    const head = await app(requestTo(path, { method: 'HEAD' }))
    assert.equal([head.status, await head.text()], [get.status, ''])
    assert.is(head.headers.get('etag'), get.headers.get('etag'))
    assert.is(head.headers.get('content-length'), get.headers.get('content-length'))
  }
})

test('a method in a header is not a method', async () => {
  const { app, deps } = await appOn()
  await call(app, '/proxies/app', { method: 'PUT', body: APP })
  await deps.engine.idle()
  const before = contentsOf(deps.disk)
  await call(app, '/proxies/app', { headers: { 'x-http-method-override': 'DELETE' } })
  assert.equal(contentsOf(deps.disk), before)
})

test('a resource has one address: further slashes and another case answer 404', async () => {
  const { app } = await appOn()
  await call(app, '/proxies/app', { method: 'PUT', body: APP })
  for (const path of ['/proxies/', '/proxies/app/', '//proxies/app', '/proxies//app', '/PROXIES/app', '/Proxies'])
    for (const method of ['GET', 'DELETE']) assertError(await call(app, path, { method }), 'NOT_FOUND')
})

test('an encoded name is invalid: 400, never another path', async () => {
  const { app, deps } = await appOn()
  const before = contentsOf(deps.disk)
  for (const name of [
    '%2e%2e%2fnginx.conf',
    '..%252F',
    '%00',
    '%c0%af',
    'a%2f',
    'a%5c..',
    '%61',
    ';x=1',
    'a%0d%0aX: y',
  ])
    for (const method of ['GET', 'PUT', 'DELETE'] as const) {
      const body = method === 'PUT' ? { body: APP } : {}
      assertError(await call(app, `/proxies/${name}`, { method, ...body }), 'INVALID_REQUEST')
    }
  assert.equal(contentsOf(deps.disk), before)
})

test('line breaks and escapes in a path are logged escaped', async () => {
  const { app, deps } = await appOn()
  await call(app, '/proxies/a%0a%1b%5b31m')
  for (const line of deps.lines) assert.not.match(JSON.stringify(line), /\\n|\\u001b/)
})

test('under a base, every endpoint is behind it, and none without it', async () => {
  const deps = await fakeDeps()
  const app = createApp(() => deps, { base: '/pm' })
  assert.is((await call(app, '/pm/proxies/app', { method: 'PUT', body: APP })).status, 201)
  assert.is((await call(app, '/pm/proxies/app')).body.droplet_name, 'app')
  assert.is((await call(app, '/pm/proxy-manager/health')).status, 200)
  for (const path of ['/proxies', '/proxies/app', '/pm', '/pm/', '/pmproxies', '/pm/pm/proxies', '/x/pm/proxies'])
    assertError(await call(app, path), 'NOT_FOUND')
})

test('some endpoints can be mounted without the others', async () => {
  const deps = await fakeDeps()
  const app = createApp(() => deps, { mount: [getProxy, putProxy] })
  assert.is((await call(app, '/proxies/app', { method: 'PUT', body: APP })).status, 201)
  assert.is((await call(app, '/proxies/app')).status, 200)
  assertError(await call(app, '/proxies'), 'NOT_FOUND')
  const answer = await call(app, '/proxies/app', { method: 'DELETE' })
  assertError(answer, 'METHOD_NOT_ALLOWED')
  assert.is(answer.headers.get('allow'), 'GET, HEAD, PUT, OPTIONS')
})

test.run()

const guard = suite('the app: who may call')
const TOKEN = 'a-token-of-many-characters'

const NO_TOKENS: readonly Readonly<Record<string, string>>[] = [
  {},
  { authorization: `Bearer ${TOKEN.slice(0, -1)}` },
  { authorization: `Bearer ${TOKEN}x` },
  { authorization: `Bearer ${TOKEN.toUpperCase()}` },
  { authorization: `Basic ${TOKEN}` },
  { authorization: TOKEN },
  { authorization: `Bearer ${TOKEN} x` },
  { 'x-api-token': 'wrong' },
  { authorization: `Bearer ${TOKEN}`, 'x-api-token': 'wrong' },
  { authorization: 'Bearer wrong', 'x-api-token': TOKEN },
]

guard('without the token, every endpoint, unknown path and method answers 401, and nothing is done', async () => {
  const { app, deps } = await appOn({ PROXY_MANAGER_API_TOKEN: TOKEN })
  const before = contentsOf(deps.disk)
  for (const path of [...PATHS, '/none', '/proxies/%2e%2e%2fx', '/proxies/', '/health'])
    for (const method of METHODS) {
      const isOpen = ['/health', '/proxy-manager/health'].includes(path) && ['GET', 'HEAD'].includes(method)
      if (isOpen) continue
      for (const headers of NO_TOKENS) {
        const answer = await call(app, path, { method, headers })
        assert.is(answer.status, 401, `${method} ${path} ${JSON.stringify(headers)}`)
        assert.is(answer.headers.get('www-authenticate'), 'Bearer realm="proxy-manager"')
        assertError(answer, 'UNAUTHORIZED')
      }
    }
  assert.equal(contentsOf(deps.disk), before)
})

guard('the token is accepted in either header, from anywhere', async () => {
  const { app } = await appOn({ PROXY_MANAGER_API_TOKEN: TOKEN })
  for (const headers of [
    { authorization: `Bearer ${TOKEN}` },
    { authorization: `bearer ${TOKEN}` },
    { 'x-api-token': TOKEN },
    { authorization: `Bearer ${TOKEN}`, 'x-api-token': TOKEN },
  ]) {
    assert.is((await call(app, '/proxies', { headers })).status, 200)
    const elsewhere = new Request('http://manager.example.com/proxies', { headers })
    assert.is((await app(elsewhere)).status, 200)
  }
})

guard('the health checks need no token, only for reading', async () => {
  const { app } = await appOn({ PROXY_MANAGER_API_TOKEN: TOKEN })
  assert.is((await call(app, '/proxy-manager/health')).status, 200)
  assert.is((await app(requestTo('/proxy-manager/health', { method: 'HEAD' }))).status, 200)
  assertError(await call(app, '/proxy-manager/health', { method: 'POST' }), 'UNAUTHORIZED')
  assertError(await call(app, '/proxy-manager/health/', {}), 'UNAUTHORIZED')
  assertError(await call(app, '/x/proxy-manager/health', {}), 'UNAUTHORIZED')
})

guard('the read token can read, and cannot change anything by any method, path or message', async () => {
  const read = 'read-token-of-enough-characters'
  const { app, deps } = await appOn({
    PROXY_MANAGER_API_TOKEN: TOKEN,
    PROXY_MANAGER_READ_TOKEN: read,
    REGISTRY_URL: 'http://registry.example.com',
  })
  const headers = { authorization: `Bearer ${read}` }
  for (const path of ['/proxies', '/state', '/proxy-manager/metrics']) {
    assert.is((await app(requestTo(path, { headers }))).status, 200, path)
  }
  const body = { domain: 'app.example.com', upstream_port: 8001 }
  for (const [method, path] of [
    ['PUT', '/proxies/app'],
    ['POST', '/proxies'],
    ['DELETE', '/proxies/app'],
    ['POST', '/proxies/app/ssl'],
    // Its method is GET, but it changes routes.
    ['GET', '/proxy-manager/sync-from-registry'],
    ['POST', '/message'],
    ['POST', '/proxy-manager/reconcile'],
    ['POST', '/proxy-manager/sync-from-registry'],
  ] as const) {
    const answer = await call(app, path, { method, headers, ...(method === 'PUT' ? { body } : {}) })
    assertError(answer, 'FORBIDDEN')
  }
  assert.is(deps.nginx.reloads, 0)
})

const JWT_SETTINGS = { AUTH_REGISTRY_JWT: 'true', REGISTRY_URL: 'http://registry.example.com' }
const signer = makeSigner()

/** The app with tokens of the Registry accepted, and a full-access token with these further claims. */
async function appOfMesh(settings: Readonly<Record<string, string>> = {}) {
  const { app, deps } = await appOn({ ...JWT_SETTINGS, ...settings })
  deps.nginx.registryKey = { status: 200, body: pemOf(signer) }
  const exp = deps.clock.nowMs() / 1000 + 60
  const bearer = (claims = {}) => ({ authorization: `Bearer ${tokenOf(signer, { exp, ...claims })}` })
  return { app, deps, bearer }
}

guard('a token of the Registry is accepted from anywhere, for messages as well', async () => {
  const { app, deps, bearer } = await appOfMesh()
  const headers = bearer({ aud: 'proxy-manager' })
  assert.is((await call(app, '/proxies/app', { method: 'PUT', body: APP, headers })).status, 201)
  const elsewhere = new Request('http://manager.example.com/proxies', { headers })
  assert.is((await app(elsewhere)).status, 200)
  const message = { trace_id: 't', source: 's', target: 'proxy-manager', message_type: 'command' }
  const body = { ...message, payload: { command: 'delete', droplet_name: 'app' } }
  assert.is((await call(app, '/message', { method: 'POST', body, headers })).body.status, 'processed')
  assert.not.ok(deps.disk.has('/etc/nginx/sites-available/fpai-app.conf'))
})

guard('a read-only token of the Registry cannot change anything by any method, path or message', async () => {
  const { app, deps, bearer } = await appOfMesh()
  const before = contentsOf(deps.disk)
  const changing = endpoints.flatMap(({ operation }) =>
    operation.method === 'GET' || operation.isForReaders ? [] : [operation, ...(operation.aliases ?? [])],
  )
  const message = { trace_id: 't', source: 's', target: 'proxy-manager', message_type: 'command' }
  for (const claims of [
    { permissions: ['read'] },
    { permissions: [] },
    { permissions: ['proxies:read', 'users:write'] },
    { scope: 'unheard-of' },
    { role: 'admin', permissions: ['read'] },
  ]) {
    const headers = bearer(claims)
    assert.is((await call(app, '/proxies', { headers })).status, 200)
    for (const { method, path } of changing)
      for (const query of ['', '?dry_run=true']) {
        const body = path.endsWith('/message')
          ? { ...message, payload: { command: 'upsert', droplet_name: 'app', proxy: APP } }
          : APP
        const options = method === 'GET' ? { method, headers } : { method, headers, body }
        const answer = await call(app, `${path.replace(/:\w+/g, 'app')}${query}`, options)
        const { remedy } = assertError(answer, 'FORBIDDEN')
        assert.type(remedy, 'string', `${method} ${path}`)
      }
  }
  assert.equal(contentsOf(deps.disk), before)
})

guard(
  'if tokens of the Registry are accepted, everything except health needs one, and says what is wrong',
  async () => {
    const { app, deps, bearer } = await appOfMesh()
    const before = contentsOf(deps.disk)
    for (const [headers, reason] of [
      [{}, undefined],
      [bearer({ exp: 1 }), 'expired'],
      [bearer({ aud: 'orders' }), 'audience'],
      [{ authorization: `Bearer ${tokenOf(makeSigner(), { exp: 4e9 })}` }, 'signature'],
      [{ authorization: 'Bearer what-is-this' }, 'malformed'],
    ] as const)
      for (const path of ['/proxies', '/proxies/app', '/none', '/state'])
        for (const method of ['GET', 'PUT', 'DELETE'] as const) {
          const answer = await call(app, path, { method, headers })
          assert.is(assertError(answer, 'UNAUTHORIZED').reason, reason)
        }
    assert.is((await call(app, '/health')).status, 200)
    assert.is((await call(app, '/health', { headers: bearer({ exp: 1 }) })).status, 200)
    assert.equal(contentsOf(deps.disk), before)
    assert.ok(deps.lines.some(({ error_code, reason }) => error_code === 'UNAUTHORIZED' && reason === 'expired'))
  },
)

guard(
  'a configured token is accepted while the Registry is down; a token of the Registry is not, without its key',
  async () => {
    const { app, deps, bearer } = await appOfMesh({ PROXY_MANAGER_API_TOKEN: TOKEN })
    deps.nginx.registryKey = { failure: 'ECONNREFUSED' }
    assert.is((await call(app, '/proxies', { headers: { authorization: `Bearer ${TOKEN}` } })).status, 200)
    const answer = await call(app, '/proxies', { headers: bearer() })
    const { reason, culprit, retryable } = assertError(answer, 'UNAUTHORIZED')
    assert.equal([reason, culprit, retryable], ['key_unavailable', 'host', true])
    assert.is(answer.headers.get('retry-after'), '5')
  },
)

guard('a token of the Registry is in no answer and on no line of the log', async () => {
  const { app, deps, bearer } = await appOfMesh()
  for (const headers of [bearer(), bearer({ exp: 1 })]) {
    const shown = headers.authorization.slice('Bearer '.length)
    const answers = [await call(app, '/proxies', { headers }), await call(app, '/none', { headers })]
    for (const { text, headers: sent } of answers) assert.not.ok(`${text}${JSON.stringify([...sent])}`.includes(shown))
    assert.not.ok(JSON.stringify(deps.lines).includes(shown))
  }
})

guard('under a base, health needs no token there, and only there', async () => {
  const deps = await fakeDeps({ settings: { PROXY_MANAGER_API_TOKEN: TOKEN } })
  const app = createApp(() => deps, { base: '/pm' })
  assert.is((await call(app, '/pm/proxy-manager/health')).status, 200)
  assertError(await call(app, '/proxy-manager/health'), 'UNAUTHORIZED')
  assertError(await call(app, '/xx/proxy-manager/health'), 'UNAUTHORIZED')
})

guard('the token is in no answer and on no line of the log', async () => {
  const { app, deps } = await appOn({ PROXY_MANAGER_API_TOKEN: TOKEN })
  const headers = { authorization: `Bearer ${TOKEN}` }
  const texts = [
    await call(app, '/proxies/app', { method: 'PUT', body: APP, headers }),
    await call(app, '/proxies/app', { method: 'PUT', body: {}, headers }),
    await call(app, '/none', { headers }),
    await call(app, '/proxy-manager/health', { headers }),
  ].map(({ text, headers: sent }) => text + JSON.stringify([...sent]))
  assert.not.match(texts.join(''), TOKEN)
  assert.not.match(JSON.stringify(deps.lines), TOKEN)
})

guard('without a token a foreign Host answers 403, on every path', async () => {
  const { app } = await appOn()
  for (const host of ['evil.com', 'localhost.evil.com', '127.0.0.1.nip.io', '10.0.0.1', 'manager.example.com'])
    for (const path of ['/proxies', '/none', '/proxy-manager/health']) {
      const answer = await answerOf(await app(new Request(`http://${host}:8100${path}`)))
      assertError(answer, 'FORBIDDEN')
    }
  for (const host of ['localhost', '127.0.0.1', '[::1]', '127.1.2.3'])
    assert.is((await app(new Request(`http://${host}:8100/proxies`))).status, 200)
})

guard('allowed names may be in Host', async () => {
  const { app } = await appOn({ PROXY_MANAGER_ALLOWED_HOSTS: 'Manager.internal,other.internal' })
  for (const host of ['manager.internal', 'OTHER.internal'])
    assert.is((await app(new Request(`http://${host}:8100/proxies`))).status, 200)
  assert.is((await app(new Request('http://x.manager.internal:8100/proxies'))).status, 403)
})

guard('a call by a web page answers 403 with or without a token, and has no CORS headers', async () => {
  for (const settings of [{}, { PROXY_MANAGER_API_TOKEN: TOKEN }]) {
    const { app, deps } = await appOn(settings)
    const before = contentsOf(deps.disk)
    for (const foreign of [
      { origin: 'http://evil.com' },
      { origin: 'null' },
      { origin: 'http://127.0.0.1:9999' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ]) {
      const headers = { ...foreign, authorization: `Bearer ${TOKEN}` }
      const answer = await call(app, '/proxies/app', { method: 'PUT', body: APP, headers })
      assertError(answer, 'FORBIDDEN')
      const preflight = await call(app, '/proxies/app', { method: 'OPTIONS', headers })
      assert.is(preflight.status, 403)
      for (const name of answer.headers.keys()) assert.not.match(name, /^access-control/)
    }
    assert.equal(contentsOf(deps.disk), before)
  }
})

guard('a failure before a handler is reached is logged as an error, with its cause', async () => {
  const { app, deps } = await appOn({ AUTH_REGISTRY_JWT: 'true', REGISTRY_URL: 'http://registry.example.com' })
  const broken = createApp(() => ({
    ...deps,
    engine: { ...deps.engine, verifyToken: () => Promise.reject(new Error('no such key store')) },
  }))
  const headers = { authorization: `Bearer ${tokenOf(signer, { exp: 4e9 })}` }
  assertError(await call(broken, '/proxies', { headers }), 'INTERNAL')
  const [line] = deps.lines
  assert.equal([line?.level, line?.action, line?.status, line?.error_code], ['error', 'route', 500, 'INTERNAL'])
  assert.match(String(line?.cause), /no such key store/)
  assertError(await call(app, '/proxies'), 'UNAUTHORIZED')
})

guard('a failure before a handler is reached answers a complete error, and is logged', async () => {
  const { app, deps } = await appOn()
  const answer = await call(app, '/none', { headers: { 'x-correlation-id': 'c-1' } })
  assert.is(assertError(answer, 'NOT_FOUND').correlation_id, 'c-1')
  assert.equal(deps.lines, [
    {
      level: 'warn',
      action: 'route',
      result: 'failure',
      correlation_id: 'c-1',
      status: 404,
      error_code: 'NOT_FOUND',
      state: 'unchanged',
    },
  ])
})

guard.run()
