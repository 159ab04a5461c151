/** Files of ours follow their host: those that would be rendered differently now are rendered again. */
import * as v from 'valibot'
import { errorText, ProxyManagerError } from '../errors.ts'
import type { Origin } from '../events/event.ts'
import type { Host } from '../host/host.ts'
import { readRecord } from '../host/json-record.ts'
import { logFailure } from '../host/log-failure.ts'
import { replaceUnsynced } from '../host/replace-file.ts'
import { type Change, dropletsOf } from '../plan/change.ts'
import type { RenderedMark, Stale } from '../plan/stale.ts'
import type { Observation } from '../snapshot/observe.ts'
import { findPutBack } from '../snapshot/put-back.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import type { BatchDryRun, ChangeContext, ChangeResult, Receipt } from './context.ts'
import { type AppliedBatch, allFailed, asFailure, dryRun, prepare, runBatch } from './pipeline.ts'

/** How long a reconcile that failed is not tried again, unless the host has changed. */
const RECONCILE_RETRY_MS = 60_000

/** What a reconcile came to. */
export interface Reconciled extends Stale {
  /** Routes that were edited by hand: they are left as they are. */
  readonly drifted: readonly string[]
  /** Routes whose files NGINX rejects, as they would be for this host; absent if there are none. */
  readonly rejected?: readonly string[]
  /** Absent if nothing was stale. */
  readonly receipt?: Receipt
}

/** What a reconcile would do. */
export interface ReconcileDryRun extends Omit<Reconciled, 'receipt'>, Pick<BatchDryRun, 'files' | 'test'> {}

/**
 * Renders again what no longer fits the host, as one batch through the whole pipeline, even while NGINX is stopped. Files that NGINX rejects are
 * left as they are, and do not keep the others from it.
 * @throws {ProxyManagerError} whatever a change can fail with; then every file is as it was
 */
export async function reconcile(context: ChangeContext, origin?: Origin): Promise<Reconciled> {
  const { stale, drifted } = await look(context, origin)
  if (stale === NOTHING_OUTDATED) {
    context.state.unreconciled = undefined
    return { routes: [], shared: false, drifted }
  }
  const { failed, ...reconciled } = await renderAgain(context, stale)
  if (failed !== undefined && reconciled.receipt === undefined) throw failed
  return { ...reconciled, drifted }
}

/** @throws {ProxyManagerError} CONFIG_WRITE_FAILED */
export async function dryRunReconcile(context: ChangeContext): Promise<ReconcileDryRun> {
  const { stale, drifted } = await look(context)
  const { files, test } = await dryRun(context, stale.changes, { withShared: stale.shared })
  return { routes: stale.routes, shared: stale.shared, drifted, files, test }
}

/** What has to be written again: also what another program has put back. */
interface Outdated extends Stale {
  readonly changes: readonly Change[]
}

const NOTHING_OUTDATED: Outdated = { routes: [], shared: false, changes: [] }

function findOutdated({ host, stale, state }: ChangeContext, snapshot: Snapshot, origin?: Origin): Outdated {
  const found = stale.find(snapshot)
  const putBack = findPutBack(host)
  if (found === undefined && putBack === undefined) return NOTHING_OUTDATED
  const { replaced, deleted } = putBack ?? { replaced: new Map(), deleted: [] }
  // Those that have failed before come last: a budget of tests is not used up by the same ones each time.
  const failedAt = (name: string) => state.unreconciled?.routes.indexOf(name) ?? -1
  const names = [...new Set([...(found?.routes ?? []), ...replaced.keys()])].sort()
  const routes = names.sort((a, b) => failedAt(a) - failedAt(b))
  const rerendered = routes.map((dropletName): Change => {
    const acknowledged = replaced.get(dropletName)
    return { kind: 'rerender', dropletName, origin, ...(acknowledged === undefined ? {} : { acknowledged }) }
  })
  const removed = deleted.map((dropletName): Change => ({ kind: 'delete', dropletName, precondition: {}, origin }))
  return { routes: [...routes, ...deleted], shared: found?.shared ?? false, changes: [...rerendered, ...removed] }
}

async function look(context: ChangeContext, origin?: Origin) {
  const { snapshot } = await context.observe([])
  const drifted = [...snapshot.routes].flatMap(([name, route]) => (route.drifted ? [name] : [])).sort()
  return { stale: findOutdated(context, snapshot, origin), drifted }
}

/**
 * Before a change. Returns the proof if anything was rendered again, so that the host has to be read again. A failure is logged, left for health
 * to show, and not tried again for a minute.
 */
