import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { evaluateClaims, isTokenShaped } from '../../lib/mesh/token-claims.ts'

const test = suite('token claims')
const NOW_MS = 1_800_000_000_000
const NAMES = ['proxy-manager', 'edge-7']
const judge = (claims: Readonly<Record<string, unknown>>) => evaluateClaims(claims, NAMES, NOW_MS)

test('claims without a scope or role grant everything', () => {
  for (const claims of [{}, { sub: 'orchestrator', iss: 'registry' }, { scope: undefined }])
    assert.equal(judge(claims), { grant: 'all' })
})

test('claims with only read scopes or roles grant reading: one word, several, a list, with a prefix', () => {
  for (const claims of [
    { scope: 'read' },
    { scope: 'READ' },
    { scope: 'proxies:read' },
    { scope: 'proxies:read droplets.read' },
    { scope: ['read', 'read-only'] },
    { scopes: ['read_only'] },
    { role: 'readonly' },
    { role: 'viewer' },
    { roles: ['viewer', 'registry:read'] },
  ])
    assert.equal(judge(claims), { grant: 'read' }, JSON.stringify(claims))
})

test('one word beyond reading grants everything', () => {
  for (const claims of [
    { scope: 'read write' },
    { scope: ['read', 'admin'] },
    { scope: 'write' },
    { scope: 'proxies:write' },
    { scope: 'spread' },
    { scope: 'read:all' },
    { role: 'admin' },
    { roles: ['viewer', 'operator'] },
  ])
    assert.equal(judge(claims), { grant: 'all' }, JSON.stringify(claims))
})

test('if two claims differ, or one cannot be read, the lesser right applies', () => {
  for (const claims of [
    { scope: 'read', role: 'admin' },
    { scope: 'write', roles: ['viewer'] },
    { scope: '' },
    { scope: [] },
    { scope: null },
    { scope: 7 },
    { scope: { write: true } },
    { roles: ['admin', 7] },
  ])
    assert.equal(judge(claims), { grant: 'read' }, JSON.stringify(claims))
})

test('an audience, if present, must name this service or this droplet', () => {
  for (const aud of ['proxy-manager', 'edge-7', ['orders', 'edge-7'], ['proxy-manager']])
    assert.equal(judge({ aud }), { grant: 'all' }, JSON.stringify(aud))
  for (const aud of ['orders', 'PROXY-MANAGER', 'proxy-manager2', '', [], ['orders'], null, 7, {}, ['edge-7', 7]])
    assert.equal(judge({ aud }), { reason: 'audience' }, JSON.stringify(aud))
})

test('a token from the future is not valid yet; clocks may differ by half a minute', () => {
  const nowS = NOW_MS / 1000
  for (const iat of [0, nowS, nowS + 30]) assert.equal(judge({ iat }), { grant: 'all' })
  assert.equal(judge({ iat: nowS + 31 }), { reason: 'not_yet_valid' })
})

test('a token has three parts of base64url and at most 8192 characters', () => {
  for (const text of ['a.b.c', 'a-_Z.b.', `${'a'.repeat(8188)}.b.c`]) assert.ok(isTokenShaped(text), text.slice(0, 9))
  for (const text of [
    '',
    'a',
    'a.b',
    '.b.c',
    'a..c',
    'a.b.c.d',
    'a.b.c=',
    'a.b.c\n',
    'a.b+.c',
    `${'a'.repeat(8189)}.b.c`,
  ])
    assert.not.ok(isTokenShaped(text), text.slice(0, 9))
})

test.run()
