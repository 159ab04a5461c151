/** Reads of what may not exist. */

/**
 * What a read returns; `undefined` if nothing exists there.
 * @throws {Error} Node's error of any other failure, which says nothing about whether something exists
 */
export function ifPresent<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw error
  }
}
