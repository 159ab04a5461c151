/** Whether a change could be written now. Permissions do not show it: a disk may be full, or a quota used up. */
import { posix } from 'node:path'
import { CANDIDATE_PREFIX } from '../candidate/test-candidate.ts'
import type { ChangeState } from '../change/context.ts'
import type { Host } from '../host/host.ts'
import { TEMPORARY_SUFFIX } from '../host/replace-file.ts'
import { remedyFor } from '../host/write-failure.ts'
import type { Observation } from '../snapshot/observe.ts'

/** Why directories that changes are written to cannot be written; `undefined` for one that can be. */
export interface WriteFaults {
  readonly sitesAvailable: string | undefined
  readonly sitesEnabled: string | undefined
  readonly state: string | undefined
  /** The directory of the main configuration, which holds candidates during their test. */
  readonly configuration: string | undefined
}

/** As long as no write fails, test files are written this often. */
const TRY_EVERY_MS = 60_000
/** One block of most file systems. */
const TEST_BLOCK = '#'.repeat(4096)

/** Checks the directories' permissions at each call, and writes a test file once a minute, or at each call while writes fail. */
export function writeChecker(
  host: Pick<Host, 'settings' | 'paths' | 'files' | 'clock'>,
  state: Pick<ChangeState, 'hasFailedToWrite'>,
): (observation: Observation) => Promise<WriteFaults> {
  const { NGINX_SITES_AVAILABLE: available, NGINX_SITES_ENABLED: enabled } = host.settings
  const { root } = host.paths
  let triedAtMs = Number.NEGATIVE_INFINITY
  let wasWritable = false

  const tryFolder = async (
    name: string,
    folder: string,
    suffix: string,
    remedy: string,
  ): Promise<string | undefined> => {
    if (!host.files.isWritable(folder)) return `${name} cannot be written: ${remedy}`
    // A name that recovery sweeps, and that NGINX's globs do not match.
    const path = `${folder}/${CANDIDATE_PREFIX}${host.clock.randomId()}${suffix}`
    try {
      await host.files.writeUnsynced(path, TEST_BLOCK, 0o600)
      return undefined
    } catch (error) {
      const { code = 'UNKNOWN' } = error as NodeJS.ErrnoException
      return `${name} cannot be written (${code}): ${remedyFor(code)}`
    } finally {
      await host.files.remove(path).catch(() => undefined)
    }
  }

  return async ({ snapshot, hasMainConfig }) => {
    const configuration = posix.dirname(snapshot.host.mainPath)
    const nowMs = host.clock.monotonicMs()
    const isDue = nowMs - triedAtMs > TRY_EVERY_MS || !wasWritable || state.hasFailedToWrite
    const folders = [available, enabled, root, ...(hasMainConfig ? [configuration] : [])]
    if (!isDue && folders.every((folder) => host.files.isWritable(folder))) return ALL_WRITABLE
    state.hasFailedToWrite = false
    triedAtMs = nowMs
    const remedy = 'create the directory, or grant this user write access'
    const found: WriteFaults = {
      sitesAvailable: await tryFolder('sites-available', available, TEMPORARY_SUFFIX, remedy),
      sitesEnabled: await tryFolder('sites-enabled', enabled, TEMPORARY_SUFFIX, remedy),
      state: await tryFolder(
        'the state directory',
        root,
        TEMPORARY_SUFFIX,
        'grant this user write access, or correct PROXY_MANAGER_STATE_DIR',
      ),
      configuration: hasMainConfig
        ? await tryFolder('the directory of nginx.conf', configuration, '.conf', remedy)
        : undefined,
    }
    wasWritable = Object.values(found).every((reason) => reason === undefined)
    return found
  }
}

const ALL_WRITABLE: WriteFaults = {
  sitesAvailable: undefined,
  sitesEnabled: undefined,
  state: undefined,
  configuration: undefined,
}
