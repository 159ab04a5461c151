/** Directories that another user may rename or replace by symlinks while this process works in them. */
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open } from 'node:fs/promises'

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
  const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = constants
  const opened: FileHandle[] = [await open(root, O_RDONLY | O_DIRECTORY)]
  const current = () => `/proc/self/fd/${opened.at(-1)?.fd}`
  try {
    for (const name of names) {
      const path = `${current()}/${name}`
      const isMade = create && (await makeIfMissing(path))
      const folder = await open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
      opened.push(folder)
      // mkdir(2) takes the umask off.
      if (isMade) await folder.chmod(MODE)
    }
    await use(current())
  } finally {
    for (const folder of opened) await folder.close()
  }
}

/** Makes a directory, and returns true; false if there is something already. */
export async function makeIfMissing(path: string, mode = MODE): Promise<boolean> {
  try {
    await mkdir(path, { mode })
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}
