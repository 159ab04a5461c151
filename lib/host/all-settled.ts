/** Concurrent effects. */

/** Waits for all, then throws the first failure: nothing continues in the background when the caller starts to undo. */
export async function allSettledOrThrow(effects: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(effects)).find((result) => result.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}
