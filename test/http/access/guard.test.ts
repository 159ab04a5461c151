import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { hostFiles } from '../../../lib/adapters/files.ts'
import { ProxyManagerError } from '../../../lib/errors.ts'
import { type FailedAttempts, failedAttempts } from '../../../lib/http/access/failed-attempts.ts'
import { type Caller, guardRequest } from '../../../lib/http/access/guard.ts'
import { memorySessions } from '../../../lib/http/access/sessions.ts'
import { namedTokens } from '../../../lib/mesh/named-tokens.ts'
import type { TokenResult } from '../../../lib/mesh/token-claims.ts'
import { parseSettings } from '../../../lib/settings/parse-settings.ts'
import type { Settings } from '../../../lib/settings/settings.ts'

const test = suite('guard')

const TOKEN = '0123456789abcdef'
const METHODS = ['GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'OPTIONS', 'PATCH']
const PATHS = [
  '/proxies',
  '/proxies/a',
  '/health',
  '/proxy-manager/health',
  '/state',
  '/no/such/endpoint',
  '/uix',
  '/session',
]

interface Asked {
  readonly host?: string
  readonly path?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly base?: string
  readonly address?: string
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

/** What nobody asks for in most tests. */
const GATE = {
  base: '',
  address: undefined,
  attempts: failedAttempts(() => 0),
  nowMs: () => 0,
  sessions: memorySessions(() => 0),
  onLockOut: () => undefined,
}

const findIn = (by: Settings) => {
  const log = { write: () => undefined, flush: async () => undefined }
  return namedTokens({ settings: by, files: hostFiles(), log }, { add: async () => undefined }).find
}

async function callerOf(
  by: Settings,
  { host = '127.0.0.1:8100', path = '/proxies', method = 'GET', headers, base = '', address }: Asked = {},
): Promise<Caller> {
  const request = new Request(`http://${host}${path}`, { method, headers: { ...headers } })
  return await guardRequest(request, {
    ...GATE,
    settings: by,
    base,
    address,
    verifyToken: askNobody,
    findToken: findIn(by),
  })
}

/** The code of the rejection; `passed` if there is none. */
async function verdict(by: Settings, asked: Asked): Promise<string> {
  try {
    await callerOf(by, asked)
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

test('with PROXY_MANAGER_INSECURE, a web page may call an address or a known name only, which cannot be rebound to this host', async () => {
  const by = settings({
    PROXY_MANAGER_HOST: '0.0.0.0',
    PROXY_MANAGER_INSECURE: 'true',
    PROXY_MANAGER_ALLOWED_HOSTS: 'manager.internal',
  })
  const fromPage = (host: string): Asked[] =>
    METHODS.flatMap((method) => [
      { host, method, headers: { origin: `http://${host}` } },
      { host, method, headers: { 'sec-fetch-site': 'same-origin' } },
    ])
  for (const asked of fromPage('rebound.example:8100')) assert.is(await verdict(by, asked), 'FORBIDDEN')
  for (const host of ['10.0.0.7:8100', '[2001:db8::1]:8100', 'manager.internal', 'localhost:8100'])
    for (const asked of fromPage(host)) assert.is(await verdict(by, asked), 'passed', host)
})

test('without a token, a program on this host is distinguished from browsers and from other hosts', async () => {
  const any = settings({ PROXY_MANAGER_HOST: '0.0.0.0', PROXY_MANAGER_INSECURE: 'true' })
  const kind = async (asked: Asked) => (await callerOf(any, asked)).kind
  for (const address of [undefined, '127.0.0.1', '127.8.8.8', '::1', '::ffff:127.0.0.1'])
    for (const host of ['127.0.0.1:8100', 'localhost', '[::1]:8100'])
      assert.is(await kind({ host, ...(address === undefined ? {} : { address }) }), 'local', `${host} ${address}`)
  for (const address of ['192.0.2.1', '10.0.0.1', '::ffff:192.0.2.1', '2001:db8::1', 'fe80::1%eth0', ''])
    assert.is(await kind({ address }), 'open', address)
  // A browser leaves Sec-Fetch-Site out if the name is not a loopback one and the scheme is HTTP.
  for (const host of ['rebound.example', '10.0.0.7:8100']) assert.is(await kind({ host, address: '127.0.0.1' }), 'open')
  for (const site of ['none', 'same-origin']) assert.is(await kind({ headers: { 'sec-fetch-site': site } }), 'open')
  for (const headers of [{ origin: 'http://127.0.0.1:8100' }, { 'user-agent': 'Mozilla/5.0 (Macintosh) Safari/605' }])
    assert.is(await kind({ headers }), 'open')
  assert.is(await kind({ headers: { 'user-agent': 'curl/8.5.0' } }), 'local')
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
    for (const path of ['/proxies', '/proxies/a', '/state', '/no/such/endpoint', '/uix', '/session'])
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

test('a health check knows callers with a token from strangers, whose token is missing or wrong', async () => {
  for (const path of ['/health', '/proxy-manager/health']) {
    const kind = async (headers: Readonly<Record<string, string>>) => (await callerOf(locked, { path, headers })).kind
    assert.is(await kind({ authorization: `Bearer ${TOKEN}` }), 'token')
    for (const headers of [
      {},
      { authorization: 'Bearer wrong' },
      { authorization: `Bearer ${TOKEN}`, 'x-api-token': 'x' },
    ])
      assert.is(await kind(headers), 'stranger', JSON.stringify(headers))
  }
  assert.is((await judged({ grant: 'all' }, { authorization: `Bearer ${JWT}` }, {}, '/health')).verified.length, 1)
})

test('under a base, the health checks need no token under that base', async () => {
  assert.is(await verdict(locked, { base: '/pm', path: '/pm/health' }), 'passed')
  assert.is(await verdict(locked, { base: '/pm', path: '/pm/proxies' }), 'UNAUTHORIZED')
  assert.is(await verdict(locked, { base: '/pm', path: '/health' }), 'UNAUTHORIZED')
  assert.is(await verdict(locked, { base: '/pm', path: '/xx/health' }), 'UNAUTHORIZED')
})

test('if tokens of the Registry are accepted, a caller without one is unauthorized, even on this host', async () => {
  const by = settings({ AUTH_REGISTRY_JWT: 'true', REGISTRY_URL: 'http://registry.example' })
  for (const path of ['/proxies', '/state', '/no/such/endpoint', '/uix', '/session'])
    for (const method of METHODS) assert.is(await verdict(by, { path, method }), 'UNAUTHORIZED', `${method} ${path}`)
  for (const path of ['/health', '/proxy-manager/health', '/', '/ui', '/ui/', '/ui/assets/x.js']) {
    assert.is(await verdict(by, { path }), 'passed', path)
    assert.is(await verdict(by, { path, method: 'POST' }), 'UNAUTHORIZED', path)
  }
})

const JWT = 'eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl'

/** The outcome of a call with a token, and how often that was verified. */
async function judged(
  answer: TokenResult,
  headers: Readonly<Record<string, string>>,
  more: Readonly<Record<string, string>> = {},
  path = '/proxies',
) {
  const by = settings({ AUTH_REGISTRY_JWT: 'true', REGISTRY_URL: 'http://registry.example', ...more })
  const verified: string[] = []
  const verify = async (token: string) => {
    verified.push(token)
    return answer
  }
  const request = new Request(`http://127.0.0.1:8100${path}`, { headers: { ...headers } })
  const outcome = await guardRequest(request, {
    ...GATE,
    settings: by,
    verifyToken: verify,
    findToken: findIn(by),
  }).then(
    ({ grant }) => grant,
    (error: unknown) => error,
  )
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

const NEIGHBOUR = '192.0.2.9'

/** Callers behind one address, and the lock-outs of it. */
function behindOneAddress(answer: TokenResult = { reason: 'signature' }) {
  let now = 0
  const attempts: FailedAttempts = failedAttempts(() => now)
  const lockedOut: string[] = []
  const by = settings({
    PROXY_MANAGER_API_TOKEN: TOKEN,
    PROXY_MANAGER_READ_TOKEN: READ_TOKEN,
    AUTH_REGISTRY_JWT: 'true',
    REGISTRY_URL: 'http://registry.example',
  })
  const call = async (token: string | undefined, path = '/proxies', current: Settings = by): Promise<string> => {
    const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
    return await guardRequest(new Request(`http://127.0.0.1:8100${path}`, { headers }), {
      ...GATE,
      settings: current,
      attempts,
      address: NEIGHBOUR,
      verifyToken: async () => answer,
      findToken: findIn(current),
      onLockOut: (address) => lockedOut.push(address),
    }).then(
      ({ kind, grant }) => `${kind} ${grant}`,
      (error: unknown) => (error instanceof ProxyManagerError ? error.code : String(error)),
    )
  }
  const guess = async (path?: string) => {
    for (let i = 0; i < 20; i++) await call(`wrong-wrong-wrong-${i}`, path)
  }
  const wait = (seconds: number) => {
    now += seconds * 1000
  }
  return { by, call, guess, wait, lockedOut }
}
const READ_TOKEN = 'fedcba9876543210'

test('an address is locked out after 20 guesses, and a right token that comes only then is not accepted for a minute', async () => {
  const { call, guess, wait, lockedOut } = behindOneAddress()
  await guess()
  assert.equal(lockedOut, [NEIGHBOUR])
  for (const token of [undefined, 'wrong-wrong-wrong', TOKEN, READ_TOKEN])
    assert.is(await call(token), 'TOO_MANY_ATTEMPTS', token)
  wait(60)
  assert.is(await call(TOKEN), 'token all')
})

test('a token that was accepted within 24 hours is accepted from an address that is locked out', async () => {
  const { call, guess, wait } = behindOneAddress()
  for (const token of [TOKEN, READ_TOKEN]) await call(token)
  for (let hour = 0; hour < 24; hour += 8) {
    await guess()
    assert.equal([await call(TOKEN), await call(READ_TOKEN)], ['token all', 'token read'])
    assert.is(await call('wrong-wrong-wrong'), 'TOO_MANY_ATTEMPTS')
    wait(8 * 3600)
  }
  wait(24 * 3600 + 1)
  await guess()
  assert.is(await call(TOKEN), 'TOO_MANY_ATTEMPTS')
})

test('a token that was accepted and then withdrawn is rejected like any other', async () => {
  const { by, call, guess } = behindOneAddress()
  await call(TOKEN)
  const renewed = { ...by, PROXY_MANAGER_API_TOKEN: 'another-0123456789' }
  assert.is(await call(TOKEN, '/proxies', renewed), 'UNAUTHORIZED')
  await guess()
  assert.is(await call(TOKEN, '/proxies', renewed), 'TOO_MANY_ATTEMPTS')
})

test('a signed token is accepted from an address that is locked out, and a forged one is not', async () => {
  for (const [answer, outcome] of [
    [{ grant: 'all' }, 'token all'],
    [{ grant: 'read' }, 'token read'],
    [{ reason: 'signature' }, 'TOO_MANY_ATTEMPTS'],
    [{ reason: 'expired' }, 'TOO_MANY_ATTEMPTS'],
    // This host cannot tell.
    [{ reason: 'key_unavailable' }, 'UNAUTHORIZED'],
  ] as const) {
    const { call, guess } = behindOneAddress(answer)
    await guess()
    assert.is(await call(JWT), outcome)
  }
})

test('a wrong token counts on a health check, too; none does not, and neither locks the health checks out', async () => {
  const { call, guess, lockedOut } = behindOneAddress()
  for (let i = 0; i < 40; i++) await call(undefined, '/health')
  assert.is(await call(undefined), 'UNAUTHORIZED')
  await guess('/proxy-manager/health')
  assert.equal(lockedOut, [NEIGHBOUR])
  assert.is(await call(undefined), 'TOO_MANY_ATTEMPTS')
  // While it is locked out, the answer does not say whether a token is right.
  for (const token of [undefined, 'wrong-wrong-wrong', TOKEN])
    assert.is(await call(token, '/proxy-manager/health'), 'stranger read')
})

test('tokens that could not be verified do not count', async () => {
  const { call, lockedOut } = behindOneAddress({ reason: 'key_unavailable' })
  for (let i = 0; i < 40; i++) await call(JWT)
  assert.equal([lockedOut, await call(TOKEN)], [[], 'token all'])
})

test.run()
