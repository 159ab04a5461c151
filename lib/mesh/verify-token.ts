/** Verifies tokens that the Registry has signed. Its key is fetched, cached, and fetched again if a signature does not match. */

// Parts of jose: the whole takes three times as long to load.
import { decodeProtectedHeader } from 'jose/decode/protected_header'
import { JWSSignatureVerificationFailed, JWTClaimValidationFailed, JWTExpired } from 'jose/errors'
import { jwtVerify } from 'jose/jwt/verify'
import type { HttpAnswer } from '../adapters/http-client.ts'
import type { Host } from '../host/host.ts'
import { logOnChange } from '../host/log-on-change.ts'
import { singleFlight } from '../host/single-flight.ts'
import { requestRegistry } from './registry-client.ts'
import { type RegistryKey, readRegistryKeys } from './registry-key.ts'
import { CLOCK_TOLERANCE_S, evaluateClaims, isTokenShaped, type TokenFault, type TokenResult } from './token-claims.ts'

const KEY_LIMITS = { timeoutMs: 3000, limitBytes: 64 * 1024 }
/** A key is fetched again after this time. */
const FRESH_MS = 600_000
/** A forged token causes a fetch as well: not more often than this. */
const FETCH_EVERY_MS = 30_000
/** The same, while no key is known. */
const FIRST_FETCH_EVERY_MS = 5_000

/** What Registries put into `aud` for every droplet. */
const AUDIENCES_OF_THE_MESH = ['udc', 'fullpotential.droplets']
/** Where Registries serve their key, below REGISTRY_URL. */
const KEY_PATHS = ['/auth/public-key', '/auth/public_key', '/.well-known/jwks.json']

type VerifierHost = Pick<Host, 'settings' | 'http' | 'clock' | 'log'>
type Claims = Readonly<Record<string, unknown>>

/** Makes the verifier; it never throws. Only RS256 is accepted, whatever a token says of itself. */
export function tokenVerifier(host: VerifierHost): (token: string) => Promise<TokenResult> {
  const known = keyCache(host)
  const { SERVICE_NAME, DROPLET_ID, AUTH_JWT_AUDIENCE, AUTH_JWT_ISSUER: issuer } = host.settings
  const expected = { audience: AUTH_JWT_AUDIENCE ?? [SERVICE_NAME, DROPLET_ID, ...AUDIENCES_OF_THE_MESH], issuer }

  return async (token) => {
    const header = readHeader(token)
    if (header === undefined) return { reason: 'malformed' }
    if (header.alg !== 'RS256') return { reason: 'algorithm' }
    const check = async (): Promise<Claims | TokenFault> => {
      const keys = known.keys()
      return keys.length === 0 ? 'key_unavailable' : await verify(token, keysFor(header.kid, keys), host.clock.nowMs())
    }
    if (!known.areFresh()) await known.refresh()
    let result = await check()
    if (result === 'signature' && (await known.refresh())) result = await check()
    return typeof result === 'string' ? { reason: result } : evaluateClaims(result, expected, host.clock.nowMs())
  }
}

/** Keeps the Registry's keys, also while it fails. */
function keyCache(host: VerifierHost) {
  let keys: readonly RegistryKey[] = []
  let [fetchedAtMs, triedAtMs] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]
  const fetching = singleFlight<boolean>()
  const logFetch = logOnChange(host, 'read_registry_key')

  const fetchKeys = async (): Promise<boolean> => {
    const found = await findKeys(host)
    logFetch('fault' in found ? found.fault : undefined)
    if ('fault' in found) return false
    keys = found.keys
    fetchedAtMs = host.clock.monotonicMs()
    return true
  }

  return {
    keys: () => keys,
    areFresh: () => host.clock.monotonicMs() - fetchedAtMs < FRESH_MS,
    /** Fetches the keys, unless that was tried a moment ago; resolves to whether the Registry has served any. */
    refresh: async (): Promise<boolean> => {
      const nowMs = host.clock.monotonicMs()
      const pauseMs = keys.length === 0 ? FIRST_FETCH_EVERY_MS : FETCH_EVERY_MS
      if (nowMs - triedAtMs < pauseMs) return (await fetching.running()) ?? false
      triedAtMs = nowMs
      return await fetching.run(fetchKeys)
    },
  }
}

/**
 * Reads the keys at AUTH_JWT_KEY_URL, without REGISTRY_TOKEN, which is for nobody but the Registry; or at the first path of the Registry that serves
 * any. A path without an answer ends the search, so that callers wait for one timeout only.
 */
async function findKeys(
  host: VerifierHost,
): Promise<{ readonly keys: readonly RegistryKey[] } | { readonly fault: string }> {
  const { AUTH_JWT_KEY_URL: url } = host.settings
  const requests =
    url === undefined
      ? KEY_PATHS.map((path) => () => requestRegistry(host, path, KEY_LIMITS))
      : [() => host.http.request({ url, ...KEY_LIMITS })]
  const faults = new Set<string>()
  for (const request of requests) {
    const answer = await request()
    const keys =
      answer !== undefined && 'status' in answer && answer.status === 200 ? readRegistryKeys(answer.body) : []
    if (keys.length > 0) return { keys }
    faults.add(describeFault(answer))
    if (answer === undefined || ('failure' in answer && answer.failure === 'TIMEOUT')) break
  }
  return { fault: [...faults].join(', ') }
}

function describeFault(answer: HttpAnswer | undefined): string {
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

/** The keys with the token's `kid`, or without one; a token without a `kid` may be signed with any key. */
function keysFor(kid: unknown, keys: readonly RegistryKey[]): readonly RegistryKey[] {
  return kid === undefined ? keys : keys.filter(({ id }) => id === undefined || id === kid)
}

/** The verified claims, or why the token is rejected. */
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
      const fault = tokenFault(error)
      if (fault !== 'signature') return fault
    }
  }
  return 'signature'
}

function tokenFault(error: unknown): TokenFault {
  if (error instanceof JWSSignatureVerificationFailed) return 'signature'
  if (error instanceof JWTExpired) return 'expired'
  if (!(error instanceof JWTClaimValidationFailed)) return 'malformed'
  if (error.reason === 'missing') return 'no_expiry'
  return error.claim === 'nbf' && error.reason === 'check_failed' ? 'not_yet_valid' : 'malformed'
}
