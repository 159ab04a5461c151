/**
 * The walk of a batch: observe, plan, stage, test, journal, swap, reload, confirm, settle; or restore.
 * Until the swap nothing live is touched; from the journal on, a stop at any instant is finished or undone by `recover`.
 */
import { ProxyManagerError } from '../core/errors.ts'
import { SHARED_FILE } from '../core/nginx-server-block.ts'
import {
  type BatchPlan,
  type Change,
  type FileChange,
  type Outcome,
  planBatch,
  type SnapshotRoute,
} from '../core/plan.ts'
import { dropletOfFileName, readSharedFile } from '../core/route-file.ts'
import { copyCertificates } from './copy-certificates.ts'
import { configFailed, notIncluded, reloadFailed, withDetails } from './failures.ts'
import { findAcceptable } from './find-acceptable.ts'
import { type Host, statePaths, writeFailure } from './host.ts'
import type { Observation } from './observe.ts'
import type { ProvedBy, Reloader, ReloadResult } from './reload.ts'
import { restoreFiles } from './restore.ts'
import { type TestResult, testCandidate, testLive } from './stage.ts'
import { beginJournal, dropJournal, forgetUndo, markReloading, swapFiles } from './swap.ts'

/** The proof of a change, in short. */
export interface Receipt {
  /** The generation of the configuration that NGINX serves with the change in it. */
  readonly generation: number
  /** False where everything was so already, and NGINX was not asked. */
  readonly reloaded: boolean
  readonly proved_by: ProvedBy | 'files_unchanged'
  /** From the signal until the proof, in milliseconds. */
  readonly proved_ms: number
  /** How many changes shared the test and the reload. */
  readonly batch: number
}

/** Milliseconds that each step of the walk took. */
export interface StepTimes {
  readonly test: number
  readonly swap: number
  readonly reload: number
  readonly confirm: number
}

export interface Applied {
  readonly outcome: Outcome
  /** The route as it is served; as it was, where it was deleted. */
  readonly route: SnapshotRoute
  readonly receipt: Receipt
  readonly steps: StepTimes
}

export type ChangeResult = Applied | ProxyManagerError

export interface Rehearsal {
  readonly outcome: Outcome
  readonly route: SnapshotRoute
  readonly files: readonly FileChange[]
  readonly test: Pick<TestResult, 'ok' | 'output'>
}

/** What the walk shares with health and with the reads: kept by the engine. */
export interface WalkState {
  /** The highest generation that was ever planned. */
  generation: number
  /** The observation of before a change that is not confirmed yet: what reads answer from meanwhile. */
  unconfirmed: Observation | undefined
  /** Set while a restore has failed and the journal waits for `recover`. */
  degraded: string | undefined
  /** The last test of the whole configuration as it is live. */
  lastTest: { readonly ok: boolean; readonly output: string; readonly atMs: number } | undefined
}

export interface Walk {
  readonly host: Host
  readonly state: WalkState
  readonly observe: (domains: readonly string[]) => Promise<Observation>
  readonly reloaderFor: (observation: Observation) => Reloader
}

const NO_STEPS: StepTimes = { test: 0, swap: 0, reload: 0, confirm: 0 }
const UNTESTED: TestResult = { ok: true, output: '', diagnostics: [], durationMs: 0 }

/** Applies a batch; one result for each change, in their order. Never rejects. */
export async function applyBatch(walk: Walk, changes: readonly Change[]): Promise<ChangeResult[]> {
  try {
    return await walkBatch(walk, changes)
  } catch (error) {
    const failure = error instanceof ProxyManagerError ? error : new ProxyManagerError('INTERNAL', { cause: error })
    return changes.map(() => failure)
  } finally {
    walk.state.unconfirmed = undefined
  }
}

/**
 * What one change would do, with NGINX's verdict, and nothing changed.
 * @throws {ProxyManagerError} whatever the plan refuses
 */
