/** How much this process is used: the figures that the mesh requests. */
import type { Clock } from '../adapters/clock.ts'

export interface UsageFigures {
  readonly startedAtMs: number
  readonly uptimeSeconds: number
  readonly requestsTotal: number
  /** In the last 60 seconds. */
  readonly requestsPerMinute: number
  /** Answers of 500 and above in the last 60 minutes. */
  readonly errorsLastHour: number
}

export interface Usage {
  record(status: number): void
  read(): UsageFigures
}

const SECOND_MS = 1000
const MINUTE_MS = 60_000
const BUCKETS = 60

/** Counts from now on. */
export function usageCounter(clock: Pick<Clock, 'nowMs' | 'monotonicMs'>): Usage {
  const startedAtMs = clock.nowMs()
  // Counted on the monotonic clock: after a correction of the other one, uptime could be negative.
  const startedMonotonicMs = clock.monotonicMs()
  const requests = slidingCount(SECOND_MS)
  const errors = slidingCount(MINUTE_MS)
  let requestsTotal = 0
  return {
    record: (status) => {
      const nowMs = clock.monotonicMs()
      requestsTotal++
      requests.add(nowMs)
      if (status >= 500) errors.add(nowMs)
    },
    read: () => {
      const nowMs = clock.monotonicMs()
      return {
        startedAtMs,
        uptimeSeconds: Math.floor((nowMs - startedMonotonicMs) / SECOND_MS),
        requestsTotal,
        requestsPerMinute: requests.count(nowMs),
        errorsLastHour: errors.count(nowMs),
      }
    },
  }
}

/** Counts over the last 60 buckets of this width, in constant space. */
function slidingCount(bucketMs: number) {
  const buckets = new Map<number, number>()
  const forgetOld = (nowMs: number) => {
    for (const bucket of buckets.keys()) if (bucket <= Math.floor(nowMs / bucketMs) - BUCKETS) buckets.delete(bucket)
  }
  return {
    add: (nowMs: number) => {
      forgetOld(nowMs)
      const bucket = Math.floor(nowMs / bucketMs)
      buckets.set(bucket, (buckets.get(bucket) ?? 0) + 1)
    },
    count: (nowMs: number) => {
      forgetOld(nowMs)
      return [...buckets.values()].reduce((sum, count) => sum + count, 0)
    },
  }
}
