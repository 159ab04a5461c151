/** Reads the host: the routes on disk, the host's own configuration, the existing certificates. */
import type { FileText } from '../adapters/files.ts'
import type { CertificateStore } from '../certificates/store.ts'
import type { Host } from '../host/host.ts'
import { remember } from '../host/remember.ts'
import { statePaths } from '../host/state-folder.ts'
import type { NginxFacts } from '../nginx/binary.ts'
import { commonBuild, type NginxBuild, unusableModules } from '../nginx/config/build.ts'
import { type HostConfiguration, readHostConfiguration } from '../nginx/config/host-config.ts'
import type { ConfigurationFile, ConfigurationTree } from '../nginx/config/include.ts'
import { readNginx } from '../nginx/config/parse.ts'
import type { ListensOf } from '../nginx/endpoints.ts'
import { nginxMasters } from '../nginx/master.ts'
import { type RunningBuild, runningBuildReader } from '../nginx/running-build.ts'
import type { RenderContext } from '../render/context.ts'
import { publicPorts } from '../settings/settings.ts'
import { dnsServers } from '../upstream/upstream.ts'
import { boundListens, isHttpsTaken, listenResolver, listensOf } from './listens.ts'
import { ownFilesReader } from './own-files.ts'
import type { Snapshot } from './snapshot.ts'

/** A snapshot with its sources: the files for the candidate, the facts about NGINX, and whether there is a main configuration. */
export interface Observation {
  readonly snapshot: Snapshot
  readonly tree: ConfigurationTree
  readonly facts: NginxFacts
  readonly running: RunningBuild
  /** False for bare directories, as in a test harness: nothing can be tested beforehand or proved then. */
  readonly hasMainConfig: boolean
  /** Something else listens where our HTTPS blocks would have to; false if no certificates were looked up. */
  readonly isHttpsTaken: boolean
}

/**
 * Makes a reader of the host; `domains` are those whose certificates are looked up. Parsed files are cached until they change. While a change is not
 * confirmed, `before` is the host as it was: NGINX may still listen as it did then, which the files no longer say.
 */
export function observer(
  host: Host,
  readFacts: () => Promise<NginxFacts>,
  certificates: CertificateStore,
  before: () => Observation | undefined,
): (domains: readonly string[]) => Promise<Observation> {
  const tree = configurationTree(host)
  const ownFiles = ownFilesReader(host)
  const masters = nginxMasters(host)
  const readRunning = runningBuildReader(host)
  const resolveListens = listenResolver(host)
  /** Once true it stays true: the main configuration may be unreadable for a moment. */
  let hasMainConfig = false

  return async (domains) => {
    const facts = await readFacts()
    const { NGINX_SITES_AVAILABLE: sitesAvailable, NGINX_SITES_ENABLED: sitesEnabled } = host.settings
    const own = ownFiles.read(sitesAvailable, sitesEnabled)
    const isOwn = ownFiles.ownIn(sitesEnabled, own.unmanagedFiles)
    const found =
      facts.confPath === undefined ? undefined : readHostConfiguration(facts.confPath, sitesEnabled, tree, isOwn)
    hasMainConfig ||= found !== undefined
    // If a known main configuration cannot be read, sites-enabled counts as not included, so that no change is made.
    const read = found ?? { ...readBareFolders(sitesEnabled, tree, isOwn), includesSitesEnabled: !hasMainConfig }
    const configuration = { ...read, servers: await resolveListens(read.servers) }
    const bound = boundListens(tree, own, sitesEnabled)
    const listens = listensOf(host, configuration.servers, bound)
    const isTaken =
      domains.length > 0 && (before()?.isHttpsTaken ?? isHttpsTaken(host, listens, configuration.servers, bound))
    const master = hasMainConfig
      ? masters.find({ snapshot: { host: configuration, context: listens }, facts })
      : undefined
    const running = await readRunning(facts, master)
    // A route that is served over HTTP stays so, and can be changed, while its HTTPS could not be bound.
    const withoutHttps = isTaken ? domainsOverHttp(own.routes) : []
    const newest = domains
      .filter((domain) => !withoutHttps.includes(domain))
      .map((domain) => [domain, certificates.newest(domain)] as const)
    const snapshot: Snapshot = {
      sitesAvailable,
      sitesEnabled,
      ...own,
      host: configuration,
      context: renderContext(
        host,
        running.kind === 'other' ? commonBuild(facts, running.build) : facts,
        configuration,
        listens,
      ),
      certificates: new Map(newest.flatMap(([domain, found]) => (found === undefined ? [] : [[domain, found]]))),
    }
    return { snapshot, tree, facts, running, hasMainConfig, isHttpsTaken: isTaken }
  }
}

/** The host's files, parsed. */
function configurationTree({ files }: Pick<Host, 'files'>): ConfigurationTree {
  const parsed = new WeakMap<FileText, ConfigurationFile>()
  return {
    list: (folder) => files.list(folder),
    realPath: (path) => files.realPath(path),
    read: (path) => {
      const file = files.read(path)
      return file && remember(parsed, file, () => ({ text: file.text, directives: readNginx(file.text).directives }))
    },
  }
}

function domainsOverHttp(routes: Snapshot['routes']): string[] {
  return [...routes.values()].flatMap(({ record }) => (record.certificate === null ? [record.domain] : []))
}

function renderContext(
  { network, settings }: Host,
  build: NginxBuild,
  { httpDirectives, loadedModules }: HostConfiguration,
  listens: ListensOf,
): RenderContext {
  const { webroot, certificates } = statePaths(settings)
  return {
    nginxVersion: build.version,
    opensslVersion: build.openssl,
    missingModules: unusableModules(build, loadedModules),
    httpPort: settings.NGINX_HTTP_PORT,
    httpsPort: settings.NGINX_HTTPS_PORT,
    ...publicPorts(settings),
    trustedProxies: settings.TRUSTED_PROXIES,
    ...listens,
    resolvers: dnsServers(settings, network.systemResolvers()),
    setByHost: httpDirectives,
    webroot,
    certificates,
  }
}

/** Without a main configuration, sites-enabled is still read for conflicts, as if a main file included it. */
function readBareFolders(sitesEnabled: string, tree: ConfigurationTree, isOwn: (path: string) => boolean) {
  const mainPath = '/nginx.conf'
  const text = `http { include ${sitesEnabled}/*; }`
  const main = { text, directives: readNginx(text).directives }
  const withMain: ConfigurationTree = { ...tree, read: (path) => (path === mainPath ? main : tree.read(path)) }
  const configuration = readHostConfiguration(mainPath, sitesEnabled, withMain, isOwn)
  if (configuration === undefined) throw new Error('the main file is in the tree')
  return configuration
}