export async function rehearse(walk: Walk, change: Change): Promise<Rehearsal> {
  const { observation, plan } = await prepare(walk, [change])
  const planned = plan([change])
  const [verdict] = planned.verdicts
  if (verdict === undefined || verdict.outcome === 'refused') throw verdict?.error ?? new ProxyManagerError('INTERNAL')
  if (planned.files.length === 0) return { ...verdict, files: [], test: UNTESTED }
  refuseWithoutInclude(observation)
  await copyCertificates(walk.host, planned)
  const test = observation.isBare
    ? UNTESTED
    : await testCandidate(walk.host, observation, planned.files, planned.domains)
  return { ...verdict, files: planned.files, test }
}

async function walkBatch(walk: Walk, changes: readonly Change[]): Promise<ChangeResult[]> {
  const { host } = walk
  const { observation, plan } = await prepare(walk, changes)
  const whole = plan(changes)
  if (whole.files.length === 0) return resultsOf(whole, unchangedReceipt(whole), NO_STEPS)
  refuseWithoutInclude(observation)

  const acceptable = observation.isBare
    ? { changes, guilty: new Map<Change, ProxyManagerError>(), test: UNTESTED }
    : await findAcceptable(host, observation, changes, plan)
  const accepted = acceptable.guilty.size === 0 ? whole : plan(acceptable.changes)
  const { receipt, steps } =
    accepted.files.length === 0 || acceptable.changes.length === 0
      ? { receipt: unchangedReceipt(accepted), steps: NO_STEPS }
      : await makeLive(walk, observation, accepted, acceptable.test)
  const results = resultsOf(accepted, receipt, steps)
  const byChange = new Map(acceptable.changes.map((change, i) => [change, results[i]]))
  return changes.map(
    (change) => acceptable.guilty.get(change) ?? byChange.get(change) ?? new ProxyManagerError('INTERNAL'),
  )
}

async function prepare({ host, state, observe }: Walk, changes: readonly Change[]) {
  const domains = changes.flatMap((change) =>
    change.kind === 'put' && change.spec.enable_ssl ? [change.spec.domain] : [],
  )
  const observation = await observe(domains)
  const generation = nextGeneration(state, observation)
  const now = new Date(host.clock.nowMs()).toISOString()
  return { observation, plan: (some: readonly Change[]) => planBatch(observation.snapshot, some, generation, now) }
}

/** The part of the walk that touches what is live. */
async function makeLive(
  walk: Walk,
  observation: Observation,
  plan: BatchPlan,
  test: TestResult,
): Promise<{ receipt: Receipt; steps: StepTimes }> {
  const { host, state } = walk
  const reloader = walk.reloaderFor(observation)
  if (reloader.findMaster(observation) === undefined)
    throw reloadFailed('not_running', { stage: 'reload', state: 'unchanged' })
  state.generation = plan.generation
  state.unconfirmed = observation
  const started = host.clock.monotonicMs()
  let wasSignalled = false
  try {
    await keepDrifted(host, observation, plan)
    await beginJournal(host, plan.generation, plan.files)
    await swapFiles(host, plan.files)
    const tested = observation.isBare ? await testLive(host, plan.domains) : test
    if (!tested.ok) throw configFailed(tested)
    await markReloading(host)
    const swapMs = host.clock.monotonicMs() - started
    wasSignalled = true
    const reload = await reloader.reload(observation, plan.generation, test.durationMs)
    await recordReload(host, plan.generation, reload)
    if (!reload.ok) throw reloadFailed(reload.reason, { stage: 'confirm', state: 'rolled_back' }, reload)
    await dropJournal(host)
    state.lastTest = { ok: true, output: tested.output, atMs: host.clock.nowMs() }
    await Promise.all([forgetUndo(host, plan.files), keepLastGood(host, plan)])
    const { reloadMs, confirmMs, provedBy } = reload
    const batch = plan.verdicts.filter(({ outcome }) => outcome !== 'refused' && outcome !== 'unchanged').length
    return {
      receipt: {
        generation: plan.generation,
        reloaded: true,
        proved_by: provedBy,
        proved_ms: Math.round(reloadMs + confirmMs),
        batch,
      },
      steps: { test: tested.durationMs, swap: swapMs, reload: reloadMs, confirm: confirmMs },
    }
  } catch (error) {
    throw await undoChange(walk, observation, plan, wasSignalled, writeFailure(error))
  }
}

