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
import { type AcceptedChange, type PlannedChange, planChange } from './plan-change.ts'
import { renewShared, repairShared, routeFileChanges } from './plan-files.ts'

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
  const { outcomes, routes } = planRoutes(snapshot, changes, now)
  // A refused change does not require its route to be served.
  const touched = new Set(changes.filter((_, i) => outcomes[i]?.outcome !== 'refused').flatMap(dropletsOf))
  const routeFiles = [...touched].flatMap((name) => routeFileChanges(snapshot, routes, name))
  const shared =
    touched.size === 0 && !withShared
      ? { files: [], generation: snapshot.shared?.generation ?? 0 }
      : newGeneration === 'always' || routeFiles.length > 0 || companion !== undefined
        ? renewShared(snapshot, routes, nextGeneration)
        : repairShared(snapshot, routes, nextGeneration)
  const certificates = [...touched].flatMap((name): [string, CheckedCertificate][] => {
    const record = routes.get(name)?.record
    if (record === undefined || record.certificate === null) return []
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
    secured: new Map([...touched].flatMap((name) => fingerprintsOf(routes.get(name)))),
  }
}

interface PlannedRoutes {
  readonly outcomes: readonly PlannedChange[]
  /** All routes after the changes. */
  readonly routes: ReadonlyMap<string, SnapshotRoute>
  /** The droplet of each name after the changes. */
  readonly owners: ReadonlyMap<string, string>
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
  const routes = new Map(snapshot.routes)
  const owners = new Map<string, string>()
  const claim = (names: readonly string[], dropletName: string) => {
    for (const name of names) if (!owners.has(name)) owners.set(name, dropletName)
  }
  const release = (names: readonly string[], dropletName: string) => {
    for (const name of names) if (owners.get(name) === dropletName) owners.delete(name)
  }
  for (const [dropletName, route] of routes) claim(namesOfRoute(route), dropletName)
  for (const change of changes) {
    if (change.kind !== 'put' || reserved.has(change.dropletName)) continue
    const kept = namesOf(change.spec)
    const released = namesOfRoute(routes.get(change.dropletName)).filter((name) => !kept.includes(name))
    release(released, change.dropletName)
  }
  const outcomes = changes.map((change) => {
    const { dropletName } = change
    const planned = planChange(snapshot, routes, owners, change, now)
    const before = routes.get(dropletName)
    const after = planned.outcome === 'refused' ? before : planned.outcome === 'deleted' ? undefined : planned.route
    release(namesOfRoute(before), dropletName)
    const owner = after?.record.droplet_name ?? dropletName
    claim(namesOfRoute(after), owner)
    if (after === undefined || owner !== dropletName) routes.delete(dropletName)
    if (after !== undefined) routes.set(owner, after)
    return planned
  })
  return { outcomes, routes, owners }
}

/** Droplets that still have a name that another one has claimed, with the claimants, and transitively those whose names these have kept. */
function findDisplaced(
  snapshot: Snapshot,
  changes: readonly Change[],
  { routes, owners }: PlannedRoutes,
): ReadonlySet<string> {
  const dropletNames = changes.flatMap(dropletsOf)
  const displaced = new Set(
    dropletNames.filter((own) => namesOfRoute(routes.get(own)).some((name) => owners.get(name) !== own)),
  )
  for (const own of displaced)
    for (const name of namesOfRoute(snapshot.routes.get(own))) {
      const owner = owners.get(name)
      if (owner !== undefined) displaced.add(owner)
    }
  return displaced
}

function namesOfRoute(route: SnapshotRoute | undefined): readonly string[] {
  return route === undefined ? [] : namesOf(route.record)
}

/** A conflict that a name has had before is no fault of a change that leaves the names of its route as they are. */
function writtenNames(change: Change, planned: PlannedChange | undefined): readonly string[] {
  if (planned === undefined || change.kind === 'rerender' || change.kind === 'rename') return []
  return planned.outcome === 'created' || planned.outcome === 'replaced' ? namesOf(planned.route.record) : []
}

/** Each HTTPS name of a route, with the fingerprint of its certificate. */
function fingerprintsOf(route: SnapshotRoute | undefined): (readonly [name: string, fingerprint: string])[] {
  const fingerprint = route?.record.certificate?.fingerprint_sha256
  if (route === undefined || fingerprint === undefined) return []
  return securedNames(route.record).map((name) => [name, fingerprint])
}
