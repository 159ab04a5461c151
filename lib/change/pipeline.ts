/**
 * The change pipeline: observe, plan, stage, test, journal, swap, reload, confirm, settle; or roll back.
 * No live file is touched before the swap. Once the journal is written, a crash at any instant is finished or rolled back by `recover`.
 */
import { UNTESTED } from '../candidate/nginx-control.ts'
import { removeTemporaries } from '../candidate/stage.ts'
import { ProxyManagerError } from '../errors.ts'
import { missingInclude } from '../nginx/config/host-config.ts'
import type { Change } from '../plan/change.ts'
import { type BatchPlan, type PlanOptions, planBatch } from '../plan/plan-batch.ts'
import type { PlannedChange } from '../plan/plan-change.ts'
import { readSharedFile } from '../render/shared-file.ts'
import { SHARED_FILE } from '../route/droplet-name.ts'
import { wishOf } from '../route/names.ts'
import type { Observation, Wanted } from '../snapshot/observe.ts'
import { type AcceptedBatch, bisectBatch, untestedBatch, verdictOn } from './bisect.ts'
import { type CommitOptions, commitBatch } from './commit.ts'
import type {
  BatchDryRun,
  ChangeContext,
  ChangeResult,
  ChangeState,
  ObservedHost,
  Receipt,
  StepTimes,
} from './context.ts'
import { wasEdited } from './swap.ts'

const NO_STEPS: StepTimes = { test: 0, swap: 0, reload: 0, confirm: 0 }
const NOTHING = async () => undefined
/** How often a batch is planned, if somebody edits its files while it is tested. */
const MAX_ATTEMPTS = 3

/** One result for each change, in the same order; `cleanup` may run once the callers have them, before the next batch. */
export interface AppliedBatch {
  readonly results: readonly ChangeResult[]
  /** What the batch failed with as a whole, even if it has no changes. */
  readonly failure?: ProxyManagerError
  /** The proof of what was written, even if that is only the shared file. */
  readonly receipt?: Receipt
  readonly cleanup: () => Promise<void>
}

/** `outdated` is what is rendered again before the changes, and is not shown. */
interface DryRunOptions extends Pick<PlanOptions, 'withShared'> {
  readonly outdated?: readonly Change[]
}

/**
 * What the changes would do together, and whether NGINX would accept them, decided as for the changes themselves; nothing is changed.
 * @throws {ProxyManagerError} PROXY_CONFIG_FAILED if sites-enabled is not included; CONFIG_WRITE_FAILED
 */
export async function dryRun(
  context: ChangeContext,
  changes: readonly Change[],
  { outdated = [], ...shared }: DryRunOptions = {},
): Promise<BatchDryRun> {
  const { host, state, certificates } = context
  const { observation, planFor } = await prepare(context, changes, shared)
  const { outcomes, files } = planFor(changes)
  if (files.length === 0 || (changes.length > 0 && outcomes.every(isRefused)))
    return { outcomes, files: [], test: UNTESTED }
  assertIncluded(observation)
  const tested = [...outdated, ...changes]
  const whole = planFor(tested)
  // It spends no more tests than a batch.
  for (const change of changes) state.postponable.set(change, 'new')
  const copied = await certificates.copy(whole.certificates)
  try {
    return { outcomes, files, test: await verdictOn(changes, bisectBatch(context, observation, tested, planFor)) }
  } finally {
    await removeTemporaries(host, whole.files)
    await Promise.allSettled(copied.map((folder) => host.files.removeFolder(folder)))
  }
}

/** Runs a batch through the pipeline. Never rejects. */
export async function runBatch(
  context: ChangeContext,
  changes: readonly Change[],
  options: CommitOptions,
  prepared?: Prepared,
): Promise<AppliedBatch> {
  try {
    return await runPipeline(context, changes, options, prepared ?? (await prepare(context, changes)))
  } catch (error) {
    return allFailed(changes, asFailure(error))
  } finally {
    context.state.unconfirmed = undefined
  }
}