/** Restores, and returns the error for the callers: `unchanged`, `rolled_back`, or `degraded` where even the restore failed. */
async function undoChange(
  walk: Walk,
  observation: Observation,
  plan: BatchPlan,
  wasSignalled: boolean,
  failure: ProxyManagerError,
): Promise<ProxyManagerError> {
  const { host, state } = walk
  try {
    state.generation += 1
    const restore = { files: plan.files, generation: state.generation, wasSignalled }
    const wasTouched = await restoreFiles(host, observation, walk.reloaderFor(observation), restore)
    return withDetails(failure, { state: wasTouched ? 'rolled_back' : 'unchanged' })
  } catch (error) {
    state.degraded = 'a change failed and could not be undone; the next call or a restart tries again'
    host.log.write('error', {
      action: 'restore',
      result: 'failed',
      error: error instanceof Error ? error.message : String(error),
    })
    return withDetails(failure, {
      state: 'degraded',
      remedy: 'Mend the cause; the next call, or a restart, finishes the restore',
    })
  }
}

/** Without the include NGINX never sees a route: nothing is written that could not be served. */
function refuseWithoutInclude({ snapshot, isBare }: Observation): void {
  if (!isBare && !snapshot.host.includesSitesEnabled) throw notIncluded(snapshot.sitesEnabled)
}

/** A file that was edited by hand is replaced by what was asked for; its text stays in the backups. */
async function keepDrifted(host: Host, { snapshot }: Observation, plan: BatchPlan): Promise<void> {
  for (const { path, before } of plan.files) {
    const name = fileName(path)
    const route = snapshot.routes.get(dropletOfFileName(name) ?? '')
    if (route?.drifted !== true || before === null || !('text' in before)) continue
    await host.files.writeScratch(
      `${statePaths(host.settings).backups}/${name}.${host.clock.nowMs()}`,
      before.text,
      0o600,
    )
    host.log.write('warn', {
      action: 'replace_drifted',
      result: 'kept',
      droplet_name: route.record.droplet_name,
      file: name,
    })
  }
}

/** Copies of what was proved, from which a file that is lost or torn later is restored. They are a convenience: failing to keep one is no failure. */
async function keepLastGood(host: Host, plan: BatchPlan): Promise<void> {
  const folder = statePaths(host.settings).lastGood
  const kept = plan.files.map(async ({ path, before, after }) => {
    const copy = `${folder}/${fileName(path)}`
    if (after !== null && 'text' in after) await host.files.writeScratch(copy, after.text, 0o600)
    else if (after === null && before !== null && 'text' in before) await host.files.remove(copy)
  })
  await Promise.allSettled(kept)
}

/** For health, across restarts. A full disk must not turn a change that is served into a failure. */
async function recordReload(host: Host, generation: number, reload: ReloadResult): Promise<void> {
  const timestamp = new Date(host.clock.nowMs()).toISOString()
  const record = JSON.stringify({ timestamp, result: reload.ok ? 'success' : reload.reason, generation })
  await host.files.writeScratch(statePaths(host.settings).lastReload, record, 0o600).catch((error: Error) => {
    host.log.write('warn', { action: 'record_reload', result: 'failed', error: error.message })
  })
}

function resultsOf(plan: BatchPlan, receipt: Receipt, steps: StepTimes): ChangeResult[] {
  return plan.verdicts.map((verdict) => {
    if (verdict.outcome === 'refused') return verdict.error
    return verdict.outcome === 'unchanged'
      ? { ...verdict, receipt: unchangedReceipt(plan), steps: NO_STEPS }
      : { ...verdict, receipt, steps }
  })
}

function unchangedReceipt(plan: BatchPlan): Receipt {
  return { generation: plan.generation, reloaded: false, proved_by: 'files_unchanged', proved_ms: 0, batch: 1 }
}

/** One more than any generation that was seen or planned, so that no two attempts look alike. */
function nextGeneration(state: WalkState, { snapshot }: Observation): number {
  const damaged = snapshot.availableImages.get(SHARED_FILE)
  const read = damaged !== undefined && 'text' in damaged ? readSharedFile(damaged.text)?.generation : undefined
  return Math.max(state.generation, snapshot.shared?.generation ?? 0, read ?? 0) + 1
}

function fileName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
