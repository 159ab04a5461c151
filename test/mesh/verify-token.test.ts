import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import { createApp } from '../../functions/index.ts'
import type { HttpAnswer } from '../../lib/adapters/http-client.ts'
import { requestTo } from '../functions/wire.ts'
import { hmacTokenOf, jwkOf, makeSigner, pemOf, type Signer, tokenOf, unsignedTokenOf } from '../helpers/tokens.ts'

const test = suite('verify token')
const NOW_S = Date.parse('2026-01-01T00:00:00.000Z') / 1000
const CLAIMS = { sub: 'orchestrator', iat: NOW_S, exp: NOW_S + 3600 }
const [signer, stranger] = [makeSigner(), makeSigner()]
const token = tokenOf(signer, CLAIMS)
const answer = (body: unknown): HttpAnswer => ({
  status: 200,
  body: typeof body === 'string' ? body : JSON.stringify(body),
})

interface World {
  readonly deps: FakeDeps
  readonly verify: (token: string) => Promise<unknown>
  /** The addresses that were asked. */
  readonly asked: string[]
  readonly wait: (seconds: number) => Promise<void>
}

async function world(key: unknown = pemOf(signer), more: Readonly<Record<string, string>> = {}): Promise<World> {
  const settings = {
    AUTH_REGISTRY_JWT: 'true',
    REGISTRY_URL: 'http://registry.example:8000/api/',
    SERVICE_NAME: 'edge',
    DROPLET_ID: 'edge-7',
    ...more,
  }
  const deps = await fakeDeps({ settings })
  deps.nginx.registryKey = answer(key)
  const asked: string[] = []
  const { request: send } = deps.host.http
  deps.host.http.request = async (request) => {
    asked.push(request.url)
    assert.ok(request.timeoutMs <= 5000 && request.limitBytes <= 65_536)
    return await send(request)
  }
  const verify = async (presented: string): Promise<unknown> => {
    const result = await deps.engine.verifyToken(presented)
    return 'grant' in result ? { grant: result.grant } : result
  }
  return { deps, asked, verify, wait: (seconds) => deps.clock.sleep(seconds * 1000) }
}

test('a token that the Registry has signed is accepted; its key is fetched once', async () => {
  const { verify, asked } = await world()
  for (let i = 0; i < 3; i++) assert.equal(await verify(token), { grant: 'all' })
  assert.equal(await verify(tokenOf(signer, { ...CLAIMS, scope: 'read' })), { grant: 'read' })
  assert.equal(asked, ['http://registry.example:8000/api/auth/public-key'])
})

test('a verified token names its owner', async () => {
  const { deps } = await world()
  assert.equal(await deps.engine.verifyToken(token), {
    grant: 'all',
    subject: 'orchestrator',
    expiresAtMs: (NOW_S + 3600 + 30) * 1000,
  })
})

test('a stream of events ends once the token that has opened it has expired', async () => {
  const { deps, wait } = await world()
  const headers = { accept: 'text/event-stream', authorization: `Bearer ${token}` }
  const { body } = await createApp(() => deps)(requestTo('/events', { headers }))
  const reader = body?.getReader()
  assert.is(new TextDecoder().decode((await reader?.read())?.value), 'retry: 3000\n\n')
  await wait(3629)
  const comment = reader?.read()
  deps.engine.streams.keepAlive()
  assert.is(new TextDecoder().decode((await comment)?.value), ':\n\n')
  await wait(1)
  const end = reader?.read()
  deps.engine.streams.keepAlive()
  assert.is((await end)?.done, true)
})

test('concurrent calls share one request to the Registry', async () => {
  const { verify, asked } = await world()
  const verdicts = await Promise.all(Array.from({ length: 20 }, () => verify(token)))
  assert.equal([verdicts.every((one) => JSON.stringify(one) === '{"grant":"all"}'), asked.length], [true, 1])
})

const [head = '', body = '', signature = ''] = token.split('.')
const flipped = (text: string) => (text.startsWith('A') ? 'B' : 'A') + text.slice(1)
const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

