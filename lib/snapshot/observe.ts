/** One sweep of reads: the routes on disk, the host's own configuration, the certificates that are there. */
import type { FileText } from '../adapters/files.ts'
import type { CertificateStore } from '../certificates/store.ts'
import type { FileImage } from '../host/file-image.ts'
import type { Host } from '../host/host.ts'
import { statePaths } from '../host/state-folder.ts'
import type { NginxFacts } from '../nginx/binary.ts'
import { readHostConfiguration } from '../nginx/config/host-config.ts'
import type { ConfigurationFile, ConfigurationTree } from '../nginx/config/include.ts'
import { listenAddresses } from '../nginx/config/listens.ts'
import { readNginx } from '../nginx/config/parse.ts'
import type { RenderContext } from '../render/context.ts'
import { readSharedFile } from '../render/shared-file.ts'
import { NOTICE } from '../route/file-envelope.ts'
import { type FoundRoute, readRouteFile, type SnapshotRoute } from '../route/stored-route.ts'
import { type OwnFile, ownFileAt } from './own-files.ts'
import type { Snapshot } from './snapshot.ts'

/** A snapshot, and what reads it again: the tree for the candidate, the facts, and whether there is a main configuration at all. */
export interface Observation {
  readonly snapshot: Snapshot
  readonly tree: ConfigurationTree
  readonly facts: NginxFacts
  /** The main configuration could not be found: a harness with bare folders, where nothing can be tested beforehand or proved. */
  readonly isBare: boolean
}

