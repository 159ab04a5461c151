/** Orders and failures per domain, which keep calls within the CA's limits, so that a mistake never costs a week without TLS. */
import * as v from 'valibot'

const Entry = v.object({
  at: v.number(),
  result: v.picklist(['issued', 'failed']),
  reason: v.optional(v.string()),
  said: v.optional(v.string()),
  /** The CA does not count such a failure: it delays the next attempt, but is exempt from the budget. */
  uncounted: v.optional(v.literal(true)),
  /** False if the CA was not asked, because of a check before the order. */
  asked: v.optional(v.literal(false)),
  /** Of an issued certificate, from its first to its last second. */
  lifetime_ms: v.optional(v.number()),
})
const Ledger = v.object({
  entries: v.array(Entry),
  blocked_until: v.optional(v.number()),
  /** The lineage that the last order wrote, or would have written. */
  lineage: v.optional(v.string()),
})

export type OrderEntry = v.InferOutput<typeof Entry>
/** Entries, oldest first; `blocked_until` is what the CA has said (milliseconds since the epoch). */
export type OrderLedger = v.InferOutput<typeof Ledger>

export const EMPTY_LEDGER: OrderLedger = { entries: [] }

const HOUR_MS = 3_600_000
const WEEK_MS = 7 * 24 * HOUR_MS
/** How many orders are allowed: settings, by default below Let's Encrypt's own limits (letsencrypt.org/docs/rate-limits, 2026-08: 5 each). */
export interface OrderLimits {
  /** Failed authorizations per name and account. */
  readonly SSL_FAILURES_PER_HOUR: number
  /** Certificates per exact set of names. */
  readonly SSL_CERTIFICATES_PER_WEEK: number
}

/** Why no order may be made before a time (milliseconds since the epoch). */
export interface OrderLimit {
  readonly at: number
  /** Whose limit it is: one of the settings, or what the CA has said. */
  readonly by: keyof OrderLimits | 'ca'
  readonly max: number
  readonly withinMs: number
}

/** A certificate that lives for days or hours has to be replaced within the week: nothing waits for longer than this part of its lifetime. */
const SHARE_OF_LIFETIME = 1 / 24
/** An entry that is later than this was made while the clock was ahead. */
const CLOCK_STEP_MS = 60_000
/** Enough to know how long to pause. */
const MAX_EXEMPT = 10
/** How long to wait if the CA rejects an order for its limits without a time. */
export const DEFAULT_RATE_LIMIT_MS = HOUR_MS
/** Pauses before the next attempt in the background, by the number of consecutive failures. */
const PAUSES_MS = [60_000, 600_000, 6_000_000, 86_400_000]
/** The longest of them after an attempt for which the CA was not asked: DNS may be ready at any minute. */
const UNASKED_PAUSE_MS = 600_000

/**
 * Parses the text of a ledger file; one that cannot be parsed counts as empty. What was recorded while the clock was ahead of `nowMs` is not
 * believed, the CA's waiting time of that moment included: the CA says it again.
 */
export function parseLedger(text: string | undefined, nowMs: number): OrderLedger {
  try {
    const { entries, blocked_until, ...rest } = v.parse(Ledger, JSON.parse(text ?? ''))
    const believed = entries.filter(({ at }) => at <= nowMs + CLOCK_STEP_MS)
    const isBelieved = blocked_until !== undefined && believed.length === entries.length
    return { ...rest, entries: believed, ...(isBelieved ? { blocked_until } : {}) }
  } catch {
    return EMPTY_LEDGER
  }
}

/** The limit that rules out an order now, the one that lasts longest; `undefined` if an order may be made. */
export function orderLimit(ledger: OrderLedger, nowMs: number, limits: OrderLimits): OrderLimit | undefined {
  const reached = budgetsOf(ledger, nowMs, limits).flatMap(({ recent, by, max, withinMs }): OrderLimit[] => {
    const oldest = recent.at(-max)
    return oldest === undefined ? [] : [{ at: oldest.at + withinMs, by, max, withinMs }]
  })
  const said = { at: ledger.blocked_until ?? 0, by: 'ca', max: 0, withinMs: 0 } as const
  const [last] = [said, ...reached].sort((a, b) => b.at - a.at)
  return last !== undefined && last.at > nowMs ? last : undefined
}

