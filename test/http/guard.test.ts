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

/** If tokens of the Registry are not accepted, none is verified. */
const askNobody = (): Promise<TokenResult> => {
  throw new Error('a token was verified')
}

/** The code of the rejection; `passed` if there is none. */
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

test('without a token, Host may be a loopback name or address, with any port', async () => {
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

test('without a token, a name that only looks like loopback is rejected, on every path and method', async () => {
  const hosts = ['evil.com', 'localhost.evil.com', '127.0.0.1.nip.io', 'localhost.', 'xlocalhost', '127.0.0.1.evil.com']
  for (const host of [...hosts, '10.0.0.1', '0.0.0.0', '[::]', '[::ffff:127.0.0.1]', '[2001:db8::1]', '128.0.0.1'])
    for (const path of PATHS)
      for (const method of METHODS)
        assert.is(await verdict(open, { host, path, method }), 'FORBIDDEN', `${host} ${path}`)
})

test('Host may be an allowed name or the listen address, in any case', async () => {
  const by = settings({ PROXY_MANAGER_ALLOWED_HOSTS: 'gateway.internal, Api.Example' })
  for (const host of ['gateway.internal', 'GATEWAY.internal:99', 'api.example', 'API.EXAMPLE', 'localhost'])
    assert.is(await verdict(by, { host }), 'passed', host)
  for (const host of ['x.gateway.internal', 'gateway.internal.evil.com', 'evil.com'])
    assert.is(await verdict(by, { host }), 'FORBIDDEN', host)
  const listening = { ...open, PROXY_MANAGER_HOST: '10.0.0.7' }
  assert.is(await verdict(listening, { host: '10.0.0.7:8100' }), 'passed')
  assert.is(await verdict(listening, { host: '10.0.0.8:8100' }), 'FORBIDDEN')
})

test('with PROXY_MANAGER_INSECURE, any Host is accepted, but no foreign Origin', async () => {
  const by = settings({ PROXY_MANAGER_HOST: '0.0.0.0', PROXY_MANAGER_INSECURE: 'true' })
  assert.is(await verdict(by, { host: 'anything.example' }), 'passed')
  assert.is(await verdict(by, { host: 'a.example', headers: { origin: 'http://b.example' } }), 'FORBIDDEN')
})

test('a foreign Origin is rejected: another host, another port, null, an empty one', async () => {
  const origins = ['http://evil', 'null', 'http://127.0.0.1:8101', 'http://127.0.0.1', 'http://localhost:8100', '', 'x']
  for (const origin of [...origins, 'file://', 'http://127.0.0.1:8100.evil.com', 'http://127.0.0.1:8100, http://evil'])
    for (const method of METHODS) assert.is(await verdict(open, { method, headers: { origin } }), 'FORBIDDEN', origin)
  assert.is(await verdict(open, { headers: { origin: 'http://127.0.0.1:8100' } }), 'passed')
})

test('what a browser sends for another site is rejected, even a preflight', async () => {
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

test('with a token, a browser on another site is rejected even if it has the token', async () => {
  const authorization = `Bearer ${TOKEN}`
  assert.is(await verdict(locked, { headers: { authorization, origin: 'http://evil.com' } }), 'FORBIDDEN')
  assert.is(await verdict(locked, { headers: { authorization, 'sec-fetch-site': 'cross-site' } }), 'FORBIDDEN')
})

test('a caller with the token has access from anywhere, with either header', async () => {
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

test('any other token is unauthorized on every path, whether there is such an endpoint or not', async () => {
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

test('a token in the query is ignored', async () => {
  assert.is(await verdict(locked, { path: `/proxies?token=${TOKEN}&access_token=${TOKEN}` }), 'UNAUTHORIZED')
})

test('only GET and HEAD of the health checks need no token', async () => {
  for (const path of ['/health', '/proxy-manager/health', '/health?x=1'])
    for (const method of ['GET', 'HEAD']) assert.is(await verdict(locked, { path, method }), 'passed', path)
  for (const path of ['/health', '/proxy-manager/health'])
    for (const method of ['PUT', 'POST', 'DELETE', 'OPTIONS'])
      assert.is(await verdict(locked, { path, method }), 'UNAUTHORIZED', path)
  for (const path of ['/health/', '/healthx', '/x/health', '//health', '/health%2f', '/HEALTH', '/health/../proxies'])
    assert.is(await verdict(locked, { path }), 'UNAUTHORIZED', path)
})

test('under a base, the health checks need no token under that base', async () => {
  assert.is(await verdict(locked, { base: '/pm', path: '/pm/health' }), 'passed')
  assert.is(await verdict(locked, { base: '/pm', path: '/pm/proxies' }), 'UNAUTHORIZED')
  assert.is(await verdict(locked, { base: '/pm', path: '/health' }), 'UNAUTHORIZED')
  assert.is(await verdict(locked, { base: '/pm', path: '/xx/health' }), 'UNAUTHORIZED')
})

test('if tokens of the Registry are accepted, a caller without one is unauthorized, even on this host', async () => {
  const by = settings({ AUTH_REGISTRY_JWT: 'true', REGISTRY_URL: 'http://registry.example' })
  for (const path of ['/proxies', '/state', '/no/such/endpoint', '/'])
    for (const method of METHODS) assert.is(await verdict(by, { path, method }), 'UNAUTHORIZED', `${method} ${path}`)
  for (const path of ['/health', '/proxy-manager/health']) assert.is(await verdict(by, { path }), 'passed')
})

const JWT = 'eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl'

/** The outcome of a call with a token, and how often that was verified. */
async function judged(
  answer: TokenResult,
  headers: Readonly<Record<string, string>>,
  more: Readonly<Record<string, string>> = {},
) {
  const by = settings({ AUTH_REGISTRY_JWT: 'true', REGISTRY_URL: 'http://registry.example', ...more })
  const verified: string[] = []
  const verify = async (token: string) => {
    verified.push(token)
    return answer
  }
  const request = new Request('http://127.0.0.1:8100/proxies', { headers: { ...headers } })
  const outcome = await guardRequest(request, by, '', verify).catch((error: unknown) => error)
  return { outcome, verified }
}

test('a token of the Registry gives the access that it grants', async () => {
  for (const grant of ['all', 'read'] as const)
    assert.equal(await judged({ grant }, { authorization: `Bearer ${JWT}` }), { outcome: grant, verified: [JWT] })
})

test('a configured token is accepted beside those of the Registry, without verifying it there', async () => {
  const read = 'fedcba9876543210'
  const tokens = { PROXY_MANAGER_API_TOKEN: TOKEN, PROXY_MANAGER_READ_TOKEN: read }
  for (const [token, outcome] of [
    [TOKEN, 'all'],
    [read, 'read'],
  ])
    assert.equal(await judged({ reason: 'signature' }, { authorization: `Bearer ${token}` }, tokens), {
      outcome,
      verified: [],
    })
  assert.equal((await judged({ grant: 'all' }, { authorization: `Bearer ${JWT}` }, tokens)).outcome, 'all')
})

test('an invalid token of the Registry is rejected with the reason and a remedy', async () => {
  for (const reason of ['expired', 'signature', 'audience', 'algorithm', 'no_expiry', 'not_yet_valid'] as const) {
    const { outcome } = await judged({ reason }, { authorization: `Bearer ${JWT}` })
    assert.instance(outcome, ProxyManagerError)
    if (!(outcome instanceof ProxyManagerError)) continue
    assert.equal([outcome.code, outcome.details.reason, outcome.retryAfterS], ['UNAUTHORIZED', reason, undefined])
    assert.type(outcome.details.remedy, 'string')
    assert.equal(outcome.headers, { 'www-authenticate': 'Bearer realm="proxy-manager", error="invalid_token"' })
  }
})

test("a missing key is this host's fault, and retryable", async () => {
  const { outcome } = await judged({ reason: 'key_unavailable' }, { authorization: `Bearer ${JWT}` })
  if (!(outcome instanceof ProxyManagerError)) throw new Error('was not rejected')
  const { reason, culprit, retryable } = outcome.details
  assert.equal(
    [outcome.status, reason, culprit, retryable, outcome.retryAfterS],
    [401, 'key_unavailable', 'host', true, 5],
  )
})

test('something that is not shaped like a token, or is in another header, is malformed, and not verified', async () => {
  for (const headers of [
    { authorization: 'Bearer wrong-wrong-wrong' },
    { authorization: 'Bearer a.b' },
    { authorization: 'Bearer a.b.c.d' },
    { authorization: `Bearer ${JWT}=` },
    { authorization: `Bearer ${'a'.repeat(8000)}.${'b'.repeat(500)}.c` },
    { 'x-api-token': JWT },
  ]) {
    const { outcome, verified } = await judged({ grant: 'all' }, headers)
    if (!(outcome instanceof ProxyManagerError)) throw new Error(`${JSON.stringify(headers)} was not rejected`)
    assert.equal([outcome.details.reason, verified], ['malformed', []])
  }
  const { outcome } = await judged({ grant: 'all' }, { authorization: `Bearer ${JWT}`, 'x-api-token': 'another' })
  assert.is(outcome instanceof ProxyManagerError && outcome.details.reason, undefined)
})

test.run()
