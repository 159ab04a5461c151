/** Effects at the same time. */

/** Waits for all, then fails with the first failure: nothing goes on in the background when the caller starts to undo. */
export async function allSettledOrThrow(effects: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(effects)).find((result) => result.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}
