/** Plans a batch: from a snapshot and the requested changes to the files to write. Pure: the same input gives the same plan. */
import type { CheckedCertificate } from '../certificates/certificate.ts'
import { ProxyManagerError } from '../errors.ts'
import type { EventDraft } from '../events/event.ts'
import type { FileChange } from '../host/file-image.ts'
import { wishKey } from '../keyring/wish.ts'
import { namesOf, securedNames, wishOf } from '../route/names.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import { type Change, dropletsOf } from './change.ts'
import { type Claims, claim, claimsOf, hasClaims, release, rivalsOf } from './claims.ts'
import { type AcceptedChange, type Decision, type PlannedChange, planChange } from './plan-change.ts'
import { renewShared, repairShared, routeFileChanges } from './plan-files.ts'
import { type Draft, type Drafts, draftOf, renderAlone, renderSites } from './plan-site.ts'

export interface BatchPlan {
  readonly changes: readonly Change[]
  /** One for each change, in the same order. */
  readonly outcomes: readonly PlannedChange[]
  /** All routes after the plan, by droplet. */
  readonly routes: ReadonlyMap<string, SnapshotRoute>
  /** The shared file first. Empty if every change is refused; if no route changes, at most the shared file, to repair it. */
  readonly files: readonly FileChange[]
  /** Certificates of the planned routes, by domain, to be copied before the test. */
  readonly certificates: ReadonlyMap<string, CheckedCertificate>
  /** The generation that NGINX serves after the plan; the current one if nothing changes. */
  readonly generation: number
  /** Names of the routes that the plan writes; no other server block may have them. */
  readonly domains: ReadonlySet<string>
  /** HTTPS names of all routes of the plan, written or unchanged, with the SHA-256 fingerprint of the certificate for each. */
  readonly secured: ReadonlyMap<string, string>
  /** What happens besides the changes. */
  readonly events: readonly EventDraft[]
}

/** What else a batch writes, in the same swap: the record of an uploaded certificate. */
export interface Companion {
  readonly file: FileChange
  readonly event: EventDraft
}

export interface PlanOptions {
  readonly nextGeneration: number
  /** The time of the plan, ISO 8601. */
  readonly now: string
  /** `always`: a new generation even if no route changes, so that NGINX is reloaded. Default `on_change`. */
  readonly newGeneration?: 'on_change' | 'always'
  /** Whether the shared file is looked at although no change touches a route. */
  readonly withShared?: boolean
  readonly companion?: Companion | undefined
  /** The path of a hand-written site that the changes replace: the snapshot is without it. */
  readonly leaving?: string
}

/**
 * The outcome of the only change of a plan.
 * @throws {ProxyManagerError} the reason if it was refused
 */
export function onlyOutcome({ outcomes }: Pick<BatchPlan, 'outcomes'>): AcceptedChange {
  const [only] = outcomes
  if (only === undefined || only.outcome === 'refused') throw only?.error ?? new ProxyManagerError('INTERNAL')
  return only
}

/** Plans changes in sequence, each on the result of the previous ones, for one test and one reload. */
export function planBatch(
  snapshot: Snapshot,
  changes: readonly Change[],
  { nextGeneration, now, newGeneration = 'on_change', withShared = false, companion }: PlanOptions,
): BatchPlan {
  const { decisions, routes: drafts } = planRoutes(snapshot, changes, now)
  // A refused change does not require its route to be served.
  const changed = new Set(changes.filter((_, i) => decisions[i]?.outcome !== 'refused').flatMap(dropletsOf))
  const domains = new Set([...changed].flatMap((name) => domainsOf(snapshot.routes.get(name), drafts.get(name))))
  const routes = renderSites(snapshot, drafts, domains)
  const outcomes = decisions.map((decision) => outcomeOf(snapshot, routes, decision))
  const site = [...routes.values()].filter(({ record }) => domains.has(record.domain))
  const touched = new Set([...changed, ...site.map(({ record }) => record.droplet_name)])
  const routeFiles = [...touched].flatMap((name) => routeFileChanges(snapshot, routes, name))
  const shared =
    touched.size === 0 && !withShared
      ? { files: [], generation: snapshot.shared?.generation ?? 0 }
      : newGeneration === 'always' || routeFiles.length > 0 || companion !== undefined
        ? renewShared(snapshot, routes, nextGeneration)
        : repairShared(snapshot, routes, nextGeneration)
  const certificates = site.flatMap(({ record }): [string, CheckedCertificate][] => {
    if (record.certificate === null) return []
    const certificate = snapshot.certificates.get(wishKey(wishOf(record)))
    return certificate === undefined || 'fault' in certificate ? [] : [[record.domain, certificate]]
  })
  return {
    changes,
    outcomes,
    routes,
    files: [...shared.files, ...routeFiles, ...(companion === undefined ? [] : [companion.file])],
    certificates: new Map(certificates),
    generation: shared.generation,
    domains: new Set(changes.flatMap((change, i) => writtenNames(change, outcomes[i]))),
    events: companion === undefined ? [] : [companion.event],
    secured: new Map(site.flatMap(fingerprintsOf)),
  }
}