/** How many orders may fail, and how many certificates may be issued, before a limit of ours is reached. */
export function budgetLeft(
  ledger: OrderLedger,
  nowMs: number,
  limits: OrderLimits,
): { readonly failures: number; readonly certificates: number } {
  const [failures = 0, certificates = 0] = budgetsOf(ledger, nowMs, limits).map(({ max, recent }) =>
    Math.max(0, max - recent.length),
  )
  return { failures, certificates }
}

/** The entries that count against each limit of ours. */
function budgetsOf(ledger: OrderLedger, nowMs: number, limits: OrderLimits) {
  const { SSL_FAILURES_PER_HOUR, SSL_CERTIFICATES_PER_WEEK } = limits
  const failed = { result: 'failed', by: 'SSL_FAILURES_PER_HOUR', max: SSL_FAILURES_PER_HOUR } as const
  const issued = { result: 'issued', by: 'SSL_CERTIFICATES_PER_WEEK', max: SSL_CERTIFICATES_PER_WEEK } as const
  return [
    { ...failed, withinMs: Math.min(HOUR_MS, lifetimeOf(ledger) * SHARE_OF_LIFETIME) },
    { ...issued, withinMs: Math.min(WEEK_MS, lifetimeOf(ledger)) },
  ].map(({ result, ...limit }) => ({
    ...limit,
    recent: ledger.entries.filter(
      (entry) => entry.result === result && entry.uncounted !== true && entry.at > nowMs - limit.withinMs,
    ),
  }))
}

/** When the next order may be made: `undefined` for now, else milliseconds since the epoch. */
export function nextOrderAt(ledger: OrderLedger, nowMs: number, limits: OrderLimits): number | undefined {
  return orderLimit(ledger, nowMs, limits)?.at
}

/** Of the certificate that was issued last. */
function lifetimeOf({ entries }: OrderLedger): number {
  return entries.findLast(({ result }) => result === 'issued')?.lifetime_ms ?? Number.POSITIVE_INFINITY
}

/** The ledger with one more entry; what no budget counts any more is dropped. */
export function withOrder(ledger: OrderLedger, entry: OrderEntry, blockedUntil?: number): OrderLedger {
  const kept = ledger.entries.filter(({ at }) => at > entry.at - WEEK_MS)
  const exempt = kept.filter((other) => other.uncounted === true)
  const dropped = new Set(exempt.slice(0, Math.max(0, exempt.length - MAX_EXEMPT)))
  const entries = [...kept.filter((other) => !dropped.has(other)), entry]
  const until = blockedUntil ?? ledger.blocked_until
  const { lineage } = ledger
  return {
    entries,
    ...(until !== undefined && until > entry.at ? { blocked_until: until } : {}),
    ...(lineage === undefined ? {} : { lineage }),
  }
}

/** When the next attempt in the background may be made, with growing pauses after failures; never before {@link nextOrderAt}. */
export function nextTryAt(ledger: OrderLedger, nowMs: number, limits: OrderLimits): number {
  const failures = consecutiveFailures(ledger)
  const last = failures.at(-1)
  const pause = PAUSES_MS[Math.min(failures.length, PAUSES_MS.length) - 1] ?? 0
  const longest = last?.asked === false ? UNASKED_PAUSE_MS : lifetimeOf(ledger) * SHARE_OF_LIFETIME
  const next = last === undefined ? nowMs : last.at + Math.min(pause, longest)
  return Math.max(next, nextOrderAt(ledger, nowMs, limits) ?? nowMs)
}

/** The last failure, if no order has succeeded since. */
export function lastFailure(ledger: OrderLedger): OrderEntry | undefined {
  return consecutiveFailures(ledger).at(-1)
}

function consecutiveFailures(ledger: OrderLedger): readonly OrderEntry[] {
  return ledger.entries.slice(ledger.entries.findLastIndex((entry) => entry.result === 'issued') + 1)
}