async function runPipeline(
  context: ChangeContext,
  changes: readonly Change[],
  options: CommitOptions,
  { observation, planFor, again }: Prepared,
  attempts = MAX_ATTEMPTS,
): Promise<AppliedBatch> {
  const found = planFor(changes)
  const isUnchanged = found.files.length === 0
  if (isUnchanged && (await isServed(observation, found)))
    return { results: resultsOf(found, unchangedReceipt(found), NO_STEPS), cleanup: NOTHING }
  // The files are as requested, but NGINX does not serve them: a new generation makes it reload.
  const newGeneration = isUnchanged ? 'always' : 'on_change'
  const whole = isUnchanged ? planFor(changes, newGeneration) : found
  const planSubset = (subset: readonly Change[]) => (subset === changes ? whole : planFor(subset, newGeneration))

  let batch = untestedBatch(changes)
  let plan = whole
  let isCommitted = false
  let applied: AppliedBatch | ProxyManagerError
  try {
    assertIncluded(observation)
    context.progress.report('testing', changes)
    batch = await bisectBatch(context, observation, changes, planSubset, options)
    if (batch.rejected.size > 0) plan = planSubset(batch.changes)
    const isEmpty = plan.files.length === 0 || (changes.length > 0 && batch.changes.length === 0)
    isCommitted = !isEmpty && batch.rejected.size === 0
    if (isEmpty) {
      applied = { results: resultsOf(plan, unchangedReceipt(plan), NO_STEPS), cleanup: NOTHING }
    } else {
      context.progress.report('installing', plan.changes)
      const { receipt, steps, cleanup } = await commitBatch(context, observation, plan, batch, options)
      applied = { results: resultsOf(plan, receipt, steps), receipt, cleanup }
    }
  } catch (error) {
    applied = asFailure(error)
  } finally {
    // Rejected changes are staged, too; a swap has already renamed or removed its temporaries.
    if (!isCommitted) await removeTemporaries(context.host, whole.files)
  }
  if (!(applied instanceof ProxyManagerError)) return withRejected(changes, batch, applied)
  if (wasEdited(applied) && attempts > 1 && context.state.degraded === undefined) {
    const replanned = await again(batch.changes)
    return withRejected(changes, batch, await runPipeline(context, batch.changes, options, replanned, attempts - 1))
  }
  const others = await retryUnaffected(context, batch.changes, plan, applied, options)
  return { ...withRejected(changes, batch, others), failure: applied }
}

/** The results of all changes, from those of the accepted ones and the errors of the rejected ones. */
function withRejected(changes: readonly Change[], batch: AcceptedBatch, accepted: AppliedBatch): AppliedBatch {
  const byChange = new Map(batch.changes.map((change, i) => [change, accepted.results[i]]))
  const resultOf = (change: Change) =>
    batch.rejected.get(change) ?? byChange.get(change) ?? new ProxyManagerError('INTERNAL')
  return { ...accepted, results: changes.map(resultOf) }
}

/** A failure belongs to the changes that write something. Refused and unchanged ones are applied again without them. */
async function retryUnaffected(
  context: ChangeContext,
  changes: readonly Change[],
  { outcomes }: BatchPlan,
  failure: ProxyManagerError,
  options: CommitOptions,
): Promise<AppliedBatch> {
  const isUnaffected = (planned?: PlannedChange) => planned?.outcome === 'refused' || planned?.outcome === 'unchanged'
  const unaffected = changes.filter((_, i) => isUnaffected(outcomes[i]))
  const isMixed = unaffected.length > 0 && unaffected.length < changes.length
  if (!isMixed || context.state.degraded !== undefined) {
    const results = outcomes.map((planned) => (planned.outcome === 'refused' ? planned.error : failure))
    return { results, cleanup: NOTHING }
  }
  const again = await runBatch(context, unaffected, options)
  const byChange = new Map(unaffected.map((change, i) => [change, again.results[i]]))
  return { results: changes.map((change) => byChange.get(change) ?? failure), cleanup: again.cleanup }
}

