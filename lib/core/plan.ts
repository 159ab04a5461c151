/**
 * From what was found and what is wanted to the files that change. Pure: the same snapshot and changes give the same plan.
 *
 * | found                                    | put                | create (POST)    | delete             |
 * |------------------------------------------|--------------------|------------------|--------------------|
 * | nothing                                  | create             | create           | PROXY_NOT_FOUND    |
 * | the route as wanted, enabled             | unchanged          | unchanged        | delete             |
 * | the route as wanted, drifted or disabled | replace            | replace          | delete             |
 * | the route with another configuration     | replace            | DROPLET_EXISTS   | delete             |
 * | a file of that name written by hand      | DROPLET_EXISTS     | DROPLET_EXISTS   | DROPLET_EXISTS     |
 * | another owner of the domain              | DOMAIN_CONFLICT    | DOMAIN_CONFLICT  | (does not matter)  |
 * | not what If-Match or If-None-Match say   | PRECONDITION_FAILED on every one                           |
 */
import type { CheckedCertificate } from './certificate.ts'
import { ProxyManagerError } from './errors.ts'
import { type HostConfiguration, ownerOf, withoutDefaultServer } from './nginx-host.ts'
import { type RenderContext, SHARED_FILE, type SharedContext } from './nginx-server-block.ts'
import type { ProxySpec } from './proxy.ts'
import {
  type FoundRoute,
  type HealthStatus,
  type RouteRecord,
  readRouteFile,
  renderRouteFile,
  renderSharedFile,
  routeFileName,
} from './route-file.ts'

/** A route on disk. */
export interface SnapshotRoute extends FoundRoute {
  /** A symlink in sites-enabled leads to it. */
  readonly enabled: boolean
}

/** Everything a plan depends on, read in one sweep. */
export interface Snapshot {
  readonly sitesAvailable: string
  readonly sitesEnabled: string
  readonly routes: ReadonlyMap<string, SnapshotRoute>
  /** Files that bear the name of a droplet's route and that Proxy Manager did not write (empty ones apart): droplet name -> text. */
  readonly foreignFiles: ReadonlyMap<string, string>
  readonly shared: { readonly text: string; readonly generation: number; readonly enabled: boolean } | undefined
  /** What stands in sites-enabled under one of our names: file name -> image. */
  readonly enabledImages: ReadonlyMap<string, FileImage>
  /** What stands in sites-available under one of our names and is no readable route, such as an empty file. */
  readonly availableImages: ReadonlyMap<string, FileImage>
  readonly host: HostConfiguration
  readonly context: RenderContext
  /** Certificates that were found and checked, by domain. */
  readonly certificates: ReadonlyMap<string, CheckedCertificate>
}

/** What stands at a path: a regular file with this text, or a symlink. Absence is null. */
export type FileImage = { readonly text: string } | { readonly linkTo: string }

/** One path before and after a change. */
export interface FileChange {
  readonly path: string
  readonly before: FileImage | null
  readonly after: FileImage | null
}

export interface Precondition {
  /** Revisions of `If-Match`, or `*`. */
  readonly ifMatch?: readonly string[] | '*'
  /** `If-None-Match: *`: only where there is no route yet. */
  readonly ifNoneMatchAny?: boolean
}

/** Where NGINX is to find the upstream: literal addresses, or a name for these resolvers. */
export interface ResolvedUpstream {
  readonly addresses: readonly string[] | null
  readonly resolvers: readonly string[]
}

export interface UpstreamHealth {
  readonly status: HealthStatus
  readonly checkedAt: string | null
}

export interface PutChange {
  readonly kind: 'put'
  readonly dropletName: string
  readonly spec: ProxySpec
  readonly upstream: ResolvedUpstream
  readonly health: UpstreamHealth
  /** `create` refuses to replace another configuration. */
  readonly mode: 'create' | 'replace'
  readonly precondition: Precondition
}

export interface DeleteChange {
  readonly kind: 'delete'
  readonly dropletName: string
  readonly precondition: Precondition
}

export type Change = PutChange | DeleteChange

export type Outcome = 'created' | 'replaced' | 'unchanged' | 'deleted'

/** What a plan says of one change: what it does, or why it is refused. */
export type Verdict =
  | { readonly outcome: Outcome; readonly route: SnapshotRoute }
  | { readonly outcome: 'refused'; readonly error: ProxyManagerError }

export interface BatchPlan {
  /** One for each change, in their order. */
  readonly verdicts: readonly Verdict[]
  /** Nothing where every change is refused or already so. The shared file comes first. */
  readonly files: readonly FileChange[]
  /** Certificates that the planned routes read, by domain, to be copied before the test. */
  readonly certificates: ReadonlyMap<string, CheckedCertificate>
  /** The generation that the plan makes NGINX serve; the present one where nothing changes. */
  readonly generation: number
  /** Domains that our routes serve after the plan. */
  readonly domains: ReadonlySet<string>
}

