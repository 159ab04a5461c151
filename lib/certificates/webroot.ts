/** The webroot, which may be the directory of a site: another user may own it, and everything in it is his unless we have made it. */
import type { Host } from '../host/host.ts'

/** Where a challenge is requested (RFC 8555, 8.3), without the leading slash. */
export const CHALLENGE_PATH = '.well-known/acme-challenge'

/**
 * Why challenges cannot be written to the webroot safely: certbot, as root, follows a symlink there, which another user may have made to let it
 * write, or delete, somewhere else. `undefined` if they can be. What is missing is made by us.
 */
export function webrootFault({ files, paths }: Pick<Host, 'files' | 'paths'>): string | undefined {
  const folders = CHALLENGE_PATH.split('/').map((_, i, names) => names.slice(0, i + 1).join('/'))
  for (const folder of folders) {
    const found = files.access(`${paths.webroot}/${folder}`)
    if (found === undefined) return undefined
    if (found.kind === 'link') return `${folder} in the webroot is a symlink`
    if (found.kind !== 'folder') return `${folder} in the webroot is no directory`
    if (!found.isOurs) return `${folder} in the webroot belongs to another user`
    if ((found.mode & OTHERS_MAY_WRITE) !== 0) return `${folder} in the webroot can be written by other users`
  }
  return undefined
}

const OTHERS_MAY_WRITE = 0o022

/**
 * Removes the challenges that a killed certbot has left: those that were not there before, and contain what certbot writes to them, the token
 * (which is their name) and the thumbprint of a key (RFC 8555, 8.1). Never rejects.
 */
export async function removeChallenges(
  { files, paths }: Pick<Host, 'files' | 'paths'>,
  before: ReadonlySet<string>,
): Promise<void> {
  if (webrootFault({ files, paths }) !== undefined) return
  const isLeft = (name: string): boolean => {
    const entry = before.has(name) ? undefined : files.lstat(`${paths.webroot}/${CHALLENGE_PATH}/${name}`)
    return entry?.kind === 'file' && /^([\w-]+)\.[\w-]{43}$/.exec(entry.file.text)?.[1] === name
  }
  const left = listChallenges({ files, paths }).filter(isLeft)
  await Promise.allSettled(left.map((name) => files.removeBelow(paths.webroot, `${CHALLENGE_PATH}/${name}`)))
}

/** Names of the files under the challenge path. */
export function listChallenges({ files, paths }: Pick<Host, 'files' | 'paths'>): readonly string[] {
  return files.list(`${paths.webroot}/${CHALLENGE_PATH}`)
}
