/** One sweep of reads: the routes on disk, the host's own configuration, the certificates that exist. */
import type { FileText } from '../adapters/files.ts'
import type { CertificateStore } from '../certificates/store.ts'
import type { Host } from '../host/host.ts'
import { remember } from '../host/remember.ts'
import { statePaths } from '../host/state-folder.ts'
import type { NginxFacts } from '../nginx/binary.ts'
import { type HostConfiguration, readHostConfiguration } from '../nginx/config/host-config.ts'
import type { ConfigurationFile, ConfigurationTree } from '../nginx/config/include.ts'
import { listenAddresses } from '../nginx/config/listens.ts'
import { readNginx } from '../nginx/config/parse.ts'
import type { RenderContext } from '../render/context.ts'
import { ownFilesReader } from './own-files.ts'
import type { Snapshot } from './snapshot.ts'

/** A snapshot, and what it was made of: the tree for the candidate, the facts, and whether there is a main configuration at all. */
export interface Observation {
  readonly snapshot: Snapshot
  readonly tree: ConfigurationTree
  readonly facts: NginxFacts
  /** False in a harness with bare directories, where nothing can be tested beforehand or proved. */
  readonly hasMainConfig: boolean
}

/** Reads the host; `domains` are those whose certificates matter now. What was parsed is kept as long as its file has not changed. */
export function observer(
  host: Host,
  readFacts: () => Promise<NginxFacts>,
  certificates: CertificateStore,
): (domains: readonly string[]) => Promise<Observation> {
  const tree = configurationTree(host)
  const ownFiles = ownFilesReader(host)
  /** A host that has had a main configuration once is not taken for one without because it is unreadable for a moment. */
  let hasMainConfig = false

  return async (domains) => {
    const facts = await readFacts()
    const { NGINX_SITES_AVAILABLE: sitesAvailable, NGINX_SITES_ENABLED: sitesEnabled } = host.settings
    const own = ownFiles.read(sitesAvailable, sitesEnabled)
    const isOwn = (path: string) => ownFiles.isOwn(path, sitesEnabled, own.unmanagedFiles)
    const found =
      facts.confPath === undefined ? undefined : readHostConfiguration(facts.confPath, sitesEnabled, tree, isOwn)
    hasMainConfig ||= found !== undefined
    // A main configuration that is known of and cannot be read includes nothing: no change is made then.
    const configuration = found ?? {
      ...readBareFolders(sitesEnabled, tree, isOwn),
      includesSitesEnabled: !hasMainConfig,
    }
    const newest = domains.map((domain) => [domain, certificates.newest(domain)] as const)
    const snapshot: Snapshot = {
      sitesAvailable,
      sitesEnabled,
      ...own,
      host: configuration,
      context: renderContext(host, facts, configuration),
      certificates: new Map(newest.flatMap(([domain, found]) => (found === undefined ? [] : [[domain, found]]))),
    }
    return { snapshot, tree, facts, hasMainConfig }
  }
}

/** The host's files as parsed configuration. */
function configurationTree({ files }: Host): ConfigurationTree {
  const parsed = new WeakMap<FileText, ConfigurationFile>()
  return {
    list: (folder) => files.list(folder),
    read: (path) => {
      const file = files.read(path)
      return file && remember(parsed, file, () => ({ text: file.text, directives: readNginx(file.text).directives }))
    },
  }
}

function renderContext({ network, settings }: Host, facts: NginxFacts, { servers }: HostConfiguration): RenderContext {
  const hasIpv6 = network.hasIpv6()
  const { webroot, certificates } = statePaths(settings)
  return {
    nginxVersion: facts.version,
    opensslVersion: facts.openssl,
    hasStubStatus: facts.hasStubStatus,
    httpPort: settings.NGINX_HTTP_PORT,
    httpsPort: settings.NGINX_HTTPS_PORT,
    httpListens: listenAddresses(servers, settings.NGINX_HTTP_PORT, hasIpv6),
    httpsListens: listenAddresses(servers, settings.NGINX_HTTPS_PORT, hasIpv6),
    webroot,
    certificates,
  }
}

/** Without a main configuration, sites-enabled is still read for conflicts, as if a main file included it. */
function readBareFolders(sitesEnabled: string, tree: ConfigurationTree, isOwn: (path: string) => boolean) {
  const mainPath = '/nginx.conf'
  const text = `http { include ${sitesEnabled}/*; }`
  const main = { text, directives: readNginx(text).directives }
  const withMain: ConfigurationTree = { list: tree.list, read: (path) => (path === mainPath ? main : tree.read(path)) }
  const configuration = readHostConfiguration(mainPath, sitesEnabled, withMain, isOwn)
  if (configuration === undefined) throw new Error('the main file is in the tree')
  return configuration
}
