/** The journal of a change: what was there before, durable before anything live is touched. */

import * as v from 'valibot'
import type { FileChange } from '../host/file-image.ts'
import type { Host } from '../host/host.ts'
import { TEMPORARY_SUFFIX } from '../host/replace-file.ts'
import { statePaths } from '../host/state-folder.ts'

const Image = v.nullable(v.union([v.strictObject({ text: v.string() }), v.strictObject({ linkTo: v.string() })]))
export const Journal = v.strictObject({
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
