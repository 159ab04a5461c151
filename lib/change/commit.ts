/** The part of the pipeline that touches live files: journal, swap, reload, confirm, settle; or roll back. */
import { basename } from 'node:path'
import { removeTemporaries } from '../candidate/stage.ts'
import { configFailed } from '../candidate/test-candidate.ts'
import { type ProxyManagerError, withDetails } from '../errors.ts'
import type { DatedEvent } from '../events/event.ts'
import { recordHistory } from '../history/history.ts'
import { backUp } from '../host/backups.ts'
import type { Host } from '../host/host.ts'
import { writeRecord } from '../host/json-record.ts'
import { logFailure } from '../host/log-failure.ts'
import { statePaths } from '../host/state-folder.ts'
import { writeFailure } from '../host/write-failure.ts'
import type { TestResult } from '../nginx/config-test.ts'
import { type ReloadResult, reloadFailed } from '../nginx/reload-result.ts'
import { verifyServedCertificates } from '../nginx/served-certificate.ts'
import { changeEvents, originOf } from '../plan/change-events.ts'
import type { BatchPlan } from '../plan/plan-batch.ts'
import { isIntact } from '../render/shared-file.ts'
import { isOwnFileName } from '../route/droplet-name.ts'
import { saveLastGood } from '../snapshot/last-good.ts'
import type { Observation } from '../snapshot/observe.ts'
import type { AcceptedBatch } from './bisect.ts'
import { type ChangeContext, type ObservedHost, type Receipt, type StepTimes, testedNow } from './context.ts'
import { beginJournal, dropJournal, markReloading } from './journal.ts'
import { rollBack } from './roll-back.ts'
import { editedMeanwhile, logBackUp, settleSwap, swapFiles } from './swap.ts'

export interface CommitOptions {
  /** A stopped NGINX cannot prove a change. True for start-up recovery, for reconcile, and for deleting routes while NGINX is stopped. */
  readonly allowStoppedNginx: boolean
  /** If NGINX rejects one of its changes, none is made. */
  readonly isIndivisible?: boolean
}

/** `cleanup` may run after the callers have their answers, before the next batch. */
export interface Committed {
  readonly receipt: Receipt
  readonly steps: StepTimes
  readonly cleanup: () => Promise<void>
}

const NOT_RELOADED: ReloadResult & { ok: true } = { ok: true, provedBy: 'config_test', reloadMs: 0, confirmMs: 0 }

/**
 * Makes a tested plan live and proves that NGINX serves it, unless it cannot be reloaded because of other files.
 * @throws {ProxyManagerError} PROXY_CONFIG_FAILED, CONFIG_WRITE_FAILED, NGINX_RELOAD_FAILED; `details.state` is the state of the host
 */
export async function commitBatch(
  context: ChangeContext,
  observation: ObservedHost,
  plan: BatchPlan,
  { test, isServable }: Pick<AcceptedBatch, 'test' | 'isServable'>,
  options: CommitOptions,
): Promise<Committed> {
  const { host, state, progress } = context
  const isRunning = isServable && (await assertReloadable(host, observation, plan, options))
  const edited = editedMeanwhile(host, plan.files)
  if (edited !== undefined) {
    await removeTemporaries(host, plan.files)
    throw edited
  }
  state.generation = plan.generation
  state.unconfirmed = observation
  const started = host.clock.monotonicMs()
  let wasSignalled = false
  try {
    await backUpDrifted(host, plan)
    const events = changeEvents(plan, observation.snapshot.routes, isRunning, host.clock.nowMs())
    await beginJournal(host, { ...plan, events })
    await swapFiles(host, plan.files)
    const tested = await observation.nginx.testSwapped(test, plan.domains)
    if (!tested.ok) throw configFailed(tested)
    if (isServable) await markReloading(host)
    const swapMs = host.clock.monotonicMs() - started
    progress.report('proving', plan.changes)
    wasSignalled = isRunning
    const reload = isRunning ? await reloadAndConfirm(host, observation, plan, test) : NOT_RELOADED
    if (!reload.ok) {
      await recordReload(host, plan.generation, reload)
      void context.events.add({
        type: 'nginx.reload_failed',
        origin: originOf(plan.changes[0]),
        generation: plan.generation,
        outcome: reload.reason,
      })
      throw reloadFailed(reload.reason, { stage: 'confirm', state: 'rolled_back' }, reload)
    }
    // Once its events are in the log the change is final.
    await saveLastGood(host, plan.files, context.events.append(events))
    context.authors.note(events)
    if (isServable) state.lastTest = testedNow(host, { ok: true, output: tested.output })
    return {
      receipt: receiptOf(host, plan, reload, isRunning),
      steps: { test: tested.durationMs, swap: swapMs, reload: reload.reloadMs, confirm: reload.confirmMs },
      cleanup: async () => {
        const recording = isRunning ? recordReload(host, plan.generation, reload) : undefined
        await Promise.all([recording, settle(context, observation, plan, events)])
      },
    }
  } catch (error) {
    throw await undoChange(context, observation, plan, wasSignalled, writeFailure(error))
  }
}

/** What no caller waits for. Recovery would do the same with the journal, which only has to be gone before the next change. */
async function settle(
  context: ChangeContext,
  observation: Observation,
  plan: BatchPlan,
  events: readonly DatedEvent[],
): Promise<void> {
  const { host } = context
  const dropping = dropJournal(host).catch(logFailure(host, 'warn', { action: 'drop_journal' }))
  await Promise.all([
    dropping.then(() => recordHistory(host, { files: plan.files, events })),
    settleSwap(host, plan.files).then(() => removeUnusedCertificates(context, observation, plan)),
  ])
}

