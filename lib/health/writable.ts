/** Whether a change could be written now. Permissions alone do not tell: a disk may be full, or a quota used up. */
import { posix } from 'node:path'
import { CANDIDATE_PREFIX } from '../candidate/test-candidate.ts'
import type { ChangeState } from '../change/context.ts'
import type { Host } from '../host/host.ts'
import { TEMPORARY_SUFFIX } from '../host/replace-file.ts'
import { remedyFor } from '../host/write-failure.ts'
import type { Observation } from '../snapshot/observe.ts'

/** Why a folder that changes are written to cannot be written, each where there is a reason. */
export interface Unwritable {
  readonly sitesAvailable: string | undefined
  readonly sitesEnabled: string | undefined
  readonly state: string | undefined
  /** Where candidates stand for the time of their test. */
  readonly configuration: string | undefined
}

/** As long as nothing fails, files are written to see it this often. */
const TRY_EVERY_MS = 60_000
/** One block of most file systems. */
const TRIAL = '#'.repeat(4096)

/** Looks at the folders: their permissions each time; whether they take a file from time to time, and each time while something fails. */
export function unwritableReader(
  host: Host,
  state: Pick<ChangeState, 'hasFailedToWrite'>,
): (observation: Observation) => Promise<Unwritable> {
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
    // Named as what a start sweeps, and hidden from NGINX's globs.
    const path = `${folder}/${CANDIDATE_PREFIX}${host.clock.randomId()}${suffix}`
    try {
      await host.files.writeUnsynced(path, TRIAL, 0o600)
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
    const remedy = 'create the folder, or give this user the right'
    const found: Unwritable = {
      sitesAvailable: await tryFolder('sites-available', available, TEMPORARY_SUFFIX, remedy),
      sitesEnabled: await tryFolder('sites-enabled', enabled, TEMPORARY_SUFFIX, remedy),
      state: await tryFolder(
        'the state folder',
        root,
        TEMPORARY_SUFFIX,
        'give this user the right, or correct PROXY_MANAGER_STATE_DIR',
      ),
      configuration: hasMainConfig
        ? await tryFolder('the folder of nginx.conf', configuration, '.conf', remedy)
        : undefined,
    }
    wasWritable = Object.values(found).every((reason) => reason === undefined)
    return found
  }
}

const ALL_WRITABLE: Unwritable = {
  sitesAvailable: undefined,
  sitesEnabled: undefined,
  state: undefined,
  configuration: undefined,
}
