/** The way back: the files of before, and the proof that NGINX serves them again. */
import type { FileChange } from '../host/file-image.ts'
import type { Host } from '../host/host.ts'
import { replaceText } from '../host/replace-file.ts'
import type { Reloader } from '../nginx/reload.ts'
import { reloadFailed } from '../nginx/reload-result.ts'
import { readSharedFile, renumberSharedFile } from '../render/shared-file.ts'
import { SHARED_FILE } from '../route/file-names.ts'
import type { Observation } from '../snapshot/observe.ts'
import { dropJournal } from './journal.ts'
import { removeTemporaries, undoSwap } from './swap.ts'

export interface Restore {
  readonly files: readonly FileChange[]
  /** The number under which the restored configuration is told apart from the one of before, once NGINX was signalled. */
  readonly generation: number
  /** NGINX may have read the new files: it has to read the old ones again. */
  readonly wasSignalled: boolean
}

/**
 * Restores what a change has put in place, and drops the journal. Returns whether anything had to be put back.
 * @throws when even this fails: the journal then stays, for the next try
 */
export async function restoreFiles(
  host: Host,
  observation: Observation,
  reloader: Reloader,
  restore: Restore,
): Promise<boolean> {
  const undone = await undoSwap(host, restore.files)
  if (restore.wasSignalled && reloader.findMaster(observation) !== undefined) {
    const generation = await renumberShared(host, restore.generation)
    const reload = await reloader.reload(observation, generation, 0)
    // A stopped NGINX serves nothing; it will start with the restored files.
    if (!reload.ok && reload.reason !== 'not_running')
      throw reloadFailed(reload.reason, { stage: 'restore', state: 'degraded' }, reload)
  }
  await removeTemporaries(host, restore.files)
  await dropJournal(host)
  return undone.length > 0
}

/**
 * Gives the restored shared file a generation of its own; where there is no space for it, the former one has to do.
 * Null where there is no shared file again.
 */
async function renumberShared(host: Host, generation: number): Promise<number | null> {
  const path = `${host.settings.NGINX_SITES_AVAILABLE}/${SHARED_FILE}`
  const text = host.files.read(path)?.text
  if (text === undefined) return null
  try {
    await replaceText(host, path, renumberSharedFile(text, generation))
    return generation
  } catch {
    return readSharedFile(text)?.generation ?? null
  }
}
