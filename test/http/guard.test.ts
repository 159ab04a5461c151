import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ProxyManagerError } from '../../lib/errors.ts'
import { guardRequest } from '../../lib/http/guard.ts'
import type { TokenResult } from '../../lib/mesh/token-claims.ts'
import { parseSettings } from '../../lib/settings/parse-settings.ts'
import type { Settings } from '../../lib/settings/settings.ts'

const test = suite('guard')

const TOKEN = '0123456789abcdef'
const METHODS = ['GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'OPTIONS', 'PATCH']
const PATHS = ['/proxies', '/proxies/a', '/health', '/proxy-manager/health', '/state', '/no/such/endpoint', '/']

interface Asked {
  readonly host?: string
  readonly path?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly base?: string
}

function settings(environment: Readonly<Record<string, string>> = {}): Settings {
  const parsed = parseSettings(environment)
  if ('faults' in parsed) throw new Error(parsed.faults.join())
  return parsed
}

const open = settings()
const locked = settings({ PROXY_MANAGER_API_TOKEN: TOKEN })

/** Where tokens of the Registry are not taken, nobody is asked about one. */
const askNobody = (): Promise<TokenResult> => {
  throw new Error('somebody was asked')
}

/** The code of the refusal; `passed` where there is none. */
async function verdict(
  by: Settings,
  { host = '127.0.0.1:8100', path = '/proxies', method = 'GET', headers, base }: Asked,
): Promise<string> {
  try {
    const request = new Request(`http://${host}${path}`, { method, headers: { ...headers } })
    await guardRequest(request, by, base ?? '', askNobody)
    return 'passed'
  } catch (error) {
    assert.instance(error, ProxyManagerError)
    if (!(error instanceof ProxyManagerError)) throw error
    if (error.code === 'UNAUTHORIZED')
      assert.equal(error.headers, { 'www-authenticate': 'Bearer realm="proxy-manager"' })
    return error.code
  }
}

test('without a token, a loopback name or address may stand in Host, with any port', async () => {
  for (const host of [
    'localhost',
    'localhost:8100',
    'LOCALHOST:1',
    '127.0.0.1',
    '127.0.0.9:8100',
    '[::1]',
    '[::1]:8100',
  ])
    assert.is(await verdict(open, { host }), 'passed', host)
})

test('without a token, a name that only looks like loopback is foreign, on every path and method', async () => {
  const hosts = ['evil.com', 'localhost.evil.com', '127.0.0.1.nip.io', 'localhost.', 'xlocalhost', '127.0.0.1.evil.com']
  for (const host of [...hosts, '10.0.0.1', '0.0.0.0', '[::]', '[::ffff:127.0.0.1]', '[2001:db8::1]', '128.0.0.1'])
    for (const path of PATHS)
      for (const method of METHODS)
        assert.is(await verdict(open, { host, path, method }), 'FORBIDDEN', `${host} ${path}`)
})

test('names that were allowed, and the address that is listened on, may stand in Host, in any case', async () => {
  const by = settings({ PROXY_MANAGER_ALLOWED_HOSTS: 'gateway.internal, Api.Example' })
  for (const host of ['gateway.internal', 'GATEWAY.internal:99', 'api.example', 'API.EXAMPLE', 'localhost'])
    assert.is(await verdict(by, { host }), 'passed', host)
  for (const host of ['x.gateway.internal', 'gateway.internal.evil.com', 'evil.com'])
    assert.is(await verdict(by, { host }), 'FORBIDDEN', host)
  const listening = { ...open, PROXY_MANAGER_HOST: '10.0.0.7' }
  assert.is(await verdict(listening, { host: '10.0.0.7:8100' }), 'passed')
  assert.is(await verdict(listening, { host: '10.0.0.8:8100' }), 'FORBIDDEN')
})

test('an API that was told to listen insecurely takes any Host, but no foreign Origin', async () => {
  const by = settings({ PROXY_MANAGER_HOST: '0.0.0.0', PROXY_MANAGER_INSECURE: 'true' })
  assert.is(await verdict(by, { host: 'anything.example' }), 'passed')
  assert.is(await verdict(by, { host: 'a.example', headers: { origin: 'http://b.example' } }), 'FORBIDDEN')
})

test('a foreign Origin is refused: another host, another port, null, none at all', async () => {
  const origins = ['http://evil', 'null', 'http://127.0.0.1:8101', 'http://127.0.0.1', 'http://localhost:8100', '', 'x']
  for (const origin of [...origins, 'file://', 'http://127.0.0.1:8100.evil.com', 'http://127.0.0.1:8100, http://evil'])
    for (const method of METHODS) assert.is(await verdict(open, { method, headers: { origin } }), 'FORBIDDEN', origin)
  assert.is(await verdict(open, { headers: { origin: 'http://127.0.0.1:8100' } }), 'passed')
})

test('what a browser sends for another site is refused, a preflight too', async () => {
  for (const site of ['cross-site', 'same-site', 'x', ''])
    assert.is(
      await verdict(open, { headers: { 'sec-fetch-site': site, 'sec-fetch-mode': 'no-cors' } }),
      'FORBIDDEN',
      site,
    )
  for (const site of ['same-origin', 'none'])
    assert.is(await verdict(open, { headers: { 'sec-fetch-site': site } }), 'passed')
  const preflight = { origin: 'http://evil.com', 'access-control-request-method': 'PUT' }
  assert.is(await verdict(open, { method: 'OPTIONS', headers: preflight }), 'FORBIDDEN')
})

test('with a token, a browser on another site is refused even if it knew the token', async () => {
  const authorization = `Bearer ${TOKEN}`
  assert.is(await verdict(locked, { headers: { authorization, origin: 'http://evil.com' } }), 'FORBIDDEN')
  assert.is(await verdict(locked, { headers: { authorization, 'sec-fetch-site': 'cross-site' } }), 'FORBIDDEN')
})

test('with a token, who presents it passes from anywhere, in either header', async () => {
  for (const headers of [
    { authorization: `Bearer ${TOKEN}` },
    { authorization: `bearer ${TOKEN}` },
    { 'x-api-token': TOKEN },
    { authorization: `Bearer ${TOKEN}`, 'x-api-token': TOKEN },
    { authorization: 'Basic eDp5', 'x-api-token': TOKEN },
  ])
    for (const path of PATHS)
      for (const method of METHODS)
        assert.is(
          await verdict(locked, { host: 'any.example', path, method, headers }),
          'passed',
          JSON.stringify(headers),
        )
})

test('with a token, any other is unauthorized on every path, whether there is such an endpoint or not', async () => {
  for (const headers of [
    {},
    { authorization: '' },
    { authorization: 'Bearer' },
    { authorization: 'Bearer wrong-wrong-wrong' },
    { authorization: `Bearer ${TOKEN.slice(0, -1)}` },
    { authorization: `Bearer ${TOKEN}0` },
    { authorization: `Bearer  ${TOKEN}` },
    { authorization: `Bearer ${TOKEN.toUpperCase()}` },
    { authorization: TOKEN },
    { authorization: `Basic ${TOKEN}` },
    { authorization: `Token ${TOKEN}` },
    { authorization: `Bearer ${TOKEN}, Bearer ${TOKEN}` },
    { 'x-api-token': `${TOKEN}, ${TOKEN}` },
    { 'x-api-token': `Bearer ${TOKEN}` },
    { authorization: `Bearer ${TOKEN}`, 'x-api-token': 'another' },
    { authorization: 'Bearer another-one-here', 'x-api-token': TOKEN },
    { cookie: `token=${TOKEN}` },
  ])
    for (const path of ['/proxies', '/proxies/a', '/state', '/no/such/endpoint', '/'])
      for (const method of METHODS)
        assert.is(
          await verdict(locked, { path, method, headers }),
          'UNAUTHORIZED',
          `${JSON.stringify(headers)} ${path}`,
        )
})

test('a token in the address is none', async () => {
  assert.is(await verdict(locked, { path: `/proxies?token=${TOKEN}&access_token=${TOKEN}` }), 'UNAUTHORIZED')
})

test('the health checks alone are open without the token, to be read', async () => {
  for (const path of ['/health', '/proxy-manager/health', '/health?x=1'])
    for (const method of ['GET', 'HEAD']) assert.is(await verdict(locked, { path, method }), 'passed', path)
  for (const path of ['/health', '/proxy-manager/health'])
    for (const method of ['PUT', 'POST', 'DELETE', 'OPTIONS'])
      assert.is(await verdict(locked, { path, method }), 'UNAUTHORIZED', path)
  for (const path of ['/health/', '/healthx', '/x/health', '//health', '/health%2f', '/HEALTH', '/health/../proxies'])
    assert.is(await verdict(locked, { path }), 'UNAUTHORIZED', path)
})

test('under a base, the health checks are open under that base', async () => {
  assert.is(await verdict(locked, { base: '/pm', path: '/pm/health' }), 'passed')
  assert.is(await verdict(locked, { base: '/pm', path: '/pm/proxies' }), 'UNAUTHORIZED')
  assert.is(await verdict(locked, { base: '/pm', path: '/health' }), 'UNAUTHORIZED')
  assert.is(await verdict(locked, { base: '/pm', path: '/xx/health' }), 'UNAUTHORIZED')
})

test('tokens of the Registry are taken: whoever shows none is unauthorized, from this host as well', async () => {
  const by = settings({ AUTH_REGISTRY_JWT: 'true', REGISTRY_URL: 'http://registry.example' })
  for (const path of ['/proxies', '/state', '/no/such/endpoint', '/'])
    for (const method of METHODS) assert.is(await verdict(by, { path, method }), 'UNAUTHORIZED', `${method} ${path}`)
  for (const path of ['/health', '/proxy-manager/health']) assert.is(await verdict(by, { path }), 'passed')
})

const JWT = 'eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl'

/** What comes of a call that shows a token, and how often the verifier was asked about it. */
async function judged(
  answer: TokenResult,
  headers: Readonly<Record<string, string>>,
  more: Readonly<Record<string, string>> = {},
) {
  const by = settings({ AUTH_REGISTRY_JWT: 'true', REGISTRY_URL: 'http://registry.example', ...more })
  const asked: string[] = []
  const verify = async (token: string) => {
    asked.push(token)
    return answer
  }
  const request = new Request('http://127.0.0.1:8100/proxies', { headers: { ...headers } })
  const outcome = await guardRequest(request, by, '', verify).catch((error: unknown) => error)
  return { outcome, asked }
}

test('a token of the Registry passes with what it grants', async () => {
  for (const grant of ['all', 'read'] as const)
    assert.equal(await judged({ grant }, { authorization: `Bearer ${JWT}` }), { outcome: grant, asked: [JWT] })
})

test('a token that was set passes without a look at the Registry, beside its tokens', async () => {
  const read = 'fedcba9876543210'
  const tokens = { PROXY_MANAGER_API_TOKEN: TOKEN, PROXY_MANAGER_READ_TOKEN: read }
  for (const [token, outcome] of [
    [TOKEN, 'all'],
    [read, 'read'],
  ])
    assert.equal(await judged({ reason: 'signature' }, { authorization: `Bearer ${token}` }, tokens), {
      outcome,
      asked: [],
    })
  assert.equal((await judged({ grant: 'all' }, { authorization: `Bearer ${JWT}` }, tokens)).outcome, 'all')
})

test('a token of the Registry that is not good is told why, and what to do', async () => {
  for (const reason of ['expired', 'signature', 'audience', 'algorithm', 'no_expiry', 'not_yet_valid'] as const) {
    const { outcome } = await judged({ reason }, { authorization: `Bearer ${JWT}` })
    assert.instance(outcome, ProxyManagerError)
    if (!(outcome instanceof ProxyManagerError)) continue
    assert.equal([outcome.code, outcome.details.reason, outcome.retryAfterS], ['UNAUTHORIZED', reason, undefined])
    assert.type(outcome.details.remedy, 'string')
    assert.equal(outcome.headers, { 'www-authenticate': 'Bearer realm="proxy-manager", error="invalid_token"' })
  }
})

test("a key that is missing is this host's fault, and may be there soon", async () => {
  const { outcome } = await judged({ reason: 'key_unavailable' }, { authorization: `Bearer ${JWT}` })
  if (!(outcome instanceof ProxyManagerError)) throw new Error('was not refused')
  const { reason, culprit, retryable } = outcome.details
  assert.equal(
    [outcome.status, reason, culprit, retryable, outcome.retryAfterS],
    [401, 'key_unavailable', 'host', true, 5],
  )
})

test('what has not the form of a token, or comes in another header, is malformed, and nobody is asked', async () => {
  for (const headers of [
    { authorization: 'Bearer wrong-wrong-wrong' },
    { authorization: 'Bearer a.b' },
    { authorization: 'Bearer a.b.c.d' },
    { authorization: `Bearer ${JWT}=` },
    { authorization: `Bearer ${'a'.repeat(8000)}.${'b'.repeat(500)}.c` },
    { 'x-api-token': JWT },
  ]) {
    const { outcome, asked } = await judged({ grant: 'all' }, headers)
    if (!(outcome instanceof ProxyManagerError)) throw new Error(`${JSON.stringify(headers)} was not refused`)
    assert.equal([outcome.details.reason, asked], ['malformed', []])
  }
  const { outcome } = await judged({ grant: 'all' }, { authorization: `Bearer ${JWT}`, 'x-api-token': 'another' })
  assert.is(outcome instanceof ProxyManagerError && outcome.details.reason, undefined)
})

test.run()
