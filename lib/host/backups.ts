/** Backups for people to inspect, `<name>.<milliseconds>`, must not fill the disk: of each name only the newest stay. */
import { posix } from 'node:path'
import type { Host } from './host.ts'
import { temporaryOf } from './replace-file.ts'

/** How many backups of one name stay. */
export const BACKUPS_KEPT = 20

/**
 * Copies a file to the backups of this name, byte for byte and durably, unless the newest of them has the same text.
 * @throws {Error} Node's error; then there is no backup
 */
export async function backUp(
  { files, clock }: Pick<Host, 'files' | 'clock'>,
  folder: string,
  name: string,
  path: string,
): Promise<void> {
  const newest = backupTimes({ files }, folder, name)[0]
  if (newest !== undefined && files.read(`${folder}/${name}.${newest}`)?.text === files.read(path)?.text) return
  const backup = nextBackup({ files, clock }, folder, name)
  const temporary = temporaryOf(backup)
  await files.remove(temporary)
  await files.copy(path, temporary, 0o600)
  await files.rename(temporary, backup)
  await files.syncFolder(folder)
  await pruneBackups({ files }, folder, name)
}

/** Moves what is at a path, of whatever kind, to the backups, under its name. */
export async function setAside(host: Pick<Host, 'files' | 'clock'>, folder: string, path: string): Promise<void> {
  const name = posix.basename(path)
  await host.files.rename(path, nextBackup(host, folder, name))
  await pruneBackups(host, folder, name)
}

/** Removes all but the newest backups of a name. A failure is not reported: what cannot be removed is left for the next time. */
export async function pruneBackups({ files }: Pick<Host, 'files'>, folder: string, name: string): Promise<void> {
  try {
    const old = backupTimes({ files }, folder, name).slice(BACKUPS_KEPT)
    await Promise.allSettled(old.map((time) => files.removeFolder(`${folder}/${name}.${time}`)))
  } catch {
    return
  }
}

/** The path of a new backup. It has the highest number: a clock that was ahead must not make it the oldest, which is removed first. */
export function nextBackup({ files, clock }: Pick<Host, 'files' | 'clock'>, folder: string, name: string): string {
  return `${folder}/${name}.${Math.max(clock.nowMs(), (backupTimes({ files }, folder, name)[0] ?? 0) + 1)}`
}

/** The times in the names of the backups, the newest first. */
function backupTimes({ files }: Pick<Host, 'files'>, folder: string, name: string): readonly number[] {
  const times = files.list(folder).flatMap((entry) => {
    const time = entry.startsWith(`${name}.`) ? entry.slice(name.length + 1) : ''
    return /^\d+$/.test(time) ? [Number(time)] : []
  })
  return times.sort((a, b) => b - a)
}
