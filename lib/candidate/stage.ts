/** Stages new texts beside the live files: NGINX tests the very file that is renamed later. */
import { allSettledOrThrow } from '../host/all-settled.ts'
import { type FileChange, type FileImage, sameImage } from '../host/file-image.ts'
import type { Host } from '../host/host.ts'
import { hiddenName, TEMPORARY_SUFFIX, temporaryOf } from '../host/replace-file.ts'

const UNDO_SUFFIX = '.pm-undo'

/** The path of a staged text; NGINX's glob does not match it. */
export function stagedPath(path: string): string {
  return temporaryOf(path)
}

/** The second name of the previous file during a swap. */
export function undoPath(path: string): string {
  return hiddenName(path, UNDO_SUFFIX)
}

/** Whether a file name is one of these two. */
export function isTemporary(name: string): boolean {
  return name.startsWith('.') && (name.endsWith(TEMPORARY_SUFFIX) || name.endsWith(UNDO_SUFFIX))
}

/** Writes every new text beside its live file. Not durable yet: {@link syncStaged}. */
export async function stageTexts(host: Pick<Host, 'files'>, files: readonly FileChange[]): Promise<void> {
  await allSettledOrThrow(files.filter(hasNewText).map((file) => writeTemporary(host, file)))
}

/** Resolves once every staged text is synced. */
export async function syncStaged(host: Pick<Host, 'files'>, files: readonly FileChange[]): Promise<void> {
  await allSettledOrThrow(files.filter(hasNewText).map(({ path }) => host.files.syncFile(stagedPath(path))))
}

/** The file or symlink at a path; null if there is neither. */
export function imageAt(host: Pick<Host, 'files'>, path: string): FileImage | null {
  const entry = host.files.lstat(path)
  if (entry?.kind === 'file') return { text: entry.file.text }
  return entry?.kind === 'link' ? { linkTo: entry.target } : null
}

/** Writes the new text or symlink of one file beside the live one. */
export async function writeTemporary(host: Pick<Host, 'files'>, { path, after }: FileChange): Promise<void> {
  const temporary = stagedPath(path)
  if (sameImage(imageAt(host, temporary), after)) return
  await host.files.remove(temporary)
  if (after !== null && 'text' in after) await host.files.write(temporary, after.text, 0o644)
  if (after !== null && 'linkTo' in after) await host.files.symlink(after.linkTo, temporary)
}

/** Removes every temporary that staging, a swap or a rollback may have left. Never rejects. */
export async function removeTemporaries(host: Pick<Host, 'files'>, files: readonly FileChange[]): Promise<void> {
  await Promise.allSettled(
    files.flatMap(({ path }) => [host.files.remove(undoPath(path)), host.files.remove(stagedPath(path))]),
  )
}

function hasNewText({ after }: FileChange): boolean {
  return after !== null && 'text' in after
}
