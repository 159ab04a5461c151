/** The swap from the previous files to the new ones: a crash at any instant leaves either of them, or a journal to roll back. */
import { basename, dirname } from 'node:path'
import { imageAt, removeTemporaries, stagedPath, undoPath, writeTemporary } from '../candidate/stage.ts'
import { ProxyManagerError } from '../errors.ts'
import { allSettledOrThrow } from '../host/all-settled.ts'
import { backUp } from '../host/backups.ts'
import { type FileChange, sameImage } from '../host/file-image.ts'
import type { Host } from '../host/host.ts'
import { logFailure } from '../host/log-failure.ts'
import { type SwapStep, swapSteps } from '../plan/swap-order.ts'

/**
 * The error if a path has no longer its `before` image: nothing that was saved since the host was observed is replaced.
 * CONFIG_WRITE_FAILED, see {@link wasEdited}.
 */
export function editedMeanwhile(host: Host, files: readonly FileChange[]): ProxyManagerError | undefined {
  const edited = files.find(({ path, before }) => !sameImage(imageAt(host, path), before))
  return edited === undefined ? undefined : editedSince(edited.path)
}

/** That error, for a path. */
export function editedSince(path: string): ProxyManagerError {
  return new ProxyManagerError('CONFIG_WRITE_FAILED', {
    message: 'A file was edited while the change was being tested',
    details: { reason: EDITED, file: basename(path), remedy: 'Call again once nobody edits the file' },
  })
}

/** @throws {ProxyManagerError} that error */
export function assertUnedited(host: Host, file: FileChange): void {
  const edited = editedMeanwhile(host, [file])
  if (edited !== undefined) throw edited
}

/** Whether a change has failed because of such an edit: it can be planned again. */
export function wasEdited({ details }: ProxyManagerError): boolean {
  return details.reason === EDITED
}

const EDITED = 'edited_meanwhile'

/**
 * Puts every `after` image in place; texts must be staged and synced. NGINX accepts the configuration at every moment of it, even after a power
 * cut: see {@link swapSteps}, and a directory is synced before the next step relies on it. Each replacement is a rename. Previous files keep a second name until `removeTemporaries`, so that undoing needs no disk space.
 * @throws {Error} Node's error of the first effect that fails, or that of {@link assertUnedited}; what was done until then stays
 */
export async function swapFiles(host: Host, files: readonly FileChange[]): Promise<void> {
  const steps = swapSteps(files, textReader(host))
  await allSettledOrThrow(files.map((file) => linkUndoCopy(host, file)))
  for (const step of steps) await (step.does === 'rename' ? renameAll(host, step.files) : takeStep(host, step))
}

/**
 * Restores the `before` images; a file that is no longer the `after` image, since someone else has replaced it, is left as it is.
 * Returns the changes that were undone. Also works after a crash, from the journal only.
 */
export async function undoSwap(host: Host, files: readonly FileChange[]): Promise<FileChange[]> {
  const swapped = files.filter((file) => sameImage(imageAt(host, file.path), file.after))
  const reversed = swapped.map(({ before, after, ...file }) => ({ ...file, before: after, after: before }))
  for (const step of swapSteps(reversed, textReader(host)))
    await (step.does === 'rename' ? putBackAll(host, step.files) : takeStep(host, step))
  return swapped
}

async function takeStep(host: Host, { does, files }: SwapStep): Promise<void> {
  await (does === 'link' ? linkAll(host, files) : removeAll(host, files))
}

function textReader({ files }: Pick<Host, 'files'>): (path: string) => string | undefined {
  return (path) => files.read(path)?.text
}

/**
 * Removes what a swap or its undoing has left. An editor may have written to a replaced file that it had open: such a text goes to the backups.
 * Never rejects.
 */
export async function settleSwap(host: Host, files: readonly FileChange[]): Promise<void> {
  for (const { path, before } of files) {
    try {
      const left = imageAt(host, undoPath(path))
      if (left === null || sameImage(left, before)) continue
      await backUp(host, host.paths.backups, basename(path), undoPath(path))
      logBackUp(host, path)
    } catch (error) {
      logFailure(host, 'error', { action: 'back_up', file: basename(path) })(error)
    }
  }
  await removeTemporaries(host, files)
}

/** The log line of a backup, which is how an operator finds out about it. */
export function logBackUp({ log }: Pick<Host, 'log'>, path: string): void {
  log.write('warn', { action: 'replace_drifted', result: 'success', outcome: 'backed_up', file: basename(path) })
}

async function putBackAll(host: Host, files: readonly FileChange[]): Promise<void> {
  for (const file of files) await putBack(host, file)
  await syncFoldersOf(host, files)
}

async function putBack(host: Host, file: FileChange): Promise<void> {
  const copy = undoPath(file.path)
  assertUnedited(host, file)
  if (sameImage(imageAt(host, copy), file.after)) {
    await host.files.rename(copy, file.path)
    return
  }
  await writeTemporary(host, file)
  await host.files.syncFile(stagedPath(file.path))
  await host.files.rename(stagedPath(file.path), file.path)
}

async function linkUndoCopy(host: Host, file: FileChange): Promise<void> {
  const { path, before } = file
  if (before === null || !('text' in before)) return
  assertUnedited(host, file)
  await host.files.remove(undoPath(path))
  await host.files.link(path, undoPath(path))
}

async function linkAll(host: Host, files: readonly FileChange[]): Promise<void> {
  await allSettledOrThrow(files.map((file) => writeTemporary(host, file)))
  await renameAll(host, files)
}

async function renameAll(host: Host, files: readonly FileChange[]): Promise<void> {
  for (const file of files) {
    assertUnedited(host, file)
    await host.files.rename(stagedPath(file.path), file.path)
  }
  await syncFoldersOf(host, files)
}

async function removeAll(host: Host, files: readonly FileChange[]): Promise<void> {
  for (const file of files) {
    assertUnedited(host, file)
    await host.files.remove(file.path)
  }
  await syncFoldersOf(host, files)
}

async function syncFoldersOf(host: Host, files: readonly FileChange[]): Promise<void> {
  for (const folder of new Set(files.map(({ path }) => dirname(path)))) await host.files.syncFolder(folder)
}
