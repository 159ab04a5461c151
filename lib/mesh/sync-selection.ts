/** What a sync does with a Registry's droplets: which routes it puts, deletes and skips. */
import { ProxyManagerError } from '../errors.ts'
import type { DeleteChange, Precondition } from '../plan/change.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { RegistryAnswer, RegistryRoute, Skipped } from './registry-records.ts'

export interface SyncSelection {
  /** The droplets whose routes the sync puts. */
  readonly wanted: readonly RegistryRoute[]
  readonly skipped: readonly Skipped[]
  /** Droplet names of the routes that a previous sync made and the Registry no longer has. */
  readonly orphaned: readonly string[]
  readonly deletions: readonly DeleteChange[]
  /** More routes would be deleted than without confirmation, and the caller has not confirmed their number: the error that says so. */
  readonly unconfirmed: ProxyManagerError | undefined
}

/** Deletions that need no confirmation: this many, or this share of the routes that syncs have made. */
const UNCONFIRMED = 2
const UNCONFIRMED_SHARE = 0.2

/** Compares the Registry's answer with the routes on disk, by droplet name. A route that a call to this API made is never touched. */
export function selectForSync(
  answer: RegistryAnswer,
  routes: ReadonlyMap<string, SnapshotRoute>,
  { prune, confirm }: { readonly prune: boolean; readonly confirm: number | undefined },
): SyncSelection {
  const isOurs = ({ dropletName }: RegistryRoute) =>
    (routes.get(dropletName)?.record.source ?? 'registry') === 'registry'
  const skipped = answer.routes
    .filter((route) => !isOurs(route))
    .map(({ dropletName }) => ({ name: dropletName, reason: 'the route is managed through the API' }))

  // A droplet whose record is broken still exists: pruning leaves its route.
  const known = new Set([...answer.routes.map(({ dropletName }) => dropletName), ...answer.ambiguous])
  const synced = [...routes.values()].filter(({ record }) => record.source === 'registry')
  const orphaned = synced.filter(({ record }) => !known.has(record.droplet_name))
  const names = orphaned.map(({ record }) => record.droplet_name)
  // A Registry that has lost all its droplets must not delete the routes.
  const isPruning = prune && answer.routes.length > 0
  const allowed = Math.max(UNCONFIRMED, Math.floor(synced.length * UNCONFIRMED_SHARE))
  return {
    wanted: answer.routes.filter(isOurs),
    skipped: [...answer.skipped, ...skipped],
    orphaned: names,
    deletions: (isPruning ? orphaned : []).map((route) => ({
      kind: 'delete',
      dropletName: route.record.droplet_name,
      precondition: preconditionFor(route),
    })),
    unconfirmed:
      isPruning && names.length > allowed && confirm !== names.length ? blastRadius(names, allowed) : undefined,
  }
}

/** The route must still be as the sync found it: a call may change it, or take it over, meanwhile. */
export function preconditionFor(found: SnapshotRoute | undefined): Precondition {
  return found === undefined ? { ifNoneMatchAny: true } : { ifMatch: [found.revision] }
}

function blastRadius(orphaned: readonly string[], unconfirmed: number): ProxyManagerError {
  const remedy = `Check the list; to delete them all, add confirm=${orphaned.length}`
  return new ProxyManagerError('BLAST_RADIUS', {
    details: { orphaned, count: orphaned.length, unconfirmed, remedy },
  })
}
