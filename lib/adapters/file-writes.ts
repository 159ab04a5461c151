/** The effects on files that durable changes are made of. */
import {
  chmod,
  constants,
  type FileHandle,
  link,
  mkdir,
  open,
  rename,
  rm,
  stat,
  symlink,
  unlink,
} from 'node:fs/promises'
import { dirname } from 'node:path'
import { limiter } from './disk/limiter.ts'

/** Effects reject with Node's error, whose `code` is the errno's name. `syncFile`, `append` and `syncFolder` resolve once the data is on the medium. */
export interface FileWrites {
  /** Creates a file that must not exist yet, never through a symlink, with exactly this mode. {@link syncFile} makes it durable. */
  write(path: string, text: string, mode: number): Promise<void>
  /** Resolves once a file's content is on the medium. */
  syncFile(path: string): Promise<void>
  /** Appends to a file that exists, and syncs it. */
  append(path: string, text: string): Promise<void>
  /** Writes a file that nothing depends on after a power cut: overwritten in place, not synced, with exactly this mode. */
  writeUnsynced(path: string, text: string, mode: number): Promise<void>
  /** Replaces such a file by renaming this temporary: whoever reads meanwhile finds one of the two texts, complete. */
  replaceUnsynced(path: string, temporary: string, text: string, mode: number): Promise<void>
  rename(from: string, to: string): Promise<void>
  symlink(target: string, path: string): Promise<void>
  /** Gives a file a second name, which needs no space; the second name must not exist yet. */
  link(path: string, second: string): Promise<void>
  /** Removes a file, a symlink (not its target) or a directory with its content; nothing happens if there is none. */
  remove(path: string): Promise<void>
  /** Creates a directory and its missing parents, and gives it this mode. */
  makeFolder(path: string, mode: number): Promise<void>
  syncFolder(path: string): Promise<void>
}

/** Descriptors that effects may hold at once: a batch writes hundreds of files. */
const HANDLES = 64

/** Makes the effects; what was cached of a path that they change is forgotten, whatever its time stamps say. */
export function hostFileWrites(cache: {
  readonly forget: (path: string) => void
  readonly forgetBelow: (folder: string) => void
}): FileWrites {
  const { O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_TRUNC, O_WRONLY } = constants
  const removeFolder = async (path: string): Promise<void> => {
    await rm(path, { force: true, recursive: true })
    cache.forgetBelow(path)
  }
  const withHandle = limiter(HANDLES)
  const changing = async (path: string, effect: () => Promise<void>): Promise<void> => {
    try {
      await effect()
    } finally {
      cache.forget(path)
    }
  }
  const reading = (path: string, flags: number, use: (file: FileHandle) => Promise<void>) =>
    withHandle(() => withFile(path, flags, undefined, use))
  const writing = (path: string, flags: number, mode: number | undefined, use: (file: FileHandle) => Promise<void>) =>
    changing(path, () => withHandle(() => withFile(path, O_NOFOLLOW | O_WRONLY | flags, mode, use)))
  const overwrite = (path: string, text: string, mode: number) =>
    writing(path, O_CREAT | O_TRUNC, mode, async (file) => {
      await file.chmod(mode)
      await file.writeFile(text)
    })
  return {
    write: (path, text, mode) =>
      writing(path, O_CREAT | O_EXCL, mode, async (file) => {
        await file.chmod(mode)
        await file.writeFile(text)
      }),
    syncFile: (path) => reading(path, O_RDONLY | O_NOFOLLOW, (file) => file.sync()),
    append: (path, text) =>
      writing(path, O_APPEND, undefined, async (file) => {
        await file.writeFile(text)
        await file.sync()
      }),
    writeUnsynced: overwrite,
    replaceUnsynced: (path, temporary, text, mode) =>
      changing(path, () => replaceBy(temporary, path, () => overwrite(temporary, text, mode))),
    rename: (from, to) => changing(from, () => changing(to, () => rename(from, to))),
    symlink: (target, path) => changing(path, () => symlink(target, path)),
    link: (path, second) => changing(second, () => link(path, second)),
    remove: (path) =>
      changing(path, () =>
        // One system call for most of them; `rm` would stat first.
        unlink(path).catch((error: NodeJS.ErrnoException) =>
          error.code === 'ENOENT' ? undefined : removeFolder(path),
        ),
      ),
    makeFolder: (path, mode) =>
      changing(path, async () => {
        await makeWithParents(path, mode)
        await chmod(path, mode)
      }),
    syncFolder: (path) => reading(path, O_RDONLY | O_DIRECTORY, (file) => file.sync()),
  }
}

async function replaceBy(temporary: string, path: string, write: () => Promise<void>): Promise<void> {
  try {
    await write()
    await rename(temporary, path)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw error
  }
}

async function withFile(
  path: string,
  flags: number,
  mode: number | undefined,
  use: (file: FileHandle) => Promise<void>,
): Promise<void> {
  const file = await open(path, flags, mode)
  try {
    await use(file)
  } finally {
    await file.close()
  }
}

/**
 * Node's own `recursive` treats every ENOENT as a missing parent: below /proc it never ends, and on a read-only disk it reports ENOENT
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
