/** Rollback: the previous files, and the proof that NGINX serves them again. */
import type { NginxControl } from '../candidate/nginx-control.ts'
import { backUp } from '../host/backups.ts'
import type { FileChange } from '../host/file-image.ts'
import type { Host } from '../host/host.ts'
import { replaceText } from '../host/replace-file.ts'
import { reloadFailed } from '../nginx/reload-result.ts'
import { isIntact, readSharedFile, renumberSharedFile } from '../render/shared-file.ts'
import { SHARED_FILE } from '../route/droplet-name.ts'
import { dropJournal } from './journal.ts'
import { logBackUp, settleSwap, undoSwap } from './swap.ts'

export interface RollBack {
  readonly files: readonly FileChange[]
  /** A new generation for the restored configuration, to distinguish it from the previous one if NGINX was signalled. */
  readonly generation: number
  /** The generation of the change. */
  readonly replaced: number
  /** NGINX may have read the new files: it has to be reloaded. */
  readonly wasSignalled: boolean
}

/**
 * Restores the files that a change has replaced, and removes the journal. Returns whether any file had to be restored.
 * @throws {Error} if this fails, too: the journal stays, for the next attempt
 */
export async function rollBack(
  host: Host,
  nginx: NginxControl,
  { files, generation, replaced, wasSignalled }: RollBack,
): Promise<boolean> {
  const undone = await undoSwap(host, files)
  if (wasSignalled && nginx.findMaster() !== undefined) {
    const reload = await nginx.reload((await renumberShared(host, generation)) ?? { replaced }, 0)
    // A stopped NGINX serves nothing; it will start with the restored files.
    if (!reload.ok && reload.reason !== 'not_running')
      throw reloadFailed(reload.reason, { stage: 'restore', state: 'degraded' }, reload)
  }
  await settleSwap(host, files)
  await dropJournal(host)
  return undone.length > 0
}

/**
 * Gives the restored shared file a new generation, or keeps the previous one if that cannot be written (the disk may be full).
 * Returns the generation; null if the restored host has no shared file.
 */
async function renumberShared(host: Host, generation: number): Promise<number | null> {
  const path = `${host.settings.NGINX_SITES_AVAILABLE}/${SHARED_FILE}`
  const text = host.files.read(path)?.text
  if (text === undefined) return null
  try {
    await renumberFile(host, text, generation)
    return generation
  } catch {
    return readSharedFile(text)?.generation ?? null
  }
}

/** Gives the shared file with this text another generation. What was edited by hand in it would pass for written by us then: it is backed up. */
export async function renumberFile(host: Host, text: string, generation: number): Promise<void> {
  const path = `${host.settings.NGINX_SITES_AVAILABLE}/${SHARED_FILE}`
  if (!isIntact(SHARED_FILE, text)) {
    await backUp(host, host.paths.backups, SHARED_FILE, path)
    logBackUp(host, path)
  }
  await replaceText(host, path, renumberSharedFile(text, generation))
}