for (const [what, shown, reason] of [
  ['is signed by somebody else', tokenOf(stranger, CLAIMS), 'signature'],
  ['has another body than was signed', `${head}.${encoded({ ...CLAIMS, scope: 'admin' })}.${signature}`, 'signature'],
  ['has another header than was signed', `${encoded({ alg: 'RS256', x: 1 })}.${body}.${signature}`, 'signature'],
  ['has another signature', `${head}.${body}.${flipped(signature)}`, 'signature'],
  ['has half a signature', `${head}.${body}.${signature.slice(0, 100)}`, 'signature'],
  ['has no signature', `${head}.${body}.`, 'signature'],
  ['is signed by nobody, and says so', unsignedTokenOf(CLAIMS), 'algorithm'],
  ['is signed by nobody, and says so in capitals', unsignedTokenOf(CLAIMS, 'NONE'), 'algorithm'],
  ['is signed by nobody, and says RS256', unsignedTokenOf(CLAIMS, 'RS256'), 'signature'],
  ['has the public key as its secret', hmacTokenOf(pemOf(signer), CLAIMS), 'algorithm'],
  [
    'has the public key without its last line end as its secret',
    hmacTokenOf(pemOf(signer).trim(), CLAIMS),
    'algorithm',
  ],
  ['names another algorithm', tokenOf(signer, CLAIMS, { alg: 'RS512' }), 'algorithm'],
  ['names RS256 in another case', tokenOf(signer, CLAIMS, { alg: 'rs256' }), 'algorithm'],
  ['brings a key along', tokenOf(stranger, CLAIMS, { jwk: jwkOf(stranger), jku: 'http://evil.example' }), 'signature'],
  ['wants an extension understood', tokenOf(signer, CLAIMS, { crit: ['x'], x: 1 }), 'malformed'],
  ['has run out', tokenOf(signer, { ...CLAIMS, exp: NOW_S - 31 }), 'expired'],
  ['runs out by its own clock', tokenOf(signer, { ...CLAIMS, exp: 1 }), 'expired'],
  ['never runs out', tokenOf(signer, { sub: 'x' }), 'no_expiry'],
  ['runs out at a word', tokenOf(signer, { ...CLAIMS, exp: 'never' }), 'malformed'],
  ['begins later', tokenOf(signer, { ...CLAIMS, nbf: NOW_S + 31 }), 'not_yet_valid'],
  ['was made later', tokenOf(signer, { ...CLAIMS, iat: NOW_S + 31 }), 'not_yet_valid'],
  ['was made at a word', tokenOf(signer, { ...CLAIMS, iat: 'now' }), 'malformed'],
  ['is for somebody else', tokenOf(signer, { ...CLAIMS, aud: 'orders' }), 'audience'],
  ['has a list for a body', tokenOf(signer, [CLAIMS]), 'malformed'],
  ['has no JSON for a header', `e30x.${body}.${signature}`, 'malformed'],
  ['is no token', 'not-a-token', 'malformed'],
  ['is empty', '', 'malformed'],
  ['is huge', tokenOf(signer, { ...CLAIMS, padding: 'x'.repeat(8192) }), 'malformed'],
] as const) {
  test(`a token that ${what} is rejected: ${reason}`, async () => {
    const { verify } = await world()
    assert.equal(await verify(shown), { reason })
    assert.equal(await verify(token), { grant: 'all' })
  })
}

test('clocks may differ by half a minute, both ways', async () => {
  const { verify } = await world()
  for (const claims of [{ exp: NOW_S - 29 }, { exp: NOW_S + 60, nbf: NOW_S + 30, iat: NOW_S + 30 }])
    assert.equal(await verify(tokenOf(signer, claims)), { grant: 'all' })
})

test('an accepted token is rejected once it has expired', async () => {
  const { verify, wait } = await world()
  assert.equal(await verify(token), { grant: 'all' })
  await wait(3600 + 31)
  assert.equal(await verify(token), { reason: 'expired' })
})

