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
 *
 * DOMAIN_CONFLICT also if the server blocks of its domain are in the file of another route, which was edited by hand or is not enabled.
 */
import { isDeepStrictEqual } from 'node:util'
import { isSameCopy, knownSummary } from '../certificates/certificate.ts'
import { ProxyManagerError } from '../errors.ts'
import { wishKey } from '../keyring/wish.ts'
import { isRenderedAs } from '../render/route-file.ts'
import { unsupported } from '../render/unsupported.ts'
import { routeFileName } from '../route/droplet-name.ts'
import { wishOf } from '../route/names.ts'
import type { RouteRecord } from '../route/record.ts'
import { ownerIn, siteOf } from '../route/site.ts'
import { readRouteFile, type SnapshotRoute } from '../route/stored-route.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import { buildRecord, certificateFor, sameSpec } from './build-record.ts'
import type { CertifyChange, Change, Precondition, PutChange, RenameChange } from './change.ts'
import { type Claims, findConflict } from './claims.ts'
import { type Draft, type Drafts, type Settled, settleSites } from './plan-site.ts'

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

/** The planned outcome of one change, before the texts are rendered. */
export type Decision = AcceptedDecision | RefusedChange

interface AcceptedDecision {
  readonly outcome: Outcome
  /** The droplet that has the route afterwards, or had it. */
  readonly dropletName: string
  /** The records that are written: that of the route, and those of its domain's other routes that change. */
  readonly records: readonly RouteRecord[]
  /** The route that is replaced or deleted. */
  readonly former?: Draft
}

/** Plans one change. `routes` are those after the previous changes, `claims` what they have, `now` is ISO 8601. */
export function planChange(snapshot: Snapshot, routes: Drafts, claims: Claims, change: Change, now: string): Decision {
  const { dropletName } = change
  const found = routes.get(dropletName)
  if (snapshot.unmanagedFiles.has(dropletName)) return refuse(unmanagedFile(dropletName))
  if (change.kind === 'certify') return planCertify(snapshot, routes, found, change, now)
  if (change.kind === 'rerender') return planRerender(snapshot, found, change.acknowledged)
  const failed = failedPrecondition(change.precondition, found)
  if (failed !== undefined) return refuse(failed)
  if (change.kind === 'delete') {
    const former = found ?? strayRoute(snapshot, dropletName)
    if (former === undefined) return refuse(new ProxyManagerError('PROXY_NOT_FOUND'))
    const settled = settleSites(routes, [found?.record, undefined], certificateIn(snapshot))
    return accept('deleted', dropletName, settled, former)
  }
  if (change.kind === 'rename') return planRename(snapshot, routes, change, now)
  return planPut(snapshot, routes, claims, change, now)
}

function planPut(snapshot: Snapshot, routes: Drafts, claims: Claims, change: PutChange, now: string): Decision {
  const { dropletName, spec, upstream, upstreams } = change
  const found = routes.get(dropletName)
  const conflict = findConflict(snapshot, claims, spec, dropletName)
  if (conflict !== undefined) return refuse(conflict)
  const lacking = unsupported({ ...spec, upstreams, upstream_addresses: upstream.addresses }, snapshot.context)
  if (lacking !== undefined) return refuse(lacking)
  const built = buildRecord(change, found?.record, now)
  const settled = settleSites(routes, [found?.record, built], certificateIn(snapshot))
  const wanted = settled.records.find((record) => record.droplet_name === dropletName) ?? built
  if (found === undefined) return accept('created', dropletName, settled)

  const { created_at, updated_at, last_health_status, last_health_checked_at } = found.record
  const asFound = { ...wanted, created_at, updated_at, last_health_status, last_health_checked_at }
  // Rendering is expensive: the records are compared first.
  const isCurrent =
    found.enabled && !found.drifted && settled.records.length === 1 && isDeepStrictEqual(asFound, found.record)
  if (isCurrent && isAsRendered(snapshot, found, found.record)) return unchanged(dropletName)
  if (change.mode === 'create' && !sameSpec(asFound, found.record)) {
    return refuse(
      new ProxyManagerError('DROPLET_EXISTS', {
        details: { owner: { droplet_name: dropletName, domain: found.record.domain } },
      }),
    )
  }
  return accept('replaced', dropletName, settled, found)
}

