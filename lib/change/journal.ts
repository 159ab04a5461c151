/** The journal of a change: the previous files, on disk before any live file is touched. */
import { posix } from 'node:path'
import * as v from 'valibot'
import { DatedEvent } from '../events/event.ts'
import { recordHistory } from '../history/history.ts'
import type { FileChange } from '../host/file-image.ts'
import type { Host } from '../host/host.ts'
import { TEMPORARY_SUFFIX } from '../host/replace-file.ts'
import { statePaths } from '../host/state-folder.ts'
import { isRecordPath } from '../keyring/uploads.ts'
import { isOwnFileName } from '../route/droplet-name.ts'
import { saveLastGood } from '../snapshot/last-good.ts'
import type { ChangeContext } from './context.ts'
import { settleSwap } from './swap.ts'

const Image = v.nullable(v.union([v.strictObject({ text: v.string() }), v.strictObject({ linkTo: v.string() })]))
export const Journal = v.strictObject({
  generation: v.number(),
  files: v.array(
    v.strictObject({
      path: v.string(),
      before: Image,
      after: Image,
      site: v.exactOptional(v.picklist(['last', 'first'])),
    }),
  ),
  events: v.optional(v.array(DatedEvent), []),
})

/** The files of a change before and after; its phase is `reloading` once every file is in place. */
export interface Journal {
  readonly phase: 'intent' | 'reloading'
  readonly generation: number
  readonly files: readonly FileChange[]
  /** For the log once the change is proved: with any of them in it, the change is final. */
  readonly events: readonly DatedEvent[]
}

type JournalHost = Pick<Host, 'files' | 'settings' | 'paths'>

const RELOADING = 'reloading\n'

/** Writes the journal in phase `intent`; it is synced when this resolves. */
export async function beginJournal(
  host: JournalHost,
  { generation, files, events }: Omit<Journal, 'phase'>,
): Promise<void> {
  const { journal, root } = statePaths(host.settings)
  const temporary = `${root}/.journal${TEMPORARY_SUFFIX}`
  await host.files.remove(temporary)
  await host.files.write(temporary, `${JSON.stringify({ generation, files, events })}\n`, 0o600)
  await host.files.syncFile(temporary)
  await host.files.rename(temporary, journal)
  await host.files.syncFolder(root)
}

/** Marks every file as in place: from now on, recovery finishes the change instead of rolling it back. */
export async function markReloading(host: JournalHost): Promise<void> {
  await host.files.append(statePaths(host.settings).journal, RELOADING)
}

/** Removes the journal: nothing is left to finish or to roll back. */
export async function dropJournal(host: JournalHost): Promise<void> {
  const { journal, root } = statePaths(host.settings)
  await host.files.remove(journal)
  // The change is final now, so this must not fail: a journal that reappears after a power cut is replayed, with the same result.
  await host.files.syncFolder(root).catch(() => undefined)
}

/** Ends a change that is final, with those of its events that the log does not have yet. */
export async function finishJournal(
  { host, events, authors }: Pick<ChangeContext, 'host' | 'events' | 'authors'>,
  journal: Journal,
  unlogged: readonly DatedEvent[],
): Promise<void> {
  await events.append(unlogged)
  authors.note(journal.events)
  await saveLastGood(host, journal.files)
  await settleSwap(host, journal.files)
  await recordHistory(host, journal)
  await dropJournal(host)
}

/**
 * The journal that a previous process left, if any. An unreadable one was cut short before any live file changed; one with other files than ours
 * was not written by us, and nothing of it is undone.
 */
export function readJournal(host: JournalHost): Journal | 'torn' | undefined {
  const text = host.files.read(statePaths(host.settings).journal)?.text
  if (text === undefined) return undefined
  // Parsing garbage can take long.
  if (!text.startsWith('{"generation":')) return 'torn'
  const lineEnd = text.indexOf('\n')
  try {
    const { generation, files, events } = v.parse(Journal, JSON.parse(text.slice(0, lineEnd)))
    if (!files.every((file) => isWritten(host, file))) return 'torn'
    return { phase: text.slice(lineEnd + 1) === RELOADING ? 'reloading' : 'intent', generation, files, events }
  } catch {
    return 'torn'
  }
}

/** A hand-written site is only removed, wherever it is. */
function isWritten({ settings, paths }: JournalHost, { path, site, after }: FileChange): boolean {
  if (site !== undefined) return after === null
  const folders = [settings.NGINX_SITES_AVAILABLE, settings.NGINX_SITES_ENABLED]
  return (folders.includes(posix.dirname(path)) && isOwnFileName(posix.basename(path))) || isRecordPath({ paths }, path)
}
