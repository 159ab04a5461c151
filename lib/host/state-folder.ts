/** The state directory: its layout, and whether a directory may become one. */
import { posix } from 'node:path'
import type { Files } from '../adapters/files.ts'
import type { Settings } from '../settings/settings.ts'
import { setAside } from './backups.ts'
import type { Host } from './host.ts'
import { TEMPORARY_SUFFIX } from './replace-file.ts'

export type StatePaths = ReturnType<typeof statePaths>

/** Paths in the state directory. */
export function statePaths(settings: Settings) {
  const root = settings.PROXY_MANAGER_STATE_DIR
  return {
    root,
    mark: `${root}/proxy-manager`,
    lock: `${root}/lock`,
    journal: `${root}/journal`,
    staging: `${root}/staging`,
    lastGood: `${root}/last-good`,
    backups: `${root}/backups`,
    lastReload: `${root}/last-reload.json`,
    rendered: `${root}/rendered.json`,
    lastProof: `${root}/last-proof.json`,
    certificates: `${root}/certificates`,
    uploads: `${root}/uploads`,
    orders: `${root}/orders`,
    certbot: `${root}/certbot`,
    noConfiguration: `${root}/certbot/no-user-configuration`,
    accounts: `${root}/acme-accounts.json`,
    lastCertificate: `${root}/last-certificate.json`,
    renewedMark: `${root}/renewed`,
    /** Node's cache of compiled code (`NODE_COMPILE_CACHE`): with it, a start need not strip the types again. */
    compileCache: `${root}/compile-cache`,
    history: `${root}/history`,
    events: `${root}/events`,
    eventsMark: `${root}/events-mark`,
    delivered: `${root}/events-delivered.json`,
    webroot: settings.ACME_WEBROOT ?? `${root}/acme`,
  } as const
}

const MARK_TEXT = 'This directory is the state directory of Proxy Manager, which replaces and removes files in it.\n'

/** Directories that only the owner may enter. */
function closedFolders(paths: StatePaths): readonly string[] {
  const { staging, lastGood, backups, certificates, uploads, orders, certbot, noConfiguration, events, history } = paths
  return [staging, lastGood, backups, certificates, uploads, orders, certbot, noConfiguration, events, history]
}

/**
 * Why a directory cannot be the state directory: what Proxy Manager would replace and remove in it is somebody else's, or others could make
 * root undo changes that never were. `undefined` if it can be, or does not exist yet. Nothing is changed.
 * @throws {Error} if it cannot be read
 */
export function stateFolderFault(files: Files, settings: Settings): string | undefined {
  const paths = statePaths(settings)
  const root = files.realPath(paths.root)
  const access = root === undefined ? undefined : files.access(root)
  if (root === undefined || access === undefined) return undefined
  if (access.kind !== 'folder') return 'is no directory'
  const names = files.list(root)
  // An installation may have put certbot's directories, or the webroot, into the directory; Node fills its cache before the first start has begun.
  const given = [...Object.values(settings), paths.compileCache].map((value) => `${value}/`)
  const isInUse = (name: string) =>
    !given.some((path) => path.startsWith(`${paths.root}/${name}/`)) &&
    (!isOwnName(paths, name) || files.list(`${root}/${name}`).length > 0)
  const inUse = isMarked(files, paths) ? [] : names.filter(isInUse).sort()
  if (inUse.length > 0)
    return `has files that are not Proxy Manager's (${inUse.slice(0, 3).join(', ')}): choose a directory of its own, or, if it is its state directory, create an empty file ${paths.mark}`
  if ((access.mode & OTHERS_WRITE) !== 0) {
    const planted = names.find((name) => isOwnName(paths, name) && files.access(`${root}/${name}`)?.isOurs === false)
    if ((access.mode & STICKY) === 0 || planted !== undefined)
      return `can be written by every user: chmod o-w ${paths.root}${planted === undefined ? '' : `, and remove ${planted}, which another user has made`}`
  }
  const [open] = openFolders(files, paths, GROUP_OR_OTHERS_WRITE)
  return open === undefined ? undefined : `has a directory that other users can write to: chmod 700 ${open}`
}

/** Before there was a mark, every start made these: without one of them, the names of the others may be the same by chance. */
function isMarked(files: Files, paths: StatePaths): boolean {
  const { mark, lock, staging, lastGood, backups, certificates, orders } = paths
  const made = [lock, staging, lastGood, backups, certificates, orders]
  return files.access(mark)?.kind === 'file' || made.every((path) => files.access(path) !== undefined)
}

/** Directories that only the owner should be able to enter, but have one of these permission bits. By default, any of other users. */
export function openFolders(files: Files, paths: StatePaths, bits = 0o077): readonly string[] {
  return closedFolders(paths).filter((folder) => {
    const found = files.access(files.realPath(folder) ?? folder)
    return found?.kind === 'folder' && (found.mode & bits) !== 0
  })
}

const OTHERS_WRITE = 0o002
const STICKY = 0o1000
const GROUP_OR_OTHERS_WRITE = 0o022

function isOwnName(paths: StatePaths, name: string): boolean {
  const isTemporary = name.startsWith('.') && name.endsWith(TEMPORARY_SUFFIX)
  return isTemporary || name === 'lost+found' || Object.values(paths).includes(`${paths.root}/${name}`)
}

/**
 * Creates what is missing in the state directory, and the mark that it is one. NGINX's workers have to pass through it to the webroot, so everyone
 * can enter it but only its owner can list it; secrets are in directories that only the owner can enter. What exists keeps its mode; what is of
 * the wrong kind, which would fail every change, gets another name, and is returned.
 * @throws {Error} Node's error, also if this user may not write there
 */
export async function makeStateFolders(host: Pick<Host, 'files' | 'clock'>, paths: StatePaths): Promise<string[]> {
  const { files } = host
  await files.makeFolder(paths.root, 0o711)
  if (files.access(paths.mark) === undefined) await files.writeUnsynced(paths.mark, MARK_TEXT, 0o600)
  else await files.append(paths.mark, '')
  const closed = closedFolders(paths)
  const folders = [...closed, paths.webroot, paths.compileCache]
  const misplaced = Object.values(paths).filter(
    (path) => posix.dirname(path) === paths.root && isOfWrongKind(files, path, folders.includes(path)),
  )
  for (const path of misplaced) await setAside(host, paths.root, path)
  for (const folder of closed) await files.makeFolder(folder, 0o700)
  await files.makeFolder(paths.webroot, 0o755)
  return misplaced.map((path) => posix.basename(path))
}

/** A directory may be a symlink to one. */
function isOfWrongKind(files: Files, path: string, isFolder: boolean): boolean {
  const kind = files.access(files.realPath(path) ?? path)?.kind
  return kind !== undefined && (kind === 'folder') !== isFolder
}
