/** Regular expressions of hand-written blocks, tried only if they cannot occupy this process: a caller chooses what they are tried on. */

/** More steps than this are not tried: a backtracking engine needs about as many as the length to the power of the repetitions. */
const MAX_STEPS = 2e7

/**
 * Whether a pattern of NGINX matches; `undefined` if that is left open: it repeats a group that has alternatives or repetitions (which may take
 * exponential time), refers back, looks around, is too slow for this text, or has syntax that is PCRE's only.
 */
export function matchesPattern(pattern: string, isCaseless: boolean, text: string): boolean | undefined {
  const source = pattern.replaceAll('(?P<', '(?<')
  const counted = countChoices(source)
  if (counted === undefined) return undefined
  const starts = source.startsWith('^') && !source.includes('|') ? 0 : 1
  if (text.length ** (counted.repetitions + starts) * counted.ways > MAX_STEPS) return undefined
  try {
    return new RegExp(source, isCaseless ? 'i' : '').test(text)
  } catch {
    return undefined
  }
}

/** An escape, a class, the start of a group, its end with what repeats it, or a repetition. */
const TOKEN = /\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\((?:\?(?:<\w+>|:|[^<:]|<[=!]))?|\)|[*+?]|\{\d*,?\d*\}|\|/g

/**
 * How many repetitions without a small limit a pattern has, and how many ways through its alternatives and what is optional; `undefined` if it is
 * not one of those that are tried.
 */
function countChoices(source: string): { readonly repetitions: number; readonly ways: number } | undefined {
  let count = 0
  let ways = 1
  /** The alternatives of each open group, and of the whole. */
  const alternatives = [1]
  /** For each open group, whether it has alternatives or repetitions. */
  const open: boolean[] = []
  let closed = false
  let last = ''
  for (const [token] of source.matchAll(TOKEN)) {
    const isRepetition = /^[*+?{]/.test(token)
    if (/^\\[1-9gkK]|^\(\?[^<:]|^\(\?<[=!]/.test(token)) return undefined
    if (token.startsWith('(')) {
      open.push(false)
      alternatives.push(1)
    } else if (token === ')') {
      closed = open.pop() ?? false
      ways *= alternatives.pop() ?? 1
    }
    if (isRepetition && !(token === '?' && /^[*+?{]/.test(last))) {
      if (token !== '?') {
        if (last === ')' && closed) return undefined
        count++
      } else ways *= 2
      open.fill(true)
    } else if (token === '|') {
      open.fill(true)
      alternatives.push((alternatives.pop() ?? 1) + 1)
    }
    if (token === ')' && closed) open.fill(true)
    last = token
  }
  return { repetitions: count, ways: ways * (alternatives[0] ?? 1) }
}
