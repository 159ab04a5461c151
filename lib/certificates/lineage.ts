/** certbot's own directories for one lineage, and what a crash or a manual edit leaves in them. */

import { pruneBackups } from '../host/backups.ts'
import type { Host } from '../host/host.ts'
import { lineageNameOf } from './lineage-name.ts'

type LineageHost = Pick<Host, 'files' | 'settings' | 'clock'>

const FILES = ['cert.pem', 'chain.pem', 'fullchain.pem', 'privkey.pem']

/**
 * Moves a lineage that certbot could not renew aside, into `broken-lineages/`. With an empty `renewal/X.conf` certbot would write the new
 * certificate to `X-0001`, where nothing reads it; with a leftover `live/X` it would let the CA issue and fail afterwards.
 * Returns whether there was such a lineage.
 */
export async function setAsideBrokenLineage(host: LineageHost, domain: string): Promise<boolean> {
  const { files, settings } = host
  const root = settings.CERTBOT_CONFIG_DIR
  const name = lineageNameOf(domain)
  const places = [`live/${name}`, `archive/${name}`, `renewal/${name}.conf`]
  const present = places.filter((place) => files.lstat(`${root}/${place}`) !== undefined)
  if (present.length === 0) return false
  const renewal = files.read(`${root}/renewal/${name}.conf`)?.text ?? ''
  const isComplete = FILES.every((file) => files.read(`${root}/live/${name}/${file}`) !== undefined)
  if (isComplete && renewal.includes('[renewalparams]') && present.length === places.length) return false
  await setAsideLineage(host, domain)
  return true
}

/** Moves everything of a lineage aside, where it can be inspected or moved back by hand. */
export async function setAsideLineage({ files, settings, clock }: LineageHost, domain: string): Promise<void> {
  const root = settings.CERTBOT_CONFIG_DIR
  const name = lineageNameOf(domain)
  const aside = `${root}/broken-lineages/${name}.${clock.nowMs()}`
  await files.makeFolder(aside, 0o700)
  for (const [from, to] of [
    [`live/${name}`, 'live'],
    [`archive/${name}`, 'archive'],
    [`renewal/${name}.conf`, 'renewal.conf'],
  ]) {
    if (files.lstat(`${root}/${from}`) !== undefined) await files.rename(`${root}/${from}`, `${aside}/${to}`)
  }
  await pruneBackups({ files }, `${root}/broken-lineages`, name)
}
