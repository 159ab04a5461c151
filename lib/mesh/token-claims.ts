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
  | 'issuer'
  | 'key_unavailable'

/** `expiresAtMs`: since the epoch; from then on the token is rejected. */
export type TokenResult =
  | { readonly grant: Grant; readonly subject?: string; readonly expiresAtMs?: number }
  | { readonly reason: TokenFault }

/** By how much the clocks of the Registry and of this host may differ. */
export const CLOCK_TOLERANCE_S = 30

/** Longer tokens are malformed. */
const MAX_CHARACTERS = 8192
const JWT = /^[\w-]+\.[\w-]+\.[\w-]*$/

/** Whether a text has the form of a signed token (RFC 7515, 7.1). */
export function isTokenShaped(text: string): boolean {
  return text.length <= MAX_CHARACTERS && JWT.test(text)
}

/** Whom a token must be for and from. */
export interface Expected {
  /** `aud`, if a token has one, must include one of these. */
  readonly audience: readonly string[]
  /** `iss` must be this; `undefined` if anyone will do. */
  readonly issuer: string | undefined
}

/** Evaluates the claims of a token whose signature, `exp` and `nbf` are valid. */
export function evaluateClaims(
  claims: Readonly<Record<string, unknown>>,
  { audience, issuer }: Expected,
  nowMs: number,
): TokenResult {
  if (typeof claims.iat === 'number' && claims.iat > nowMs / 1000 + CLOCK_TOLERANCE_S)
    return { reason: 'not_yet_valid' }
  if (claims.aud !== undefined && !audiencesIn(claims.aud).some((name) => audience.includes(name)))
    return { reason: 'audience' }
  if (issuer !== undefined && claims.iss !== issuer) return { reason: 'issuer' }
  const rights = RIGHTS.map((name) => claims[name]).filter((claim) => claim !== undefined)
  const grant = rights.every((claim) => wordsIn(claim).some(permitsWriting)) ? 'all' : 'read'
  return {
    grant,
    ...(typeof claims.sub === 'string' ? { subject: claims.sub } : {}),
    ...(typeof claims.exp === 'number' ? { expiresAtMs: (claims.exp + CLOCK_TOLERANCE_S) * 1000 } : {}),
  }
}

/** The claims that say what a token permits. Of several, the least counts; a token without any permits everything. */
const RIGHTS = ['permission', 'permissions', 'scope', 'scopes', 'scp', 'role', 'roles']

const List = v.array(v.string())
const Audience = v.union([
  v.pipe(
    v.string(),
    v.transform((name) => [name]),
  ),
  List,
])
const Words = v.union([
  v.pipe(
    v.string(),
    v.transform((text) => text.split(/\s+/)),
  ),
  List,
])

/** RFC 7519, 4.1.3: one name, whatever is in it, or a list of names; none if it is anything else. */
function audiencesIn(claim: unknown): readonly string[] {
  const names = v.safeParse(Audience, claim)
  return names.success ? names.output : []
}

/** The words of a claim: space-separated (RFC 8693, 4.2) or a list; none if it is anything else. */
function wordsIn(claim: unknown): readonly string[] {
  const words = v.safeParse(Words, claim)
  return words.success ? words.output : []
}

/** Alone, or with the resource in front: `proxies:write`, `*:write`. For another resource it says nothing about this API. */
function permitsWriting(word: string): boolean {
  return /^((proxies|\*)[:.])?(write|admin|all|\*)$/i.test(word)
}
