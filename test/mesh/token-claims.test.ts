import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { evaluateClaims, isTokenShaped } from '../../lib/mesh/token-claims.ts'

const test = suite('token claims')
const NOW_MS = 1_800_000_000_000
const NAMES = ['proxy-manager', 'edge-7']
const judge = (claims: Readonly<Record<string, unknown>>, issuer?: string) =>
  evaluateClaims(claims, { audience: NAMES, issuer }, NOW_MS)

const CLAIMS = ['permission', 'permissions', 'scope', 'scopes', 'scp', 'role', 'roles']

test('claims that say nothing about rights grant everything', () => {
  for (const claims of [{}, { iss: 'registry' }, { scope: undefined }]) assert.equal(judge(claims), { grant: 'all' })
  assert.equal(judge({ sub: 'orchestrator' }), { grant: 'all', subject: 'orchestrator' })
})

test('a claim that says write, admin or all, alone or for proxies or for everything, grants everything', () => {
  for (const name of CLAIMS)
    for (const claim of [
      'write',
      'WRITE',
      'admin',
      'all',
      '*',
      'read write',
      'proxies:write',
      'proxies.admin',
      'proxies:*',
      '*:write',
      '*:*',
      ['read', 'write'],
      ['users:read', 'proxies:write'],
      ['viewer', 'admin'],
    ])
      assert.equal(judge({ [name]: claim }), { grant: 'all' }, `${name} ${JSON.stringify(claim)}`)
})

test('any other claim grants reading only: reading words, rights for another resource, unknown ones, none, unreadable ones', () => {
  for (const name of CLAIMS)
    for (const claim of [
      'read',
      'proxies:read',
      ['read', 'read-only'],
      'viewer',
      'operator',
      'users:write',
      'users:*',
      'users:admin proxies:read',
      ['droplets.write', 'billing:all'],
      'write:proxies',
      'read:all',
      'proxies:users:write',
      'users:proxies:write',
      'xproxies:write',
      ':write',
      'write:',
      'rewrite',
      'overwrite',
      'read,write',
      'spread',
      'write\u00e9',
      '',
      ' ',
      [],
      null,
      false,
      true,
      7,
      { write: true },
      { 0: 'write', length: 1 },
      [['write']],
      ['admin', 7],
      ['read write'],
      ['write '],
    ])
      assert.equal(judge({ [name]: claim }), { grant: 'read' }, `${name} ${JSON.stringify(claim)}`)
})

test('if two claims disagree, the lesser right applies', () => {
  for (const more of CLAIMS)
    for (const less of CLAIMS.filter((name) => name !== more))
      for (const claim of ['read', 'users:write', [], null])
        assert.equal(judge({ [more]: 'admin', [less]: claim }), { grant: 'read' }, `${more} ${less}`)
  assert.equal(judge({ permissions: ['proxies:write'], scope: 'write', role: 'admin' }), { grant: 'all' })
})

test('an audience, if present, must name this service or this droplet', () => {
  for (const aud of ['proxy-manager', 'edge-7', ['orders', 'edge-7'], ['proxy-manager']])
    assert.equal(judge({ aud }), { grant: 'all' }, JSON.stringify(aud))
  for (const aud of ['orders', 'PROXY-MANAGER', 'proxy-manager2', '', [], ['orders'], null, 7, {}, ['edge-7', 7]])
    assert.equal(judge({ aud }), { reason: 'audience' }, JSON.stringify(aud))
})

test('an audience is one name, whatever is in it, never several', () => {
  for (const aud of [
    'orders edge-7',
    'edge-7 ',
    ' edge-7',
    'orders,edge-7',
    'orders\tedge-7',
    ['orders edge-7'],
    [['edge-7']],
  ])
    assert.equal(judge({ aud }), { reason: 'audience' }, JSON.stringify(aud))
})

test('if an issuer is required, a token must be from exactly that one', () => {
  const issuer = 'https://registry.example'
  assert.equal(judge({ iss: issuer }, issuer), { grant: 'all' })
  for (const iss of [
    undefined,
    null,
    '',
    'https://registry.example/',
    'HTTPS://registry.example',
    [issuer],
    `${issuer} x`,
  ])
    assert.equal(judge({ iss }, issuer), { reason: 'issuer' }, JSON.stringify(iss))
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
