/** The layout of the state directory. */
import type { Settings } from '../settings/settings.ts'
import type { Host } from './host.ts'

/** What stands where in the state folder. */
export function statePaths(settings: Settings) {
  const root = settings.PROXY_MANAGER_STATE_DIR
  return {
    root,
    lock: `${root}/lock`,
    journal: `${root}/journal`,
    staging: `${root}/staging`,
    lastGood: `${root}/last-good`,
    backups: `${root}/backups`,
    lastReload: `${root}/last-reload.json`,
    certificates: `${root}/certificates`,
    orders: `${root}/orders`,
    lastCertificate: `${root}/last-certificate.json`,
    renewedMark: `${root}/renewed`,
    webroot: settings.ACME_WEBROOT ?? `${root}/acme`,
  } as const
}

/**
 * Creates the state folder. NGINX's workers have to pass through it to the webroot, so it can be entered by everyone but listed by its
 * owner alone; what is secret lies in folders that are closed.
 */
export async function makeStateFolders({ files, settings }: Pick<Host, 'files' | 'settings'>): Promise<void> {
  const paths = statePaths(settings)
  await files.makeFolder(paths.root, 0o711)
  for (const folder of [paths.staging, paths.lastGood, paths.backups, paths.certificates, paths.orders])
    await files.makeFolder(folder, 0o700)
  await files.makeFolder(paths.webroot, 0o755)
}
