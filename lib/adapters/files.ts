/** The file system: reads that notice changes cheaply, and the few effects of which durable changes are made. */

import {
  accessSync,
  closeSync,
  constants,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  realpathSync,
  type Stats,
  statSync,
} from 'node:fs'
import { link, open, rename, rm, symlink, unlink } from 'node:fs/promises'
import { makeFolder } from './make-folder.ts'

/** A file's text. The same object as long as the file has not changed, so that what was parsed from it can be kept. */
export interface FileText {
  readonly text: string
}

export type Entry =
  | { readonly kind: 'file'; readonly file: FileText }
  | { readonly kind: 'link'; readonly target: string }
  | { readonly kind: 'other' }

/**
 * Reads answer `undefined` (or nothing) where there is nothing to read. Effects reject with Node's error, whose `code` is the errno's name.
 * `syncFile`, `append` and `syncFolder` return once the data is on the medium.
 */
export interface Files {
  /** Names in a folder; the same array as long as none has come, gone or been replaced. */
  list(folder: string): readonly string[]
  /** What stands at a path, without following a symlink. */
  lstat(path: string): Entry | undefined
  /** The text at a path, following symlinks. */
  read(path: string): FileText | undefined
  /** The path without symlinks; `undefined` where it does not exist. */
  realPath(path: string): string | undefined
  /** Changes whenever the file at a path does; `undefined` where there is none. */
  stamp(path: string): string | undefined
  /** Whether this process may create files in a folder. */
  isWritable(folder: string): boolean
  /** Size of a file in bytes, and its text from `offset` (at most 64 KiB). At `next`, behind the last whole line of it, one reads on. */
  tail(path: string, offset: number): { readonly size: number; readonly text: string; readonly next: number }

  /** Creates a file that must not exist yet, never through a symlink, with exactly this mode. {@link syncFile} makes it durable. */
  write(path: string, text: string, mode: number): Promise<void>
  /** Returns once what a file holds is on the medium. */
  syncFile(path: string): Promise<void>
  /** Appends to a file that exists, and syncs it. */
  append(path: string, text: string): Promise<void>
  /** Writes a file that nothing depends on after a power cut: replaced, not synced. */
  writeUnsynced(path: string, text: string, mode: number): Promise<void>
  rename(from: string, to: string): Promise<void>
  symlink(target: string, path: string): Promise<void>
  /** Gives a file a second name, which needs no space; the second name must not exist yet. */
  link(path: string, second: string): Promise<void>
  /** Removes a file, a symlink (not what it leads to) or a folder with all it holds; nothing happens where there is none. */
  remove(path: string): Promise<void>
  /** Creates a folder and its parents where they are missing, and gives it this mode. */
  makeFolder(path: string, mode: number): Promise<void>
  syncFolder(path: string): Promise<void>
}

/** What of a file's status changes when the file does: numbers, since they are compared for every route at every look at the host. */
type Stamp = Pick<Stats, 'dev' | 'ino' | 'size' | 'mtimeMs' | 'ctimeMs'>

interface Cached<T> {
  readonly stamp: Stamp
  readonly value: T
}

/** File times have the kernel's tick (up to 10 ms): a file changed this recently may change again under the same stamp. */
const RACY_MS = 50
const TAIL_BYTES = 65536

/** What a file holds, or why it cannot be read: Node's code. */
export function readWholeFile(path: string): { readonly text: string } | { readonly failure: string } {
  try {
    return statSync(path).isFile() ? { text: readFileSync(path, 'utf8') } : { failure: 'no file' }
  } catch (error) {
    return { failure: error instanceof Error && 'code' in error ? String(error.code) : String(error) }
  }
}

