/** Time and random identifiers, so that tests can control both. */

export interface Clock {
  /** Milliseconds since the epoch. */
  nowMs(): number
  /** Milliseconds of a monotonic clock. */
  monotonicMs(): number
  sleep(ms: number): Promise<void>
  /** A new random identifier. */
  randomId(): string
}

export function hostClock(): Clock {
  return {
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    randomId: () => crypto.randomUUID(),
  }
}
