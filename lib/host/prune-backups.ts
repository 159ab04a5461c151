/** What is put aside for people to look at, `<name>.<milliseconds>`, must not fill the disk: of each name the newest stay. */
import type { Host } from './host.ts'

/** How many of one name stay. */
export const KEPT = 20

/** Removes what was put aside under a name before the newest ones. A failure is not reported: the next time tries again. */
export async function pruneBackups({ files }: Pick<Host, 'files'>, folder: string, name: string): Promise<void> {
  try {
    const times = files.list(folder).flatMap((entry) => {
      const time = entry.startsWith(`${name}.`) ? entry.slice(name.length + 1) : ''
      return /^\d+$/.test(time) ? [Number(time)] : []
    })
    const old = times.sort((a, b) => b - a).slice(KEPT)
    await Promise.allSettled(old.map((time) => files.remove(`${folder}/${name}.${time}`)))
  } catch {
    return
  }
}
