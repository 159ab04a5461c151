/** Tokens that the Registry has signed: its key is fetched, kept, and fetched anew when a token does not fit it. */

import { decodeProtectedHeader } from 'jose/decode/protected_header'
import { JWSSignatureVerificationFailed, JWTClaimValidationFailed, JWTExpired } from 'jose/errors'
import { jwtVerify } from 'jose/jwt/verify'
import type { Host } from '../host/host.ts'
import { logOnChange } from '../host/log-on-change.ts'
import { singleFlight } from '../host/single-flight.ts'
import { askRegistry } from './registry-client.ts'
import { type RegistryKey, readRegistryKeys } from './registry-key.ts'
import { CLOCK_TOLERANCE_S, isTokenShaped, judgeClaims, type TokenFault, type TokenResult } from './token-claims.ts'

// Its parts, since the whole of jose takes three times as long to load.
const TIMEOUT_MS = 3000
const LIMIT_BYTES = 64 * 1024
/** A key is looked up again after this. */
const FRESH_MS = 600_000
/** A forged token makes the Registry be asked as well: not more often than this. */
const ASK_EVERY_MS = 30_000
/** The same, while there is no key at all. */
const ASK_AGAIN_EVERY_MS = 5_000

type Claims = Readonly<Record<string, unknown>>

/** Makes the verifier; it never throws. RS256 alone is taken, whatever a token says of itself. */
export function tokenVerifier(host: Host): (token: string) => Promise<TokenResult> {
  const known = keyRing(host)
  const names = [host.settings.SERVICE_NAME, host.settings.DROPLET_ID]

  return async (token) => {
    const header = readHeader(token)
    if (header === undefined) return { reason: 'malformed' }
    if (header.alg !== 'RS256') return { reason: 'algorithm' }
    const check = async (): Promise<Claims | TokenFault> => {
      const keys = known.keys()
      return keys.length === 0 ? 'key_unavailable' : await verify(token, keysFor(header.kid, keys), host.clock.nowMs())
    }
    if (!known.areFresh()) await known.refresh()
    let found = await check()
    if (found === 'signature' && (await known.refresh())) found = await check()
    return typeof found === 'string' ? { reason: found } : judgeClaims(found, names, host.clock.nowMs())
  }
}

interface KeyRing {
  keys(): readonly RegistryKey[]
  areFresh(): boolean
  /** Asks the Registry, unless it was asked a moment ago; resolves to whether it has answered. Keys that are known outlive a failure. */
  refresh(): Promise<boolean>
}

function keyRing(host: Host): KeyRing {
  let keys: readonly RegistryKey[] = []
  let [readAtMs, askedAtMs] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]
  const asking = singleFlight<boolean>()
  const note = logOnChange(host, 'read_registry_key')

  const ask = async (): Promise<boolean> => {
    const answer = await askRegistry(host, '/auth/public-key', { timeoutMs: TIMEOUT_MS, limitBytes: LIMIT_BYTES })
    const found =
      answer !== undefined && 'status' in answer && answer.status === 200 ? readRegistryKeys(answer.body) : []
    note(found.length > 0 ? undefined : faultOf(answer))
    if (found.length === 0) return false
    keys = found
    readAtMs = host.clock.monotonicMs()
    return true
  }

  return {
    keys: () => keys,
    areFresh: () => host.clock.monotonicMs() - readAtMs < FRESH_MS,
    refresh: async () => {
      const nowMs = host.clock.monotonicMs()
      const pauseMs = keys.length === 0 ? ASK_AGAIN_EVERY_MS : ASK_EVERY_MS
      const isDue = nowMs - askedAtMs >= pauseMs
      if (!isDue) return (await asking.running()) ?? false
      askedAtMs = nowMs
      return await asking.run(ask)
    },
  }
}

type Asked = Awaited<ReturnType<typeof askRegistry>>

function faultOf(answer: Asked): string {
  if (answer === undefined) return 'no Registry is configured'
  if ('failure' in answer) return answer.failure
  return answer.status === 200 ? 'no RSA public key of 2048 bits or more' : `status ${answer.status}`
}

function readHeader(token: string): { readonly alg?: unknown; readonly kid?: unknown } | undefined {
  try {
    return isTokenShaped(token) ? decodeProtectedHeader(token) : undefined
  } catch {
    return undefined
  }
}

/** Those of the name that the token gives, or that have no name; a token without one may be of any key. */
function keysFor(kid: unknown, keys: readonly RegistryKey[]): readonly RegistryKey[] {
  return kid === undefined ? keys : keys.filter(({ id }) => id === undefined || id === kid)
}

/** The claims, or why there are none that count. */
async function verify(token: string, keys: readonly RegistryKey[], nowMs: number): Promise<Claims | TokenFault> {
  for (const { key } of keys) {
    const options = {
      algorithms: ['RS256'],
      requiredClaims: ['exp'],
      clockTolerance: CLOCK_TOLERANCE_S,
      currentDate: new Date(nowMs),
    }
    try {
      return (await jwtVerify(token, key, options)).payload
    } catch (error) {
      const fault = reasonOf(error)
      if (fault !== 'signature') return fault
    }
  }
  return 'signature'
}

function reasonOf(error: unknown): TokenFault {
  if (error instanceof JWSSignatureVerificationFailed) return 'signature'
  if (error instanceof JWTExpired) return 'expired'
  if (!(error instanceof JWTClaimValidationFailed)) return 'malformed'
  if (error.reason === 'missing') return 'no_expiry'
  return error.claim === 'nbf' && error.reason === 'check_failed' ? 'not_yet_valid' : 'malformed'
}
