/** Backups for people to inspect, `<name>.<milliseconds>`, must not fill the disk: of each name only the newest stay. */
import type { Host } from './host.ts'

/** How many backups of one name stay. */
export const BACKUPS_KEPT = 20

/** Removes all but the newest backups of a name. A failure is not reported: what cannot be removed is left for the next time. */
export async function pruneBackups({ files }: Pick<Host, 'files'>, folder: string, name: string): Promise<void> {
  try {
    const times = files.list(folder).flatMap((entry) => {
      const time = entry.startsWith(`${name}.`) ? entry.slice(name.length + 1) : ''
      return /^\d+$/.test(time) ? [Number(time)] : []
    })
    const old = times.sort((a, b) => b - a).slice(BACKUPS_KEPT)
    await Promise.allSettled(old.map((time) => files.remove(`${folder}/${name}.${time}`)))
  } catch {
    return
  }
}
