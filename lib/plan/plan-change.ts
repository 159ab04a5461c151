/**
 * The outcome of one change, given the snapshot and the previous changes of the batch.
 *
 * | found                                    | put                | create (POST)    | delete             |
 * |------------------------------------------|--------------------|------------------|--------------------|
 * | nothing                                  | create             | create           | PROXY_NOT_FOUND    |
 * | the route as requested, enabled          | unchanged          | unchanged        | delete             |
 * | as requested, but drifted or disabled    | replace            | replace          | delete             |
 * | the route with another configuration     | replace            | DROPLET_EXISTS   | delete             |
 * | a file of that name written by hand      | DROPLET_EXISTS     | DROPLET_EXISTS   | DROPLET_EXISTS     |
 * | another owner of the domain              | DOMAIN_CONFLICT    | DOMAIN_CONFLICT  | (does not matter)  |
 * | not what If-Match or If-None-Match say   | PRECONDITION_FAILED on every one                           |
 *
 * `rename` puts the route that was found under a name that no route has, with the same record otherwise: DROPLET_EXISTS if it is taken.
 *
 * Another change, `certify`, switches a route to the existing certificate of its domain: unchanged if it has that one already,
 * PROXY_NOT_FOUND if the route was deleted, PRECONDITION_FAILED if it has moved to another domain meanwhile.
 */
import { isDeepStrictEqual } from 'node:util'
import { type CertificateSummary, copyName } from '../certificates/certificate.ts'
import { ProxyManagerError } from '../errors.ts'
import { wishKey } from '../keyring/wish.ts'
import { ownerOf } from '../nginx/config/listens.ts'
import type { RenderContext } from '../render/context.ts'
import { isRenderedAs, renderRouteFile } from '../render/route-file.ts'
import { unsupported } from '../render/unsupported.ts'
import { routeFileName } from '../route/file-names.ts'
import { namesOf, wishOf } from '../route/names.ts'
import type { RouteRecord } from '../route/record.ts'
import { readRouteFile, type SnapshotRoute } from '../route/stored-route.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import { buildRecord, certificateFor, sameSpec, unusableCertificate } from './build-record.ts'
import type { CertifyChange, Change, Precondition, PutChange, RenameChange } from './change.ts'

export type Outcome = 'created' | 'replaced' | 'unchanged' | 'deleted'

/** The planned outcome of one change, or why it is refused. */
export type PlannedChange = AcceptedChange | RefusedChange

export interface AcceptedChange {
  readonly outcome: Outcome
  readonly route: SnapshotRoute
  /** The route that was replaced or deleted. */
  readonly former?: SnapshotRoute
}

interface RefusedChange {
  readonly outcome: 'refused'
  readonly error: ProxyManagerError
}

/** Plans one change. `routes` are those after the previous changes, `owners` the droplet of each name, `now` is ISO 8601. */
export function planChange(
  snapshot: Snapshot,
  routes: ReadonlyMap<string, SnapshotRoute>,
  owners: ReadonlyMap<string, string>,
  change: Change,
  now: string,
): PlannedChange {
  const found = routes.get(change.dropletName)
  if (snapshot.unmanagedFiles.has(change.dropletName)) return refuse(unmanagedFile(change.dropletName))
  if (change.kind === 'certify') return planCertify(snapshot, found, change, now)
  if (change.kind === 'rerender') return planRerender(snapshot, found, change.acknowledged)
  const failed = failedPrecondition(change.precondition, found)
  if (failed !== undefined) return refuse(failed)
  if (change.kind === 'delete') {
    const deleted = found ?? strayRoute(snapshot, change.dropletName)
    return deleted === undefined
      ? refuse(new ProxyManagerError('PROXY_NOT_FOUND'))
      : { outcome: 'deleted', route: deleted, former: deleted }
  }
  if (change.kind === 'rename') return planRename(snapshot, routes, change, now)
  const conflict = findConflict(snapshot, owners, change)
  if (conflict !== undefined) return refuse(conflict)
  const lacking = unsupported({ ...change.spec, upstreams: change.upstreams }, snapshot.context)
  if (lacking !== undefined) return refuse(lacking)
  const certificate = certificateFor(change.spec, found?.record, snapshot.certificates)
  if (certificate !== null && 'fault' in certificate) return refuse(unusableCertificate(certificate.fault))
  const wanted = buildRecord(change, found, certificate, now)
  if (found === undefined) return { outcome: 'created', route: routeOf(wanted, snapshot.context) }

  const { created_at, updated_at, last_health_status, last_health_checked_at } = found.record
  const asFound = { ...wanted, created_at, updated_at, last_health_status, last_health_checked_at }
  // Rendering is expensive: the records are compared first.
  const isCurrent = found.enabled && !found.drifted && isDeepStrictEqual(asFound, found.record)
  if (isCurrent && isRenderedAs(found.text, found.record, snapshot.context))
    return { outcome: 'unchanged', route: found }
  if (change.mode === 'create' && !sameSpec(asFound, found.record)) {
    return refuse(
      new ProxyManagerError('DROPLET_EXISTS', {
        details: { owner: { droplet_name: change.dropletName, domain: found.record.domain } },
      }),
    )
  }
  return { outcome: 'replaced', route: routeOf(wanted, snapshot.context), former: found }
}

function planRename(
  snapshot: Snapshot,
  routes: ReadonlyMap<string, SnapshotRoute>,
  { dropletName, newName }: RenameChange,
  now: string,
): PlannedChange {
  const [found, other] = [routes.get(dropletName), routes.get(newName)]
  if (found === undefined) return refuse(new ProxyManagerError('PROXY_NOT_FOUND'))
  if (snapshot.unmanagedFiles.has(newName)) return refuse(unmanagedFile(newName))
  if (other === undefined) {
    const record = { ...found.record, droplet_name: newName, updated_at: now }
    return { outcome: 'replaced', route: routeOf(record, snapshot.context) }
  }
  return refuse(
    new ProxyManagerError('DROPLET_EXISTS', {
      message: 'The new name has a route already',
      details: {
        owner: { droplet_name: newName, domain: other.record.domain },
        remedy: 'Choose another name, or delete that route first',
      },
    }),
  )
}