/** A success means that NGINX serves the route, even if no file had to change: it may have been stopped, or files edited without a reload. */
async function isServed({ nginx }: ObservedHost, { outcomes, generation }: BatchPlan): Promise<boolean> {
  if (outcomes.length > 0 && outcomes.every(isRefused)) return true
  const served = await nginx.servedGeneration()
  return served === generation || served === 'unknown'
}

/** What a batch is planned on. */
export interface Prepared {
  readonly observation: ObservedHost
  readonly planFor: (subset: readonly Change[], newGeneration?: 'on_change' | 'always') => BatchPlan
  /** Reads the host again, to plan these changes. */
  readonly again: (changes: readonly Change[]) => Promise<Prepared>
}

export async function prepare(
  context: ChangeContext,
  changes: readonly Change[],
  options: Pick<PlanOptions, 'withShared' | 'companion' | 'leaving'> = {},
): Promise<Prepared> {
  const { host, state, observe } = context
  const wanted = changes.flatMap((change): Wanted[] => {
    if (change.kind === 'certify') return [change]
    return change.kind === 'put' && change.spec.enable_ssl ? [wishOf(change.spec)] : []
  })
  const observation = await observe(wanted, options.leaving)
  const nextGeneration = generationAfter(state, observation)
  const now = new Date(host.clock.nowMs()).toISOString()
  const planFor = (subset: readonly Change[], newGeneration: 'on_change' | 'always' = 'on_change') =>
    planBatch(observation.snapshot, subset, { nextGeneration, now, newGeneration, ...options })
  return { observation, planFor, again: (subset) => prepare(context, subset, options) }
}

/** Without the include NGINX never reads a route: nothing is written that it would not serve. */
export function assertIncluded({ snapshot }: Observation): void {
  if (!snapshot.host.includesSitesEnabled) throw notIncluded(snapshot.sitesEnabled)
}

/** If NGINX was reloaded although no route changes, that receipt proves the unchanged routes. */
function resultsOf(plan: BatchPlan, receipt: Receipt, steps: StepTimes): ChangeResult[] {
  const changesRoute = plan.outcomes.some(({ outcome }) => outcome !== 'refused' && outcome !== 'unchanged')
  return plan.outcomes.map((planned) => {
    if (planned.outcome === 'refused') return planned.error
    const applied = { ...planned, routes: plan.routes }
    return planned.outcome === 'unchanged' && changesRoute
      ? { ...applied, receipt: unchangedReceipt(plan), steps: NO_STEPS }
      : { ...applied, receipt, steps }
  })
}

function unchangedReceipt(plan: BatchPlan): Receipt {
  return { generation: plan.generation, reloaded: false, proved_by: 'files_unchanged', proved_ms: 0, batch: 1 }
}

/** One more than any generation that was found or planned, so that no two attempts have the same number. */
function generationAfter(state: ChangeState, { snapshot }: Observation): number {
  const damaged = snapshot.availableImages.get(SHARED_FILE)
  const read = damaged !== undefined && 'text' in damaged ? readSharedFile(damaged.text)?.generation : undefined
  return Math.max(state.generation, snapshot.shared?.generation ?? 0, read ?? 0) + 1
}

function isRefused({ outcome }: PlannedChange): boolean {
  return outcome === 'refused'
}

/** The same failure for every change. */
export function allFailed(changes: readonly Change[], failure: ProxyManagerError): AppliedBatch {
  return { results: changes.map(() => failure), failure, cleanup: NOTHING }
}

/** What a caller is answered for an error. */
export function asFailure(error: unknown): ProxyManagerError {
  return error instanceof ProxyManagerError ? error : new ProxyManagerError('INTERNAL', { cause: error })
}

function notIncluded(sitesEnabled: string): ProxyManagerError {
  return new ProxyManagerError('PROXY_CONFIG_FAILED', {
    message: "NGINX's main configuration does not include sites-enabled",
    details: { stage: 'plan', culprit: 'host', remedy: missingInclude(sitesEnabled) },
  })
}
