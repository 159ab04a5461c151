/** Bounds how many jobs run at once: each holds a file descriptor or a socket. */

/** Makes a function that runs a job as soon as fewer than `atOnce` others run, in the order of the calls. */
export function limiter(atOnce: number): <T>(job: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  let running = 0
  return async (job) => {
    if (running >= atOnce) await new Promise<void>((start) => waiting.push(start))
    else running++
    try {
      return await job()
    } finally {
      // The next one takes over this place.
      const next = waiting.shift()
      if (next === undefined) running--
      else next()
    }
  }
}
