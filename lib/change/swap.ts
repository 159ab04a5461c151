/** The swap from the previous files to the new ones: a crash at any instant leaves either of them, or a journal to roll back. */
import { basename, dirname } from 'node:path'
import { imageAt, removeTemporaries, stagedPath, undoPath, writeTemporary } from '../candidate/stage.ts'
import { ProxyManagerError } from '../errors.ts'
import { allSettledOrThrow } from '../host/all-settled.ts'
import { backUp } from '../host/backups.ts'
import { type FileChange, type FileImage, sameImage } from '../host/file-image.ts'
import type { Host } from '../host/host.ts'
import { logFailure } from '../host/log-failure.ts'
import { SHARED_FILE } from '../route/file-names.ts'

/**
 * The error if a path has no longer its `before` image: nothing that was saved since the host was observed is replaced.
 * CONFIG_WRITE_FAILED, see {@link wasEdited}.
 */
export function editedMeanwhile(host: Host, files: readonly FileChange[]): ProxyManagerError | undefined {
  const edited = files.find(({ path, before }) => !sameImage(imageAt(host, path), before))
  if (edited === undefined) return undefined
  return new ProxyManagerError('CONFIG_WRITE_FAILED', {
    message: 'A file was edited while the change was being tested',
    details: { reason: EDITED, file: basename(edited.path), remedy: 'Call again once nobody edits the file' },
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
 * cut: symlinks are removed before their files, files are created before their symlinks, and a directory is synced before the next step
 * relies on it. Each replacement is a rename. Previous files keep a second name until `removeTemporaries`, so that undoing needs no disk space.
 * @throws {Error} Node's error of the first effect that fails, or that of {@link assertUnedited}; what was done until then stays
 */
export async function swapFiles(host: Host, files: readonly FileChange[]): Promise<void> {
  const { unlinkFirst, define, replace, link, renumber, deleteLast } = swapSteps(files)
  await allSettledOrThrow(files.map((file) => linkUndoCopy(host, file)))
  await removeAll(host, unlinkFirst)
  await renameAll(host, define)
  await renameAll(host, replace)
  await linkAll(host, link)
  await renameAll(host, renumber)
  await removeAll(host, deleteLast)
}

/**
 * Restores the `before` images; a file that is no longer the `after` image, since someone else has replaced it, is left as it is.
 * Returns the changes that were undone. Also works after a crash, from the journal only.
 */
export async function undoSwap(host: Host, files: readonly FileChange[]): Promise<FileChange[]> {
  const swapped = files.filter((file) => sameImage(imageAt(host, file.path), file.after))
  const reversed = swapped.map(({ path, before, after }) => ({ path, before: after, after: before }))
  const { unlinkFirst, define, replace, link, renumber, deleteLast } = swapSteps(reversed)
  await removeAll(host, unlinkFirst)
  await putBackAll(host, define)
  await putBackAll(host, replace)
  await linkAll(host, link)
  await putBackAll(host, renumber)
  await removeAll(host, deleteLast)
  return swapped
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

/**
 * The steps of a swap, in their order. A shared file that exists already is replaced after the files it numbers: somebody
 * else's reload in between then serves the previous generation, and not the new one without its routes. One that defines a variable is replaced
 * before the routes, which may name it.
 */
function swapSteps(files: readonly FileChange[]) {
  const links = files.filter(({ before, after }) => isLink(after) || (after === null && isLink(before)))
  const texts = files.filter((file) => !links.includes(file))
  const shared = texts.filter(isRenumbered)
  return {
    unlinkFirst: links.filter((file) => file.after === null),
    define: shared.filter(isDefining),
    replace: texts.filter((file) => file.after !== null && !isRenumbered(file)),
    link: links.filter((file) => file.after !== null),
    renumber: shared.filter((file) => !isDefining(file)),
    deleteLast: texts.filter((file) => file.after === null),
  }
}

function isRenumbered({ path, before, after }: FileChange): boolean {
  return basename(path) === SHARED_FILE && before !== null && after !== null
}

function isDefining({ before, after }: FileChange): boolean {
  const defined = variablesOf(before)
  return variablesOf(after).some((name) => !defined.includes(name))
}

/** The variables that the shared file defines. */
function variablesOf(image: FileImage | null): readonly string[] {
  const text = image !== null && 'text' in image ? image.text : ''
  return [...text.matchAll(/^(?:geo|map) .* (\$\w+) \{$/gm)].map(([, name = '']) => name)
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

function isLink(image: FileImage | null): boolean {
  return image !== null && 'linkTo' in image
}
