/** A folder with its parents, or the true reason why there is none. */
import { chmod, mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Creates a folder and its parents where they are missing, and gives it this mode. Rejects with Node's error. */
export async function makeFolder(path: string, mode: number): Promise<void> {
  await makeWithParents(path, mode)
  await chmod(path, mode)
}

/**
 * Node's own `recursive` takes every ENOENT for a missing parent: below /proc it never ends, and for a read-only disk it says ENOENT
 * (nodejs/node#47098).
 */
async function makeWithParents(path: string, mode: number): Promise<void> {
  await makeOne(path, mode).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    await makeWithParents(dirname(path), mode)
    await makeOne(path, mode)
  })
}

async function makeOne(path: string, mode: number): Promise<void> {
  await mkdir(path, { mode }).catch(async (error: NodeJS.ErrnoException) => {
    const isThere = error.code === 'EEXIST' && (await stat(path)).isDirectory()
    if (!isThere) throw error
  })
}
