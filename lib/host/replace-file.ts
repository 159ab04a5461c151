/** Replaces one file so that a power cut leaves one of the two texts, complete. */
import { posix } from 'node:path'
import type { Host } from './host.ts'

/** Suffix of files that are about to be renamed into place; NGINX's glob skips them because of their leading dot. */
export const TEMPORARY_SUFFIX = '.pm-tmp'

/** Replaces one text durably. */
export async function replaceText({ files }: Pick<Host, 'files'>, path: string, text: string): Promise<void> {
  const temporary = temporaryOf(path)
  await files.remove(temporary)
  await files.write(temporary, text, 0o644)
  await files.syncFile(temporary)
  await files.rename(temporary, path)
  await files.syncFolder(posix.dirname(path))
}

/** Replaces a text that nothing depends on after a power cut. */
export async function replaceUnsynced({ files }: Pick<Host, 'files'>, path: string, text: string): Promise<void> {
  await files.replaceUnsynced(path, temporaryOf(path), text, 0o600)
}

export function temporaryOf(path: string): string {
  return hiddenName(path, TEMPORARY_SUFFIX)
}

export function hiddenName(path: string, suffix: string): string {
  return `${posix.dirname(path)}/.${posix.basename(path)}${suffix}`
}