/**
 * Returns whether NGINX runs and has to be reloaded.
 * @throws {ProxyManagerError} NGINX_RELOAD_FAILED if it does not run but must, or if its binary is being upgraded
 */
async function assertReloadable(
  host: Host,
  { nginx }: ObservedHost,
  plan: BatchPlan,
  { allowStoppedNginx }: CommitOptions,
): Promise<boolean> {
  const started = host.clock.monotonicMs()
  const isRunning = nginx.findMaster() !== undefined
  if (!isRunning && allowStoppedNginx) return false
  const obstacle = isRunning ? ((await nginx.isAlone()) ? undefined : 'upgrading') : 'not_running'
  if (obstacle === undefined) return true
  host.metrics.nginxReload(obstacle, host.clock.monotonicMs() - started)
  await removeTemporaries(host, plan.files)
  throw reloadFailed(obstacle, { stage: 'reload', state: 'unchanged' })
}

function receiptOf(host: Host, plan: BatchPlan, reload: ReloadResult & { ok: true }, reloaded: boolean): Receipt {
  const accepted = plan.outcomes.filter(({ outcome }) => outcome !== 'refused')
  const changed = accepted.filter(({ outcome }) => outcome !== 'unchanged')
  // If no file had to change, the reload was for all accepted changes.
  const batch = changed.length > 0 ? changed.length : accepted.length
  host.metrics.batch(batch)
  return {
    generation: plan.generation,
    reloaded,
    proved_by: reload.provedBy,
    proved_ms: Math.round(reload.reloadMs + reload.confirmMs),
    batch,
  }
}

/** The new generation must answer, and NGINX must present the planned certificate for each name that has one. */
async function reloadAndConfirm(
  host: Host,
  { nginx, snapshot }: ObservedHost,
  plan: BatchPlan,
  test: TestResult,
): Promise<ReloadResult> {
  const signalled = host.clock.monotonicMs()
  const reload = await nginx.reload(plan.generation, test.durationMs)
  const started = host.clock.monotonicMs()
  const isProvable = reload.ok && reload.provedBy === 'generation_probe' && plan.secured.size > 0
  const wrong = isProvable ? await verifyServedCertificates(host, snapshot.context, plan.secured) : undefined
  const result: ReloadResult =
    wrong === undefined ? reload : { ok: false, reason: 'wrong_certificate', output: wrong, diagnostics: [] }
  host.metrics.nginxReload(result.ok ? 'success' : result.reason, host.clock.monotonicMs() - signalled)
  if (!result.ok || !isProvable) return result
  return { ...result, provedBy: 'tls_handshake', confirmMs: result.confirmMs + host.clock.monotonicMs() - started }
}

/** Removes the copies that no generation uses any more; old workers that still serve connections have loaded theirs. */
async function removeUnusedCertificates(
  { certificates, observe, host }: ChangeContext,
  { snapshot: before }: Observation,
  plan: BatchPlan,
): Promise<void> {
  const domains = plan.outcomes.flatMap((planned) => {
    if (planned.outcome === 'refused') return []
    const { domain, droplet_name } = planned.route.record
    return [domain, before.routes.get(droplet_name)?.record.domain ?? domain]
  })
  try {
    await certificates.removeUnused(domains, async () => (await observe([])).snapshot.routes)
  } catch (error) {
    logFailure(host, 'warn', { action: 'remove_certificate' })(error)
  }
}

/** Rolls back, and returns the callers' error: `unchanged`, `rolled_back`, or `degraded` if even the rollback failed. */
async function undoChange(
  { host, state }: ChangeContext,
  observation: ObservedHost,
  plan: BatchPlan,
  wasSignalled: boolean,
  failure: ProxyManagerError,
): Promise<ProxyManagerError> {
  try {
    state.generation += 1
    const wasTouched = await rollBack(host, observation.nginx, {
      files: plan.files,
      generation: state.generation,
      replaced: plan.generation,
      wasSignalled,
    })
    return withDetails(failure, { state: wasTouched ? 'rolled_back' : 'unchanged' })
  } catch (error) {
    state.refused = plan.generation
    state.degraded =
      'a change failed and could not be undone; it is tried again every 10 s, by the next call and by a restart'
    logFailure(host, 'error', { action: 'restore' })(error)
    return withDetails(failure, {
      state: 'degraded',
      remedy: 'Fix the cause; the rollback is tried again every 10 s',
    })
  }
}

/** Backs up files that were edited by hand, in either directory, and hand-written sites, before they are replaced. */
async function backUpDrifted(host: Host, plan: BatchPlan): Promise<void> {
  for (const { path, before, site } of plan.files) {
    const name = basename(path)
    if (before === null || !('text' in before) || before.text === '') continue
    if (site === undefined && (!isOwnFileName(name) || isIntact(name, before.text))) continue
    await backUp(host, host.paths.backups, name, path)
    logBackUp(host, path)
  }
}

/** Records the reload for health, across restarts. A full disk must not fail a change that is served. */
async function recordReload(host: Host, generation: number, reload: ReloadResult): Promise<void> {
  const timestamp = new Date(host.clock.nowMs()).toISOString()
  const record = { timestamp, result: reload.ok ? 'success' : reload.reason, generation }
  await writeRecord(host, statePaths(host.settings).lastReload, record, 'record_reload')
}
