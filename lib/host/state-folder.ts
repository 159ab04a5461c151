/** The layout of the state directory. */
import type { Files } from '../adapters/files.ts'
import type { Settings } from '../settings/settings.ts'

export type StatePaths = ReturnType<typeof statePaths>

/** Paths in the state directory. */
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
    rendered: `${root}/rendered.json`,
    lastProof: `${root}/last-proof.json`,
    certificates: `${root}/certificates`,
    orders: `${root}/orders`,
    certbot: `${root}/certbot`,
    noConfiguration: `${root}/certbot/no-user-configuration`,
    accounts: `${root}/acme-accounts.json`,
    lastCertificate: `${root}/last-certificate.json`,
    renewedMark: `${root}/renewed`,
    webroot: settings.ACME_WEBROOT ?? `${root}/acme`,
  } as const
}

/**
 * Creates the state directory. NGINX's workers have to pass through it to the webroot, so everyone can enter it but only its owner can list it;
 * secrets are in directories that only the owner can enter.
 */
export async function makeStateFolders(files: Files, paths: StatePaths): Promise<void> {
  await files.makeFolder(paths.root, 0o711)
  const { staging, lastGood, backups, certificates, orders, certbot, noConfiguration } = paths
  for (const folder of [staging, lastGood, backups, certificates, orders, certbot, noConfiguration])
    await files.makeFolder(folder, 0o700)
  await files.makeFolder(paths.webroot, 0o755)
}
