/** What a sync does with a Registry's droplets: which routes it puts, deletes and skips. */
import { blastRadius, preconditionFor, type Skipped } from '../bulk/change-many.ts'
import type { ProxyManagerError } from '../errors.ts'
import type { DeleteChange } from '../plan/change.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { RegistryAnswer, RegistryRoute } from './registry-records.ts'

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
  return {
    wanted: answer.routes.filter(isOurs),
    skipped: [...answer.skipped, ...skipped],
    orphaned: names,
    deletions: (isPruning ? orphaned : []).map((route) => ({
      kind: 'delete',
      dropletName: route.record.droplet_name,
      precondition: preconditionFor(route),
    })),
    unconfirmed: isPruning ? blastRadius(names, synced.length, confirm) : undefined,
  }
}