/** Plans changes one after another, each on the result of those before it, for one test and one reload. */
export function planBatch(
  snapshot: Snapshot,
  changes: readonly Change[],
  nextGeneration: number,
  now: string,
): BatchPlan {
  const routes = new Map(snapshot.routes)
  const droplets = new Map([...routes].map(([name, route]) => [route.record.domain, name]))
  const verdicts = changes.map((change) => {
    const verdict = planChange(snapshot, routes, droplets, change, now)
    if (verdict.outcome === 'refused' || verdict.outcome === 'unchanged') return verdict
    const previous = routes.get(change.dropletName)
    if (previous !== undefined) droplets.delete(previous.record.domain)
    if (verdict.outcome === 'deleted') routes.delete(change.dropletName)
    else {
      routes.set(change.dropletName, verdict.route)
      droplets.set(verdict.route.record.domain, change.dropletName)
    }
    return verdict
  })
  const touched = new Set(changes.map((change) => change.dropletName))
  const routeFiles = [...touched].flatMap((name) => routeFileChanges(snapshot, routes, name))
  const shared = planShared(snapshot, routes, routeFiles.length > 0, nextGeneration)
  const certificates = [...touched].flatMap((name): [string, CheckedCertificate][] => {
    const record = routes.get(name)?.record
    const certificate = record?.certificate === null ? undefined : snapshot.certificates.get(record?.domain ?? '')
    return record === undefined || certificate === undefined ? [] : [[record.domain, certificate]]
  })
  return {
    verdicts,
    files: [...shared.files, ...routeFiles],
    certificates: new Map(certificates),
    generation: shared.generation,
    domains: new Set(droplets.keys()),
  }
}

function planChange(
  snapshot: Snapshot,
  routes: ReadonlyMap<string, SnapshotRoute>,
  droplets: ReadonlyMap<string, string>,
  change: Change,
  now: string,
): Verdict {
  const found = routes.get(change.dropletName)
  if (snapshot.foreignFiles.has(change.dropletName)) return refuse(handWritten(change.dropletName))
  const failed = failedPrecondition(change.precondition, found)
  if (failed !== undefined) return refuse(failed)
  if (change.kind === 'delete') {
    return found === undefined ? refuse(new ProxyManagerError('PROXY_NOT_FOUND')) : { outcome: 'deleted', route: found }
  }
  const conflict = findConflict(snapshot, droplets, change)
  if (conflict !== undefined) return refuse(conflict)
  const wanted = recordOf(change, found, snapshot.certificates.get(change.spec.domain), now)
  if (found === undefined) return { outcome: 'created', route: routeOf(wanted, snapshot.context) }

  const { created_at, updated_at, last_health_status, last_health_checked_at } = found.record
  const asFound = { ...wanted, created_at, updated_at, last_health_status, last_health_checked_at }
  const isSame = renderRouteFile(asFound, snapshot.context) === found.text
  if (isSame && found.enabled) return { outcome: 'unchanged', route: found }
  if (change.mode === 'create' && !sameSpec(asFound, found.record)) {
    return refuse(
      new ProxyManagerError('DROPLET_EXISTS', {
        details: { owner: { droplet_name: change.dropletName, domain: found.record.domain } },
      }),
    )
  }
  return { outcome: 'replaced', route: routeOf(wanted, snapshot.context) }
}

function findConflict(
  snapshot: Snapshot,
  droplets: ReadonlyMap<string, string>,
  change: PutChange,
): ProxyManagerError | undefined {
  const { domain } = change.spec
  const owner = droplets.get(domain)
  if (owner !== undefined && owner !== change.dropletName) {
    return new ProxyManagerError('DOMAIN_CONFLICT', { details: { domain, owner: { droplet_name: owner } } })
  }
  const { httpPort, httpsPort } = snapshot.context
  const server = ownerOf(domain, snapshot.host.servers, [httpPort, httpsPort])
  if (server === undefined) return undefined
  return new ProxyManagerError('DOMAIN_CONFLICT', {
    message: 'A server block written by hand already serves this domain',
    details: {
      domain,
      owner: { file: server.file, line: server.line },
      remedy: 'Remove the name from that server block, or choose another domain',
    },
  })
}

function failedPrecondition(
  precondition: Precondition,
  found: SnapshotRoute | undefined,
): ProxyManagerError | undefined {
  const { ifMatch, ifNoneMatchAny } = precondition
  const isWrongRevision = Array.isArray(ifMatch) && !ifMatch.includes(found?.revision)
  const isMissing = ifMatch !== undefined && found === undefined
  if (!isMissing && !isWrongRevision && !(ifNoneMatchAny === true && found !== undefined)) return undefined
  return new ProxyManagerError('PRECONDITION_FAILED', { details: { revision: found?.revision ?? null } })
}

