/** This host as the environment describes it: settings -> adapters -> state directory -> locks. */

import { hostClock } from './adapters/clock.ts'
import { hostFiles, readWholeFile } from './adapters/files.ts'
import { httpClient } from './adapters/http-client.ts'
import { hostLock, type LockResult } from './adapters/lock.ts'
import { hostLog } from './adapters/log.ts'
import { promMetrics } from './adapters/metrics.ts'
import { hostNetwork } from './adapters/network.ts'
import { hostProbe } from './adapters/probe.ts'
import { hostProcesses } from './adapters/processes.ts'
import { hostRunner, loggingRunner } from './adapters/runner.ts'
import { errorText, ProxyManagerError } from './errors.ts'
import type { Host } from './host/host.ts'
import { makeStateFolders, openFolders, stateFolderFault, statePaths } from './host/state-folder.ts'
import { parseSettings } from './settings/parse-settings.ts'
import type { Settings } from './settings/settings.ts'
import { missingFilesFault } from './snapshot/missing-files.ts'
import { filesWithReadFailures, networkWithReadFailures, processesWithReadFailures } from './snapshot/read-failure.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** Why the host cannot be used. */
export interface HostFault {
  /** A sentence that names the setting. */
  readonly fault: string
  /** It may be gone at the next start, such as a full disk: EX_TEMPFAIL rather than EX_CONFIG (sysexits.h). */
  readonly isTransient: boolean
}

/** The host, and the lock of its state directory, which may be held by another process. */
export type OpenedHost = { readonly host: Host; readonly lock: LockResult } | HostFault

/** Makes the adapters and takes the locks of the state directory and of the sites directories; log lines go to `output`. Resolves for every outcome. */
export async function openHost(environment: Environment, output: NodeJS.WritableStream): Promise<OpenedHost> {
  const files = filesWithReadFailures(hostFiles())
  const parsed = parseSettings(environment, readWholeFile)
  if ('faults' in parsed) return { fault: parsed.faults.join('; '), isTransient: false }
  const clock = hostClock()
  const log = hostLog(parsed.LOG_LEVEL, output, clock.nowMs)
  const settings = await settleStateFolder(parsed, environment, { files, clock, log })
  if ('fault' in settings) return settings
  const network = networkWithReadFailures(hostNetwork())
  const host: Host = {
    settings,
    paths: statePaths(settings),
    files,
    clock,
    log,
    runner: loggingRunner(hostRunner(environment), log, clock),
    http: httpClient(network),
    probe: hostProbe(),
    processes: processesWithReadFailures(hostProcesses()),
    network,
    metrics: promMetrics(),
  }
  let lock: LockResult
  try {
    lock = await hostLock().take(host.paths.lock)
  } catch (error) {
    return unusable(settings, error)
  }
  if ('heldBy' in lock) return { host, lock }
  const sites = readFaultOf(host) ?? (await lockSites(host))
  if (typeof sites !== 'string') return { host, lock: { release: releaseAll([...sites, lock]) } }
  await lock.release()
  return { fault: sites, isTransient: true }
}

/**
 * Locks the two sites directories: a Proxy Manager with another state directory would undo what this one does. Returns the locks, or why they
 * cannot be had. A directory that is missing, or whose file system knows no locks, has none.
 */
async function lockSites({ settings, files, log }: Host): Promise<readonly Held[] | string> {
  const { NGINX_SITES_AVAILABLE, NGINX_SITES_ENABLED } = settings
  const folders = new Set([NGINX_SITES_AVAILABLE, NGINX_SITES_ENABLED].flatMap((path) => files.realPath(path) ?? []))
  const held: Held[] = []
  for (const folder of folders) {
    try {
      const lock = await hostLock().takeFolder(folder)
      if ('release' in lock) {
        held.push(lock)
        continue
      }
      await releaseAll(held)()
      return `the directory ${folder} is in use by ${lock.heldBy}, a Proxy Manager with another state directory: stop it first`
    } catch (error) {
      log.write('warn', { action: 'lock_sites', result: 'failure', folder, cause: errorText(error) })
    }
  }
  return held
}

type Held = Extract<LockResult, { readonly release: unknown }>

function releaseAll(locks: readonly Held[]): () => Promise<void> {
  return async () => {
    for (const { release } of locks) await release()
  }
}

/** Why the routes' files cannot be read yet: they are not mounted, or their file system does not answer. */
function readFaultOf(host: Host): string | undefined {
  try {
    return missingFilesFault(host)
  } catch (error) {
    return `the files of the routes cannot be read (${errorText(causeOf(error))})`
  }
}

/** The settings with the state directory to use: the configured one, or this user's own if only the default is configured and not permitted. */
export async function settleStateFolder(
  parsed: Settings,
  { XDG_STATE_HOME, HOME, PROXY_MANAGER_STATE_DIR }: Environment,
  host: Pick<Host, 'files' | 'clock' | 'log'>,
): Promise<Settings | HostFault> {
  // An empty variable is one that is not set (XDG Base Directory Specification).
  const isSet = (value: string | undefined) => value !== undefined && value !== ''
  const own = isSet(XDG_STATE_HOME) ? XDG_STATE_HOME : isSet(HOME) ? `${HOME}/.local/state` : undefined
  const folders = [
    parsed.PROXY_MANAGER_STATE_DIR,
    ...(!isSet(PROXY_MANAGER_STATE_DIR) && own !== undefined ? [`${own}/proxy-manager`] : []),
  ]
  let failure: unknown
  for (const folder of folders) {
    const settings = { ...parsed, PROXY_MANAGER_STATE_DIR: folder }
    const paths = statePaths(settings)
    try {
      const fault = stateFolderFault(host.files, settings)
      if (fault !== undefined) return { fault: `PROXY_MANAGER_STATE_DIR: ${folder} ${fault}`, isTransient: false }
      for (const file of await makeStateFolders(host, paths))
        host.log.write('warn', { action: 'repair_state', result: 'success', outcome: 'set_aside', file })
      for (const open of openFolders(host.files, paths)) {
        const cause = `other users can enter ${open}, in which secrets are: chmod 700 ${open}`
        host.log.write('warn', { action: 'check_state', result: 'failure', cause })
      }
      return settings
    } catch (error) {
      failure = error
      // On any other error the previous state may be in that directory: a start without it would lose the journal of an interrupted change.
      if (!['EACCES', 'EPERM'].includes(codeOf(error))) break
    }
  }
  return unusable(parsed, failure)
}

/** With these, another start may succeed with the same settings. */
const TRANSIENT_CODES = ['EROFS', 'ENOSPC', 'EDQUOT', 'EIO', 'EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN']

function unusable({ PROXY_MANAGER_STATE_DIR: folder }: Settings, error: unknown): HostFault {
  const reason = errorText(causeOf(error))
  return {
    fault: `PROXY_MANAGER_STATE_DIR: ${folder} cannot be used (${reason})`,
    isTransient: TRANSIENT_CODES.includes(codeOf(error)),
  }
}

function codeOf(error: unknown): string {
  const cause = causeOf(error)
  return cause instanceof Error && 'code' in cause ? String(cause.code) : ''
}

/** The system's error behind a failed read. */
function causeOf(error: unknown): unknown {
  return error instanceof ProxyManagerError ? error.cause : error
}
