/** Tokens and keys of a Registry, made by hand: what signs here is not the library that verifies. */
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'

export interface Signer {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

export function makeSigner(modulusLength = 2048): Signer {
  return generateKeyPairSync('rsa', { modulusLength })
}

/** The public key as PEM (SPKI), as most Registries return it. */
export function pemOf({ publicKey }: Signer): string {
  return publicKey.export({ type: 'spki', format: 'pem' }).toString()
}

export function jwkOf({ publicKey }: Signer, more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { ...publicKey.export({ format: 'jwk' }), ...more }
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A token of these claims; `header` replaces parts of the usual one. */
export function tokenOf(
  { privateKey }: Signer,
  claims: unknown,
  header: Readonly<Record<string, unknown>> = {},
): string {
  const signed = `${encode({ alg: 'RS256', typ: 'JWT', ...header })}.${encode(claims)}`
  return `${signed}.${sign('RSA-SHA256', Buffer.from(signed), privateKey).toString('base64url')}`
}

/** A token that a secret has signed. */
export function hmacTokenOf(secret: string, claims: unknown): string {
  const signed = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

/** An unsigned token. */
export function unsignedTokenOf(claims: unknown, alg = 'none'): string {
  return `${encode({ alg, typ: 'JWT' })}.${encode(claims)}.`
}
