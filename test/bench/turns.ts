/** Counting, timing and bounding what is measured. */

/** However slow the machine is, no single figure takes longer than this. */
export const LIMIT_MS = 60_000

/** Measurements that are long themselves, or hardly differ, are repeated no more than this. */
export const FEW_RUNS = 5

/** Runs something a number of times, fewer where that would take too long; the first time in any case. */
export async function inTurns(
  stopped: AbortSignal,
  runs: number,
  job: (run: number) => Promise<void>,
  limitMs = LIMIT_MS,
): Promise<void> {
  const deadline = performance.now() + limitMs
  for (let run = 0; run < runs && (run === 0 || performance.now() < deadline); run++) {
    stopped.throwIfAborted()
    await job(run)
  }
}

/** Runs a number of jobs all at once. */
export async function allAtOnce<T>(count: number, job: (i: number) => Promise<T>): Promise<T[]> {
  return await Promise.all(Array.from({ length: count }, (_, i) => job(i)))
}

export async function timed<T>(job: () => Promise<T>): Promise<readonly [ms: number, result: T]> {
  const started = performance.now()
  const result = await job()
  return [performance.now() - started, result]
}
