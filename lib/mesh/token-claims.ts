/** What a token of the Registry permits here, from its claims. */
import * as v from 'valibot'

/** What a caller may do: everything, or only read. */
export type Grant = 'all' | 'read'

/** Why a token is rejected, in a word that its owner can act on. */
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

/** By how much the clocks of the Registry and of this host may differ. */
export const CLOCK_TOLERANCE_S = 30

/** Longer tokens are malformed. */
const MAX_CHARACTERS = 8192
const JWT = /^[\w-]+\.[\w-]+\.[\w-]*$/

/** Whether a text has the form of a signed token (RFC 7515, 7.1). */
export function isTokenShaped(text: string): boolean {
  return text.length <= MAX_CHARACTERS && JWT.test(text)
}

/** Evaluates the claims of a token whose signature, `exp` and `nbf` are valid; its audience must include one of `names`. */
export function evaluateClaims(
  claims: Readonly<Record<string, unknown>>,
  names: readonly string[],
  nowMs: number,
): TokenResult {
  if (typeof claims.iat === 'number' && claims.iat > nowMs / 1000 + CLOCK_TOLERANCE_S)
    return { reason: 'not_yet_valid' }
  if (claims.aud !== undefined && !wordsIn(claims.aud).some((name) => names.includes(name)))
    return { reason: 'audience' }
  const limits = [claims.scope, claims.scopes, claims.role, claims.roles].filter((claim) => claim !== undefined)
  return { grant: limits.some((claim) => wordsIn(claim).every(isReadOnly)) ? 'read' : 'all' }
}

const Words = v.union([
  v.pipe(
    v.string(),
    v.transform((text) => text.split(/\s+/).filter((word) => word !== '')),
  ),
  v.array(v.string()),
])

/** The words of a claim: space-separated (RFC 8693, 4.2) or a list; none if it is anything else. */
function wordsIn(claim: unknown): readonly string[] {
  const words = v.safeParse(Words, claim)
  return words.success ? words.output : []
}

/** `read`, `read-only` and the like, with or without a prefix: `proxies:read`. */
function isReadOnly(word: string): boolean {
  return /^([\w.-]+[:.])?(read|read[_-]?only|viewer)$/i.test(word)
}
