/** Replaces one file so that a power cut leaves one of the two texts, whole. */
import { posix } from 'node:path'
import type { Host } from './host.ts'

/** Ends the names of what is about to be put in place, and of what stood there before; NGINX's glob skips both for their leading dot. */
export const TEMPORARY_SUFFIX = '.pm-tmp'

/** Replaces one text durably, by itself. */
export async function replaceText(host: Host, path: string, text: string): Promise<void> {
  const { files } = host
  const temporary = temporaryOf(path)
  await files.remove(temporary)
  await files.write(temporary, text, 0o644)
  await files.syncFile(temporary)
  await files.rename(temporary, path)
  await files.syncFolder(posix.dirname(path))
}

export function temporaryOf(path: string): string {
  return hiddenName(path, TEMPORARY_SUFFIX)
}

export function hiddenName(path: string, suffix: string): string {
  return `${posix.dirname(path)}/.${posix.basename(path)}${suffix}`
}
