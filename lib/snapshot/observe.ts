/** Reads the host: the routes on disk, the host's own configuration, the existing certificates. */
import type { FileText } from '../adapters/files.ts'
import type { CheckedCertificate } from '../certificates/certificate.ts'
import type { Host } from '../host/host.ts'
import { remember } from '../host/remember.ts'
import { statePaths } from '../host/state-folder.ts'
import type { CertificateStore } from '../keyring/store.ts'
import { type CertificateWish, wishKey } from '../keyring/wish.ts'
import type { NginxFacts } from '../nginx/binary.ts'
import { commonBuild, type NginxBuild, unusableModules } from '../nginx/config/build.ts'
import { type HostConfiguration, readHostConfiguration } from '../nginx/config/host-config.ts'
import type { ConfigurationFile, ConfigurationTree } from '../nginx/config/include.ts'
import { listensIn } from '../nginx/config/listens.ts'
import { readNginx } from '../nginx/config/parse.ts'
import type { ListensOf } from '../nginx/endpoints.ts'
import { nginxMasters } from '../nginx/master.ts'
import { type RunningBuild, runningBuildReader } from '../nginx/running-build.ts'
import { CA_FILES, type RenderContext } from '../render/context.ts'
import { wishOf } from '../route/names.ts'
import { asServed } from '../route/site.ts'
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

/** Whose certificate is looked up: that of a route as it is to be, or of one that is there. */
export type Wanted =
  | CertificateWish
  | {
      readonly dropletName: string
      readonly isUnpinned?: boolean | undefined
      readonly uploaded?: CheckedCertificate | undefined
    }

/**
 * Makes a reader of the host; `wanted` are the certificates that are looked up. Parsed files are cached until they change. While a change is not
 * confirmed, `before` is the host as it was: NGINX may still listen as it did then, which the files no longer say.
 * Makes a reader of the host; `wanted` are the certificates that are looked up. With `leaving`, the path of a hand-written site, the host is as it
 * will be without it, but for the sockets that it holds. Parsed files are cached until they change.
 */
export function observer(
  host: Host,
  readFacts: () => Promise<NginxFacts>,
  certificates: CertificateStore,
  before: () => Observation | undefined,
): (wanted: readonly Wanted[], leaving?: string) => Promise<Observation> {
  const tree = configurationTree(host)
  const ownFiles = ownFilesReader(host)
  const masters = nginxMasters(host)
  const readRunning = runningBuildReader(host)
  const resolveListens = listenResolver(host)
  /** Once true it stays true: the main configuration may be unreadable for a moment. */
  let hasMainConfig = false

  return async (wanted, leaving) => {
    const facts = await readFacts()
    const { NGINX_SITES_AVAILABLE: sitesAvailable, NGINX_SITES_ENABLED: sitesEnabled } = host.settings
    const found = ownFiles.read(sitesAvailable, sitesEnabled)
    const own = leaving === undefined ? found : ownFiles.withoutUnmanaged(found, leaving)
    const isOwnFile = ownFiles.ownIn(sitesEnabled, own.unmanagedFiles)
    const isOwn = (path: string) => path === leaving || isOwnFile(path)
    const main =
      facts.confPath === undefined ? undefined : readHostConfiguration(facts.confPath, sitesEnabled, tree, isOwn)
    hasMainConfig ||= main !== undefined
    // If a known main configuration cannot be read, sites-enabled counts as not included, so that no change is made.
    const read = main ?? { ...readBareFolders(sitesEnabled, tree, isOwn), includesSitesEnabled: !hasMainConfig }
    const configuration = { ...read, servers: await resolveListens(read.servers) }
    const held = leaving === undefined ? [] : listensIn(tree.read(leaving)?.directives ?? [])
    const bound = [...boundListens(tree, own, sitesEnabled), ...held]
    const listens = listensOf(host, configuration.servers, bound)
    const isTaken =
      wanted.length > 0 && (before()?.isHttpsTaken ?? isHttpsTaken(host, listens, configuration.servers, bound))
    const master = hasMainConfig
      ? masters.find({ snapshot: { host: configuration, context: listens }, facts })
      : undefined
    const running = await readRunning(facts, master)
    // A route that is served over HTTP stays so, and can be changed, while its HTTPS could not be bound.
    const withoutHttps = isTaken ? domainsOverHttp(own.routes) : []
    const choose = certificates.look()
    const wishes = wanted.flatMap((one) => wishFor(one, own.routes))
    const chosen = wishes
      .filter(({ names: [domain = ''] }) => !withoutHttps.includes(domain))
      .map((wish) => [wishKey(wish), choose(wish)] as const)
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
      certificates: new Map(chosen.flatMap(([key, found]) => (found === undefined ? [] : [[key, found]]))),
    }
    return { snapshot, tree, facts, running, hasMainConfig, isHttpsTaken: isTaken }
  }
}

/** Of a domain with several routes, the wish is that of the one with its server blocks. */
function wishFor(wanted: Wanted, routes: Snapshot['routes']): readonly CertificateWish[] {
  if ('names' in wanted) {
    const [domain] = wanted.names
    const owner = [...routes.values()].find(({ record, mounts }) => record.domain === domain && mounts !== undefined)
    return owner === undefined ? [wanted] : [wanted, wishOf(owner.record)]
  }
  const route = routes.get(wanted.dropletName)
  const record = routes.get(route?.servedBy?.droplet_name ?? '')?.record ?? route?.record
  if (record === undefined) return []
  const wish = wishOf(record)
  return [{ names: wish.names, from: wanted.isUnpinned === true ? null : wish.from, uploaded: wanted.uploaded }]
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
  return [...routes.values()].flatMap((route) => (asServed(route).certificate === null ? [route.record.domain] : []))
}

function renderContext(
  { network, settings, files }: Host,
  build: NginxBuild,
  { httpDirectives, loadedModules }: HostConfiguration,
  listens: ListensOf,
): RenderContext {
  const { webroot, certificates } = statePaths(settings)
  const trustedCas = findTrustedCas(files)
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
    ...(trustedCas === undefined ? {} : { trustedCas }),
  }
}

/** What cannot be looked at is not there: only a route that verifies its upstream needs it. */
function findTrustedCas({ realPath }: Pick<Host['files'], 'realPath'>): string | undefined {
  try {
    return CA_FILES.find((path) => realPath(path) !== undefined)
  } catch {
    return undefined
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
