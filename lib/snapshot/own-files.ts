/** Files with a name of ours, in either directory; parsed contents are cached until the file changes. */
import { basename, dirname } from 'node:path'
import type { FileText } from '../adapters/files.ts'
import type { FileImage } from '../host/file-image.ts'
import type { Host } from '../host/host.ts'
import { remember } from '../host/remember.ts'
import { isSameFolder } from '../nginx/config/include.ts'
import { readSharedFile } from '../render/shared-file.ts'
import { dropletOfFileName, isOwnFileName } from '../route/droplet-name.ts'
import { NOTICE } from '../route/file-envelope.ts'
import { siteLinker } from '../route/site.ts'
import { type FoundRoute, readRouteFile, type SnapshotRoute } from '../route/stored-route.ts'
import type { Snapshot } from './snapshot.ts'

/** A file with a name of ours; made once for each directory listing. */
interface OwnFile {
  readonly name: string
  readonly path: string
  readonly dropletName: string | undefined
}

type OwnContents = Pick<Snapshot, 'routes' | 'unmanagedFiles' | 'availableImages' | 'enabledImages' | 'shared'>

export interface OwnFiles {
  /** Reads all of our files in both directories. */
  read(available: string, enabled: string): OwnContents
  /** The same contents, with the file of another author that has the name of a route's as one that the route replaces. */
  withoutUnmanaged(contents: OwnContents, path: string): OwnContents
  /** Makes a test of paths in sites-enabled, as it is now: whether one has a name of ours and was not written by hand. */
  ownIn(enabled: string, unmanaged: ReadonlySet<string>): (path: string) => boolean
}

/** Makes a reader with a cache. */
export function ownFilesReader(host: Host): OwnFiles {
  const { filesIn, byPath } = listings(host)
  const readImages = imageReader(host, filesIn)
  const readRoute = routeReader()
  const readGeneration = generationReader()
  const linkSites = siteLinker()
  return {
    read: (available, enabled) => {
      const enabledImages = readImages(enabled)
      const isEnabled = ({ name, path }: OwnFile) => pointsTo(enabledImages.get(name), enabled, path)
      const routes = new Map<string, SnapshotRoute>()
      const unmanagedFiles = new Set<string>()
      const availableImages = new Map<string, FileImage>()
      let shared: Snapshot['shared']
      for (const own of filesIn(available)) {
        const { name, path, dropletName } = own
        const entry = host.files.lstat(path)
        const file = entry?.kind === 'file' ? entry.file : undefined
        const text = file?.text
        if (dropletName === undefined) {
          const generation = file && readGeneration(file)
          if (text !== undefined && generation !== undefined) shared = { text, generation, enabled: isEnabled(own) }
          else if (text !== undefined) availableImages.set(name, { text })
          else if (entry?.kind === 'link') availableImages.set(name, { linkTo: entry.target })
          continue
        }
        // A file in place of the symlink is served too, whatever it contains.
        const isCopy = enabledImages.has(name) && !isEnabled(own)
        const route =
          file !== undefined
            ? readRoute(dropletName, file, { enabled: enabledImages.has(name), isCopy, isOnlyEnabled: false })
            : undefined
        if (route !== undefined) routes.set(dropletName, route)
        else if (text !== undefined && isDamaged(text)) availableImages.set(name, { text })
        else unmanagedFiles.add(dropletName)
      }
      for (const { name, path, dropletName } of filesIn(enabled)) {
        if (dropletName === undefined || routes.has(dropletName)) continue
        if (unmanagedFiles.has(dropletName) || availableImages.has(name)) continue
        const file = host.files.read(path)
        const route = file && readRoute(dropletName, file, { enabled: true, isCopy: true, isOnlyEnabled: true })
        if (route !== undefined) routes.set(dropletName, route)
        else if (file !== undefined && !isDamaged(file.text)) unmanagedFiles.add(dropletName)
      }
      return { routes: linkSites(routes), unmanagedFiles, availableImages, enabledImages, shared }
    },
    withoutUnmanaged: (contents, path) => withoutUnmanaged(host, contents, path),
    ownIn: (enabled, unmanaged) => {
      const known = byPath(enabled)
      return (path) => {
        const listed = known.get(path)
        const own = listed ?? ownFileAt(path)
        if (own === undefined || unmanaged.has(own.dropletName ?? '')) return false
        return listed !== undefined || isSameFolder(dirname(path), enabled, host.files)
      }
    },
  }
}