export async function reconcileBefore(context: ChangeContext, { snapshot }: Observation): Promise<Receipt | undefined> {
  const { host, state } = context
  const stale = findOutdated(context, snapshot)
  if (stale === NOTHING_OUTDATED) {
    state.unreconciled = undefined
    return undefined
  }
  if (hasFailedLately(context)) return undefined
  const reasonBefore = state.unreconciled?.reason
  const { failed, receipt } = await renderAgain(context, stale)
  if (failed !== undefined && receipt === undefined && errorText(failed) !== reasonBefore)
    logFailure(host, 'error', { action: 'reconcile' })(failed)
  return receipt
}

/** What {@link reconcileBefore} would render again before these changes; they replace their own files themselves. */
export function outdatedBefore(
  context: ChangeContext,
  { snapshot }: Observation,
  changes: readonly Change[],
): Change[] {
  if (hasFailedLately(context)) return []
  const own = new Set(changes.flatMap(dropletsOf))
  return findOutdated(context, snapshot).changes.filter(({ dropletName }) => !own.has(dropletName))
}

function hasFailedLately({ host, state }: ChangeContext): boolean {
  return state.unreconciled !== undefined && host.clock.monotonicMs() < state.unreconciled.retryAtMs
}

/** {@link reconcileBefore} without a change, for a timer; also saves the next start its rendering. */
export async function keepReconciled(context: ChangeContext): Promise<void> {
  await reconcileBefore(context, await context.observe([]))
  await saveRenderedMark(context)
}

/**
 * `failed` is why some files stay as they are, or all of them if there is no receipt: kept for health, and for the next attempt. Does not throw what a
 * change can fail with.
 */
async function renderAgain(
  context: ChangeContext,
  stale: Outdated,
): Promise<Omit<Reconciled, 'drifted'> & { readonly failed: ProxyManagerError | undefined }> {
  const { host, state } = context
  const { changes } = stale
  const { results, failure, receipt, cleanup } = await renderBatch(context, changes)
  await cleanup()
  const failed = failure ?? results.find(isFailure)
  const [rejected, rendered] = partition(changes, (_, i) => isFailure(results[i]))
  // Those that no test was left for come first next time.
  const [undecided, refused] = partition(rejected, (change) => state.postponed.has(change))
  state.unreconciled = failed && {
    reason: errorText(failed),
    routes: [...undecided, ...refused].map(({ dropletName }) => dropletName),
    retryAtMs: host.clock.monotonicMs() + RECONCILE_RETRY_MS,
  }
  const names = rejected.map(({ dropletName }) => dropletName).sort()
  const done = { shared: stale.shared, ...(names.length === 0 ? {} : { rejected: names }), failed }
  if (receipt === undefined) return { ...done, routes: [] }
  host.log.write('warn', {
    action: 'reconcile',
    result: 'success',
    outcome: 'rendered_again',
    routes: rendered.length,
    ...(failed === undefined ? {} : { rejected: names.join(' '), cause: errorText(failed) }),
    shared_file: stale.shared,
    generation: receipt.generation,
  })
  return { ...done, routes: rendered.map(({ dropletName }) => dropletName), receipt }
}

async function renderBatch(context: ChangeContext, changes: readonly Change[]): Promise<AppliedBatch> {
  try {
    const prepared = await prepare(context, changes, { withShared: true })
    return await runBatch(context, changes, { allowStoppedNginx: true }, prepared)
  } catch (error) {
    return allFailed(changes, asFailure(error))
  }
}

function partition<T>(all: readonly T[], isFirst: (one: T, i: number) => boolean): [T[], T[]] {
  return [all.filter(isFirst), all.filter((one, i) => !isFirst(one, i))]
}

function isFailure(result?: ChangeResult): result is ProxyManagerError {
  return result instanceof ProxyManagerError
}

const Mark = v.object({ fingerprint: v.string(), files: v.array(v.string()) })

/** What the previous process found current: on the same host, a start has to render only the files that changed afterwards. */
export function readRenderedMark(host: Host): RenderedMark | undefined {
  return readRecord(host, host.paths.rendered, Mark)
}

/** Saves the mark if everything is current. Losing it costs the next start some time, and nothing else. */
export async function saveRenderedMark({ host, observe, stale }: ChangeContext): Promise<void> {
  const { snapshot } = await observe([])
  if (snapshot.routes.size === 0 || stale.find(snapshot) !== undefined) return
  const text = JSON.stringify(stale.markOf(snapshot))
  if (host.files.read(host.paths.rendered)?.text !== text)
    await replaceUnsynced(host, host.paths.rendered, text).catch(() => undefined)
}
