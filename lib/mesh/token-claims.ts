/** What a token of the Registry's may do here, from what stands in it. */
import * as v from 'valibot'

/** What a caller may do: everything, or only what changes nothing. */
export type Grant = 'all' | 'read'

/** Why a token is not taken, in a word that its owner can act on. */
export type TokenFault =
  | 'malformed'
  | 'algorithm'
  | 'signature'
  | 'expired'
  | 'no_expiry'
  | 'not_yet_valid'
  | 'audience'
  | 'key_unavailable'

export type TokenResult = { readonly grant: Grant } | { readonly reason: TokenFault }

/** How far the clocks of the Registry and of this host may be apart. */
export const CLOCK_TOLERANCE_S = 30

/** Longer ones are not looked at. */
const MAX_CHARACTERS = 8192
const JWT = /^[\w-]+\.[\w-]+\.[\w-]*$/

/** Whether a text has the form of a signed token (RFC 7515, 7.1) at all. */
export function isTokenShaped(text: string): boolean {
  return text.length <= MAX_CHARACTERS && JWT.test(text)
}

/** Judges the claims of a token whose signature, `exp` and `nbf` are right; it may be meant for any of `names`. */
export function judgeClaims(
  claims: Readonly<Record<string, unknown>>,
  names: readonly string[],
  nowMs: number,
): TokenResult {
  if (typeof claims.iat === 'number' && claims.iat > nowMs / 1000 + CLOCK_TOLERANCE_S)
    return { reason: 'not_yet_valid' }
  if (claims.aud !== undefined && !wordsOf(claims.aud).some((name) => names.includes(name)))
    return { reason: 'audience' }
  const limits = [claims.scope, claims.scopes, claims.role, claims.roles].filter((claim) => claim !== undefined)
  return { grant: limits.some((claim) => wordsOf(claim).every(isReading)) ? 'read' : 'all' }
}

const Words = v.union([
  v.pipe(
    v.string(),
    v.transform((text) => text.split(/\s+/).filter((word) => word !== '')),
  ),
  v.array(v.string()),
])

/** A claim that is one or several words (RFC 8693, 4.2, and lists); none where it is anything else. */
function wordsOf(claim: unknown): readonly string[] {
  const words = v.safeParse(Words, claim)
  return words.success ? words.output : []
}

/** `read`, `read-only` and the like, alone or behind a prefix: `proxies:read`. */
function isReading(word: string): boolean {
  return /^([\w.-]+[:.])?(read|read[_-]?only|viewer)$/i.test(word)
}
