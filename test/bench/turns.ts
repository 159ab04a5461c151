/** Counting, timing and bounding what is measured. */

/** No single figure takes longer than this, even on a slow machine. */
export const LIMIT_MS = 60_000

/** Measurements that take long, or hardly vary, are repeated at most this often. */
export const FEW_RUNS = 5

/** Runs something a number of times, fewer if that would take too long, but at least once. */
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

/** Runs a number of jobs concurrently. */
export async function allAtOnce<T>(count: number, job: (i: number) => Promise<T>): Promise<T[]> {
  return await Promise.all(Array.from({ length: count }, (_, i) => job(i)))
}

export async function timed<T>(job: () => Promise<T>): Promise<readonly [ms: number, result: T]> {
  const started = performance.now()
  const result = await job()
  return [performance.now() - started, result]
}