test('an audience must name this service, this droplet, or every droplet of the mesh', async () => {
  const { verify } = await world()
  for (const aud of ['edge', 'edge-7', ['x', 'edge'], 'udc', 'fullpotential.droplets'])
    assert.equal(await verify(tokenOf(signer, { ...CLAIMS, aud })), { grant: 'all' })
  assert.equal(await verify(tokenOf(signer, { ...CLAIMS, aud: 'proxy-manager' })), { reason: 'audience' })
})

test('AUTH_JWT_AUDIENCE replaces the accepted audiences, and AUTH_JWT_ISSUER requires an issuer', async () => {
  const { verify } = await world(pemOf(signer), {
    AUTH_JWT_AUDIENCE: 'gateway, https://edge.example',
    AUTH_JWT_ISSUER: 'reg',
  })
  const judge = (claims: object) => verify(tokenOf(signer, { ...CLAIMS, iss: 'reg', ...claims }))
  for (const aud of ['gateway', 'https://edge.example', undefined]) assert.equal(await judge({ aud }), { grant: 'all' })
  for (const aud of ['edge', 'edge-7', 'udc', 'fullpotential.droplets', 'gateway, https://edge.example'])
    assert.equal(await judge({ aud }), { reason: 'audience' }, aud)
  for (const iss of ['other', undefined]) assert.equal(await judge({ iss }), { reason: 'issuer' })
})

const KEY_PATHS = ['/auth/public-key', '/auth/public_key', '/.well-known/jwks.json']

/** The key is served at this address only; elsewhere there is no such page. */
function serveAt({ deps, asked }: World, address: string, body: unknown): (string | undefined)[] {
  const tokens: (string | undefined)[] = []
  deps.host.http.request = async ({ url, token: sent }) => {
    asked.push(url)
    tokens.push(sent)
    return url === address ? answer(body) : { status: 404, body: '{"detail":"Not Found"}' }
  }
  return tokens
}

for (const [i, path] of KEY_PATHS.entries()) {
  test(`the key is found at ${path}, after the addresses before it`, async () => {
    const at = await world()
    serveAt(at, `http://registry.example:8000/api${path}`, { keys: [{ kid: 'k', kty: 'RSA', pem: pemOf(signer) }] })
    assert.equal(await at.verify(token), { grant: 'all' })
    assert.equal(
      at.asked,
      KEY_PATHS.slice(0, i + 1).map((one) => `http://registry.example:8000/api${one}`),
    )
  })
}

test('AUTH_JWT_KEY_URL is the only address of the key, works without a Registry, and is not sent its token', async () => {
  const url = 'https://keys.example/realm/certs?use=sig'
  for (const more of [{ REGISTRY_URL: '' }, { REGISTRY_TOKEN: 'a-token-for-the-registry' }]) {
    const at = await world(undefined, { AUTH_JWT_KEY_URL: url, ...more })
    const tokens = serveAt(at, url, { keys: [jwkOf(signer)] })
    assert.equal(await at.verify(token), { grant: 'all' })
    assert.equal([at.asked, tokens], [[url], [undefined]])
  }
})

test('of several keys the one that the token names is used, or any if it names none', async () => {
  const keys = [jwkOf(stranger, { kid: 'old' }), jwkOf(signer, { kid: 'new' })]
  const { verify } = await world({ keys })
  assert.equal(await verify(token), { grant: 'all' })
  assert.equal(await verify(tokenOf(signer, CLAIMS, { kid: 'new' })), { grant: 'all' })
  assert.equal(await verify(tokenOf(stranger, CLAIMS, { kid: 'old' })), { grant: 'all' })
  for (const kid of ['old', 'none', '', 7, null])
    assert.equal(await verify(tokenOf(signer, CLAIMS, { kid })), { reason: 'signature' }, String(kid))
})

