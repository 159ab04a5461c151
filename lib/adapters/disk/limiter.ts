/** Bounds how many descriptors the work of changes and syncs holds at once. */

export interface Limiter {
  /** Runs a job that ends soon: before every slow one that waits, in the order of the calls. */
  quick<T>(job: () => Promise<T>): Promise<T>
  /** Runs a job that may take as long as another server does to answer. */
  slow<T>(job: () => Promise<T>): Promise<T>
}

/**
 * Makes a limiter of this many places, of which slow jobs get only some: a change must not wait until upstreams time out. A job must not wait
 * for another one of the same limiter.
 */
export function limiter(places: number, slowPlaces = places): Limiter {
  const waiting: Readonly<Record<'quick' | 'slow', (() => void)[]>> = { quick: [], slow: [] }
  const running = { quick: 0, slow: 0 }
  const startNext = () => {
    while (running.quick + running.slow < places) {
      const kind = waiting.quick.length > 0 || running.slow >= slowPlaces ? 'quick' : 'slow'
      const start = waiting[kind].shift()
      if (start === undefined) return
      running[kind]++
      start()
    }
  }
  const runAs =
    (kind: 'quick' | 'slow') =>
    async <T>(job: () => Promise<T>): Promise<T> => {
      await new Promise<void>((start) => {
        waiting[kind].push(start)
        startNext()
      })
      try {
        return await job()
      } finally {
        running[kind]--
        startNext()
      }
    }
  return { quick: runAs('quick'), slow: runAs('slow') }
}

/** The one of this process: each job holds at most one file or socket, and the few that enter a webroot four. */
export const descriptors = limiter(64, 48)