/** Reads the host; `domains` are those whose certificates matter now. What was parsed is kept as long as its file has not changed. */
export function observer(
  host: Host,
  readFacts: () => Promise<NginxFacts>,
  certificates: CertificateStore,
): (domains: readonly string[]) => Promise<Observation> {
  const parsed = new WeakMap<FileText, ConfigurationFile>()
  const ownFilesOf = new WeakMap<readonly string[], readonly OwnFile[]>()
  const pathsOf = new WeakMap<readonly OwnFile[], ReadonlyMap<string, OwnFile>>()
  const linksIn = new WeakMap<readonly OwnFile[], ReadonlyMap<string, FileImage>>()
  const routesRead = new WeakMap<FileText, FoundRoute | { readonly unreadable: true }>()
  const placed = new WeakMap<FoundRoute, SnapshotRoute>()

  const tree: ConfigurationTree = {
    list: (folder) => host.files.list(folder),
    read: (path) => {
      const file = host.files.read(path)
      return file && remember(parsed, file, () => ({ text: file.text, directives: readNginx(file.text).directives }))
    },
  }
  const readRoute = (dropletName: string, file: FileText): FoundRoute | undefined => {
    const found = remember(routesRead, file, () => readRouteFile(dropletName, file.text) ?? { unreadable: true })
    return 'unreadable' in found ? undefined : found
  }

  /** The same object as long as nothing of it has changed, so that what was made of it can be kept. */
  const place = (found: FoundRoute, enabled: boolean, drifted: boolean): SnapshotRoute => {
    const before = placed.get(found)
    if (before?.enabled === enabled && before.drifted === drifted) return before
    const route = { ...found, enabled, drifted }
    placed.set(found, route)
    return route
  }

  /** A host that has had a main configuration once is not taken for a bare one because it is away for a moment. */
  let isMainKnown = false

  const ownFiles = (folder: string): readonly OwnFile[] => {
    const names = host.files.list(folder)
    return remember(ownFilesOf, names, () =>
      [...names].sort().flatMap((name) => {
        const own = ownFileAt(`${folder}/${name}`)
        return own === undefined ? [] : [own]
      }),
    )
  }
  const ownByPath = (folder: string): ReadonlyMap<string, OwnFile> => {
    const files = ownFiles(folder)
    return remember(pathsOf, files, () => new Map(files.map((own) => [own.path, own])))
  }
  /** A symlink cannot change without its folder: only other files have to be looked at each time. */
  const readImages = (folder: string): Map<string, FileImage> => {
    const files = ownFiles(folder)
    const links = remember(linksIn, files, () => {
      const found = files.map(({ name, path }) => [name, host.files.lstat(path)] as const)
      return new Map(found.flatMap(([name, look]) => (look?.kind === 'link' ? [[name, { linkTo: look.target }]] : [])))
    })
    const images = new Map<string, FileImage>(links)
    for (const { name, path } of links.size === files.length ? [] : files.filter((own) => !links.has(own.name))) {
      const look = host.files.lstat(path)
      if (look?.kind === 'file') images.set(name, { text: look.file.text })
    }
    return images
  }

  return async (domains) => {
    const facts = await readFacts()
    const { settings } = host
    const [available, enabled] = [settings.NGINX_SITES_AVAILABLE, settings.NGINX_SITES_ENABLED]
    const enabledImages = readImages(enabled)
    const isEnabled = (name: string) => leadsTo(enabledImages.get(name), enabled, `${available}/${name}`)

    const routes = new Map<string, SnapshotRoute>()
    const unmanagedFiles = new Set<string>()
    const availableImages = new Map<string, FileImage>()
    let shared: Snapshot['shared']
    for (const { name, path, dropletName } of ownFiles(available)) {
      const look = host.files.lstat(path)
      const text = look?.kind === 'file' ? look.file.text : undefined
      if (dropletName === undefined) {
        const read = text === undefined ? undefined : readSharedFile(text)
        if (text !== undefined && read?.intact === true)
          shared = { text, generation: read.generation, enabled: isEnabled(name) }
        else if (text !== undefined) availableImages.set(name, { text })
        else if (look?.kind === 'link') availableImages.set(name, { linkTo: look.target })
        continue
      }
      const route = look?.kind === 'file' ? readRoute(dropletName, look.file) : undefined
      // A file in place of the symlink is served too, whatever stands in it.
      const isCopy = enabledImages.has(name) && !isEnabled(name)
      if (route !== undefined) {
        routes.set(dropletName, place(route, enabledImages.has(name), route.drifted || isCopy))
      } else if (text !== undefined && (text.startsWith(NOTICE) || NOTICE.startsWith(text.trim())))
        availableImages.set(name, { text })
      else unmanagedFiles.add(dropletName)
    }

    const included = ownByPath(enabled)
    const isOwn = (path: string) => {
      const own = included.get(path) ?? ownFileAt(path)
      return own !== undefined && !unmanagedFiles.has(own.dropletName ?? '')
    }
    const found = facts.confPath === undefined ? undefined : readHostConfiguration(facts.confPath, enabled, tree, isOwn)
    if (found !== undefined) isMainKnown = true
    const isBare = found === undefined && !isMainKnown
    // A main configuration that is known of and cannot be read includes nothing: no change is made then.
    const configuration = found ?? {
      ...readBareFolders(enabled, tree, isOwn),
      includesSitesEnabled: isBare,
    }
    const hasIpv6 = host.network.hasIpv6()
    const context: RenderContext = {
      nginxVersion: facts.version,
      opensslVersion: facts.openssl,
      hasStubStatus: facts.hasStubStatus,
      httpPort: settings.NGINX_HTTP_PORT,
      httpsPort: settings.NGINX_HTTPS_PORT,
      httpListens: listenAddresses(configuration.servers, settings.NGINX_HTTP_PORT, hasIpv6),
      httpsListens: listenAddresses(configuration.servers, settings.NGINX_HTTPS_PORT, hasIpv6),
      webroot: statePaths(settings).webroot,
      certificates: statePaths(settings).certificates,
    }
    const snapshot: Snapshot = {
      sitesAvailable: available,
      sitesEnabled: enabled,
      routes,
      unmanagedFiles,
      shared,
      enabledImages,
      availableImages,
      host: configuration,
      context,
      certificates: new Map(domains.flatMap((domain) => pair(domain, certificates.newest(domain)))),
    }
    return { snapshot, tree, facts, isBare }
  }
}

/** Without a main configuration, what stands in sites-enabled is still read for conflicts, as if a main file included it. */
function readBareFolders(sitesEnabled: string, tree: ConfigurationTree, isOwn: (path: string) => boolean) {
  const mainPath = '/nginx.conf'
  const text = `http { include ${sitesEnabled}/*; }`
  const main = { text, directives: readNginx(text).directives }
  const withMain: ConfigurationTree = { list: tree.list, read: (path) => (path === mainPath ? main : tree.read(path)) }
  const configuration = readHostConfiguration(mainPath, sitesEnabled, withMain, isOwn)
  if (configuration === undefined) throw new Error('the main file stands in the tree')
  return configuration
}

function leadsTo(image: FileImage | undefined, folder: string, path: string): boolean {
  if (image === undefined || !('linkTo' in image)) return false
  if (image.linkTo === path) return true
  return new URL(image.linkTo, `file://${folder}/`).pathname === new URL(path, 'file:///').pathname
}

function pair<T>(name: string, value: T | undefined): [string, T][] {
  return value === undefined ? [] : [[name, value]]
}

function remember<K extends object, T>(known: WeakMap<K, T>, key: K, make: () => T): T {
  const found = known.get(key)
  if (found !== undefined) return found
  const made = make()
  known.set(key, made)
  return made
}
