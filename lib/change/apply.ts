/** Prepares a batch for the pipeline. */
import { ProxyManagerError } from '../errors.ts'
import type { Change } from '../plan/change.ts'
import type { CommitOptions } from './commit.ts'
import type { BatchDryRun, ChangeContext, ChangeResult, Receipt } from './context.ts'
import { type AppliedBatch, allFailed, asFailure, dryRun, prepare, runBatch } from './pipeline.ts'
import { outdatedBefore, reconcileBefore } from './reconcile.ts'

const NGINX_MAY_BE_STOPPED: CommitOptions = { allowStoppedNginx: true }
const NGINX_MUST_RUN: CommitOptions = { allowStoppedNginx: false }

/**
 * Applies a batch, after files of ours that no longer fit the host have been rendered again: what is wrong with them is no reason to refuse a
 * change. While NGINX is stopped only routes can be deleted, which may be what lets it start again. Never rejects.
 */
export async function applyBatch(
  context: ChangeContext,
  changes: readonly Change[],
  options?: CommitOptions,
): Promise<AppliedBatch> {
  try {
    const observed = await prepare(context, changes)
    const reconciled = await reconcileBefore(context, observed.observation)
    const prepared = reconciled === undefined ? observed : await prepare(context, changes)
    const batch =
      options !== undefined || prepared.observation.nginx.findMaster() !== undefined
        ? await runBatch(context, changes, options ?? NGINX_MUST_RUN, prepared)
        : await applyWithoutNginx(context, changes)
    forgetUnreconciled(context, changes, batch)
    return reconciled === undefined ? batch : { ...batch, results: batch.results.map(withProof(reconciled)) }
  } catch (error) {
    return allFailed(changes, asFailure(error))
  }
}

/**
 * What {@link applyBatch} would do with these changes; nothing is changed.
 * @throws {ProxyManagerError} as {@link dryRun}
 */
export async function dryRunBatch(context: ChangeContext, changes: readonly Change[]): Promise<BatchDryRun> {
  return await dryRun(context, changes, { outdated: outdatedBefore(context, await context.observe([]), changes) })
}

/** An unchanged route is proved by the reload of the reconcile before it. */
function withProof(receipt: Receipt): (result: ChangeResult) => ChangeResult {
  return (result) =>
    !(result instanceof ProxyManagerError) && result.receipt.proved_by === 'files_unchanged'
      ? { ...result, receipt }
      : result
}

/** What was replaced or deleted is no longer to be rendered again. */
function forgetUnreconciled({ state }: ChangeContext, changes: readonly Change[], { results }: AppliedBatch): void {
  if (state.unreconciled === undefined || state.unreconciled.routes.length === 0) return
  const done = changes
    .filter((_, i) => !(results[i] instanceof ProxyManagerError))
    .map(({ dropletName }) => dropletName)
  const routes = state.unreconciled.routes.filter((name) => !done.includes(name))
  state.unreconciled = routes.length === 0 ? undefined : { ...state.unreconciled, routes }
}

async function applyWithoutNginx(context: ChangeContext, changes: readonly Change[]): Promise<AppliedBatch> {
  const [deletes, others] = [changes.filter(isDelete), changes.filter((change) => !isDelete(change))]
  const deleted = await runBatch(context, deletes, NGINX_MAY_BE_STOPPED)
  if (others.length === 0) return deleted
  await deleted.cleanup()
  const refused = await runBatch(context, others, NGINX_MUST_RUN)
  const results = new Map([
    ...deletes.map((change, i) => [change, deleted.results[i]] as const),
    ...others.map((change, i) => [change, refused.results[i]] as const),
  ])
  return {
    results: changes.map((change) => results.get(change) ?? new ProxyManagerError('INTERNAL')),
    cleanup: refused.cleanup,
  }
}

function isDelete({ kind }: Change): boolean {
  return kind === 'delete'
}
