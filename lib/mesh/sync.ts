/** Brings routes in line with the Registry, as one batch; routes that callers made stay as they are. */

import * as v from 'valibot'
import { limiter } from '../adapters/disk/limiter.ts'
import type { BatchDryRun, ChangeContext, ChangeResult } from '../change/context.ts'
import { dryRun } from '../change/pipeline.ts'
import { toPutChange } from '../change/prepare-put.ts'
import { type ChangeQueue, QUEUE_LIMIT } from '../change/queue.ts'
import { ProxyManagerError } from '../errors.ts'
import type { Origin } from '../events/event.ts'
import type { Host } from '../host/host.ts'
import type { Change, PutChange } from '../plan/change.ts'
import type { PlannedChange } from '../plan/plan-change.ts'
import { DEFAULT_OPTIONS } from '../route/options.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { RegistryAnswer, RegistryRoute, Skipped } from './registry-records.ts'
import { preconditionFor, type SyncSelection, selectForSync } from './sync-selection.ts'

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

/** Droplet names, sorted; `skipped` has the Registry's own name if no droplet name could be made of it. */
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
  /** Of a dry run: the files that would change, and the result of their test. */
  readonly dryRun?: Pick<BatchDryRun, 'files' | 'test'>
}

/** More than this many are counted, but not listed. */
const MAX_SKIPPED = 1000
/** Upstreams that are looked up at the same time: DNS servers drop what comes in larger bursts. */
const LOOKUPS_AT_ONCE = 64
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

  const { slow } = limiter(LOOKUPS_AT_ONCE)
  const host = withLimitedProbes(context.host)
  const puts = await Promise.all(
    wanted.map((route) => slow(() => toChange(host, route, routes.get(route.dropletName), request))),
  )
  // Deletions first, so that a droplet of another name can have the domain.
  const origin = originOf(request)
  const changes = [
    ...deletions.map((deletion) => ({ ...deletion, origin })),
    ...puts.flatMap((put) => (put instanceof ProxyManagerError ? [] : [put])),
  ]
  const failed = puts.flatMap((put, i) =>
    put instanceof ProxyManagerError ? [{ name: wanted[i]?.dropletName ?? '', reason: skipReason(put) }] : [],
  )
  const known = { skipped: [...skipped, ...failed], orphaned }
  if (request.dryRun) {
    const { outcomes, ...dryRunResult } = await queue.exclusively(() => dryRun(context, changes))
    const confirmation = unconfirmed === undefined ? {} : { confirm_needed: orphaned.length }
    return { ...summarize(changes, outcomes, known), ...confirmation, dryRun: dryRunResult }
  }
  const results = await submitAll(queue, changes)
  assertHostWorks(results)
  return summarize(changes, results, known)
}

/** Changes that are submitted at once become one batch: one test, one reload. Only more than the queue accepts are split. */
async function submitAll(queue: ChangeQueue, changes: readonly Change[]): Promise<ChangeResult[]> {
  const results: ChangeResult[] = []
  for (let from = 0; from < changes.length; from += QUEUE_LIMIT / 2) {
    const some = changes.slice(from, from + QUEUE_LIMIT / 2)
    results.push(...(await Promise.all(some.map((change) => submitOne(queue, change)))))
  }
  return results
}

/** A change for which the queue has no room is skipped like any other that fails: the rest of the sync is in progress. */
async function submitOne(queue: ChangeQueue, change: Change): Promise<ChangeResult> {
  try {
    return await queue.submit(change)
  } catch (error) {
    if (error instanceof ProxyManagerError) return error
    throw error
  }
}

/** If nothing changed because the host itself is broken, the call has failed; no droplet was at fault. */
function assertHostWorks(results: readonly ChangeResult[]): void {
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

/** Why a droplet was skipped, and which route or file has what it wants. */
function skipReason({ code, message, details }: ProxyManagerError): string {
  if (code === 'PRECONDITION_FAILED') return 'the route was changed during the sync; the next sync tries again'
  const found = v.safeParse(Owner, details)
  const { droplet_name, file, line } = found.success ? found.output.owner : {}
  const owner = [droplet_name, file, line === undefined ? undefined : `line ${line}`].filter(
    (part) => part !== undefined,
  )
  return `${code}: ${message}${owner.length === 0 ? '' : ` (${owner.join(', ')})`}`
}

/** However many upstreams a sync checks, changes find descriptors free. */
function withLimitedProbes(host: Host): Host {
  const { probe } = host
  return { ...host, probe: { ...probe, get: (request) => probe.get({ ...request, limited: 'slow' }) } }
}

function originOf({ origin }: SyncRequest): Origin {
  return origin ?? { actor: { kind: 'sync' } }
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
      origin: originOf(request),
      precondition: preconditionFor(found),
    })
  } catch (error) {
    if (error instanceof ProxyManagerError && error.code === 'CONFIG_READ_FAILED') throw error
    return error instanceof ProxyManagerError ? error : new ProxyManagerError('INTERNAL', { cause: error })
  }
}

function summarize(
  changes: readonly Change[],
  results: readonly (ChangeResult | PlannedChange)[],
  { skipped: skippedBefore, orphaned }: Pick<SyncSelection, 'skipped' | 'orphaned'>,
): SyncSummary {
  const skipped = [...skippedBefore]
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
    if (error !== undefined) skipped.push({ name: dropletName, reason: skipReason(error) })
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