function planRename(snapshot: Snapshot, routes: Drafts, { dropletName, newName }: RenameChange, now: string): Decision {
  const [found, other] = [routes.get(dropletName), routes.get(newName)]
  if (found === undefined) return refuse(new ProxyManagerError('PROXY_NOT_FOUND'))
  if (snapshot.unmanagedFiles.has(newName)) return refuse(unmanagedFile(newName))
  if (other === undefined) {
    const record = { ...found.record, droplet_name: newName, updated_at: now }
    return accept(
      'replaced',
      newName,
      settleSites(routes, [found.record, record], (_, present) => present?.certificate ?? null),
    )
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
  routes: Drafts,
  found: Draft | undefined,
  change: CertifyChange,
  now: string,
): Decision {
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
  const lacking = unsupported({ ...found.record, enable_ssl: true }, snapshot.context)
  if (lacking !== undefined) return refuse(lacking)
  const site = siteOf(routes.values(), change.domain)
  const owner = ownerIn(site)?.record ?? found.record
  const { certificate_from: from, ...unpinned } = owner
  const chosen: RouteRecord = change.isUnpinned === true ? unpinned : owner
  const there = snapshot.certificates.get(wishKey(wishOf(chosen)))
  const certificate = there === undefined || 'fault' in there ? null : knownSummary(there, owner.certificate)
  // If another route of the domain wants HTTPS already, this one only gets it, too.
  const isWanted = site.some(({ record }) => record.enable_ssl)
  const own = owner === found.record ? chosen : found.record
  const wanted = { ...own, enable_ssl: own.enable_ssl || !isWanted, updated_at: now }
  const settled = settleSites(routes, [found.record, wanted], () => certificate)
  const isChosenAgain = chosen.certificate_from === from
  const isServed =
    settled.records.length === 1 &&
    isSameCopy(owner.certificate, certificate) &&
    found.record.enable_ssl === wanted.enable_ssl &&
    isChosenAgain
  if (isServed && found.enabled && !found.drifted) return unchanged(change.dropletName)
  const isLeft = !isChosenAgain && settled.records.every((record) => record.droplet_name !== owner.droplet_name)
  const records = [...settled.records, ...(isLeft ? [chosen] : [])]
  return accept('replaced', change.dropletName, { ...settled, records })
}

/** A route that was edited by hand, or is not served, is left as it is. */
function planRerender(snapshot: Snapshot, found: Draft | undefined, acknowledged: RouteRecord | undefined): Decision {
  if (found === undefined) return refuse(new ProxyManagerError('PROXY_NOT_FOUND'))
  const record = acknowledged ?? found.record
  const dropletName = record.droplet_name
  if (found.drifted || !found.enabled || isAsRendered(snapshot, found, record)) return unchanged(dropletName)
  return { outcome: 'replaced', dropletName, records: [record] }
}

/** Whether the file of a route is what it would be for this record, as long as no other change of the batch touches its domain. */
function isAsRendered({ context }: Snapshot, found: Draft, record: RouteRecord): boolean {
  return found.text !== undefined && isRenderedAs(found.text, record, context, found)
}

function certificateIn({ certificates }: Snapshot): Parameters<typeof settleSites>[2] {
  return (owner, present) => certificateFor(owner, present, certificates)
}

/** A file of ours in sites-enabled alone, which another program has put back or copied there: NGINX serves it. */
function strayRoute({ enabledImages }: Snapshot, dropletName: string): SnapshotRoute | undefined {
  const image = enabledImages.get(routeFileName(dropletName))
  const found = image !== undefined && 'text' in image ? readRouteFile(dropletName, image.text) : undefined
  return found === undefined ? undefined : { ...found, enabled: true }
}

export function failedPrecondition(
  precondition: Precondition,
  found: Pick<SnapshotRoute, 'revision'> | undefined,
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

function unchanged(dropletName: string): Decision {
  return { outcome: 'unchanged', dropletName, records: [] }
}

function accept(outcome: Outcome, dropletName: string, { records, error }: Settled, former?: Draft): Decision {
  if (error !== undefined) return refuse(error)
  return { outcome, dropletName, records, ...(former === undefined ? {} : { former }) }
}

function refuse(error: ProxyManagerError): RefusedChange {
  return { outcome: 'refused', error }
}
