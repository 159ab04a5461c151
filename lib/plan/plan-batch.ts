/**
 * From what was found and what is wanted to the files that change. Pure: the same snapshot and changes give the same plan.
 */
import type { CheckedCertificate } from '../certificates/certificate.ts'
import type { FileChange } from '../host/file-image.ts'
import { namesOf, securedNames } from '../route/names.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import type { Change } from './change.ts'
import { planChange, type Verdict } from './plan-change.ts'
import { planShared, routeFileChanges } from './plan-files.ts'

export interface BatchPlan {
  /** One for each change, in their order. */
  readonly verdicts: readonly Verdict[]
  /** The shared file first. None where every change is refused; where all is so already, at most the shared file, to mend it. */
  readonly files: readonly FileChange[]
  /** Certificates that the planned routes read, by domain, to be copied before the test. */
  readonly certificates: ReadonlyMap<string, CheckedCertificate>
  /** The generation that the plan makes NGINX serve; the present one where nothing changes. */
  readonly generation: number
  /** Names of the routes that the plan writes, which nobody else may have. */
  readonly domains: ReadonlySet<string>
  /** Names that are served over HTTPS, of routes that it writes or finds as wanted, with the fingerprint (SHA-256) of the certificate for each. */
  readonly secured: ReadonlyMap<string, string>
}

/**
 * Plans changes one after another, each on the result of those before it, for one test and one reload. `isForced` gives NGINX a new generation
 * to read although no route changes.
 */
export function planBatch(
  snapshot: Snapshot,
  changes: readonly Change[],
  nextGeneration: number,
  now: string,
  isForced = false,
): BatchPlan {
  const { verdicts, routes } = planRoutes(snapshot, changes, now)
  // What is refused asks nothing of its route, which may be one that is not served as it should be.
  const touched = new Set(
    changes.filter((_, i) => verdicts[i]?.outcome !== 'refused').map(({ dropletName }) => dropletName),
  )
  const routeFiles = [...touched].flatMap((name) => routeFileChanges(snapshot, routes, name))
  const shared =
    touched.size === 0
      ? { files: [], generation: snapshot.shared?.generation ?? 0 }
      : planShared(snapshot, routes, isForced || routeFiles.length > 0, nextGeneration)
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
    domains: new Set(verdicts.flatMap(writtenNames)),
    secured: new Map([...touched].flatMap((name) => fingerprintsOf(routes.get(name)))),
  }
}

interface PlannedRoutes {
  readonly verdicts: readonly Verdict[]
  /** The routes that there are then. */
  readonly routes: ReadonlyMap<string, SnapshotRoute>
  /** The droplet that has each name then. */
  readonly owners: ReadonlyMap<string, string>
}

/**
 * A put may take what another put of the batch gives up, so that routes can exchange their names. It may not where that other one is refused
 * and keeps its names: the takers are then planned anew, without what they would take.
 */
function planRoutes(snapshot: Snapshot, changes: readonly Change[], now: string): PlannedRoutes {
  const planWith = (keeping: ReadonlySet<string>) => planInTurn(snapshot, changes, keeping, now)
  const planned = planWith(new Set())
  const keeping = findRobbed(snapshot, changes, planned)
  if (keeping.size === 0) return planned
  const again = planWith(keeping)
  if (findRobbed(snapshot, changes, again).size === 0) return again
  // Where everyone keeps what it has until its turn, nobody takes what is not free.
  return planWith(new Set(changes.map(({ dropletName }) => dropletName)))
}

/** One change after another; the names that puts give up are free from the start, but for the droplets in `keeping`. */
function planInTurn(
  snapshot: Snapshot,
  changes: readonly Change[],
  keeping: ReadonlySet<string>,
  now: string,
): PlannedRoutes {
  const routes = new Map(snapshot.routes)
  const owners = new Map<string, string>()
  const take = (names: readonly string[], dropletName: string) => {
    for (const name of names) if (!owners.has(name)) owners.set(name, dropletName)
  }
  const giveUp = (names: readonly string[], dropletName: string) => {
    for (const name of names) if (owners.get(name) === dropletName) owners.delete(name)
  }
  for (const [dropletName, route] of routes) take(namesOfRoute(route), dropletName)
  for (const change of changes) {
    if (change.kind !== 'put' || keeping.has(change.dropletName)) continue
    const kept = namesOf(change.spec)
    const given = namesOfRoute(routes.get(change.dropletName)).filter((name) => !kept.includes(name))
    giveUp(given, change.dropletName)
  }
  const verdicts = changes.map((change) => {
    const { dropletName } = change
    const verdict = planChange(snapshot, routes, owners, change, now)
    const before = routes.get(dropletName)
    const after = verdict.outcome === 'refused' ? before : verdict.outcome === 'deleted' ? undefined : verdict.route
    giveUp(namesOfRoute(before), dropletName)
    take(namesOfRoute(after), dropletName)
    if (after === undefined) routes.delete(dropletName)
    else routes.set(dropletName, after)
    return verdict
  })
  return { verdicts, routes, owners }
}

/** Droplets one of whose names another has taken; with those who took it, who have to stay where they are then, and whom that robs in turn. */
function findRobbed(
  snapshot: Snapshot,
  changes: readonly Change[],
  { routes, owners }: PlannedRoutes,
): ReadonlySet<string> {
  const dropletNames = changes.map(({ dropletName }) => dropletName)
  const robbed = new Set(
    dropletNames.filter((own) => namesOfRoute(routes.get(own)).some((name) => owners.get(name) !== own)),
  )
  for (const own of robbed)
    for (const name of namesOfRoute(snapshot.routes.get(own))) {
      const owner = owners.get(name)
      if (owner !== undefined) robbed.add(owner)
    }
  return robbed
}

function namesOfRoute(route: SnapshotRoute | undefined): readonly string[] {
  return route === undefined ? [] : namesOf(route.record)
}

function writtenNames(verdict: Verdict): readonly string[] {
  return verdict.outcome === 'created' || verdict.outcome === 'replaced' ? namesOf(verdict.route.record) : []
}

/** Each name that a route serves over HTTPS, with the certificate that must be shown for it. */
function fingerprintsOf(route: SnapshotRoute | undefined): (readonly [name: string, fingerprint: string])[] {
  const fingerprint = route?.record.certificate?.fingerprint_sha256
  if (route === undefined || fingerprint === undefined) return []
  return securedNames(route.record).map((name) => [name, fingerprint])
}
