/**
 * What certbot's nginx plugin has put back. For a challenge it edits the server block of a domain, and afterwards it restores the file from its own
 * copy (certbot/certbot#4375): a change that was acknowledged in between is undone, and the file looks as if it had always been like that.
 *
 * An edit of an operator has another checksum, and a backup that he restores has a file of ours that no plugin was editing when it was replaced. A
 * change of ours backs up the edited text that it replaces: such a backup of the last hour, an intact file, and a record that is older than the one
 * that was proved last, together, are the plugin's work.
 */
import type { Host } from '../host/host.ts'
import { remember } from '../host/remember.ts'
import { dropletOfFileName, routeFileName } from '../route/file-names.ts'
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
  readonly name: string
  readonly atMs: number
}

/** What the plugin has put back, or `undefined`. Cheap while it was editing nothing that a change has replaced within the last hour. */
export function findPutBack({ files, paths, settings, clock }: PutBackHost): PutBack | undefined {
  const { NGINX_SITES_AVAILABLE: available, NGINX_SITES_ENABLED: enabled } = settings
  const names = files.list(paths.backups)
  const recent = remember(dated, names, () => names.flatMap(readName)).filter(
    ({ name, atMs }) =>
      Math.abs(clock.nowMs() - atMs) < PLUGIN_RUN_MS &&
      CHALLENGE.test(files.read(`${paths.backups}/${name}`)?.text ?? ''),
  )
  const replaced = new Map<string, RouteRecord>()
  const deleted = new Set<string>()
  for (const { dropletName } of recent) {
    const file = routeFileName(dropletName)
    const [text, proved] = [`${available}/${file}`, `${paths.lastGood}/${file}`].map((path) => files.read(path)?.text)
    if (text === undefined && proved === undefined && files.lstat(`${enabled}/${file}`)?.kind === 'file')
      deleted.add(dropletName)
    if (text === undefined || proved === undefined || text === proved) continue
    const [found, wanted] = [readRouteFile(dropletName, text), readRouteFile(dropletName, proved)]
    const isOlder = found !== undefined && wanted !== undefined && found.record.updated_at < wanted.record.updated_at
    if (isOlder && !found.drifted) replaced.set(dropletName, wanted.record)
  }
  return replaced.size === 0 && deleted.size === 0 ? undefined : { replaced, deleted: [...deleted] }
}

function readName(name: string): readonly Backup[] {
  const [, file = '', time = ''] = /^(.+\.conf)\.(\d+)$/.exec(name) ?? []
  const dropletName = dropletOfFileName(file)
  return dropletName === undefined ? [] : [{ dropletName, name, atMs: Number(time) }]
}
