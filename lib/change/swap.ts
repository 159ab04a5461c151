/** Journal and swap: from the files of before to those of after, so that a stop at any instant leaves either, or the way back. */
import { posix } from 'node:path'
import { allSettledOrThrow } from '../host/all-settled.ts'
import { type FileChange, type FileImage, sameImage } from '../host/file-image.ts'
import type { Host } from '../host/host.ts'
import { hiddenName, temporaryOf } from '../host/replace-file.ts'

export const UNDO_SUFFIX = '.pm-undo'

/** Where a text stands before it is put in place: what NGINX tests is the very file that is renamed later. */
export function stagedPath(path: string): string {
  return temporaryOf(path)
}

/** Writes every new text beside its place, where NGINX's glob does not see it. Not durable yet: {@link syncStaged}. */
export async function stageTexts(host: Host, files: readonly FileChange[]): Promise<void> {
  await allSettledOrThrow(inOrder(files).placed.map((file) => writeTemporary(host, file)))
}

/** Returns once every staged text is on the medium. */
export async function syncStaged(host: Host, files: readonly FileChange[]): Promise<void> {
  await allSettledOrThrow(inOrder(files).placed.map(({ path }) => host.files.syncFile(temporaryOf(path))))
}

/**
 * Puts every `after` image in place; texts are staged and synced. The order keeps each moment a configuration that NGINX accepts, on disk as well as in memory: symlinks
 * go before their files, files come before their symlinks, and a folder is synced before the next step relies on it. Each single
 * replacement is a rename. What stood there before keeps a second name until {@link removeTemporaries}, so that undoing needs no space on the disk.
 * @throws Node's error of the first effect that fails; what was done until then stays
 */
export async function swapFiles(host: Host, files: readonly FileChange[]): Promise<void> {
  const { gone, placed, linked, removed } = inOrder(files)
  await allSettledOrThrow(files.map((file) => linkUndoCopy(host, file)))
  await removeAll(host, gone)
  await renameAll(host, placed)
  await allSettledOrThrow(linked.map((file) => writeTemporary(host, file)))
  await renameAll(host, linked)
  await removeAll(host, removed)
}

/**
 * Puts the `before` images back wherever an `after` image stands; what someone else has put there since is left alone.
 * Returns the changes that were undone. Works after a stop as well, when the journal is all that is left.
 */
export async function undoSwap(host: Host, files: readonly FileChange[]): Promise<FileChange[]> {
  const swapped = files.filter((file) => sameImage(imageAt(host, file.path), file.after))
  const { gone, placed, linked, removed } = inOrder(
    swapped.map(({ path, before, after }) => ({ path, before: after, after: before })),
  )
  await removeAll(host, gone)
  for (const file of placed) {
    if (sameImage(imageAt(host, undoNameOf(file.path)), file.after)) {
      await host.files.rename(undoNameOf(file.path), file.path)
    } else {
      await writeTemporary(host, file)
      await host.files.syncFile(temporaryOf(file.path))
      await host.files.rename(temporaryOf(file.path), file.path)
    }
  }
  await syncFoldersOf(host, placed)
  await allSettledOrThrow(linked.map((file) => writeTemporary(host, file)))
  await renameAll(host, linked)
  await removeAll(host, removed)
  return swapped
}

/** Removes every temporary that a swap or its undoing may have left. */
export async function removeTemporaries(host: Host, files: readonly FileChange[]): Promise<void> {
  await Promise.allSettled(
    files.flatMap(({ path }) => [host.files.remove(undoNameOf(path)), host.files.remove(temporaryOf(path))]),
  )
}

/** What stands at a path now. */
function imageAt(host: Host, path: string): FileImage | null {
  const look = host.files.lstat(path)
  if (look?.kind === 'file') return { text: look.file.text }
  return look?.kind === 'link' ? { linkTo: look.target } : null
}

/** The four steps of a swap, in their order. */
function inOrder(files: readonly FileChange[]) {
  const links = files.filter(({ before, after }) => isLink(after) || (after === null && isLink(before)))
  const texts = files.filter((file) => !links.includes(file))
  return {
    gone: links.filter((file) => file.after === null),
    placed: texts.filter((file) => file.after !== null),
    linked: links.filter((file) => file.after !== null),
    removed: texts.filter((file) => file.after === null),
  }
}

async function writeTemporary(host: Host, { path, after }: FileChange): Promise<void> {
  const temporary = temporaryOf(path)
  if (sameImage(imageAt(host, temporary), after)) return
  await host.files.remove(temporary)
  if (after !== null && 'text' in after) await host.files.write(temporary, after.text, 0o644)
  if (after !== null && 'linkTo' in after) await host.files.symlink(after.linkTo, temporary)
}

async function linkUndoCopy(host: Host, { path, before }: FileChange): Promise<void> {
  if (before === null || !('text' in before)) return
  await host.files.remove(undoNameOf(path))
  await host.files.link(path, undoNameOf(path))
}

export async function renameAll(host: Host, files: readonly FileChange[]): Promise<void> {
  for (const { path } of files) await host.files.rename(temporaryOf(path), path)
  await syncFoldersOf(host, files)
}

async function removeAll(host: Host, files: readonly FileChange[]): Promise<void> {
  for (const { path } of files) await host.files.remove(path)
  await syncFoldersOf(host, files)
}

async function syncFoldersOf(host: Host, files: readonly FileChange[]): Promise<void> {
  for (const folder of new Set(files.map(({ path }) => posix.dirname(path)))) await host.files.syncFolder(folder)
}

function isLink(image: FileImage | null): boolean {
  return image !== null && 'linkTo' in image
}

function undoNameOf(path: string): string {
  return hiddenName(path, UNDO_SUFFIX)
}
