/** What a change of one route means for the others of its domain: their certificate, their locations, and who has the server blocks. */
import type { CertificateSummary } from '../certificates/certificate.ts'
import { ProxyManagerError } from '../errors.ts'
import { pathField } from '../net/path.ts'
import { renderRouteFile } from '../render/route-file.ts'
import type { RouteRecord } from '../route/record.ts'
import { isSamePlace, ownerIn, placesIn, siteOf, withCertificate } from '../route/site.ts'
import { readRouteFile, revisionOf, type SnapshotRoute } from '../route/stored-route.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import { unusableCertificate } from './build-record.ts'

/** A route while a batch is planned: found on disk, or a record. Its text is rendered last, since all routes of a domain are in it. */
export type Draft = SnapshotRoute | PlannedRoute

interface PlannedRoute extends Pick<SnapshotRoute, 'record' | 'revision' | 'drifted' | 'enabled'> {
  readonly text?: undefined
}

export type Drafts = ReadonlyMap<string, Draft>

/** A route that is to be written. */
export function draftOf(record: RouteRecord): PlannedRoute {
  return { record, revision: revisionOf(record), drifted: false, enabled: true }
}

/** What becomes of the sites of a route. */
export interface Settled {
  /** The records that change, and that of the route itself if it stays. */
  readonly records: readonly RouteRecord[]
  /** Why this cannot be. */
  readonly error?: ProxyManagerError
}

/**
 * The sites of a route that changes from one record to another, either of which may be absent. `certificateFor` is the certificate of a domain, by the
 * record of the route that will have its server blocks, and of the one that has them.
 */
export function settleSites(
  routes: Drafts,
  [from, to]: readonly [from: RouteRecord | undefined, to: RouteRecord | undefined],
  certificateFor: (
    owner: RouteRecord,
    present: RouteRecord | undefined,
  ) => CertificateSummary | null | { readonly fault: string },
): Settled {
  const domains = new Set([from, to].flatMap((record) => record?.domain ?? []))
  const sites = [...domains].map((domain): Settled => {
    const found = siteOf(routes.values(), domain)
    const present = ownerIn(found)?.record
    const others = found.map(({ record }) => record).filter(({ droplet_name: name }) => name !== from?.droplet_name)
    const site = to?.domain === domain ? [...others, to] : others
    const owner = ownerIn(site.map((record) => ({ record })))?.record
    const certificate = owner === undefined ? null : certificateFor(owner, present)
    if (certificate !== null && 'fault' in certificate)
      return { records: [], error: unusableCertificate(certificate.fault) }
    const settled = withCertificate(site, certificate)
    const own = [from?.droplet_name, to?.droplet_name]
    // A file that was edited, or is not served, is not replaced by a change of another route.
    const obstacle = found.find(
      ({ record: { droplet_name: name }, drifted, enabled }) =>
        (drifted || !enabled) && !own.includes(name) && [present, owner].some((one) => one?.droplet_name === name),
    )
    const error = obstacle === undefined ? {} : { error: unusableOwner(obstacle) }
    return { records: settled.filter((record, i) => record !== site[i] || site[i] === to), ...error }
  })
  const error = sites.find((one) => one.error !== undefined)?.error
  return { records: sites.flatMap(({ records }) => records), ...(error === undefined ? {} : { error }) }
}

function unusableOwner({ record, drifted }: Draft): ProxyManagerError {
  const { domain, droplet_name: name } = record
  const state = drifted ? 'was edited by hand' : 'is not enabled'
  return new ProxyManagerError('DOMAIN_CONFLICT', {
    message: `The file with the server blocks of this domain, that of route ${name}, ${state}`,
    details: {
      domain,
      ...pathField(record),
      culprit: 'host',
      owner: { droplet_name: name },
      remedy: `Repeat PUT /proxies/${name}, or DELETE /proxies/${name}, then call again; an edit of it is kept in the backups`,
    },
  })
}

/** A route with its text; one that exists only within a batch is rendered as if it were by itself. */
export function renderAlone({ context }: Snapshot, draft: Draft): SnapshotRoute {
  return draft.text === undefined ? rendered(draft.record, renderRouteFile(draft.record, context)) : draft
}

/** All routes with their texts; `domains` are those of which any route has changed. */
export function renderSites(
  { context }: Snapshot,
  drafts: Drafts,
  domains: ReadonlySet<string>,
): ReadonlyMap<string, SnapshotRoute> {
  const routes = new Map<string, SnapshotRoute>()
  for (const [name, draft] of drafts) if (draft.text !== undefined) routes.set(name, draft)
  const sites = Map.groupBy(
    [...drafts.values()].filter(({ record }) => domains.has(record.domain)),
    ({ record }) => record.domain,
  )
  for (const site of sites.values()) {
    const places = placesIn(site)
    for (const draft of site) {
      const { record, enabled, drifted } = draft
      const place = places.get(draft) ?? {}
      if (draft.text !== undefined && isSamePlace(draft, place)) continue
      const isLeft = draft.text !== undefined && (drifted || !enabled)
      const text = isLeft ? draft.text : renderRouteFile(record, context, place)
      const { mounts: _mounts, servedBy: _servedBy, ...found } = text === draft.text ? draft : rendered(record, text)
      routes.set(record.droplet_name, { ...found, ...place })
    }
  }
  return routes
}

function rendered({ droplet_name: name }: RouteRecord, text: string): SnapshotRoute {
  const found = readRouteFile(name, text)
  if (found === undefined)
    throw new ProxyManagerError('INTERNAL', { details: { stage: 'plan' }, cause: new Error('unreadable route file') })
  return { ...found, enabled: true }
}