test('a key without an id fits a token with any', async () => {
  const { verify } = await world()
  assert.equal(await verify(tokenOf(signer, CLAIMS, { kid: 'whatever' })), { grant: 'all' })
})

/** The Registry goes over to this key. */
const rotate = ({ deps }: World, to: Signer) => {
  deps.nginx.registryKey = answer(pemOf(to))
}

test('after a key rotation the first token with the new key is accepted, and tokens of the old key no longer', async () => {
  const at = await world()
  await at.verify(token)
  await at.wait(30)
  rotate(at, stranger)
  assert.equal(await at.verify(tokenOf(stranger, CLAIMS)), { grant: 'all' })
  assert.is(at.asked.length, 2)
  assert.equal(await at.verify(token), { reason: 'signature' })
})

test('tokens with a wrong signature cause at most one request in 30 s', async () => {
  const { verify, wait, asked } = await world()
  await verify(token)
  const forged = tokenOf(stranger, CLAIMS)
  for (let second = 0; second < 300; second++) {
    for (let i = 0; i < 2; i++) assert.equal(await verify(forged), { reason: 'signature' })
    await wait(1)
  }
  assert.is(asked.length, 10)
})

test('malformed tokens, and those of another algorithm, never cause a request', async () => {
  const { verify, asked } = await world()
  for (const shown of ['x', 'a.b.c', unsignedTokenOf(CLAIMS), hmacTokenOf('secret', CLAIMS)]) await verify(shown)
  assert.equal(asked, [])
})

test('a key is fetched again after 10 minutes, so that a withdrawn one is not trusted forever', async () => {
  const at = await world()
  await at.verify(token)
  rotate(at, stranger)
  await at.wait(599)
  assert.equal(await at.verify(token), { grant: 'all' })
  await at.wait(1)
  assert.equal(await at.verify(token), { reason: 'signature' })
  assert.is(at.asked.length, 2)
})

for (const [what, broken] of Object.entries<HttpAnswer>({
  'is down': { failure: 'ECONNREFUSED' },
  hangs: { failure: 'TIMEOUT' },
  'answers 500': { status: 500, body: pemOf(stranger) },
  redirects: { status: 302, body: '' },
  'serves no key': { status: 200, body: '<!doctype html>' },
  'answers a private key': answer(stranger.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()),
})) {
  test(`a Registry that ${what}: the known key is still used; without one every token is rejected`, async () => {
    const at = await world()
    assert.equal(await at.verify(token), { grant: 'all' })
    at.deps.nginx.registryKey = broken
    await at.wait(1200)
    assert.equal(await at.verify(token), { grant: 'all' })
    assert.equal(await at.verify(tokenOf(stranger, CLAIMS)), { reason: 'signature' })

    const without = await world()
    without.deps.nginx.registryKey = broken
    assert.equal(await without.verify(token), { reason: 'key_unavailable' })
    await without.wait(4)
    assert.equal(await without.verify(token), { reason: 'key_unavailable' })
    // A caller waits for one timeout only.
    assert.is(without.asked.length, what === 'hangs' ? 1 : 3)
    await without.wait(1)
    without.deps.nginx.registryKey = answer(pemOf(signer))
    assert.equal(await without.verify(token), { grant: 'all' })
  })
}

test('a failing Registry is logged once, and once more when it works again; no token and no key is logged', async () => {
  const { deps, verify, wait } = await world()
  deps.nginx.registryKey = { failure: 'ECONNREFUSED' }
  for (let i = 0; i < 3; i++) {
    await verify(token)
    await wait(10)
  }
  deps.nginx.registryKey = answer(pemOf(signer))
  for (let i = 0; i < 3; i++) {
    await verify(token)
    await wait(601)
  }
  const lines = deps.lines.filter(({ action }) => action === 'read_registry_key')
  assert.equal(lines, [
    { level: 'warn', action: 'read_registry_key', result: 'failure', cause: 'ECONNREFUSED' },
    { level: 'info', action: 'read_registry_key', result: 'success' },
  ])
})

test.run()
