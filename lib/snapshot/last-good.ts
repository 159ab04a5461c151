/** Copies of the files that were proved last, from which lost or truncated ones are restored. */
import { basename } from 'node:path'
import { allSettledOrThrow } from '../host/all-settled.ts'
import type { FileChange } from '../host/file-image.ts'
import type { Host } from '../host/host.ts'
import { temporaryOf } from '../host/replace-file.ts'
import { isIntact } from '../render/shared-file.ts'
import { isOwnFileName } from '../route/droplet-name.ts'

type CopiesHost = Pick<Host, 'files' | 'paths'>

interface Copy {
  readonly copy: string
  /** Absent if the file was deleted. */
  readonly text: string | undefined
}

/** The saved copy of a file, if it is intact. */
export function lastGoodText({ files, paths }: CopiesHost, name: string): string | undefined {
  const text = files.read(`${paths.lastGood}/${name}`)?.text
  return text !== undefined && isIntact(name, text) ? text : undefined
}

/**
 * Replaces the copies of the files of a change once it is `final`, durably, before its callers are answered: an older copy would undo an acknowledged
 * change if its file were damaged later. They are written meanwhile. A copy that cannot be replaced is removed instead; that does not fail the change.
 * @throws {Error} what `final` rejects with; the copies are as they were then
 */
export async function saveLastGood(
  { files, paths }: CopiesHost,
  changes: readonly FileChange[],
  final: Promise<void> = Promise.resolve(),
): Promise<void> {
  const own = changes.filter(({ path, site }) => site === undefined && isOwnFileName(basename(path)))
  const copies = own.flatMap(({ path, before, after }): Copy[] => {
    const copy = `${paths.lastGood}/${basename(path)}`
    if (after !== null && 'text' in after) return [{ copy, text: after.text }]
    return after === null && before !== null && 'text' in before ? [{ copy, text: undefined }] : []
  })
  const stage = async ({ copy, text }: Copy): Promise<void> => {
    if (text === undefined) return await files.remove(temporaryOf(copy))
    await files.writeUnsynced(temporaryOf(copy), text, 0o600)
    await files.syncFile(temporaryOf(copy))
  }
  const replace = ({ copy, text }: Copy): Promise<void> =>
    text === undefined ? files.remove(copy) : files.rename(temporaryOf(copy), copy)
  const removeTemporaries = () => copies.map(({ copy }) => files.remove(temporaryOf(copy)))
  const staging = Promise.allSettled(copies.map(stage))
  try {
    await final
  } catch (error) {
    await staging
    await Promise.allSettled(removeTemporaries())
    throw error
  }
  try {
    for (const staged of await staging) if (staged.status === 'rejected') throw staged.reason
    await allSettledOrThrow(copies.map(replace))
    await files.syncFolder(paths.lastGood)
  } catch {
    await Promise.allSettled([...copies.map(({ copy }) => files.remove(copy)), ...removeTemporaries()])
  }
}
