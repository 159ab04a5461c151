/** JSON records on disk that nothing depends on: one that cannot be read counts as missing, and one that cannot be written is logged. */
import * as v from 'valibot'
import type { Host } from './host.ts'
import { logFailure } from './log-failure.ts'
import { replaceUnsynced } from './replace-file.ts'

/** The record at a path; `undefined` if there is none that fits the schema. */
export function readRecord<T>(
  { files }: Pick<Host, 'files'>,
  path: string,
  schema: v.GenericSchema<unknown, T>,
): T | undefined {
  try {
    return v.parse(schema, JSON.parse(files.read(path)?.text ?? ''))
  } catch {
    return undefined
  }
}

/** Replaces the record, not durably; a failure is a line in the log under this action. */
export async function writeRecord(
  host: Pick<Host, 'files' | 'log'>,
  path: string,
  record: Readonly<Record<string, unknown>>,
  action: string,
): Promise<void> {
  await replaceUnsynced(host, path, JSON.stringify(record)).catch(logFailure(host, 'warn', { action }))
}