/** The host's file system. */
export function hostFiles(): Files {
  const texts = new Map<string, Cached<FileText>>()
  const targets = new Map<string, Cached<string>>()
  const folders = new Map<string, Cached<readonly string[]>>()

  const readText = (path: string, stat: Stats): FileText => {
    const cached = texts.get(path)
    if (cached !== undefined && isSame(cached.stamp, stat)) return cached.value
    const value = { text: readFileSync(path, 'utf8') }
    if (Date.now() - stat.mtimeMs > RACY_MS) texts.set(path, { stamp: stampOf(stat), value })
    else texts.delete(path)
    return value
  }

  /** A name that is gone is not asked for again: what was kept for it would stay for ever. */
  const forget = (path: string): void => {
    for (const cache of [texts, targets, folders]) cache.delete(path)
  }

  const removeFolder = async (path: string): Promise<void> => {
    await rm(path, { force: true, recursive: true })
    for (const cache of [texts, targets, folders])
      for (const name of cache.keys()) if (name.startsWith(`${path}/`)) cache.delete(name)
  }

  return {
    list: (folder) => {
      const names = orUndefined(() => {
        const stat = statSync(folder)
        const cached = folders.get(folder)
        if (cached !== undefined && isSame(cached.stamp, stat)) return cached.value
        const value = readdirSync(folder)
        if (Date.now() - stat.mtimeMs > RACY_MS) folders.set(folder, { stamp: stampOf(stat), value })
        return value
      })
      return names ?? []
    },
    lstat: (path) =>
      orUndefined(() => {
        const stat = lstatSync(path, { throwIfNoEntry: false })
        if (stat === undefined) return undefined
        if (stat.isFile()) return { kind: 'file', file: readText(path, stat) }
        if (!stat.isSymbolicLink()) return { kind: 'other' }
        const cached = targets.get(path)
        if (cached !== undefined && isSame(cached.stamp, stat)) return { kind: 'link', target: cached.value }
        const target = readlinkSync(path)
        targets.set(path, { stamp: stampOf(stat), value: target })
        return { kind: 'link', target }
      }),
    read: (path) =>
      orUndefined(() => {
        const stat = statSync(path)
        return stat.isFile() ? readText(path, stat) : undefined
      }),
    realPath: (path) => orUndefined(() => realpathSync(path)),
    stamp: (path) => orUndefined(() => Object.values(stampOf(statSync(path))).join(':')),
    isWritable: (folder) =>
      orUndefined(() => accessSync(folder, constants.W_OK | constants.X_OK) === undefined) ?? false,
    tail: (path, offset) => {
      const content = orUndefined(() => {
        const size = statSync(path).size
        if (size <= offset) return { size, text: '', next: offset }
        const file = openSync(path, 'r')
        try {
          const buffer = Buffer.alloc(Math.min(size - offset, TAIL_BYTES))
          const piece = buffer.subarray(0, readSync(file, buffer, 0, buffer.length, offset))
          return { size, text: piece.toString(), next: offset + wholeLines(piece) }
        } finally {
          closeSync(file)
        }
      })
      return content ?? { size: 0, text: '', next: offset }
    },

    write: async (path, text, mode) => {
      const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants
      const handle = await open(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, mode)
      try {
        await handle.chmod(mode)
        await handle.writeFile(text)
      } finally {
        await handle.close()
      }
    },
    syncFile: (path) => sync(path, constants.O_RDONLY | constants.O_NOFOLLOW),
    append: async (path, text) => {
      const handle = await open(path, constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW)
      try {
        await handle.writeFile(text)
        await handle.sync()
      } finally {
        await handle.close()
      }
    },
    writeUnsynced: async (path, text, mode) => {
      const { O_CREAT, O_NOFOLLOW, O_TRUNC, O_WRONLY } = constants
      const handle = await open(path, O_CREAT | O_TRUNC | O_NOFOLLOW | O_WRONLY, mode)
      try {
        await handle.writeFile(text)
      } finally {
        await handle.close()
      }
    },
    rename: async (from, to) => {
      await rename(from, to)
      forget(from)
    },
    symlink: (target, path) => symlink(target, path),
    link,
    remove: async (path) => {
      // One system call for what most of them are; `rm` looks first, and again.
      await unlink(path).catch((error: NodeJS.ErrnoException) =>
        error.code === 'ENOENT' ? undefined : removeFolder(path),
      )
      forget(path)
    },
    makeFolder,
    syncFolder: (path) => sync(path, constants.O_RDONLY | constants.O_DIRECTORY),
  }
}

/** The bytes of its whole lines; of a line that fills a piece, all of it. */
function wholeLines(piece: Buffer): number {
  return piece.lastIndexOf('\n') + 1 || (piece.length === TAIL_BYTES ? piece.length : 0)
}

async function sync(path: string, flags: number): Promise<void> {
  const handle = await open(path, flags)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function stampOf({ dev, ino, size, mtimeMs, ctimeMs }: Stats): Stamp {
  return { dev, ino, size, mtimeMs, ctimeMs }
}

function isSame(a: Stamp, b: Stamp): boolean {
  return a.mtimeMs === b.mtimeMs && a.ctimeMs === b.ctimeMs && a.size === b.size && a.ino === b.ino && a.dev === b.dev
}

function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
