/** Directories: how they are made, and how they are entered if another user may put a symlink in their place meanwhile. */
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, stat } from 'node:fs/promises'
import { posix } from 'node:path'

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = constants
const NO_LINK = O_RDONLY | O_DIRECTORY | O_NOFOLLOW
const MODE = 0o755

/**
 * Opens directories one below the other without following a symlink below `root`, and calls `use` with a path of the last one that stays the
 * opened directory, whatever is renamed meanwhile: Node has no openat(2), but a path below `/proc/self/fd` does the same (proc(5)). With
 * `create`, missing ones are made, with mode 0755.
 * @throws {Error} Node's error; ENOTDIR if one of them is a symlink or no directory
 */
export async function inFolderBelow(
  root: string,
  names: readonly string[],
  create: boolean,
  use: (folder: string) => Promise<void>,
): Promise<void> {
  const opened: FileHandle[] = [await open(root, O_RDONLY | O_DIRECTORY)]
  const current = () => `/proc/self/fd/${opened.at(-1)?.fd}`
  try {
    for (const name of names) {
      const path = `${current()}/${name}`
      const isMade = create && (await makeIfMissing(path, MODE))
      const folder = await open(path, NO_LINK)
      opened.push(folder)
      if (isMade) await folder.chmod(MODE)
    }
    await use(current())
  } finally {
    for (const folder of opened) await folder.close()
  }
}

/**
 * Makes a directory and its missing parents. Node's own `recursive` treats every ENOENT as a missing parent: below /proc it never ends, and on a
 * read-only disk it reports ENOENT (nodejs/node#47098).
 */
export async function makeWithParents(path: string, mode: number): Promise<void> {
  await makeOne(path, mode).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    await makeWithParents(posix.dirname(path), mode)
    await makeOne(path, mode)
  })
}

async function makeOne(path: string, mode: number): Promise<void> {
  if (!(await makeIfMissing(path, mode))) {
    if ((await stat(path)).isDirectory()) return
    throw Object.assign(new Error(`EEXIST: no directory, '${path}'`), { code: 'EEXIST', path })
  }
  const folder = await open(path, NO_LINK)
  try {
    // mkdir(2) takes the umask off. By its descriptor: whoever owns the parent may have put a symlink there.
    await folder.chmod(mode)
  } finally {
    await folder.close()
  }
}

/** Makes a directory, and returns true; false if there is something already. */
async function makeIfMissing(path: string, mode: number): Promise<boolean> {
  try {
    await mkdir(path, { mode })
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}
