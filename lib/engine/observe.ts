/** One sweep of reads: the routes on disk, the host's own configuration, the certificates that are there. */
import type { FileText } from '../adapters/files.ts'
import { type CheckedCertificate, checkCertificate } from '../core/certificate.ts'
import {
  type ConfigurationFile,
  type ConfigurationTree,
  listenAddresses,
  readHostConfiguration,
} from '../core/nginx-host.ts'
import { readNginx } from '../core/nginx-read.ts'
import type { RenderContext } from '../core/nginx-server-block.ts'
import type { FileImage, Snapshot, SnapshotRoute } from '../core/plan.ts'
import {
  dropletOfFileName,
  type FoundRoute,
  isOwnFileName,
  NOTICE,
  readRouteFile,
  readSharedFile,
} from '../core/route-file.ts'
import { type Host, statePaths } from './host.ts'
import type { NginxFacts } from './nginx-facts.ts'

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
): (domains: readonly string[]) => Promise<Observation> {
  const parsed = new WeakMap<FileText, ConfigurationFile>()
  const routesRead = new WeakMap<FileText, FoundRoute | { readonly unreadable: true }>()

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

  return async (domains) => {
    const facts = await readFacts()
    const { settings } = host
    const [available, enabled] = [settings.NGINX_SITES_AVAILABLE, settings.NGINX_SITES_ENABLED]
    const enabledImages = readImages(host, enabled)
    const isEnabled = (name: string) => leadsTo(enabledImages.get(name), enabled, `${available}/${name}`)

    const routes = new Map<string, SnapshotRoute>()
    const foreignFiles = new Map<string, string>()
    const availableImages = new Map<string, FileImage>()
    let shared: Snapshot['shared']
    for (const name of host.files.list(available).filter(isOwnFileName).sort()) {
      const look = host.files.look(`${available}/${name}`)
      const dropletName = dropletOfFileName(name)
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
      if (route !== undefined) routes.set(dropletName, { ...route, enabled: isEnabled(name) })
      else if (text !== undefined && (text.trim() === '' || text.startsWith(NOTICE)))
        availableImages.set(name, { text })
      else foreignFiles.set(dropletName, text ?? '')
    }

    const isOwn = (path: string) => {
      const name = path.slice(path.lastIndexOf('/') + 1)
      return isOwnFileName(name) && !foreignFiles.has(dropletOfFileName(name) ?? '')
    }
    const found = facts.confPath === undefined ? undefined : readHostConfiguration(facts.confPath, enabled, tree, isOwn)
    const configuration = found ?? readBareFolders(enabled, tree, isOwn)
    const hasIpv6 = host.network.hasIpv6()
    const context: RenderContext = {
      nginxVersion: facts.version,
      opensslVersion: facts.openssl,
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
      foreignFiles,
      shared,
      enabledImages,
      availableImages,
      host: configuration,
      context,
      certificates: findCertificates(host, domains),
    }
    return { snapshot, tree, facts, isBare: found === undefined }
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

function readImages({ files }: Host, folder: string): Map<string, FileImage> {
  const images = new Map<string, FileImage>()
  for (const name of files.list(folder).filter(isOwnFileName)) {
    const look = files.look(`${folder}/${name}`)
    if (look?.kind === 'link') images.set(name, { linkTo: look.target })
    if (look?.kind === 'file') images.set(name, { text: look.file.text })
  }
  return images
}

function leadsTo(image: FileImage | undefined, folder: string, path: string): boolean {
  if (image === undefined || !('linkTo' in image)) return false
  if (image.linkTo === path) return true
  return new URL(image.linkTo, `file://${folder}/`).pathname === new URL(path, 'file:///').pathname
}

/** For each domain, the newest certificate that may be served: certbot's lineage of that name, or a copy that was taken of it before. */
function findCertificates(host: Host, domains: readonly string[]): Map<string, CheckedCertificate> {
  const found = new Map<string, CheckedCertificate>()
  const copies = statePaths(host.settings).certificates
  for (const domain of domains) {
    const folders = [
      `${host.settings.CERTBOT_CONFIG_DIR}/live/${domain}`,
      ...host.files.list(`${copies}/${domain}`).map((fingerprint) => `${copies}/${domain}/${fingerprint}`),
    ]
    const checked = folders.flatMap((folder) => {
      const fullchain = host.files.read(`${folder}/fullchain.pem`)
      const privkey = host.files.read(`${folder}/privkey.pem`)
      if (fullchain === undefined || privkey === undefined) return []
      const certificate = checkCertificate(fullchain.text, privkey.text, domain, host.clock.nowMs())
      return 'fault' in certificate ? [] : [certificate]
    })
    const [newest] = checked.sort((a, b) => b.summary.not_before.localeCompare(a.summary.not_before))
    if (newest !== undefined) found.set(domain, newest)
  }
  return found
}

function remember<T>(known: WeakMap<FileText, T>, file: FileText, make: () => T): T {
  const found = known.get(file)
  if (found !== undefined) return found
  const made = make()
  known.set(file, made)
  return made
}
