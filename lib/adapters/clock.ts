/** Time and chance, so that tests can hold both still. */

export interface Clock {
  /** Milliseconds since the epoch. */
  nowMs(): number
  /** Milliseconds of a clock that never jumps. */
  monotonicMs(): number
  sleep(ms: number): Promise<void>
  /** A fresh random identifier. */
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
