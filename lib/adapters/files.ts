/** The file system: reads that notice changes cheaply, and the few effects that durable changes are made of. */
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
import { dirname, resolve } from 'node:path'
import { ifPresent } from './disk/if-present.ts'
import { stampText, statCache } from './disk/stat-cache.ts'
import { type FileWrites, hostFileWrites } from './file-writes.ts'

/** A file's text. The same object as long as the file has not changed, so that what was parsed from it can be kept. */
export interface FileText {
  readonly text: string
}

export type Entry =
  | { readonly kind: 'file'; readonly file: FileText }
  | { readonly kind: 'link'; readonly target: string }
  | { readonly kind: 'other' }

export interface Access {
  readonly kind: 'file' | 'folder' | 'link' | 'other'
  /** It belongs to this process's user, or to root. */
  readonly isOurs: boolean
  /** The permission bits, as in chmod(2). */
  readonly mode: number
}

/**
 * Reads return `undefined` (or nothing) only if nothing exists at the path, or behind the symlink there. Any other failure is thrown as Node's
 * error, whose `code` is the errno's name: what cannot be read may exist.
 */
interface FileReads {
  /** Names in a directory; the same array as long as none was added, removed or replaced. */
  list(folder: string): readonly string[]
  /** What is at a path, without following a symlink. */
  lstat(path: string): Entry | undefined
  /** Whose a path is and what others may do with it, without following a symlink. */
  access(path: string): Access | undefined
  /** The text at a path, following symlinks. */
  read(path: string): FileText | undefined
  /** The path without symlinks. */
  realPath(path: string): string | undefined
  /** Changes whenever the file at a path does. */
  stamp(path: string): string | undefined
  /** When the text at a path was last written, in milliseconds since the epoch. A rename is no write. */
  modifiedMs(path: string): number | undefined
  /** Whether this process may create files in a directory. */
  isWritable(folder: string): boolean
  /** Size of a file in bytes; 0 if there is none. */
  size(path: string): number
  /** A file's text from `offset` on, at most 64 KiB. `next`, the end of its last complete line, is where the next read begins. */
  readFrom(path: string, offset: number): { readonly size: number; readonly text: string; readonly next: number }
}

export interface Files extends FileReads, FileWrites {}

/** What a file contains and whether every user can read it, or why it cannot be read: Node's code. */
export function readWholeFile(
  path: string,
): { readonly text: string; readonly isPublic: boolean } | { readonly failure: string } {
  try {
    const stat = statSync(path)
    if (!stat.isFile()) return { failure: 'no file' }
    return { text: readFileSync(path, 'utf8'), isPublic: (stat.mode & 0o004) !== 0 }
  } catch (error) {
    return { failure: error instanceof Error && 'code' in error ? String(error.code) : String(error) }
  }
}

/** The host's file system. */
export function hostFiles(): Files {
  const texts = statCache<FileText>((before, now) => before.text === now.text)
  const targets = statCache<string>()
  const folders = statCache<readonly string[]>()
  const caches = [texts, targets, folders]
  const readText = (path: string, stat: Stats) => texts.get(path, stat, () => ({ text: readFileSync(path, 'utf8') }))
  const reads: FileReads = {
    list: (folder) => ifPresent(() => folders.get(folder, statSync(folder), () => readdirSync(folder))) ?? [],
    lstat: (path) =>
      ifPresent(() => {
        const stat = lstatSync(path)
        if (stat.isFile()) return { kind: 'file', file: readText(path, stat) }
        if (!stat.isSymbolicLink()) return { kind: 'other' }
        return { kind: 'link', target: targets.get(path, stat, () => readlinkSync(path)) }
      }),
    access: (path) =>
      ifPresent(() => {
        const stat = lstatSync(path)
        const kind = stat.isFile() ? 'file' : stat.isDirectory() ? 'folder' : stat.isSymbolicLink() ? 'link' : 'other'
        return { kind, isOurs: stat.uid === 0 || stat.uid === process.geteuid?.(), mode: stat.mode & 0o7777 }
      }),
    read: (path) =>
      ifLeading(path, () => {
        const stat = statSync(path)
        return stat.isFile() ? readText(path, stat) : undefined
      }),
    realPath: (path) => ifLeading(path, () => realpathSync(path)),
    stamp: (path) => ifLeading(path, () => stampText(statSync(path))),
    modifiedMs: (path) => ifLeading(path, () => statSync(path).mtimeMs),
    isWritable: (folder) => {
      try {
        accessSync(folder, constants.W_OK | constants.X_OK)
        return true
      } catch {
        return false
      }
    },
    size: (path) => ifPresent(() => statSync(path).size) ?? 0,
    readFrom: (path, offset) => ifPresent(() => readFrom(path, offset)) ?? { size: 0, text: '', next: offset },
  }
  const writes = hostFileWrites({
    forget: (path) => {
      for (const cache of caches) cache.forget(path)
      folders.forget(dirname(path))
    },
    forgetBelow: (folder) => {
      for (const cache of caches) cache.forgetBelow(folder)
    },
  })
  return { ...reads, ...writes }
}

/** What a read through a symlink returns; `undefined` if nothing is behind it: it dangles, or leads back to itself. */
function ifLeading<T>(path: string, read: () => T): T | undefined {
  try {
    return ifPresent(read)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ELOOP' && leadsBack(path)) return undefined
    throw error
  }
}

/** Whether symlinks lead in a circle. ELOOP alone does not prove it: an automounter answers it too. */
function leadsBack(path: string): boolean {
  const seen = new Set<string>()
  try {
    for (let at = path; !seen.has(at); at = resolve(dirname(at), readlinkSync(at))) seen.add(at)
    return true
  } catch {
    return false
  }
}

const READ_BYTES = 65536

function readFrom(path: string, offset: number): ReturnType<FileReads['readFrom']> {
  const { size } = statSync(path)
  if (size <= offset) return { size, text: '', next: offset }
  const file = openSync(path, 'r')
  try {
    const buffer = Buffer.alloc(Math.min(size - offset, READ_BYTES))
    const chunk = buffer.subarray(0, readSync(file, buffer, 0, buffer.length, offset))
    return { size, text: chunk.toString(), next: offset + completeLines(chunk) }
  } finally {
    closeSync(file)
  }
}

/** The bytes of its complete lines; of a line that fills a whole read, all of it. */
function completeLines(chunk: Buffer): number {
  return chunk.lastIndexOf('\n') + 1 || (chunk.length === READ_BYTES ? chunk.length : 0)
}
