/** The part of the pipeline that touches what is live: journal, swap, reload, confirm, settle; or roll back. */

import { type ProxyManagerError, withDetails } from '../errors.ts'
import type { Host } from '../host/host.ts'
import { logFailure } from '../host/log-failure.ts'
import { pruneBackups } from '../host/prune-backups.ts'
import { statePaths } from '../host/state-folder.ts'
import { writeFailure } from '../host/write-failure.ts'
import { type TestResult, testLive } from '../nginx/config-test.ts'
import { type ReloadResult, reloadFailed } from '../nginx/reload-result.ts'
import { verifyServedCertificates } from '../nginx/served-certificate.ts'
import type { BatchPlan } from '../plan/plan-batch.ts'
import { readSharedFile } from '../render/shared-file.ts'
import { dropletOfFileName } from '../route/file-names.ts'
import { readRouteFile } from '../route/stored-route.ts'
import type { Observation } from '../snapshot/observe.ts'
import { type ChangeContext, type Receipt, type StepTimes, testedNow } from './context.ts'
import { beginJournal, dropJournal, markReloading } from './journal.ts'
import { restoreFiles } from './roll-back.ts'
import { removeTemporaries, stageTexts, swapFiles, syncStaged } from './swap.ts'
import { configFailed } from './test-candidate.ts'

/** A stopped NGINX is no place to prove a change; only at the start, before NGINX's own, are files mended without it. */
export type WhenStopped = 'refuse' | 'write'

/** `tidy` is what may happen after the callers have their answers, before the next batch. */
export interface Committed {
  readonly receipt: Receipt
  readonly steps: StepTimes
  readonly tidy: () => Promise<void>
}

const NOT_RELOADED: ReloadResult = { ok: true, provedBy: 'exit_status', reloadMs: 0, confirmMs: 0 }

/**
 * Makes a tested plan live, and proves it.
 * @throws {ProxyManagerError} CONFIG_WRITE_FAILED, NGINX_RELOAD_FAILED, with what became of the host in `state`
 */
export async function commitBatch(
  context: ChangeContext,
  observation: Observation,
  plan: BatchPlan,
  test: TestResult,
  whenStopped: WhenStopped,
): Promise<Committed> {
  const { host, state } = context
  const reloader = context.reloaderFor(observation)
  const asked = host.clock.monotonicMs()
  const isRunning = reloader.findMaster(observation) !== undefined
  const obstacle = isRunning ? ((await reloader.isAlone(observation)) ? undefined : 'upgrading') : 'not_running'
  if (obstacle !== undefined && (isRunning || whenStopped === 'refuse')) {
    host.metrics.nginxReload(obstacle, host.clock.monotonicMs() - asked)
    await removeTemporaries(host, plan.files)
    throw reloadFailed(obstacle, { stage: 'reload', state: 'unchanged' })
  }
  state.generation = plan.generation
  state.unconfirmed = observation
  const started = host.clock.monotonicMs()
  let wasSignalled = false
  try {
    await backUpDrifted(host, plan)
    await beginJournal(host, plan.generation, plan.files)
    if (observation.isBare) await stageUntested(host, plan)
    await swapFiles(host, plan.files)
    const tested = observation.isBare ? await testLive(host, plan.domains) : test
    if (!tested.ok) throw configFailed(tested)
    await markReloading(host)
    const swapMs = host.clock.monotonicMs() - started
    wasSignalled = isRunning
    const reload = isRunning ? await reloadAndConfirm(context, observation, plan, test) : NOT_RELOADED
    if (!reload.ok) {
      await recordReload(host, plan.generation, reload)
      throw reloadFailed(reload.reason, { stage: 'confirm', state: 'rolled_back' }, reload)
    }
    await dropJournal(host)
    state.lastTest = testedNow(host, { ok: true, output: tested.output })
    const { reloadMs, confirmMs, provedBy } = reload
    const accepted = plan.verdicts.filter(({ outcome }) => outcome !== 'refused')
    const changed = accepted.filter(({ outcome }) => outcome !== 'unchanged')
    // Where nothing had to change on disk, NGINX was made to read it for all of them.
    const batch = changed.length > 0 ? changed.length : accepted.length
    host.metrics.batch(batch)
    return {
      receipt: {
        generation: plan.generation,
        reloaded: isRunning,
        proved_by: provedBy,
        proved_ms: Math.round(reloadMs + confirmMs),
        batch,
      },
      steps: { test: tested.durationMs, swap: swapMs, reload: reloadMs, confirm: confirmMs },
      tidy: async () => {
        if (isRunning) await recordReload(host, plan.generation, reload)
        await Promise.all([removeTemporaries(host, plan.files), saveLastGood(host, plan)])
        await removeUnusedCertificates(context, observation, plan)
      },
    }
  } catch (error) {
    throw await undoChange(context, observation, plan, wasSignalled, writeFailure(error))
  }
}

/** Without a candidate nothing has been staged yet. */
async function stageUntested(host: Host, plan: BatchPlan): Promise<void> {
  await stageTexts(host, plan.files)
  await syncStaged(host, plan.files)
}