function handWritten(dropletName: string): ProxyManagerError {
  const file = routeFileName(dropletName)
  return new ProxyManagerError('DROPLET_EXISTS', {
    message: 'A file that Proxy Manager did not write bears the name of this route',
    details: {
      owner: { file },
      culprit: 'host',
      remedy: `Move ${file} away from sites-available and sites-enabled, then call again`,
    },
  })
}

function recordOf(
  change: PutChange,
  found: SnapshotRoute | undefined,
  certificate: CheckedCertificate | undefined,
  now: string,
): RouteRecord {
  const { spec } = change
  return {
    version: 1,
    droplet_name: change.dropletName,
    domain: spec.domain,
    upstream_host: spec.upstream_host,
    upstream_port: spec.upstream_port,
    upstream_addresses: change.upstream.addresses === null ? null : [...change.upstream.addresses],
    resolvers: [...change.upstream.resolvers],
    enable_ssl: spec.enable_ssl,
    certificate: spec.enable_ssl && certificate !== undefined ? certificate.summary : null,
    last_health_status: change.health.status,
    last_health_checked_at: change.health.checkedAt,
    created_at: found?.record.created_at ?? now,
    updated_at: now,
  }
}

/** What a caller asked for; where it resolves to and which certificate serves it are not the caller's words. */
function sameSpec(a: RouteRecord, b: RouteRecord): boolean {
  return (
    a.domain === b.domain &&
    a.upstream_host === b.upstream_host &&
    a.upstream_port === b.upstream_port &&
    a.enable_ssl === b.enable_ssl
  )
}

function routeOf(record: RouteRecord, context: RenderContext): SnapshotRoute {
  const found = readRouteFile(record.droplet_name, renderRouteFile(record, context))
  if (found === undefined)
    throw new ProxyManagerError('INTERNAL', { details: { stage: 'plan' }, cause: new Error('unreadable route file') })
  return { ...found, enabled: true }
}

function routeFileChanges(
  snapshot: Snapshot,
  after: ReadonlyMap<string, SnapshotRoute>,
  dropletName: string,
): FileChange[] {
  const name = routeFileName(dropletName)
  const found = snapshot.routes.get(dropletName)
  const wanted = after.get(dropletName)
  if (found === wanted) return []
  const before = found === undefined ? (snapshot.availableImages.get(name) ?? null) : { text: found.text }
  return fileAndLink(snapshot, name, before, wanted === undefined ? null : { text: wanted.text })
}

/** A file in sites-available and its symlink in sites-enabled, as far as they change. */
function fileAndLink(
  snapshot: Snapshot,
  name: string,
  before: FileImage | null,
  after: FileImage | null,
): FileChange[] {
  const path = `${snapshot.sitesAvailable}/${name}`
  const link = after === null ? null : { linkTo: path }
  const file: FileChange = { path, before, after }
  const enabled: FileChange = {
    path: `${snapshot.sitesEnabled}/${name}`,
    before: snapshot.enabledImages.get(name) ?? null,
    after: link,
  }
  return [file, enabled].filter((change) => !sameImage(change.before, change.after))
}

function planShared(
  snapshot: Snapshot,
  routes: ReadonlyMap<string, SnapshotRoute>,
  isNeeded: boolean,
  nextGeneration: number,
): { readonly files: readonly FileChange[]; readonly generation: number } {
  const { context, host, shared } = snapshot
  const hasHttps = [...routes.values()].some((route) => route.record.certificate !== null)
  const render = (generation: number) => {
    const sharedContext: SharedContext = {
      generation,
      catchAllHttp: withoutDefaultServer(context.httpListens, host.servers),
      catchAllHttps: hasHttps ? withoutDefaultServer(context.httpsListens, host.servers) : [],
      setByHost: host.httpDirectives,
    }
    return renderSharedFile(sharedContext, context)
  }
  const isCurrent = shared?.enabled === true && shared.text === render(shared.generation)
  if (isCurrent && !isNeeded) return { files: [], generation: shared.generation }
  const before = shared === undefined ? (snapshot.availableImages.get(SHARED_FILE) ?? null) : { text: shared.text }
  return {
    files: fileAndLink(snapshot, SHARED_FILE, before, { text: render(nextGeneration) }),
    generation: nextGeneration,
  }
}

/** Whether two images are the same to the byte. */
export function sameImage(a: FileImage | null, b: FileImage | null): boolean {
  if (a === null || b === null) return a === b
  return 'text' in a ? 'text' in b && a.text === b.text : 'linkTo' in b && a.linkTo === b.linkTo
}

function refuse(error: ProxyManagerError): Verdict {
  return { outcome: 'refused', error }
}