/** {@link OwnFiles.withoutUnmanaged} */
function withoutUnmanaged({ files, settings }: Host, contents: OwnContents, path: string): OwnContents {
  const name = basename(path)
  const dropletName = dropletOfFileName(name)
  if (dropletName === undefined || !contents.unmanagedFiles.has(dropletName)) return contents
  const unmanagedFiles = new Set(contents.unmanagedFiles)
  unmanagedFiles.delete(dropletName)
  const availableImages = new Map(contents.availableImages)
  const entry = files.lstat(`${settings.NGINX_SITES_AVAILABLE}/${name}`)
  if (entry?.kind === 'file') availableImages.set(name, { text: entry.file.text })
  return { ...contents, unmanagedFiles, availableImages }
}

/** Our files in a directory, sorted and by path; computed again only if the listing has changed. */
function listings(host: Host) {
  const sorted = new WeakMap<readonly string[], readonly OwnFile[]>()
  const paths = new WeakMap<readonly OwnFile[], ReadonlyMap<string, OwnFile>>()
  const filesIn = (folder: string): readonly OwnFile[] => {
    const names = host.files.list(folder)
    return remember(sorted, names, () =>
      [...names].sort().flatMap((name) => {
        const own = ownFileAt(`${folder}/${name}`)
        return own === undefined ? [] : [own]
      }),
    )
  }
  const byPath = (folder: string): ReadonlyMap<string, OwnFile> => {
    const files = filesIn(folder)
    return remember(paths, files, () => new Map(files.map((own) => [own.path, own])))
  }
  return { filesIn, byPath }
}

/** A symlink cannot change without its directory changing: only regular files have to be read each time. */
function imageReader(host: Host, filesIn: (folder: string) => readonly OwnFile[]) {
  const linksIn = new WeakMap<readonly OwnFile[], ReadonlyMap<string, FileImage>>()
  return (folder: string): Map<string, FileImage> => {
    const files = filesIn(folder)
    const links = remember(linksIn, files, () => {
      const found = files.map(({ name, path }) => [name, host.files.lstat(path)] as const)
      return new Map(
        found.flatMap(([name, entry]) => (entry?.kind === 'link' ? [[name, { linkTo: entry.target }]] : [])),
      )
    })
    const images = new Map<string, FileImage>(links)
    for (const { name, path } of links.size === files.length ? [] : files.filter((own) => !links.has(own.name))) {
      const entry = host.files.lstat(path)
      if (entry?.kind === 'file') images.set(name, { text: entry.file.text })
    }
    return images
  }
}

/** Reads the generation of the shared file; `undefined` if it is not as written. */
function generationReader(): (file: FileText) => number | undefined {
  const read = new WeakMap<FileText, { readonly generation: number | undefined }>()
  return (file) =>
    remember(read, file, () => {
      const found = readSharedFile(file.text)
      return { generation: found?.intact === true ? found.generation : undefined }
    }).generation
}

/** Parses routes; returns the same object until the route changes, so that results can be cached by it. */
function routeReader() {
  const read = new WeakMap<FileText, FoundRoute | { readonly unreadable: true }>()
  const shown = new WeakMap<FoundRoute, SnapshotRoute>()
  return (
    dropletName: string,
    file: FileText,
    { enabled, isCopy, isOnlyEnabled }: { enabled: boolean; isCopy: boolean; isOnlyEnabled: boolean },
  ): SnapshotRoute | undefined => {
    const found = remember(read, file, () => readRouteFile(dropletName, file.text) ?? { unreadable: true })
    if ('unreadable' in found) return undefined
    const drifted = found.drifted || isCopy
    const before = shown.get(found)
    const isSame = before?.enabled === enabled && before.drifted === drifted
    if (isSame && (before.isOnlyEnabled === true) === isOnlyEnabled) return before
    const route = { ...found, enabled, drifted, ...(isOnlyEnabled ? { isOnlyEnabled } : {}) }
    shown.set(found, route)
    return route
  }
}

/** Whether the text of a file with a name of ours, which has no record, is what is left of one of ours. */
function isDamaged(text: string): boolean {
  return text.startsWith(NOTICE) || NOTICE.startsWith(text.trim())
}

function ownFileAt(path: string): OwnFile | undefined {
  const name = basename(path)
  return isOwnFileName(name) ? { name, path, dropletName: dropletOfFileName(name) } : undefined
}

function pointsTo(image: FileImage | undefined, folder: string, path: string): boolean {
  if (image === undefined || !('linkTo' in image)) return false
  if (image.linkTo === path) return true
  return new URL(image.linkTo, `file://${folder}/`).pathname === new URL(path, 'file:///').pathname
}
