/** Journal and swap: from the files of before to those of after, so that a stop at any instant leaves either, or the way back. */
import * as v from 'valibot'
import { type FileChange, type FileImage, sameImage } from '../core/snapshot.ts'
import { type Host, statePaths } from './host.ts'
import { settleAll } from './settle-all.ts'

const Image = v.nullable(v.union([v.strictObject({ text: v.string() }), v.strictObject({ linkTo: v.string() })]))
const Journal = v.strictObject({
  generation: v.number(),
  files: v.array(v.strictObject({ path: v.string(), before: Image, after: Image })),
})

/** What was about to happen when the journal was written; `reloading` once every file stood in its place. */
export interface Journal {
  readonly phase: 'intent' | 'reloading'
  readonly generation: number
  readonly files: readonly FileChange[]
}

const RELOADING = 'reloading\n'

/** Ends the names of what is about to be put in place, and of what stood there before; NGINX's glob skips both for their leading dot. */
export const TEMPORARY_SUFFIX = '.pm-tmp'
export const UNDO_SUFFIX = '.pm-undo'

/** Writes the journal, phase `intent`: durable before any live file changes. */
export async function beginJournal(host: Host, generation: number, files: readonly FileChange[]): Promise<void> {
  const { journal, root } = statePaths(host.settings)
  const temporary = `${root}/.journal${TEMPORARY_SUFFIX}`
  await host.files.remove(temporary)
  await host.files.write(temporary, `${JSON.stringify({ generation, files })}\n`, 0o600)
  await host.files.syncFile(temporary)
  await host.files.rename(temporary, journal)
  await host.files.syncFolder(root)
}

/** Every file stands in its place: from here on, a start rolls forward. */
export async function markReloading(host: Host): Promise<void> {
  await host.files.append(statePaths(host.settings).journal, RELOADING)
}

/** The change is decided: nothing is left to finish or to undo. */
export async function dropJournal(host: Host): Promise<void> {
  const { journal, root } = statePaths(host.settings)
  await host.files.remove(journal)
  // Without it there is no way back, so this must not fail: a journal that a power cut brings back is followed once more, to the same end.
  await host.files.syncFolder(root).catch(() => undefined)
}

/** The journal that a former process left, if any. One that cannot be read was torn before any live file changed. */
export function readJournal(host: Host): Journal | 'torn' | undefined {
  const text = host.files.read(statePaths(host.settings).journal)?.text
  if (text === undefined) return undefined
  const lineEnd = text.indexOf('\n')
  try {
    const { generation, files } = v.parse(Journal, JSON.parse(text.slice(0, lineEnd)))
    return { phase: text.slice(lineEnd + 1) === RELOADING ? 'reloading' : 'intent', generation, files }
  } catch {
    return 'torn'
  }
}

/** Where a text stands before it is put in place: what NGINX tests is the very file that is renamed later. */
export function stagedPath(path: string): string {
  return temporaryOf(path)
}

/** Writes every new text beside its place, where NGINX's glob does not see it. Not durable yet: {@link syncStaged}. */
export async function stageTexts(host: Host, files: readonly FileChange[]): Promise<void> {
  await settleAll(inOrder(files).placed.map((file) => writeTemporary(host, file)))
}

/** Returns once every staged text is on the medium. */
export async function syncStaged(host: Host, files: readonly FileChange[]): Promise<void> {
  await settleAll(inOrder(files).placed.map(({ path }) => host.files.syncFile(temporaryOf(path))))
}

/**
 * Puts every `after` image in place; texts are staged and synced. The order keeps each moment a configuration that NGINX accepts, on disk as well as in memory: symlinks
 * go before their files, files come before their symlinks, and a folder is synced before the next step relies on it. Each single
 * replacement is a rename. What stood there before keeps a second name until {@link removeTemporaries}, so that undoing needs no space on the disk.
 * @throws Node's error of the first effect that fails; what was done until then stays
 */
export async function swapFiles(host: Host, files: readonly FileChange[]): Promise<void> {
  const { gone, placed, linked, removed } = inOrder(files)
  await settleAll(files.map((file) => keepUndo(host, file)))
  await removeAll(host, gone)
  await renameAll(host, placed)
  await settleAll(linked.map((file) => writeTemporary(host, file)))
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
  await settleAll(linked.map((file) => writeTemporary(host, file)))
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

/** Replaces one text durably, by itself. */
export async function replaceText(host: Host, path: string, text: string): Promise<void> {
  const file = { path, before: null, after: { text } }
  await stageTexts(host, [file])
  await syncStaged(host, [file])
  await renameAll(host, [file])
}

/** What stands at a path now. */
function imageAt(host: Host, path: string): FileImage | null {
  const look = host.files.look(path)
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

async function keepUndo(host: Host, { path, before }: FileChange): Promise<void> {
  if (before === null || !('text' in before)) return
  await host.files.remove(undoNameOf(path))
  await host.files.link(path, undoNameOf(path))
}

async function renameAll(host: Host, files: readonly FileChange[]): Promise<void> {
  for (const { path } of files) await host.files.rename(temporaryOf(path), path)
  await syncFoldersOf(host, files)
}

async function removeAll(host: Host, files: readonly FileChange[]): Promise<void> {
  for (const { path } of files) await host.files.remove(path)
  await syncFoldersOf(host, files)
}

async function syncFoldersOf(host: Host, files: readonly FileChange[]): Promise<void> {
  for (const folder of new Set(files.map(({ path }) => folderOf(path)))) await host.files.syncFolder(folder)
}

function isLink(image: FileImage | null): boolean {
  return image !== null && 'linkTo' in image
}

function temporaryOf(path: string): string {
  return hiddenName(path, TEMPORARY_SUFFIX)
}

function undoNameOf(path: string): string {
  return hiddenName(path, UNDO_SUFFIX)
}

function hiddenName(path: string, suffix: string): string {
  return `${folderOf(path)}/.${path.slice(path.lastIndexOf('/') + 1)}${suffix}`
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'))
}
