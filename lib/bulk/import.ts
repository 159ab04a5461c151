/** Makes the routes what a document says. */
import type { ChangeContext } from '../change/context.ts'
import type { ChangeQueue } from '../change/queue.ts'
import type { Origin } from '../events/event.ts'
import { type BulkSummary, blastRadius, changeMany, preconditionFor } from './change-many.ts'
import type { RoutesFile } from './routes-file.ts'

export interface ImportRequest {
  readonly file: Pick<RoutesFile, 'routes'>
  readonly dryRun: boolean
  /** Delete the routes that the document does not have. */
  readonly prune: boolean
  /** How many deletions the caller expects, if there are more than are done without confirmation. */
  readonly confirm: number | undefined
  /** False: no route is skipped because its upstream is down. */
  readonly requireHealthy: boolean
  readonly origin?: Origin | undefined
}

export interface ImportSummary extends BulkSummary {
  readonly skipped_count: number
  /** The routes that the document, or the Registry, does not have, and that were not deleted. */
  readonly orphaned: readonly string[]
  /** Of a dry run: the number that the call itself must confirm, or it is refused (BLAST_RADIUS). */
  readonly confirm_needed?: number
}

/** @throws {ProxyManagerError} BLAST_RADIUS, CONFIG_READ_FAILED; what the host is at fault for, if nothing was changed */
export async function importRoutes(
  context: ChangeContext,
  queue: ChangeQueue,
  { file, dryRun, prune, confirm, requireHealthy, origin }: ImportRequest,
): Promise<ImportSummary> {
  const { routes } = (await context.observe([])).snapshot
  const named = new Set(file.routes.map(({ droplet_name }) => droplet_name))
  const orphaned = [...routes.values()].filter(({ record }) => !named.has(record.droplet_name))
  const names = orphaned.map(({ record }) => record.droplet_name).sort()
  const unconfirmed = prune ? blastRadius(names, routes.size, confirm) : undefined
  if (unconfirmed !== undefined && !dryRun) throw unconfirmed

  const summary = await changeMany(context, queue, {
    dryRun,
    puts: file.routes.map(({ droplet_name: dropletName, source, ...spec }) => ({
      dropletName,
      spec: { ...spec, require_healthy: requireHealthy && spec.require_healthy },
      source,
      origin,
      precondition: preconditionFor(routes.get(dropletName)),
    })),
    deletions: (prune ? orphaned : []).map((route) => ({
      kind: 'delete',
      dropletName: route.record.droplet_name,
      precondition: preconditionFor(route),
      origin,
    })),
  })
  return {
    ...summary,
    skipped_count: summary.skipped.length,
    orphaned: names.filter((name) => !summary.deleted.includes(name)),
    ...(unconfirmed === undefined ? {} : { confirm_needed: names.length }),
  }
}
