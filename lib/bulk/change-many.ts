/** Changes of many routes that are one request: a sync, or an import. As one batch, with the result of each route. */
import * as v from 'valibot'
import { limiter } from '../adapters/disk/limiter.ts'
import { dryRunBatch } from '../change/apply.ts'
import type { BatchDryRun, ChangeContext, ChangeResult } from '../change/context.ts'
import { toPutChange } from '../change/prepare-put.ts'
import { type ChangeQueue, QUEUE_LIMIT } from '../change/queue.ts'
import { ProxyManagerError } from '../errors.ts'
import type { Host } from '../host/host.ts'
import type { Change, DeleteChange, Precondition, PutChange } from '../plan/change.ts'
import type { PlannedChange } from '../plan/plan-change.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'

export type PutMany = Omit<PutChange, 'kind' | 'upstream' | 'health' | 'mode'>

export interface BulkRequest {
  readonly puts: readonly PutMany[]
  readonly deletions: readonly DeleteChange[]
  readonly dryRun: boolean
}

export interface Skipped {
  readonly name: string
  readonly reason: string
}

/** Droplet names, sorted. */
export interface BulkSummary {
  readonly created: readonly string[]
  readonly updated: readonly string[]
  readonly unchanged: readonly string[]
  readonly deleted: readonly string[]
  readonly skipped: readonly Skipped[]
  /** Of a dry run: the files that would change, and the result of their test. */
  readonly dryRun?: Pick<BatchDryRun, 'files' | 'test'>
}

/** Upstreams that are looked up at the same time: DNS servers drop what comes in larger bursts. */
const LOOKUPS_AT_ONCE = 64

/**
 * Makes the changes, or shows what they would do. A change that fails is skipped with its reason.
 * @throws {ProxyManagerError} CONFIG_READ_FAILED; what the host is at fault for, if nothing was changed
 */
export async function changeMany(
  context: ChangeContext,
  queue: ChangeQueue,
  request: BulkRequest,
): Promise<BulkSummary> {
  const { slow } = limiter(LOOKUPS_AT_ONCE)
  const host = withLimitedProbes(context.host)
  const puts = await Promise.all(request.puts.map((put) => slow(() => prepare(host, put))))
  const failed = puts.flatMap((put, i) =>
    put instanceof ProxyManagerError ? [{ name: request.puts[i]?.dropletName ?? '', reason: skipReason(put) }] : [],
  )
  // Deletions first, so that a droplet of another name can have the domain.
  const changes = [...request.deletions, ...puts.flatMap((put) => (put instanceof ProxyManagerError ? [] : [put]))]
  if (request.dryRun) {
    const { outcomes, ...result } = await queue.exclusively(() => dryRunBatch(context, changes))
    return { ...summarize(changes, outcomes, failed), dryRun: result }
  }
  context.progress.report('queued', changes)
  const results = await submitAll(queue, changes)
  assertHostWorks(results)
  return summarize(changes, results, failed)
}

async function prepare(host: Host, put: PutMany): Promise<PutChange | ProxyManagerError> {
  try {
    return await toPutChange(host, { ...put, mode: 'replace' })
  } catch (error) {
    if (error instanceof ProxyManagerError && error.code === 'CONFIG_READ_FAILED') throw error
    return error instanceof ProxyManagerError ? error : new ProxyManagerError('INTERNAL', { cause: error })
  }
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

/** A change for which the queue has no room is skipped like any other that fails: the rest is in progress. */
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

/** Why a route was skipped, and which route or file has what it wants. */
function skipReason({ code, message, details }: ProxyManagerError): string {
  if (code === 'PRECONDITION_FAILED') return 'the route was changed meanwhile; repeat the call'
  const found = v.safeParse(Owner, details)
  const { droplet_name, file, line } = found.success ? found.output.owner : {}
  const owner = [droplet_name, file, line === undefined ? undefined : `line ${line}`].filter(
    (part) => part !== undefined,
  )
  return `${code}: ${message}${owner.length === 0 ? '' : ` (${owner.join(', ')})`}`
}

/** However many upstreams are checked, changes find descriptors free. */
function withLimitedProbes(host: Host): Host {
  const { probe } = host
  return { ...host, probe: { ...probe, get: (request) => probe.get({ ...request, limited: 'slow' }) } }
}

function summarize(
  changes: readonly Change[],
  results: readonly (ChangeResult | PlannedChange)[],
  failed: readonly Skipped[],
): BulkSummary {
  const skipped = [...failed]
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
  return { created, updated: replaced, unchanged, deleted, skipped }
}

/** The route must still be as it was found: a call may change it, or take it over, meanwhile. */
export function preconditionFor(found: SnapshotRoute | undefined): Precondition {
  return found === undefined ? { ifNoneMatchAny: true } : { ifMatch: [found.revision] }
}

/** Deletions that need no confirmation: this many, or this share of the routes that could be deleted. */
const UNCONFIRMED = 2
const UNCONFIRMED_SHARE = 0.2

/** The error of a call that would delete more of `total` routes than without confirmation, unless it confirms their number. */
export function blastRadius(
  orphaned: readonly string[],
  total: number,
  confirm: number | undefined,
): ProxyManagerError | undefined {
  const unconfirmed = Math.max(UNCONFIRMED, Math.floor(total * UNCONFIRMED_SHARE))
  if (orphaned.length <= unconfirmed || confirm === orphaned.length) return undefined
  const remedy = `Check the list; to delete them all, add confirm=${orphaned.length}`
  return new ProxyManagerError('BLAST_RADIUS', { details: { orphaned, count: orphaned.length, unconfirmed, remedy } })
}