function domainsOf(...routes: readonly (Draft | undefined)[]): readonly string[] {
  return routes.flatMap((route) => route?.record.domain ?? [])
}

function outcomeOf(snapshot: Snapshot, routes: ReadonlyMap<string, SnapshotRoute>, decision: Decision): PlannedChange {
  if (decision.outcome === 'refused') return decision
  const { outcome, dropletName, records } = decision
  const former = decision.former && renderAlone(snapshot, decision.former)
  // A later change of the batch may have deleted it.
  const [gone] = routes.has(dropletName) ? [] : records.filter((record) => record.droplet_name === dropletName)
  const route =
    outcome === 'deleted' ? former : (routes.get(dropletName) ?? (gone && renderAlone(snapshot, draftOf(gone))))
  if (route === undefined) throw new ProxyManagerError('INTERNAL', { details: { stage: 'plan' } })
  return { outcome, route, ...(former === undefined ? {} : { former }) }
}

interface PlannedRoutes {
  readonly decisions: readonly Decision[]
  /** All routes after the changes. */
  readonly routes: Drafts
  readonly claims: Claims
}

/**
 * A put may claim names that another put of the batch releases, so that routes can swap names. If that other one is refused and keeps its
 * names, all changes are planned again, with those names reserved.
 */
function planRoutes(snapshot: Snapshot, changes: readonly Change[], now: string): PlannedRoutes {
  const planWith = (reserved: ReadonlySet<string>) => planInTurn(snapshot, changes, reserved, now)
  const planned = planWith(new Set())
  const reserved = findDisplaced(snapshot, changes, planned)
  if (reserved.size === 0) return planned
  const again = planWith(reserved)
  if (findDisplaced(snapshot, changes, again).size === 0) return again
  // If every droplet keeps its names until its turn, no change claims a name that is in use.
  return planWith(new Set(changes.flatMap(dropletsOf)))
}

/** Plans one change after another; names that puts release are free from the start, except those of the droplets in `reserved`. */
function planInTurn(
  snapshot: Snapshot,
  changes: readonly Change[],
  reserved: ReadonlySet<string>,
  now: string,
): PlannedRoutes {
  const routes = new Map<string, Draft>(snapshot.routes)
  const claims: Claims = new Map()
  const keysOf = (name: string, route = routes.get(name)?.record) =>
    route === undefined ? [] : claimsOf(route, name).map(([key]) => key)
  for (const [name, { record }] of routes) claim(claims, record, name)
  for (const change of changes) {
    if (change.kind !== 'put' || reserved.has(change.dropletName)) continue
    const kept = new Set(claimsOf(change.spec, change.dropletName).map(([key]) => key))
    const released = keysOf(change.dropletName).filter((key) => !kept.has(key))
    release(claims, released, change.dropletName)
  }
  const decisions = changes.map((change) => {
    const { dropletName } = change
    const decision = planChange(snapshot, routes, claims, change, now)
    release(claims, keysOf(dropletName), dropletName)
    if (decision.outcome === 'deleted' || (decision.outcome !== 'refused' && decision.dropletName !== dropletName))
      routes.delete(dropletName)
    if (decision.outcome !== 'refused')
      for (const record of decision.records) routes.set(record.droplet_name, draftOf(record))
    const name = decision.outcome === 'refused' ? dropletName : decision.dropletName
    const after = routes.get(name)?.record
    if (after !== undefined) claim(claims, after, name)
    return decision
  })
  return { decisions, routes, claims }
}

/** Droplets that still have a name that another one has claimed, with the claimants, and transitively those whose names these have kept. */
function findDisplaced(
  snapshot: Snapshot,
  changes: readonly Change[],
  { routes, claims }: PlannedRoutes,
): ReadonlySet<string> {
  const isDisplaced = (name: string) => {
    const record = routes.get(name)?.record
    return record !== undefined && !hasClaims(claims, record, name)
  }
  const displaced = new Set(changes.flatMap(dropletsOf).filter(isDisplaced))
  for (const name of displaced) {
    const record = snapshot.routes.get(name)?.record
    for (const rival of record === undefined ? [] : rivalsOf(claims, record, name)) displaced.add(rival)
  }
  return displaced
}

/** A conflict that a name has had before is no fault of a change that leaves the names of its route as they are. */
function writtenNames(change: Change, planned: PlannedChange | undefined): readonly string[] {
  if (planned === undefined || change.kind === 'rerender' || change.kind === 'rename') return []
  return planned.outcome === 'created' || planned.outcome === 'replaced' ? namesOf(planned.route.record) : []
}

/** Each HTTPS name of a route, with the fingerprint of its certificate. */
function fingerprintsOf({ record }: SnapshotRoute): (readonly [name: string, fingerprint: string])[] {
  const fingerprint = record.certificate?.fingerprint_sha256
  return fingerprint === undefined ? [] : securedNames(record).map((name) => [name, fingerprint])
}
