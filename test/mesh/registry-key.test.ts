import { generateKeyPairSync } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readRegistryKeys } from '../../lib/mesh/registry-key.ts'
import { jwkOf, makeSigner, pemOf } from '../helpers/tokens.ts'

const test = suite('registry key')
const signer = makeSigner()
const pem = pemOf(signer)
const jwk = jwkOf(signer)
const other = jwkOf(makeSigner())

/** What was found: each key's name, and whether it is the signer's. */
const found = (answer: unknown) =>
  readRegistryKeys(typeof answer === 'string' ? answer : JSON.stringify(answer)).map(({ id, key }) => [
    id,
    key.equals(signer.publicKey),
  ])

test('the key is read in every shape that Registries serve', () => {
  for (const [what, answer] of Object.entries({
    pem,
    'pem between blanks': `\n ${pem.trim()}  \n`,
    'pem with line ends of another system': pem.replaceAll('\n', '\r\n'),
    'PKCS #1 pem': signer.publicKey.export({ type: 'pkcs1', format: 'pem' }).toString(),
    'pem as a JSON string': JSON.stringify(pem),
    public_key: { public_key: pem, algorithm: 'RS256' },
    publicKey: { publicKey: pem },
    key: { key: pem },
    'a JWK in key': { key: jwk },
    'a JWK': jwk,
    'a JWK for signatures': { ...jwk, use: 'sig', alg: 'RS256', key_ops: ['verify'] },
    'a JWKS': { keys: [jwk] },
    'a JWKS with pem': { keys: [{ kty: 'RSA', use: 'sig', alg: 'RS256', pem }] },
    'a JWKS with pem beside the parts of the key': { keys: [{ ...jwk, pem: 'anything' }] },
    'a JWKS with pem beside empty parts of the key': { keys: [{ kty: 'RSA', n: null, e: null, pem }] },
    'one entry with pem': { pem },
  }))
    assert.equal(found(answer), [[undefined, true]], what)
})

test('keys keep the id that the Registry gives them', () => {
  assert.equal(found({ public_key: pem, kid: 'k1' }), [['k1', true]])
  assert.equal(found({ ...jwk, kid: 'k2' }), [['k2', true]])
  assert.equal(found({ keys: [{ kid: 'k3', pem }] }), [['k3', true]])
  assert.equal(
    found({
      keys: [
        { ...other, kid: 'old' },
        { ...jwk, kid: 'new' },
      ],
    }),
    [
      ['old', false],
      ['new', true],
    ],
  )
})

test('keys of a set for another use are left out, the others are read', () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })
  const strangers = [ec, { ...other, use: 'enc' }, { ...other, alg: 'PS256' }, { kty: 'oct', k: 'c2VjcmV0' }, null, 7]
  assert.equal(found({ keys: [...strangers, jwk] }), [[undefined, true]])
})

test('only the first 16 keys of a set are read', () => {
  assert.is(found({ keys: Array.from({ length: 100 }, () => jwk) }).length, 16)
})

test('anything but a public RSA key of 2048 bits or more is rejected', () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  for (const answer of [
    '',
    'null',
    '[]',
    '{}',
    '7',
    '<!doctype html>',
    pem.slice(0, 200),
    pem.replace(/\n[\s\S]+\n(?=-)/, '\nAAAA\n'),
    pemOf(makeSigner(1024)),
    ec.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    signer.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    { public_key: null },
    { public_key: { public_key: pem } },
    { keys: {} },
    { ...jwk, n: '!' },
    { keys: [{ pem: null }, { pem: '' }, { pem: [pem] }, { pem, use: 'enc' }, { pem, alg: 'HS256' }] },
    { keys: [{ pem: signer.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }] },
    { kty: 'oct', k: Buffer.from(pem).toString('base64url') },
  ])
    assert.equal(found(answer), [], JSON.stringify(answer).slice(0, 60))
})

test.run()
