/** Brings routes in line with the Registry, as one batch; routes that callers made stay as they are. */

import { type BulkSummary, changeMany, type PutMany, preconditionFor } from '../bulk/change-many.ts'
import type { ImportSummary } from '../bulk/import.ts'
import type { ChangeContext } from '../change/context.ts'
import type { ChangeQueue } from '../change/queue.ts'
import type { Origin } from '../events/event.ts'
import { DEFAULT_OPTIONS } from '../route/options.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { RegistryAnswer, RegistryRoute } from './registry-records.ts'
import { type SyncSelection, selectForSync } from './sync-selection.ts'

export interface SyncRequest {
  readonly dryRun: boolean
  /** Delete routes that a previous sync made and the Registry no longer has. */
  readonly prune: boolean
  /** How many deletions the caller expects, if there are more than are done without confirmation. */
  readonly confirm: number | undefined
  readonly requireHealthy: boolean
  /** Whether the routes get HTTPS; undefined keeps what each one has, and is HTTP for new ones. */
  readonly enableSsl: boolean | undefined
  /** Of the caller; a timer has none. */
  readonly origin?: Origin | undefined
}

/** `skipped` has the Registry's own name if no droplet name could be made of it. */
export interface SyncSummary extends ImportSummary {
  readonly synced: readonly string[]
  readonly synced_count: number
}

/** More than this many are counted, but not listed. */
const MAX_SKIPPED = 1000

/**
 * Fetches the droplets and changes what differs.
 * @throws {ProxyManagerError} REGISTRY_NOT_CONFIGURED, REGISTRY_UNAVAILABLE, BLAST_RADIUS, CONFIG_READ_FAILED
 */
export async function syncFromRegistry(
  context: ChangeContext,
  queue: ChangeQueue,
  readDroplets: () => Promise<RegistryAnswer>,
  request: SyncRequest,
): Promise<SyncSummary> {
  const answer = await readDroplets()
  const { routes } = (await context.observe([])).snapshot
  const { wanted, skipped, orphaned, deletions, unconfirmed } = selectForSync(answer, routes, request)
  if (unconfirmed !== undefined && !request.dryRun) throw unconfirmed

  const origin = request.origin ?? SYNC
  const puts = wanted.map((route) => toPut(route, routes.get(route.dropletName), request, origin))
  const changed = await changeMany(context, queue, {
    puts,
    deletions: deletions.map((deletion) => ({ ...deletion, origin })),
    dryRun: request.dryRun,
  })
  const confirmation = unconfirmed === undefined ? {} : { confirm_needed: orphaned.length }
  return { ...summarize(changed, { skipped, orphaned }), ...confirmation }
}

/** Of a sync that a timer has started. */
const SYNC: Origin = { actor: { kind: 'sync' } }

function toPut(
  { dropletName, ...place }: RegistryRoute,
  found: SnapshotRoute | undefined,
  { enableSsl, requireHealthy }: SyncRequest,
  origin: Origin,
): PutMany {
  const enable_ssl = enableSsl ?? found?.record.enable_ssl ?? false
  const options = found?.record.options ?? DEFAULT_OPTIONS
  const certificate_from = found?.record.certificate_from
  const spec = { ...place, require_healthy: requireHealthy, enable_ssl, certificate_from, options }
  return { dropletName, spec, source: 'registry', origin, precondition: preconditionFor(found) }
}

function summarize(changed: BulkSummary, known: Pick<SyncSelection, 'skipped' | 'orphaned'>): SyncSummary {
  const { created, updated, unchanged, deleted } = changed
  const synced = [...created, ...updated, ...unchanged].sort()
  const skipped = [...known.skipped, ...changed.skipped]
  return {
    synced,
    synced_count: synced.length,
    ...changed,
    skipped: skipped.slice(0, MAX_SKIPPED),
    skipped_count: skipped.length,
    orphaned: known.orphaned.filter((name) => !deleted.includes(name)).sort(),
  }
}
