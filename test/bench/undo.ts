/** The teardown of what has been started, in reverse order. */
export type Undo = (() => unknown)[]

/** Runs a job, and tears down what it has started, whether it ends, fails, or is interrupted. */
export async function withUndo<T>(job: (undo: Undo) => Promise<T>): Promise<T> {
  const undo: Undo = []
  try {
    return await job(undo)
  } finally {
    for (const step of undo.reverse()) await Promise.resolve(step()).catch(() => undefined)
  }
}
