/** What the health checks of an upstream have shown, and the status that follows from them. Pure. */
import * as v from 'valibot'
import { HealthStatus, type Upstream, type UpstreamEntry } from './upstream.ts'

export interface HealthCheck {
  /** When it ended, in milliseconds since the epoch. */
  readonly atMs: number
  /** How long it took, in milliseconds. */
  readonly ms: number
  /** `HTTP 503`, the name of an errno, `TIMEOUT`, or the code of an error; null if the upstream is healthy. */
  readonly failure: string | null
}

/** Never changed: a further check makes another one. */
export interface HealthHistory {
  readonly status: HealthStatus
  /** When the status began; null as long as it is unknown. */
  readonly sinceMs: number | null
  /** Failures since the last success, and the reverse. */
  readonly failures: number
  readonly successes: number
  /** The last 120, the oldest first. */
  readonly checks: readonly HealthCheck[]
  /** The last 60: `1` for a success, `0` for a failure, the oldest first. */
  readonly recent: string
}

export const NO_CHECKS: HealthHistory = {
  status: 'unknown',
  sinceMs: null,
  failures: 0,
  successes: 0,
  checks: [],
  recent: '',
}

const KEPT = 120
const RECENT = 60
/** One lost packet or one slow answer is no outage, and one good answer of a droplet that crashes in a loop no recovery. */
const FAILURES_UNTIL_UNHEALTHY = 3
const SUCCESSES_UNTIL_HEALTHY = 2

/** The history with one more check. A decisive one is that of a change: its success needs no second one. */
export function noteCheck(history: HealthHistory, check: HealthCheck, isDecisive = false): HealthHistory {
  const isGood = check.failure === null
  const failures = isGood ? 0 : history.failures + 1
  const successes = isGood ? history.successes + 1 : 0
  const isRecovered = history.status !== 'unhealthy' || successes >= SUCCESSES_UNTIL_HEALTHY || isDecisive
  const status = isGood
    ? isRecovered
      ? 'healthy'
      : history.status
    : failures >= FAILURES_UNTIL_UNHEALTHY
      ? 'unhealthy'
      : history.status
  return {
    status,
    sinceMs: status === history.status ? history.sinceMs : check.atMs,
    failures,
    successes,
    checks: [...history.checks.slice(1 - KEPT), check],
    recent: (history.recent + (isGood ? '1' : '0')).slice(-RECENT),
  }
}

/** The health of an upstream in a list; times are ISO 8601. */
export const HealthSummary = v.object({
  status: v.pipe(
    HealthStatus,
    v.description('unhealthy after three failed checks in a row, healthy again after two good ones'),
  ),
  since: v.pipe(v.nullable(v.string()), v.description('When the status began; null as long as it is unknown')),
  latency_ms: v.pipe(v.nullable(v.number()), v.description('How long the last check took; null if there was none')),
  recent: v.pipe(v.string(), v.description('The last 60 checks, the oldest first: 1 for a success, 0 for a failure')),
})
export type HealthSummary = v.InferOutput<typeof HealthSummary>

const LastFailure = {
  failure: v.pipe(v.nullable(v.string()), v.description('Why the last check failed; null if it did not')),
  consecutive_failures: v.number(),
}

/** One of several upstreams. */
const UpstreamDetails = v.object({
  upstream: v.string(),
  backup: v.boolean(),
  ...HealthSummary.entries,
  ...LastFailure,
})
type UpstreamDetails = v.InferOutput<typeof UpstreamDetails>

/** The health of a route, with each check. */
export const HealthDetails = v.object({
  ...HealthSummary.entries,
  ...LastFailure,
  checks: v.pipe(
    v.array(v.object({ at: v.string(), ok: v.boolean(), ms: v.number(), failure: v.nullable(v.string()) })),
    v.description('The last 120, the oldest first'),
  ),
  upstreams: v.optional(
    v.pipe(
      v.array(UpstreamDetails),
      v.description('Each upstream, if there are several; the rest is that of the worst that is not a backup'),
    ),
  ),
})
export type HealthDetails = v.InferOutput<typeof HealthDetails>

export function summaryOf({ status, sinceMs, checks, recent }: HealthHistory): HealthSummary {
  const since = sinceMs === null ? null : new Date(sinceMs).toISOString()
  return { status, since, latency_ms: checks.at(-1)?.ms ?? null, recent }
}

function lastFailureOf({ checks, failures }: HealthHistory) {
  return { failure: checks.at(-1)?.failure ?? null, consecutive_failures: failures }
}

export function detailsOf(history: HealthHistory): HealthDetails {
  return {
    ...summaryOf(history),
    ...lastFailureOf(history),
    checks: history.checks.map(({ atMs, ms, failure }) => ({
      at: new Date(atMs).toISOString(),
      ok: failure === null,
      ms,
      failure,
    })),
  }
}

/** Of several upstreams, in their order. */
export function detailsOfEach(
  histories: readonly {
    readonly upstream: Pick<Upstream, 'url'> & Pick<UpstreamEntry, 'backup'>
    readonly history: HealthHistory
  }[],
): UpstreamDetails[] {
  return histories.map(({ upstream: { url, backup }, history }) => ({
    upstream: url,
    backup,
    ...summaryOf(history),
    ...lastFailureOf(history),
  }))
}
