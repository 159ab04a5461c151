/** What was read of a path, kept until its status changes. */
import type { Stats } from 'node:fs'

export interface StatCache<T> {
  /** What is kept for this status of the path, or what `read` returns. */
  get(path: string, stat: Stats, read: () => T): T
  forget(path: string): void
  /** Forgets everything in a directory. */
  forgetBelow(folder: string): void
}

/** What of a file's status changes when the file does: numbers, since they are compared for every route each time the host is read. */
type Stamp = Pick<Stats, 'dev' | 'ino' | 'size' | 'mtimeMs' | 'ctimeMs'>

/** Time stamps have the kernel's tick (up to 10 ms): a file changed this recently may change again under the same stamp. */
const TICK_MS = 50
/** ext4 with small inodes and many NFS servers store whole seconds; FAT two. */
const COARSE_MS = 2000

/** Makes a cache; if a path is read again and `isSame` is true for the two values, the first one is returned. */
export function statCache<T>(isSame: (before: T, now: T) => boolean = () => false): StatCache<T> {
  const kept = new Map<string, { readonly stamp: Stamp; readonly value: T; readonly isTrusted: boolean }>()
  return {
    get: (path, stat, read) => {
      const cached = kept.get(path)
      if (cached?.isTrusted === true && isSameStamp(cached.stamp, stat)) return cached.value
      // Before reading: what changes after it must get another stamp.
      const nowMs = Date.now()
      const found = read()
      const value = cached !== undefined && isSame(cached.value, found) ? cached.value : found
      kept.set(path, { stamp: stampOf(stat), value, isTrusted: isSettled(stat, nowMs) })
      return value
    },
    forget: (path) => void kept.delete(path),
    forgetBelow: (folder) => {
      for (const path of kept.keys()) if (path.startsWith(`${folder}/`)) kept.delete(path)
    },
  }
}

/** A text that is different whenever the file is, unless it changed within its time stamp's precision. */
export function stampText(stat: Stats): string {
  return Object.values(stampOf(stat)).join(':')
}

/** Whether a change from now on would show in the time stamps. */
function isSettled({ mtimeMs, ctimeMs }: Stats, nowMs: number): boolean {
  const newestMs = Math.max(mtimeMs, ctimeMs)
  return nowMs - newestMs > (Number.isInteger(newestMs / 1000) ? COARSE_MS : TICK_MS)
}

function stampOf({ dev, ino, size, mtimeMs, ctimeMs }: Stats): Stamp {
  return { dev, ino, size, mtimeMs, ctimeMs }
}

function isSameStamp(a: Stamp, b: Stamp): boolean {
  return a.mtimeMs === b.mtimeMs && a.ctimeMs === b.ctimeMs && a.size === b.size && a.ino === b.ino && a.dev === b.dev
}
