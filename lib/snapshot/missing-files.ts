/** Routes whose files are all missing at once: their file system is not mounted yet, and what is left of them must stay. */
import { basename } from 'node:path'
import type { Host } from '../host/host.ts'
import { statePaths } from '../host/state-folder.ts'
import { dropletOfFileName, isOwnFileName, SHARED_FILE } from '../route/droplet-name.ts'

/**
 * Why sites-available cannot be the directory that the routes were written to: every symlink of ours in sites-enabled dangles, or none of the
 * routes with a last good copy is there, or in sites-enabled itself. `undefined` if it can be, or if no route was ever written.
 */
export function missingFilesFault({ files, settings }: Pick<Host, 'files' | 'settings'>): string | undefined {
  const { NGINX_SITES_AVAILABLE: available, NGINX_SITES_ENABLED: enabled } = settings
  const own = files
    .list(enabled)
    .filter(isOwnFileName)
    .map((name) => `${enabled}/${name}`)
  const isLink = (path: string) => files.lstat(path)?.kind === 'link'
  // Usually the first one has its target, and no other has to be read.
  const isDangling = !own.some((path) => files.realPath(path) !== undefined && isLink(path)) && own.some(isLink)
  const copies = files.list(statePaths(settings).lastGood).filter((name) => dropletOfFileName(name) !== undefined)
  const isLost =
    copies.length > 0 &&
    [SHARED_FILE, ...copies].every(
      (name) => files.lstat(`${available}/${name}`) === undefined && files.lstat(`${enabled}/${name}`)?.kind !== 'file',
    )
  if (!isDangling && !isLost) return undefined
  return `no file of the ${isDangling ? 'symlinks in sites-enabled' : 'known routes'} is in ${basename(available)}: mount its file system, or restore it from a backup (copies are in last-good of the state directory); if the routes are to be given up, remove their symlinks and these copies`
}
