/** What has been started, each with its way back; the last one goes first. */
export type Undo = (() => unknown)[]

/** Runs a job, and takes back what it has started: whether it ends, fails, or is interrupted. */
export async function withUndo<T>(job: (undo: Undo) => Promise<T>): Promise<T> {
  const undo: Undo = []
  try {
    return await job(undo)
  } finally {
    for (const step of undo.reverse()) await Promise.resolve(step()).catch(() => undefined)
  }
}
