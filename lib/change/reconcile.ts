/** Files of ours follow their host: those that would be rendered differently now are rendered again. */
import * as v from 'valibot'
import { errorText, ProxyManagerError } from '../errors.ts'
import type { Host } from '../host/host.ts'
import { readRecord } from '../host/json-record.ts'
import { logFailure } from '../host/log-failure.ts'
import { replaceUnsynced } from '../host/replace-file.ts'
import type { Change } from '../plan/change.ts'
import type { RenderedMark, Stale } from '../plan/stale.ts'
import type { Observation } from '../snapshot/observe.ts'
import { findPutBack } from '../snapshot/put-back.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import type { BatchDryRun, ChangeContext, ChangeResult, Receipt } from './context.ts'
import { dryRun, prepare, runBatch } from './pipeline.ts'

/** How long a reconcile that failed is not tried again, unless the host has changed. */
const RECONCILE_RETRY_MS = 60_000

/** What a reconcile came to. */
export interface Reconciled extends Stale {
  /** Routes that were edited by hand: they are left as they are. */
  readonly drifted: readonly string[]
  /** Absent if nothing was stale. */
  readonly receipt?: Receipt
}

/** What a reconcile would do. */
export interface ReconcileDryRun extends Omit<Reconciled, 'receipt'>, Pick<BatchDryRun, 'files' | 'test'> {}

/**
 * Renders again what no longer fits the host, as one batch through the whole pipeline, even while NGINX is stopped.
 * @throws {ProxyManagerError} whatever a change can fail with; then every file is as it was
 */
export async function reconcile(context: ChangeContext): Promise<Reconciled> {
  const { stale, drifted } = await look(context)
  if (stale === NOTHING_OUTDATED) {
    context.state.unreconciled = undefined
    return { ...namesOf(stale), drifted }
  }
  try {
    const receipt = await renderAgain(context, stale)
    return { ...namesOf(stale), drifted, ...(receipt === undefined ? {} : { receipt }) }
  } catch (error) {
    keepFailure(context, stale, error)
    throw error
  }
}

/** @throws {ProxyManagerError} CONFIG_WRITE_FAILED */
export async function dryRunReconcile(context: ChangeContext): Promise<ReconcileDryRun> {
  const { stale, drifted } = await look(context)
  const { files, test } = await dryRun(context, stale.changes, { withShared: stale.shared })
  return { ...namesOf(stale), drifted, files, test }
}

/** What has to be written again: also what another program has put back. */
interface Outdated extends Stale {
  readonly changes: readonly Change[]
}

const NOTHING_OUTDATED: Outdated = { routes: [], shared: false, changes: [] }

function findOutdated({ host, stale }: ChangeContext, snapshot: Snapshot): Outdated {
  const found = stale.find(snapshot)
  const putBack = findPutBack(host)
  if (found === undefined && putBack === undefined) return NOTHING_OUTDATED
  const { replaced, deleted } = putBack ?? { replaced: new Map(), deleted: [] }
  const routes = [...new Set([...(found?.routes ?? []), ...replaced.keys()])].sort()
  const rerendered = routes.map((dropletName): Change => {
    const acknowledged = replaced.get(dropletName)
    return { kind: 'rerender', dropletName, ...(acknowledged === undefined ? {} : { acknowledged }) }
  })
  const removed = deleted.map((dropletName): Change => ({ kind: 'delete', dropletName, precondition: {} }))
  return { routes: [...routes, ...deleted], shared: found?.shared ?? false, changes: [...rerendered, ...removed] }
}

async function look(context: ChangeContext) {
  const { snapshot } = await context.observe([])
  const drifted = [...snapshot.routes].flatMap(([name, route]) => (route.drifted ? [name] : [])).sort()
  return { stale: findOutdated(context, snapshot), drifted }
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
  if (state.unreconciled !== undefined && host.clock.monotonicMs() < state.unreconciled.retryAtMs) return undefined
  try {
    return await renderAgain(context, stale)
  } catch (error) {
    if (state.unreconciled?.reason !== errorText(error)) logFailure(host, 'error', { action: 'reconcile' })(error)
    keepFailure(context, stale, error)
    return undefined
  }
}

/** {@link reconcileBefore} without a change, for a timer; also saves the next start its rendering. */
export async function keepReconciled(context: ChangeContext): Promise<void> {
  await reconcileBefore(context, await context.observe([]))
  await saveRenderedMark(context)
}

function keepFailure({ host, state }: ChangeContext, { routes }: Stale, error: unknown): void {
  state.unreconciled = { reason: errorText(error), routes, retryAtMs: host.clock.monotonicMs() + RECONCILE_RETRY_MS }
}

async function renderAgain(context: ChangeContext, stale: Outdated): Promise<Receipt | undefined> {
  const { changes } = stale
  const prepared = await prepare(context, changes, { withShared: true })
  const { results, failure, receipt, cleanup } = await runBatch(context, changes, { allowStoppedNginx: true }, prepared)
  await cleanup()
  const failed = failure ?? results.find(isFailure)
  if (failed !== undefined) throw failed
  context.state.unreconciled = undefined
  context.host.log.write('warn', {
    action: 'reconcile',
    result: 'success',
    outcome: 'rendered_again',
    routes: stale.routes.length,
    shared_file: stale.shared,
    generation: receipt?.generation,
  })
  return receipt
}

function isFailure(result: ChangeResult): result is ProxyManagerError {
  return result instanceof ProxyManagerError
}

function namesOf({ routes, shared }: Outdated): Stale {
  return { routes, shared }
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
