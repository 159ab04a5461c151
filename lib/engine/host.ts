/** The world as the engine sees it: the adapters' interfaces, and the places that the settings name. */
import type { Clock } from '../adapters/clock.ts'
import type { Files } from '../adapters/files.ts'
import type { Log } from '../adapters/log.ts'
import type { Metrics } from '../adapters/metrics.ts'
import type { Network } from '../adapters/network.ts'
import type { Probe } from '../adapters/probe.ts'
import type { Processes } from '../adapters/processes.ts'
import type { Runner } from '../adapters/runner.ts'
import { ProxyManagerError } from '../core/errors.ts'
import type { Settings } from '../core/settings.ts'

export interface Host {
  readonly settings: Settings
  readonly files: Files
  readonly runner: Runner
  readonly probe: Probe
  readonly processes: Processes
  readonly network: Network
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
}

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

/** The arguments that name the main configuration, where the operator did. */
export function configurationArguments(settings: Settings): readonly string[] {
  return settings.NGINX_CONF === undefined ? [] : ['-c', settings.NGINX_CONF]
}

/** An effect's failure in the catalogue's words: which errno, on which file (without its folders). */
export function writeFailure(cause: unknown, details: Readonly<Record<string, unknown>> = {}): ProxyManagerError {
  if (cause instanceof ProxyManagerError) return cause
  const { code, path } = cause instanceof Error ? (cause as NodeJS.ErrnoException) : {}
  const errno = code ?? 'UNKNOWN'
  const remedy = remedyFor(errno)
  return new ProxyManagerError('CONFIG_WRITE_FAILED', {
    details: {
      errno,
      ...(path === undefined ? {} : { file: path.slice(path.lastIndexOf('/') + 1) }),
      remedy,
      ...details,
    },
    cause,
  })
}

/** What an operator can do about an errno of the file system. */
export function remedyFor(errno: string): string {
  return REMEDIES[errno] ?? "Look into the log for the system's own words"
}

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: 'The disk is full: free some space, then call again',
  EDQUOT: 'The quota is used up: free some space, then call again',
  EROFS: 'The file system is read-only: mount it writable, then call again',
  EACCES: 'Proxy Manager may not write there: give its user the right, then call again',
  EPERM: 'Proxy Manager may not write there: give its user the right, then call again',
  EMFILE: 'Too many open files: raise the limit (LimitNOFILE), then call again',
  ENOENT: 'A folder is missing: create sites-available and sites-enabled, then call again',
}
