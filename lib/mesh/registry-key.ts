/** The shapes in which deployed Registries serve the public key of their tokens. */
import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import * as v from 'valibot'

export interface RegistryKey {
  /** The `kid` that tokens name it by, if the Registry gives one. */
  readonly id: string | undefined
  readonly key: KeyObject
}

/** More keys than this are ignored; a rotation has two. */
const MAX_KEYS = 16
/** RFC 7518, 3.3: RS256 requires keys of this size or larger. */
const MIN_BITS = 2048

const PEM = /^-----BEGIN (RSA )?PUBLIC KEY-----\n[\s\S]+\n-----END \1PUBLIC KEY-----$/
const KeyId = v.optional(v.nullable(v.string()))
/** Other members of a JWK are dropped; a key for another use or algorithm does not fit. */
const purpose = { kid: KeyId, use: v.optional(v.literal('sig')), alg: v.optional(v.literal('RS256')) }
const Jwk = v.object({ kty: v.literal('RSA'), n: v.string(), e: v.string(), ...purpose })
/** An entry of a JWKS as the mesh's Registry writes it, with the key as PEM. */
const Entry = v.union([Jwk, v.object({ pem: v.string(), ...purpose })])
const Jwks = v.object({ keys: v.array(v.unknown()) })
const Wrapped = v.union([
  v.object({ public_key: v.unknown(), kid: KeyId }),
  v.object({ publicKey: v.unknown(), kid: KeyId }),
  v.object({ key: v.unknown(), kid: KeyId }),
])

/**
 * Reads PEM, plain or as a JSON string; `{ "public_key": … }`, `publicKey` or `key` with PEM or a JWK in it; a JWK; a JWKS, also with
 * `pem` in its entries. Keys that cannot be used for RS256 are left out.
 */
export function readRegistryKeys(text: string): readonly RegistryKey[] {
  const answer = parseJson(text)
  const wrapped = v.safeParse(Wrapped, answer)
  if (!wrapped.success) return keysIn(answer)
  const { kid, ...inner } = wrapped.output
  return Object.values(inner)
    .flatMap(keysIn)
    .map(({ id, key }) => ({ id: id ?? kid ?? undefined, key }))
}

function keysIn(answer: unknown): readonly RegistryKey[] {
  if (typeof answer === 'string') return pemKey(answer, undefined)
  const set = v.safeParse(Jwks, answer)
  return (set.success ? set.output.keys.slice(0, MAX_KEYS) : [answer]).flatMap((one) => {
    const entry = v.safeParse(Entry, one)
    if (!entry.success) return []
    const id = entry.output.kid ?? undefined
    if ('pem' in entry.output) return pemKey(entry.output.pem, id)
    const { kty, n, e } = entry.output
    const key: JsonWebKey = { kty, n, e }
    return ifUsable(id, () => createPublicKey({ key, format: 'jwk' }))
  })
}

function pemKey(text: string, id: string | undefined): readonly RegistryKey[] {
  const pem = text.trim().replaceAll('\r\n', '\n')
  return PEM.test(pem) ? ifUsable(id, () => createPublicKey(pem)) : []
}

function ifUsable(id: string | undefined, make: () => KeyObject): readonly RegistryKey[] {
  try {
    const key = make()
    const bits = key.asymmetricKeyDetails?.modulusLength ?? 0
    return key.asymmetricKeyType === 'rsa' && bits >= MIN_BITS ? [{ id, key }] : []
  } catch {
    return []
  }
}

/** A text that is not JSON is returned as it is. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
