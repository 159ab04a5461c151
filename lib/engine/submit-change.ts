/** Submits changes to the queue and returns their results to the callers. */
import { applyBatch } from '../change/apply.ts'
import type { Applied, ChangeContext } from '../change/context.ts'
import { type AppliedBatch, allFailed } from '../change/pipeline.ts'
import type { ChangeQueue } from '../change/queue.ts'
import { recoverJournal } from '../change/recover.ts'
import { ProxyManagerError } from '../errors.ts'
import type { UpstreamChecks } from '../health/upstream-checks.ts'
import { logFailure } from '../host/log-failure.ts'
import type { Certify } from '../issuance/obtain.ts'
import type { Change } from '../plan/change.ts'
import type { Changed } from './engine.ts'
import { noteRefusal, type Refusable } from './engine-events.ts'
import type { RouteView } from './route-view.ts'

/** Applies a batch. If a previous rollback has failed, it is completed first, or every change fails. Never rejects. */
export async function applyOrRecover(context: ChangeContext, changes: readonly Change[]): Promise<AppliedBatch> {
  const { host, state } = context
  for (const change of changes)
    state.postponable.set(change, state.postponed.delete(change) ? 'postponed_before' : 'new')
  const broken = await completeRollback(context)
  if (broken !== undefined) return allFailed(changes, broken)
  const batch = await applyBatch(context, changes)
  await Promise.all(
    batch.results.map(async (result, i) => {
      const change = changes[i]
      if (change !== undefined && result instanceof ProxyManagerError) await noteRefusal(context, change, result)
    }),
  )
  for (const [i, result] of batch.results.entries()) {
    const change = changes[i]
    if (change !== undefined && state.postponed.has(change)) continue
    const outcome = result instanceof ProxyManagerError ? result.code : result.outcome
    host.metrics.change(outcome)
    if (outcome === 'CONFIG_WRITE_FAILED') state.hasFailedToWrite = true
  }
  return batch
}

/** Completes a rollback that has failed, if there is one; why no change can be made if that fails again. */
export async function completeRollback(context: ChangeContext): Promise<ProxyManagerError | undefined> {
  const { host, state } = context
  if (state.degraded === undefined) return undefined
  await recoverJournal(context).catch(logFailure(host, 'error', { action: 'recover_journal' }))
  if (state.degraded === undefined) return undefined
  const details = {
    stage: 'restore',
    state: 'degraded',
    remedy: 'See GET /proxy-manager/health and the log, and fix the cause',
  }
  return new ProxyManagerError('NGINX_RELOAD_FAILED', { message: state.degraded, details })
}

/** A change that is served, with the route that it has replaced or deleted. */
export interface Submitted extends Changed, Pick<Applied, 'route' | 'former' | 'routes'> {}

export interface ChangeSubmitter {
  /** Waits for the change's turn and its result; `probeMs` is how long its upstream check took. */
  submit(change: Change, probeMs: number): Promise<Submitted>
  /** Switches a route to the certificate that exists for its domain. */
  readonly certify: Certify
  /** Makes a handler that counts the error of a change that was refused before it was queued, adds its event, and rethrows it. */
  refuse(change: Refusable): (error: unknown) => Promise<never>
}

export function changeSubmitter(
  { host, events, progress }: ChangeContext,
  queue: ChangeQueue,
  view: RouteView,
  checks: UpstreamChecks,
): ChangeSubmitter {
  const enqueue: ChangeQueue['submit'] = (change) => {
    progress.report('queued', [change])
    return queue.submit(change)
  }
  const countRefusal = (error: unknown): never => {
    if (error instanceof ProxyManagerError) host.metrics.change(error.code)
    throw error
  }
  return {
    refuse: (change) => async (error) => {
      if (error instanceof ProxyManagerError) await noteRefusal({ events }, change, error)
      return countRefusal(error)
    },
    submit: async (change, probeMs) => {
      const started = host.clock.monotonicMs()
      const { outcome, route, former, routes, receipt, steps } = unwrap(await enqueue(change).catch(countRefusal))
      if (change.kind === 'rename') checks.move(change.dropletName, change.newName)
      else if (change.kind === 'delete') checks.forget(change.dropletName)
      else if (change.kind === 'put') checks.noteChange(route, change.checks ?? [])
      const stepsMs = steps.test + steps.swap + steps.reload + steps.confirm
      const times = { queue: Math.max(0, host.clock.monotonicMs() - started - stepsMs), probe: probeMs, ...steps }
      const replaced = former === undefined ? {} : { former }
      return { outcome, proxy: view.show(route), receipt, times, route, routes, ...replaced }
    },
    certify: async (dropletName, domain, options) =>
      unwrap(await enqueue({ kind: 'certify', dropletName, domain, ...options })),
  }
}

function unwrap(result: Applied | ProxyManagerError): Applied {
  if (result instanceof ProxyManagerError) throw result
  return result
}
