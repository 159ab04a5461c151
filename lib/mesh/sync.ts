/** Brings routes in line with the Registry: as one batch, and never at the expense of a route that a call has made. */

import * as v from 'valibot'
import { dryRun } from '../change/apply.ts'
import type { BatchDryRun, ChangeContext, ChangeResult } from '../change/context.ts'
import { toPutChange } from '../change/prepare-put.ts'
import { type ChangeQueue, QUEUE_LIMIT } from '../change/queue.ts'
import { ProxyManagerError } from '../errors.ts'
import type { Host } from '../host/host.ts'
import type { Change, Precondition, PutChange } from '../plan/change.ts'
import type { PlannedChange } from '../plan/plan-change.ts'
import { DEFAULT_OPTIONS } from '../route/options.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { RegistryAnswer, RegistryRoute, Skipped } from './registry-records.ts'

export interface SyncRequest {
  readonly dryRun: boolean
  /** Delete routes that a former sync made and the Registry has no more. */
  readonly prune: boolean
  /** How many deletions the caller expects, where they are more than go unconfirmed. */
  readonly confirm: number | undefined
  readonly requireHealthy: boolean
  /** What the routes are to have; undefined keeps what each one has, and is HTTP for new ones. */
  readonly enableSsl: boolean | undefined
}

/** Droplet names, sorted; `skipped` has the name that the Registry uses where no route could be made of it. */
export interface SyncSummary {
  readonly synced: readonly string[]
  readonly synced_count: number
  readonly created: readonly string[]
  readonly updated: readonly string[]
  readonly unchanged: readonly string[]
  readonly deleted: readonly string[]
  readonly skipped: readonly Skipped[]
  readonly skipped_count: number
  readonly orphaned: readonly string[]
  /** Of a dry run: the number that the call itself must confirm, or it is refused (BLAST_RADIUS). */
  readonly confirm_needed?: number
  /** Of a dry run: the files that would change, and NGINX's verdict on them. */
  readonly rehearsal?: Pick<BatchDryRun, 'files' | 'test'>
}

/** More than these are counted, and not named. */
const MAX_SKIPPED = 1000
/** Deletions that need no confirmation: these few, or this share of the routes that syncs have made. */
const UNCONFIRMED = 2
const UNCONFIRMED_SHARE = 0.2

/**
 * Fetches the droplets and changes what differs.
 * @throws {ProxyManagerError} REGISTRY_NOT_CONFIGURED, REGISTRY_UNAVAILABLE, BLAST_RADIUS
 */
export async function syncFromRegistry(
  context: ChangeContext,
  queue: ChangeQueue,
  readDroplets: () => Promise<RegistryAnswer>,
  request: SyncRequest,
): Promise<SyncSummary> {
  const answer = await readDroplets()
  const { snapshot } = await context.observe([])
  const isWanted = (route: RegistryRoute) => isOurs(snapshot.routes.get(route.dropletName))
  const wanted = answer.routes.filter(isWanted)
  const taken = answer.routes.filter((route) => !isWanted(route))
  const skipped: Skipped[] = [
    ...answer.skipped,
    ...taken.map(({ dropletName }) => ({
      name: dropletName,
      reason: 'its route was made by a call to this API, which owns it',
    })),
  ]

  // One whose record is broken is not gone: pruning leaves its route.
  const names = new Set([...answer.routes.map((route) => route.dropletName), ...answer.unclear])
  const ours = [...snapshot.routes.values()].filter((route) => route.record.source === 'registry')
  const orphaned = ours.map((route) => route.record.droplet_name).filter((name) => !names.has(name))
  // A Registry that has lost its droplets must not take the routes along.
  const isPruning = request.prune && answer.routes.length > 0
  const isBlast = isPruning && orphaned.length > mostUnconfirmed(ours.length) && request.confirm !== orphaned.length
  if (isBlast && !request.dryRun) throw blastRadius(orphaned, ours.length)

  const puts = await Promise.all(
    wanted.map((route) => toChange(context.host, route, snapshot.routes.get(route.dropletName), request)),
  )
  // First, so that a droplet of another name can have the domain.
  const changes: Change[] = isPruning
    ? orphaned.map((dropletName) => ({
        kind: 'delete',
        dropletName,
        precondition: asFound(snapshot.routes.get(dropletName)),
      }))
    : []
  for (const [i, put] of puts.entries()) {
    if (put instanceof ProxyManagerError) skipped.push({ name: wanted[i]?.dropletName ?? '', reason: reasonOf(put) })
    else changes.push(put)
  }

  if (request.dryRun) {
    const { outcomes, ...rehearsal } = await queue.exclusively(() => dryRun(context, changes))
    const confirmation = isBlast ? { confirm_needed: orphaned.length } : {}
    return { ...summarize(changes, outcomes, skipped, orphaned), ...confirmation, rehearsal }
  }
  const results = await submitAll(queue, changes)
  refuseBrokenHost(results)
  return summarize(changes, results, skipped, orphaned)
}

