/** The way of a batch into the pipeline, with what comes before it. */
import { ProxyManagerError } from '../errors.ts'
import type { Change } from '../plan/change.ts'
import type { CommitOptions } from './commit.ts'
import type { ChangeContext } from './context.ts'
import { type AppliedBatch, allFailed, asFailure, prepare, runBatch } from './pipeline.ts'
import { reconcileBefore } from './reconcile.ts'

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
    const isReconciled = await reconcileBefore(context, observed.observation)
    const prepared = isReconciled ? await prepare(context, changes) : observed
    if (options !== undefined || prepared.observation.nginx.findMaster() !== undefined)
      return await runBatch(context, changes, options ?? NGINX_MUST_RUN, prepared)
    return await applyWithoutNginx(context, changes)
  } catch (error) {
    return allFailed(changes, asFailure(error))
  }
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
