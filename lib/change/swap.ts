/** The swap: from the previous files to the new ones, so that a stop at any instant leaves either, or the way back. */
import { dirname } from 'node:path'
import { imageAt, stagedPath, undoPath, writeTemporary } from '../candidate/stage.ts'
import { allSettledOrThrow } from '../host/all-settled.ts'
import { type FileChange, type FileImage, sameImage } from '../host/file-image.ts'
import type { Host } from '../host/host.ts'

/**
 * Puts every `after` image in place; texts are staged and synced. The order keeps each moment a configuration that NGINX accepts, on disk as well
 * as in memory: symlinks are removed before their files, files are there before their symlinks, and a directory is synced before the next step
 * relies on it. Each single replacement is a rename. What was there before keeps a second name until `removeTemporaries`, so that undoing needs
 * no space on the disk.
 * @throws Node's error of the first effect that fails; what was done until then stays
 */
export async function swapFiles(host: Host, files: readonly FileChange[]): Promise<void> {
  const { unlinkFirst, replace, link, deleteLast } = swapSteps(files)
  await allSettledOrThrow(files.map((file) => linkUndoCopy(host, file)))
  await removeAll(host, unlinkFirst)
  await renameAll(host, replace)
  await linkAll(host, link)
  await removeAll(host, deleteLast)
}

/**
 * Puts the `before` images back in place of `after` images; what someone else has put there since is left as it is.
 * Returns the changes that were undone. Works after a stop as well, when the journal is all that is left.
 */
export async function undoSwap(host: Host, files: readonly FileChange[]): Promise<FileChange[]> {
  const swapped = files.filter((file) => sameImage(imageAt(host, file.path), file.after))
  const reversed = swapped.map(({ path, before, after }) => ({ path, before: after, after: before }))
  const { unlinkFirst, replace, link, deleteLast } = swapSteps(reversed)
  await removeAll(host, unlinkFirst)
  for (const file of replace) await putBack(host, file)
  await syncFoldersOf(host, replace)
  await linkAll(host, link)
  await removeAll(host, deleteLast)
  return swapped
}

/** The four steps of a swap, in their order. */
function swapSteps(files: readonly FileChange[]) {
  const links = files.filter(({ before, after }) => isLink(after) || (after === null && isLink(before)))
  const texts = files.filter((file) => !links.includes(file))
  return {
    unlinkFirst: links.filter((file) => file.after === null),
    replace: texts.filter((file) => file.after !== null),
    link: links.filter((file) => file.after !== null),
    deleteLast: texts.filter((file) => file.after === null),
  }
}

async function putBack(host: Host, file: FileChange): Promise<void> {
  const copy = undoPath(file.path)
  if (sameImage(imageAt(host, copy), file.after)) {
    await host.files.rename(copy, file.path)
    return
  }
  await writeTemporary(host, file)
  await host.files.syncFile(stagedPath(file.path))
  await host.files.rename(stagedPath(file.path), file.path)
}

async function linkUndoCopy(host: Host, { path, before }: FileChange): Promise<void> {
  if (before === null || !('text' in before)) return
  await host.files.remove(undoPath(path))
  await host.files.link(path, undoPath(path))
}

async function linkAll(host: Host, files: readonly FileChange[]): Promise<void> {
  await allSettledOrThrow(files.map((file) => writeTemporary(host, file)))
  await renameAll(host, files)
}

async function renameAll(host: Host, files: readonly FileChange[]): Promise<void> {
  for (const { path } of files) await host.files.rename(stagedPath(path), path)
  await syncFoldersOf(host, files)
}

async function removeAll(host: Host, files: readonly FileChange[]): Promise<void> {
  for (const { path } of files) await host.files.remove(path)
  await syncFoldersOf(host, files)
}

async function syncFoldersOf(host: Host, files: readonly FileChange[]): Promise<void> {
  for (const folder of new Set(files.map(({ path }) => dirname(path)))) await host.files.syncFolder(folder)
}

function isLink(image: FileImage | null): boolean {
  return image !== null && 'linkTo' in image
}
