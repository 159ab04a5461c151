/** Orders and failures per domain, which keep calls within the CA's limits, so that a mistake never costs a week without TLS. */
import * as v from 'valibot'

const Entry = v.object({
  at: v.number(),
  result: v.picklist(['issued', 'failed']),
  reason: v.optional(v.string()),
  said: v.optional(v.string()),
  /** The CA does not count such a failure: it delays the next attempt, but is exempt from the budget. */
  uncounted: v.optional(v.literal(true)),
})
const Ledger = v.object({ entries: v.array(Entry), blocked_until: v.optional(v.number()) })

export type OrderEntry = v.InferOutput<typeof Entry>
/** Entries, oldest first; `blocked_until` is what the CA has said (milliseconds since the epoch). */
export type OrderLedger = v.InferOutput<typeof Ledger>

export const EMPTY_LEDGER: OrderLedger = { entries: [] }

const HOUR_MS = 3_600_000
const WEEK_MS = 7 * 24 * HOUR_MS
/**
 * Below Let's Encrypt's own (letsencrypt.org/docs/rate-limits, 2026-08): 5 failed authorizations per name and account in an hour,
 * 5 certificates per exact set of names in 7 days.
 */
const BUDGETS = [
  { result: 'failed', max: 3, withinMs: HOUR_MS },
  { result: 'issued', max: 3, withinMs: WEEK_MS },
] as const
/** Enough to know how long to pause. */
const MAX_EXEMPT = 10
/** How long to wait if the CA rejects an order for its limits without a time. */
export const DEFAULT_RATE_LIMIT_MS = HOUR_MS
/** Pauses before the next attempt in the background, by the number of consecutive failures. */
const PAUSES_MS = [60_000, 600_000, 6_000_000, 86_400_000]

/** Parses the text of a ledger file; one that cannot be parsed counts as empty. */
export function parseLedger(text: string | undefined): OrderLedger {
  try {
    return v.parse(Ledger, JSON.parse(text ?? ''))
  } catch {
    return EMPTY_LEDGER
  }
}

/** When the next order may be made: `undefined` for now, else milliseconds since the epoch. */
export function nextOrderAt(ledger: OrderLedger, nowMs: number): number | undefined {
  const times = BUDGETS.flatMap(({ result, max, withinMs }) => {
    const recent = ledger.entries.filter(
      (entry) => entry.result === result && entry.uncounted !== true && entry.at > nowMs - withinMs,
    )
    const oldest = recent.at(-max)
    return oldest === undefined ? [] : [oldest.at + withinMs]
  })
  const at = Math.max(ledger.blocked_until ?? 0, ...times)
  return at > nowMs ? at : undefined
}

/** The ledger with one more entry; what no budget counts any more is dropped. */
export function withOrder(ledger: OrderLedger, entry: OrderEntry, blockedUntil?: number): OrderLedger {
  const kept = ledger.entries.filter(({ at }) => at > entry.at - WEEK_MS)
  const exempt = kept.filter((other) => other.uncounted === true)
  const dropped = new Set(exempt.slice(0, Math.max(0, exempt.length - MAX_EXEMPT)))
  const entries = [...kept.filter((other) => !dropped.has(other)), entry]
  const until = blockedUntil ?? ledger.blocked_until
  return until !== undefined && until > entry.at ? { entries, blocked_until: until } : { entries }
}

/** When the next attempt in the background may be made, with growing pauses after failures; never before {@link nextOrderAt}. */
export function nextTryAt(ledger: OrderLedger, nowMs: number): number {
  const failures = consecutiveFailures(ledger)
  const last = failures.at(-1)
  const pause = PAUSES_MS[Math.min(failures.length, PAUSES_MS.length) - 1] ?? 0
  return Math.max(last === undefined ? nowMs : last.at + pause, nextOrderAt(ledger, nowMs) ?? nowMs)
}

/** The last failure, if no order has succeeded since. */
export function lastFailure(ledger: OrderLedger): OrderEntry | undefined {
  return consecutiveFailures(ledger).at(-1)
}

function consecutiveFailures(ledger: OrderLedger): readonly OrderEntry[] {
  return ledger.entries.slice(ledger.entries.findLastIndex((entry) => entry.result === 'issued') + 1)
}