/** Submitted in one go they become one batch: one test, one reload. Only a crowd that the queue would refuse is split. */
async function submitAll(queue: ChangeQueue, changes: readonly Change[]): Promise<ChangeResult[]> {
  const results: ChangeResult[] = []
  for (let from = 0; from < changes.length; from += QUEUE_LIMIT / 2) {
    const some = changes.slice(from, from + QUEUE_LIMIT / 2)
    results.push(...(await Promise.all(some.map((change) => submitOne(queue, change)))))
  }
  return results
}

/** One for which the queue has no room is left out like any other that fails: the rest of the sync is under way. */
async function submitOne(queue: ChangeQueue, change: Change): Promise<ChangeResult> {
  try {
    return await queue.submit(change)
  } catch (error) {
    if (error instanceof ProxyManagerError) return error
    throw error
  }
}

function isOurs(route: SnapshotRoute | undefined): boolean {
  return route === undefined || route.record.source === 'registry'
}

/** A call that takes a route over, or changes it, while a sync is on its way, must find it as it left it. */
function asFound(found: SnapshotRoute | undefined): Precondition {
  return found === undefined ? { ifNoneMatchAny: true } : { ifMatch: [found.revision] }
}

/** Where the host itself kept all that was to be changed from it, no droplet was skipped: the call has failed. */
function refuseBrokenHost(results: readonly ChangeResult[]): void {
  const failure = results.find(
    (result) => result instanceof ProxyManagerError && result.status >= 500 && result.details.culprit === 'host',
  )
  const hasChanged = results.some((result) => !(result instanceof ProxyManagerError) && result.outcome !== 'unchanged')
  if (failure instanceof ProxyManagerError && !hasChanged) throw failure
}

const Owner = v.object({
  owner: v.object({
    droplet_name: v.optional(v.string()),
    file: v.optional(v.string()),
    line: v.optional(v.number()),
  }),
})

/** Why a droplet was left out, and who has what it wants. */
function reasonOf({ code, message, details }: ProxyManagerError): string {
  if (code === 'PRECONDITION_FAILED') return 'its route was changed while the sync ran: the next one looks again'
  const found = v.safeParse(Owner, details)
  const { droplet_name, file, line } = found.success ? found.output.owner : {}
  const owner = [droplet_name, file, line === undefined ? undefined : `line ${line}`].filter(
    (word) => word !== undefined,
  )
  return `${code}: ${message}${owner.length === 0 ? '' : ` (${owner.join(', ')})`}`
}

function mostUnconfirmed(ours: number): number {
  return Math.max(UNCONFIRMED, Math.floor(ours * UNCONFIRMED_SHARE))
}

function blastRadius(orphaned: readonly string[], ours: number): ProxyManagerError {
  return new ProxyManagerError('BLAST_RADIUS', {
    details: {
      orphaned,
      count: orphaned.length,
      unconfirmed: mostUnconfirmed(ours),
      remedy: `Entry at the list; to delete them all, add confirm=${orphaned.length}`,
    },
  })
}

async function toChange(
  host: Host,
  route: RegistryRoute,
  found: SnapshotRoute | undefined,
  request: SyncRequest,
): Promise<PutChange | ProxyManagerError> {
  const { dropletName, ...place } = route
  const enable_ssl = request.enableSsl ?? found?.record.enable_ssl ?? false
  const options = found?.record.options ?? DEFAULT_OPTIONS
  const spec = { ...place, require_healthy: request.requireHealthy, enable_ssl, options }
  try {
    return await toPutChange(host, {
      dropletName,
      spec,
      mode: 'replace',
      source: 'registry',
      precondition: asFound(found),
    })
  } catch (error) {
    return error instanceof ProxyManagerError ? error : new ProxyManagerError('INTERNAL', { cause: error })
  }
}

function summarize(
  changes: readonly Change[],
  results: readonly (ChangeResult | PlannedChange)[],
  skipped: Skipped[],
  orphaned: readonly string[],
): SyncSummary {
  const byOutcome = {
    created: [] as string[],
    replaced: [] as string[],
    unchanged: [] as string[],
    deleted: [] as string[],
  }
  for (const [i, { dropletName }] of changes.entries()) {
    const result = results[i]
    const error =
      result instanceof ProxyManagerError ? result : result?.outcome === 'refused' ? result.error : undefined
    if (error !== undefined) skipped.push({ name: dropletName, reason: reasonOf(error) })
    else if (result !== undefined && !(result instanceof ProxyManagerError) && result.outcome !== 'refused')
      byOutcome[result.outcome].push(dropletName)
  }
  const { created, replaced, unchanged, deleted } = byOutcome
  for (const names of [created, replaced, unchanged, deleted]) names.sort()
  const synced = [...created, ...replaced, ...unchanged].sort()
  return {
    synced,
    synced_count: synced.length,
    created,
    updated: replaced,
    unchanged,
    deleted,
    skipped: skipped.slice(0, MAX_SKIPPED),
    skipped_count: skipped.length,
    orphaned: orphaned.filter((name) => !deleted.includes(name)).sort(),
  }
}
