/** Timers that repeat. */

/** Starts a job again and again, `everyMs` apart; never while it still runs, so that none pile up behind one that hangs. */
export function repeat(everyMs: number, job: () => Promise<void>, onFailure: (error: Error) => void): NodeJS.Timeout {
  let isRunning = false
  return setInterval(async () => {
    if (isRunning) return
    isRunning = true
    await job().catch(onFailure)
    isRunning = false
  }, everyMs)
}
