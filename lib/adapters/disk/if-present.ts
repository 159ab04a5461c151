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
    // ESRCH: the process has ended while its files in /proc were read.
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ESRCH') return undefined
    throw error
  }
}