/** The new generation must answer, and for every name of the plan that has a certificate, exactly that one must be shown. */
async function reloadAndConfirm(
  context: ChangeContext,
  observation: Observation,
  plan: BatchPlan,
  test: TestResult,
): Promise<ReloadResult> {
  const { host } = context
  const signalled = host.clock.monotonicMs()
  const reload = await context.reloaderFor(observation).reload(observation, plan.generation, test.durationMs)
  const started = host.clock.monotonicMs()
  const isProvable = reload.ok && reload.provedBy === 'generation_probe' && plan.secured.size > 0
  const wrong = isProvable ? await verifyServedCertificates(host, plan.secured) : undefined
  const result: ReloadResult =
    wrong === undefined ? reload : { ok: false, reason: 'wrong_certificate', output: wrong, diagnostics: [] }
  host.metrics.nginxReload(result.ok ? 'success' : result.reason, host.clock.monotonicMs() - signalled)
  if (!result.ok || !isProvable) return result
  return { ...result, provedBy: 'tls_handshake', confirmMs: result.confirmMs + host.clock.monotonicMs() - started }
}

/** Copies that no generation uses any more; workers that still end their connections have read theirs. */
async function removeUnusedCertificates(
  { certificates, observe, host }: ChangeContext,
  { snapshot: before }: Observation,
  plan: BatchPlan,
): Promise<void> {
  const domains = plan.verdicts.flatMap((verdict) => {
    if (verdict.outcome === 'refused') return []
    const { domain, droplet_name } = verdict.route.record
    return [domain, before.routes.get(droplet_name)?.record.domain ?? domain]
  })
  try {
    await certificates.removeUnused((await observe([])).snapshot, domains)
  } catch (error) {
    logFailure(host, 'warn', { action: 'remove_certificate' })(error)
  }
}

/** Restores, and returns the error for the callers: `unchanged`, `rolled_back`, or `degraded` where even the restore failed. */
async function undoChange(
  context: ChangeContext,
  observation: Observation,
  plan: BatchPlan,
  wasSignalled: boolean,
  failure: ProxyManagerError,
): Promise<ProxyManagerError> {
  const { host, state } = context
  try {
    state.generation += 1
    const restore = { files: plan.files, generation: state.generation, wasSignalled }
    const wasTouched = await restoreFiles(host, observation, context.reloaderFor(observation), restore)
    return withDetails(failure, { state: wasTouched ? 'rolled_back' : 'unchanged' })
  } catch (error) {
    state.refused = plan.generation
    state.degraded = 'a change failed and could not be undone; the next call or a restart tries again'
    logFailure(host, 'error', { action: 'restore' })(error)
    return withDetails(failure, {
      state: 'degraded',
      remedy: 'Mend the cause; the next call, or a restart, finishes the restore',
    })
  }
}

/** A file that was edited by hand, in either folder, is replaced by what was asked for; its text stays in the backups. */
async function backUpDrifted(host: Host, plan: BatchPlan): Promise<void> {
  for (const { path, before } of plan.files) {
    const name = fileName(path)
    if (before === null || !('text' in before) || before.text === '' || isAsWritten(name, before.text)) continue
    const { backups } = statePaths(host.settings)
    // Both folders may hold an edit of the same name, and both are kept within a millisecond.
    let time = host.clock.nowMs()
    while (host.files.lstat(`${backups}/${name}.${time}`) !== undefined) time++
    await host.files.writeUnsynced(`${backups}/${name}.${time}`, before.text, 0o600)
    await pruneBackups(host, backups, name)
    host.log.write('warn', {
      action: 'replace_drifted',
      result: 'success',
      outcome: 'backed_up',
      file: name,
    })
  }
}

function isAsWritten(name: string, text: string): boolean {
  const dropletName = dropletOfFileName(name)
  return dropletName === undefined
    ? readSharedFile(text)?.intact === true
    : readRouteFile(dropletName, text)?.drifted === false
}

/** Copies of what was proved, from which a file that is lost or torn later is restored. They are a convenience: failing to keep one is no failure. */
async function saveLastGood(host: Host, plan: BatchPlan): Promise<void> {
  const folder = statePaths(host.settings).lastGood
  const kept = plan.files.map(async ({ path, before, after }) => {
    const copy = `${folder}/${fileName(path)}`
    if (after !== null && 'text' in after) await host.files.writeUnsynced(copy, after.text, 0o600)
    else if (after === null && before !== null && 'text' in before) await host.files.remove(copy)
  })
  await Promise.allSettled(kept)
}

/** For health, across restarts. A full disk must not turn a change that is served into a failure. */
async function recordReload(host: Host, generation: number, reload: ReloadResult): Promise<void> {
  const timestamp = new Date(host.clock.nowMs()).toISOString()
  const record = JSON.stringify({ timestamp, result: reload.ok ? 'success' : reload.reason, generation })
  await host.files
    .writeUnsynced(statePaths(host.settings).lastReload, record, 0o600)
    .catch(logFailure(host, 'warn', { action: 'record_reload' }))
}

function fileName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