function planCertify(
  snapshot: Snapshot,
  found: SnapshotRoute | undefined,
  change: CertifyChange,
  now: string,
): PlannedChange {
  if (found === undefined) {
    return refuse(
      new ProxyManagerError('PROXY_NOT_FOUND', { message: 'The route was deleted; its certificate is kept' }),
    )
  }
  if (found.record.domain !== change.domain) {
    const details = {
      domain: found.record.domain,
      certificate_for: change.domain,
      remedy: 'Request the certificate for the new domain',
    }
    return refuse(
      new ProxyManagerError('PRECONDITION_FAILED', { message: 'The route has moved to another domain', details }),
    )
  }
  const { certificate_from: from, ...unpinned } = found.record
  const wanted: RouteRecord = change.isUnpinned === true ? unpinned : found.record
  const there = snapshot.certificates.get(wishKey(wishOf(wanted)))
  const certificate = there === undefined || 'fault' in there ? null : there.summary
  const lacking = unsupported({ ...found.record, enable_ssl: true }, snapshot.context)
  if (lacking !== undefined) return refuse(lacking)
  const isServed =
    isSameCertificate(found.record.certificate, certificate) &&
    found.record.enable_ssl &&
    wanted.certificate_from === from
  if (isServed && found.enabled && !found.drifted) return { outcome: 'unchanged', route: found }
  return {
    outcome: 'replaced',
    route: routeOf({ ...wanted, enable_ssl: true, certificate, updated_at: now }, snapshot.context),
  }
}

function isSameCertificate(one: CertificateSummary | null, other: CertificateSummary | null): boolean {
  return one === null || other === null ? one === other : copyName(one) === copyName(other)
}

/** A route that was edited by hand, or is not served, is left as it is. */
function planRerender(
  snapshot: Snapshot,
  found: SnapshotRoute | undefined,
  acknowledged: RouteRecord | undefined,
): PlannedChange {
  if (found === undefined) return refuse(new ProxyManagerError('PROXY_NOT_FOUND'))
  const record = acknowledged ?? found.record
  if (found.drifted || !found.enabled || isRenderedAs(found.text, record, snapshot.context))
    return { outcome: 'unchanged', route: found }
  return { outcome: 'replaced', route: routeOf(record, snapshot.context) }
}

/** A file of ours in sites-enabled alone, which another program has put back or copied there: NGINX serves it. */
function strayRoute({ enabledImages }: Snapshot, dropletName: string): SnapshotRoute | undefined {
  const image = enabledImages.get(routeFileName(dropletName))
  const found = image !== undefined && 'text' in image ? readRouteFile(dropletName, image.text) : undefined
  return found === undefined ? undefined : { ...found, enabled: true }
}

function findConflict(
  snapshot: Snapshot,
  owners: ReadonlyMap<string, string>,
  change: PutChange,
): ProxyManagerError | undefined {
  const { httpPort, httpsPort } = snapshot.context
  for (const domain of namesOf(change.spec)) {
    const owner = owners.get(domain)
    if (owner !== undefined && owner !== change.dropletName)
      return new ProxyManagerError('DOMAIN_CONFLICT', { details: { domain, owner: { droplet_name: owner } } })
    const server = ownerOf(domain, snapshot.host.servers, [httpPort, httpsPort])
    if (server === undefined) continue
    return new ProxyManagerError('DOMAIN_CONFLICT', {
      message: 'A server block written by hand already serves this domain',
      details: {
        domain,
        culprit: 'host',
        owner: { file: server.file, line: server.line },
        remedy: 'Remove the name from that server block, or choose another domain',
      },
    })
  }
  return undefined
}

export function failedPrecondition(
  precondition: Precondition,
  found: SnapshotRoute | undefined,
): ProxyManagerError | undefined {
  const { ifMatch, ifNoneMatchAny } = precondition
  const isWrongRevision = Array.isArray(ifMatch) && !ifMatch.includes(found?.revision)
  const isMissing = ifMatch !== undefined && found === undefined
  if (!isMissing && !isWrongRevision && !(ifNoneMatchAny === true && found !== undefined)) return undefined
  const revision = found?.revision ?? null
  if (ifMatch !== undefined) return new ProxyManagerError('PRECONDITION_FAILED', { details: { revision } })
  const remedy = 'Omit If-None-Match to replace it'
  return new ProxyManagerError('PRECONDITION_FAILED', {
    message: 'The route already exists',
    details: { revision, remedy },
  })
}

function unmanagedFile(dropletName: string): ProxyManagerError {
  const file = routeFileName(dropletName)
  return new ProxyManagerError('DROPLET_EXISTS', {
    message: 'A file that Proxy Manager did not write has the name of this route',
    details: {
      owner: { file },
      culprit: 'host',
      remedy: `Move ${file} away from sites-available and sites-enabled, then call again`,
    },
  })
}

function routeOf(record: RouteRecord, context: RenderContext): SnapshotRoute {
  const found = readRouteFile(record.droplet_name, renderRouteFile(record, context))
  if (found === undefined)
    throw new ProxyManagerError('INTERNAL', { details: { stage: 'plan' }, cause: new Error('unreadable route file') })
  return { ...found, enabled: true }
}

function refuse(error: ProxyManagerError): PlannedChange {
  return { outcome: 'refused', error }
}
