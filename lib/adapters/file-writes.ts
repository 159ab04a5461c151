/** The effects on files that durable changes are made of. */
import { constants, type FileHandle, link, open, rename, rm, symlink, unlink } from 'node:fs/promises'
import { posix } from 'node:path'
import { inFolderBelow, makeWithParents } from './disk/folders.ts'
import { descriptors } from './disk/limiter.ts'

/** Effects reject with Node's error, whose `code` is the errno's name. `syncFile`, `append` and `syncFolder` resolve once the data is on the medium. */
export interface FileWrites {
  /** Creates a file that must not exist yet, never through a symlink, with exactly this mode. {@link syncFile} makes it durable. */
  write(path: string, text: string, mode: number): Promise<void>
  /** Resolves once a file's content is on the medium. */
  syncFile(path: string): Promise<void>
  /** Appends to a file that exists, and syncs it; if that fails, what was appended is removed again. */
  append(path: string, text: string): Promise<void>
  /** Writes a file that nothing depends on after a power cut: overwritten in place, not synced, with exactly this mode. */
  writeUnsynced(path: string, text: string, mode: number): Promise<void>
  /** Replaces such a file by renaming this temporary: whoever reads meanwhile finds one of the two texts, complete. */
  replaceUnsynced(path: string, temporary: string, text: string, mode: number): Promise<void>
  /**
   * Creates a directory below `root`, and the missing ones above it, with mode 0755; one that exists keeps its mode. Nothing below `root` is
   * followed if it is a symlink, even if another user, who owns a directory there, puts one in place meanwhile.
   */
  makeFolderBelow(root: string, path: string): Promise<void>
  /** Creates a file that must not exist yet in such a directory, likewise. */
  writeBelow(root: string, path: string, text: string, mode: number): Promise<void>
  /** Removes such a file, likewise; nothing happens if there is none. */
  removeBelow(root: string, path: string): Promise<void>
  /** Copies a file, not through a symlink, byte for byte to one that must not exist yet, and syncs it. */
  copy(from: string, to: string, mode: number): Promise<void>
  rename(from: string, to: string): Promise<void>
  symlink(target: string, path: string): Promise<void>
  /** Gives a file a second name, which needs no space; the second name must not exist yet. */
  link(path: string, second: string): Promise<void>
  /** Removes a file or a symlink (not its target), but no directory; nothing happens if there is none. */
  remove(path: string): Promise<void>
  /** Removes a directory with its content, or what {@link remove} does; only for directories that no other user may change. */
  removeFolder(path: string): Promise<void>
  /** Creates a directory and its missing parents with this mode; one that exists keeps its own. */
  makeFolder(path: string, mode: number): Promise<void>
  syncFolder(path: string): Promise<void>
}

/** Makes the effects; what was cached of a path that they change is forgotten, whatever its time stamps say. */
export function hostFileWrites(cache: {
  readonly forget: (path: string) => void
  readonly forgetBelow: (folder: string) => void
}): FileWrites {
  const { O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_TRUNC, O_WRONLY } = constants
  const changing = async (path: string, effect: () => Promise<void>): Promise<void> => {
    try {
      await effect()
    } finally {
      cache.forget(path)
    }
  }
  const reading = (path: string, flags: number, use: (file: FileHandle) => Promise<void>) =>
    withFile(path, flags, undefined, use)
  const writing = (path: string, flags: number, mode: number | undefined, use: (file: FileHandle) => Promise<void>) =>
    changing(path, () => withFile(path, O_NOFOLLOW | O_WRONLY | flags, mode, use))
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
    append: (path, text) => writing(path, O_APPEND, undefined, (file) => appendWhole(file, text)),
    writeUnsynced: overwrite,
    replaceUnsynced: (path, temporary, text, mode) =>
      changing(path, () => replaceBy(temporary, path, () => overwrite(temporary, text, mode))),
    ...writesBelow(changing),
    copy: async (from, to, mode) => {
      const bytes = await withFile(from, O_RDONLY | O_NOFOLLOW, undefined, (file) => file.readFile())
      await writing(to, O_CREAT | O_EXCL, mode, async (file) => {
        await file.chmod(mode)
        await file.writeFile(bytes)
        await file.sync()
      })
    },
    rename: (from, to) => changing(from, () => changing(to, () => rename(from, to))),
    symlink: (target, path) => changing(path, () => symlink(target, path)),
    link: (path, second) => changing(second, () => link(path, second)),
    remove: (path) => changing(path, () => unlinkIfPresent(path)),
    removeFolder: (path) =>
      changing(path, async () => {
        await rm(path, { force: true, recursive: true })
        cache.forgetBelow(path)
      }),
    makeFolder: (path, mode) => changing(path, () => descriptors.quick(() => makeWithParents(path, mode))),
    syncFolder: (path) => reading(path, O_RDONLY | O_DIRECTORY, (file) => file.sync()),
  }
}

/** The effects in directories that another user may own. */
function writesBelow(
  changing: (path: string, effect: () => Promise<void>) => Promise<void>,
): Pick<FileWrites, 'makeFolderBelow' | 'writeBelow' | 'removeBelow'> {
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants
  const inFolder = (...[root, names, create, use]: Parameters<typeof inFolderBelow>) =>
    descriptors.quick(() => inFolderBelow(root, names, create, use))
  const inParent = (root: string, path: string, effect: (path: string) => Promise<void>) =>
    changing(`${root}/${path}`, () =>
      inFolder(root, posix.dirname(path).split('/'), false, (parent) => effect(`${parent}/${posix.basename(path)}`)),
    )
  return {
    makeFolderBelow: (root, path) =>
      changing(`${root}/${path}`, () => inFolder(root, path.split('/'), true, async () => undefined)),
    writeBelow: (root, path, text, mode) =>
      inParent(root, path, (opened) =>
        useFile(opened, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, mode, async (file) => {
          await file.chmod(mode)
          await file.writeFile(text)
        }),
      ),
    removeBelow: (root, path) => inParent(root, path, unlinkIfPresent),
  }
}

async function appendWhole(file: FileHandle, text: string): Promise<void> {
  const { size } = await file.stat()
  try {
    await file.writeFile(text)
    await file.datasync()
  } catch (error) {
    await file.truncate(size).catch(() => undefined)
    throw error
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

async function withFile<T>(...use: Parameters<typeof useFile<T>>): Promise<T> {
  return await descriptors.quick(() => useFile(...use))
}

/** Outside the limit of descriptors: for a job that has a place in it already. */
async function useFile<T>(
  path: string,
  flags: number,
  mode: number | undefined,
  use: (file: FileHandle) => Promise<T>,
): Promise<T> {
  const file = await open(path, flags, mode)
  try {
    return await use(file)
  } finally {
    await file.close()
  }
}

async function unlinkIfPresent(path: string): Promise<void> {
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
}
