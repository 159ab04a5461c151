/**
 * What certbot's nginx plugin has put back. For a challenge it edits the server block of a domain, and afterwards it restores the file from its own
 * copy (certbot/certbot#4375): a change that was acknowledged in between is undone, and the file looks as if it had always been like that.
 *
 * An edit of an operator has another checksum, and a backup that he restores has a file of ours that no plugin was editing when it was replaced. A
 * change of ours backs up the edited text that it replaces: such a backup of the last hour, and an intact file with the record of that backup instead
 * of the one that was proved last, together, are the plugin's work. The times in records and in names of backups are no evidence: a clock may have
 * been ahead.
 */
import type { Host } from '../host/host.ts'
import { remember } from '../host/remember.ts'
import { dropletOfFileName, routeFileName } from '../route/droplet-name.ts'
import type { RouteRecord } from '../route/record.ts'
import { readRouteFile } from '../route/stored-route.ts'

export interface PutBack {
  /** The records that were acknowledged, of routes whose files have an older one. */
  readonly replaced: ReadonlyMap<string, RouteRecord>
  /** Routes that were deleted, and are in sites-enabled again. */
  readonly deleted: readonly string[]
}

/** How long the plugin may take from its edit to the end: the CA has to look, and DNS may be slow. */
const PLUGIN_RUN_MS = 3_600_000
/** What it adds: a location for the token alone. Ours is for the whole directory. */
const CHALLENGE = /location = \/\.well-known\/acme-challenge\/[\w-]{20,}/

type PutBackHost = Pick<Host, 'files' | 'paths' | 'settings' | 'clock'>

const dated = new WeakMap<readonly string[], readonly Backup[]>()

interface Backup {
  readonly dropletName: string
  readonly path: string
  readonly atMs: number
}

/** What the plugin has put back, or `undefined`. Cheap while it was editing nothing that a change has replaced within the last hour. */
export function findPutBack({ files, paths, settings, clock }: PutBackHost): PutBack | undefined {
  const { NGINX_SITES_AVAILABLE: available, NGINX_SITES_ENABLED: enabled } = settings
  const names = files.list(paths.backups)
  const backups = remember(dated, names, () => names.flatMap((name) => readBackup(files, paths.backups, name)))
  const replaced = new Map<string, RouteRecord>()
  const deleted = new Set<string>()
  for (const { dropletName, path, atMs } of backups) {
    if (Math.abs(clock.nowMs() - atMs) >= PLUGIN_RUN_MS) continue
    const edited = files.read(path)?.text ?? ''
    if (!CHALLENGE.test(edited)) continue
    const file = routeFileName(dropletName)
    const [text, proved] = [`${available}/${file}`, `${paths.lastGood}/${file}`].map((at) => files.read(at)?.text)
    if (text === undefined && proved === undefined && files.lstat(`${enabled}/${file}`)?.kind === 'file')
      deleted.add(dropletName)
    if (text === undefined || proved === undefined || text === proved) continue
    const [found, former, wanted] = [text, edited, proved].map((one) => readRouteFile(dropletName, one))
    if (found === undefined || found.drifted || former === undefined || wanted === undefined) continue
    const [now, then, acknowledged] = [found, former, wanted].map(({ record }) => JSON.stringify(record))
    if (now === then && now !== acknowledged) replaced.set(dropletName, wanted.record)
  }
  return replaced.size === 0 && deleted.size === 0 ? undefined : { replaced, deleted: [...deleted] }
}

function readBackup(files: PutBackHost['files'], folder: string, name: string): readonly Backup[] {
  const dropletName = dropletOfFileName(name.replace(/\.\d+$/, ''))
  const path = `${folder}/${name}`
  const atMs = dropletName === undefined ? undefined : files.modifiedMs(path)
  return dropletName === undefined || atMs === undefined ? [] : [{ dropletName, path, atMs }]
}
