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
import { dirname } from 'node:path'
import { ifPresent } from './disk/if-present.ts'
import { limiter } from './disk/limiter.ts'
import { makeFolder } from './disk/make-folder.ts'
import { stampText, statCache } from './disk/stat-cache.ts'

/** A file's text. The same object as long as the file has not changed, so that what was parsed from it can be kept. */
export interface FileText {
  readonly text: string
}

export type Entry =
  | { readonly kind: 'file'; readonly file: FileText }
  | { readonly kind: 'link'; readonly target: string }
  | { readonly kind: 'other' }

/**
 * Reads return `undefined` (or nothing) only if nothing exists at the path. Any other failure of a read or an effect is Node's error, whose
 * `code` is the errno's name.
 * `syncFile`, `append` and `syncFolder` return once the data is on the medium.
 */
export interface Files {
  /** Names in a directory; the same array as long as none has come, gone or been replaced. */
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

const TAIL_BYTES = 65536
/** Descriptors that effects may hold at once: a batch writes hundreds of files. */
const HANDLES = 64

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
  const texts = statCache<FileText>((before, now) => before.text === now.text)
  const targets = statCache<string>()
  const folders = statCache<readonly string[]>()
  const withHandle = limiter(HANDLES)

  const readText = (path: string, stat: Stats): FileText =>
    texts.get(path, stat, () => ({ text: readFileSync(path, 'utf8') }))

  const forget = (path: string): void => {
    for (const cache of [texts, targets, folders]) cache.forget(path)
    folders.forget(dirname(path))
  }

  /** Runs an effect on a path: what was read there before is out of date, whatever the time stamps say. */
  const changing = async (path: string, effect: () => Promise<void>): Promise<void> => {
    try {
      await effect()
    } finally {
      forget(path)
    }
  }

  const removeFolder = async (path: string): Promise<void> => {
    await rm(path, { force: true, recursive: true })
    for (const cache of [texts, targets, folders]) cache.forgetIn(path)
  }

  return {
    list: (folder) => {
      const names = ifPresent(() => folders.get(folder, statSync(folder), () => readdirSync(folder)))
      return names ?? []
    },
    lstat: (path) =>
      ifPresent(() => {
        const stat = lstatSync(path)
        if (stat.isFile()) return { kind: 'file', file: readText(path, stat) }
        if (!stat.isSymbolicLink()) return { kind: 'other' }
        return { kind: 'link', target: targets.get(path, stat, () => readlinkSync(path)) }
      }),
    read: (path) =>
      ifPresent(() => {
        const stat = statSync(path)
        return stat.isFile() ? readText(path, stat) : undefined
      }),
    realPath: (path) => ifPresent(() => realpathSync(path)),
    stamp: (path) => ifPresent(() => stampText(statSync(path))),
    isWritable: (folder) => {
      try {
        accessSync(folder, constants.W_OK | constants.X_OK)
        return true
      } catch {
        return false
      }
    },
    tail: (path, offset) => {
      const content = ifPresent(() => {
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

    write: (path, text, mode) => {
      const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants
      return changing(path, () =>
        withHandle(async () => {
          const handle = await open(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, mode)
          try {
            await handle.chmod(mode)
            await handle.writeFile(text)
          } finally {
            await handle.close()
          }
        }),
      )
    },
    syncFile: (path) => withHandle(() => sync(path, constants.O_RDONLY | constants.O_NOFOLLOW)),
    append: (path, text) =>
      changing(path, () =>
        withHandle(async () => {
          const handle = await open(path, constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW)
          try {
            await handle.writeFile(text)
            await handle.sync()
          } finally {
            await handle.close()
          }
        }),
      ),
    writeUnsynced: (path, text, mode) => {
      const { O_CREAT, O_NOFOLLOW, O_TRUNC, O_WRONLY } = constants
      return changing(path, () =>
        withHandle(async () => {
          const handle = await open(path, O_CREAT | O_TRUNC | O_NOFOLLOW | O_WRONLY, mode)
          try {
            await handle.writeFile(text)
          } finally {
            await handle.close()
          }
        }),
      )
    },
    rename: (from, to) => changing(from, () => changing(to, () => rename(from, to))),
    symlink: (target, path) => changing(path, () => symlink(target, path)),
    link: (path, second) => changing(second, () => link(path, second)),
    // One system call for what most of them are; `rm` looks first, and again.
    remove: (path) =>
      changing(path, () =>
        unlink(path).catch((error: NodeJS.ErrnoException) =>
          error.code === 'ENOENT' ? undefined : removeFolder(path),
        ),
      ),
    makeFolder: (path, mode) => changing(path, () => makeFolder(path, mode)),
    syncFolder: (path) => withHandle(() => sync(path, constants.O_RDONLY | constants.O_DIRECTORY)),
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
