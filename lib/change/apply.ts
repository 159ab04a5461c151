/**
 * The change pipeline: observe, plan, stage, test, journal, swap, reload, confirm, settle; or roll back.
 * Until the swap nothing live is touched; from the journal on, a stop at any instant is finished or undone by `recover`.
 */
import { ProxyManagerError } from '../errors.ts'
import { missingInclude } from '../nginx/config/host-config.ts'
import type { TestResult } from '../nginx/config-test.ts'
import type { Change } from '../plan/change.ts'
import { type BatchPlan, planBatch } from '../plan/plan-batch.ts'
import type { Verdict } from '../plan/plan-change.ts'
import { readSharedFile } from '../render/shared-file.ts'
import { SHARED_FILE } from '../route/file-names.ts'
import type { Observation } from '../snapshot/observe.ts'
import { type AcceptedBatch, bisectBatch } from './bisect.ts'
import { commitBatch, type WhenStopped } from './commit.ts'
import type { BatchDryRun, ChangeContext, ChangeResult, ChangeState, Receipt, StepTimes } from './context.ts'
import { removeTemporaries } from './swap.ts'

const NO_STEPS: StepTimes = { test: 0, swap: 0, reload: 0, confirm: 0 }
const NOTHING = async () => undefined
const UNTESTED: TestResult = { ok: true, ended: true, output: '', diagnostics: [], durationMs: 0 }

/** One result for each change, in their order; `tidy` may happen once the callers have them, before the next batch. */
export interface AppliedBatch {
  readonly results: readonly ChangeResult[]
  readonly tidy: () => Promise<void>
}

/** Applies a batch. Never rejects. */
export async function applyBatch(
  context: ChangeContext,
  changes: readonly Change[],
  whenStopped: WhenStopped = 'refuse',
): Promise<AppliedBatch> {
  try {
    return await walkBatch(context, changes, whenStopped)
  } catch (error) {
    const failure = asFailure(error)
    return { results: changes.map(() => failure), tidy: NOTHING }
  } finally {
    context.state.unconfirmed = undefined
  }
}

/**
 * What changes would do together, with NGINX's verdict, and nothing changed. One verdict for each, in their order.
 */
export async function dryRun(context: ChangeContext, changes: readonly Change[]): Promise<BatchDryRun> {
  const { observation, plan } = await prepare(context, changes)
  const { verdicts, files, certificates, domains } = plan(changes)
  if (files.length === 0 || verdicts.every(({ outcome }) => outcome === 'refused'))
    return { verdicts, files: [], test: UNTESTED }
  refuseWithoutInclude(observation)
  const copied = await context.certificates.copy(certificates)
  try {
    const test = observation.isBare ? UNTESTED : await context.testChange(observation, files, domains)
    return { verdicts, files, test }
  } finally {
    await removeTemporaries(context.host, files)
    await Promise.allSettled(copied.map((folder) => context.host.files.remove(folder)))
  }
}

async function walkBatch(
  context: ChangeContext,
  changes: readonly Change[],
  whenStopped: WhenStopped,
): Promise<AppliedBatch> {
  const { observation, plan } = await prepare(context, changes)
  const settled = plan(changes)
  const isSettled = settled.files.length === 0
  if (isSettled && (await isServed(context, observation, settled))) {
    return { results: resultsOf(settled, unchangedReceipt(settled), NO_STEPS), tidy: NOTHING }
  }
  // What is on disk is as wanted, and NGINX does not serve it: it gets another generation to read.
  const whole = isSettled ? plan(changes, true) : settled
  const planned = (some: readonly Change[]) => (some === changes ? whole : plan(some, isSettled))

  let acceptable: AcceptedBatch = { changes, rejected: new Map(), test: UNTESTED }
  let accepted = whole
  let staysStaged = false
  let applied: AppliedBatch | ProxyManagerError
  try {
    refuseWithoutInclude(observation)
    if (!observation.isBare) acceptable = await bisectBatch(context, observation, changes, planned)
    if (acceptable.rejected.size > 0) accepted = planned(acceptable.changes)
    const isEmpty = accepted.files.length === 0 || acceptable.changes.length === 0
    staysStaged = !isEmpty && acceptable.rejected.size === 0
    const { receipt, steps, tidy } = isEmpty
      ? { receipt: unchangedReceipt(accepted), steps: NO_STEPS, tidy: NOTHING }
      : await commitBatch(context, observation, accepted, acceptable.test, whenStopped)
    applied = { results: resultsOf(accepted, receipt, steps, isSettled), tidy }
  } catch (error) {
    applied = asFailure(error)
  } finally {
    // What was refused is staged, too; a swap has taken its own away.
    if (!staysStaged) await removeTemporaries(context.host, whole.files)
  }
  const { results, tidy } =
    applied instanceof ProxyManagerError
      ? await withoutTheFailed(context, acceptable.changes, accepted, applied, whenStopped)
      : applied
  const byChange = new Map(acceptable.changes.map((change, i) => [change, results[i]]))
  const ofChange = (change: Change) =>
    acceptable.rejected.get(change) ?? byChange.get(change) ?? new ProxyManagerError('INTERNAL')
  return { results: changes.map(ofChange), tidy }
}

/** A failure is that of the changes that were to be made. What was refused, or is so already, is looked at again without them. */
async function withoutTheFailed(
  context: ChangeContext,
  changes: readonly Change[],
  { verdicts }: BatchPlan,
  failure: ProxyManagerError,
  whenStopped: WhenStopped,
): Promise<AppliedBatch> {
  const results = verdicts.map((verdict) => (verdict.outcome === 'refused' ? verdict.error : failure))
  const isBystander = (verdict?: Verdict) => verdict?.outcome === 'refused' || verdict?.outcome === 'unchanged'
  const bystanders = changes.filter((_, i) => isBystander(verdicts[i]))
  const isOneKind = bystanders.length === 0 || bystanders.length === changes.length
  if (isOneKind || context.state.degraded !== undefined) return { results, tidy: NOTHING }
  const again = await applyBatch(context, bystanders, whenStopped)
  const byChange = new Map(bystanders.map((change, i) => [change, again.results[i]]))
  return { results: changes.map((change) => byChange.get(change) ?? failure), tidy: again.tidy }
}

/** A 200 says that it is served, also where nothing had to change: somebody may have stopped NGINX, or edited without a reload. */
async function isServed(
  context: ChangeContext,
  observation: Observation,
  { verdicts, generation }: BatchPlan,
): Promise<boolean> {
  if (observation.isBare || verdicts.every(({ outcome }) => outcome === 'refused')) return true
  return (await context.reloaderFor(observation).servedGeneration()) === generation
}

async function prepare({ host, state, observe }: ChangeContext, changes: readonly Change[]) {
  const domains = changes.flatMap((change) => {
    if (change.kind === 'certify') return [change.domain]
    return change.kind === 'put' && change.spec.enable_ssl ? [change.spec.domain] : []
  })
  const observation = await observe(domains)
  const generation = nextGeneration(state, observation)
  const now = new Date(host.clock.nowMs()).toISOString()
  const plan = (some: readonly Change[], isForced = false) =>
    planBatch(observation.snapshot, some, generation, now, isForced)
  return { observation, plan }
}

/** Without the include NGINX never sees a route: nothing is written that could not be served. */
function refuseWithoutInclude({ snapshot, isBare }: Observation): void {
  if (!isBare && !snapshot.host.includesSitesEnabled) throw notIncluded(snapshot.sitesEnabled)
}

/** Where NGINX was made to read what was there already, the receipt of that is the proof of the unchanged routes too. */
function resultsOf(plan: BatchPlan, receipt: Receipt, steps: StepTimes, isForced = false): ChangeResult[] {
  return plan.verdicts.map((verdict) => {
    if (verdict.outcome === 'refused') return verdict.error
    return verdict.outcome === 'unchanged' && !isForced
      ? { ...verdict, receipt: unchangedReceipt(plan), steps: NO_STEPS }
      : { ...verdict, receipt, steps }
  })
}

function unchangedReceipt(plan: BatchPlan): Receipt {
  return { generation: plan.generation, reloaded: false, proved_by: 'files_unchanged', proved_ms: 0, batch: 1 }
}

/** One more than any generation that was seen or planned, so that no two attempts look alike. */
function nextGeneration(state: ChangeState, { snapshot }: Observation): number {
  const damaged = snapshot.availableImages.get(SHARED_FILE)
  const read = damaged !== undefined && 'text' in damaged ? readSharedFile(damaged.text)?.generation : undefined
  return Math.max(state.generation, snapshot.shared?.generation ?? 0, read ?? 0) + 1
}

function asFailure(error: unknown): ProxyManagerError {
  return error instanceof ProxyManagerError ? error : new ProxyManagerError('INTERNAL', { cause: error })
}

/** NGINX would never see a route. */
export function notIncluded(sitesEnabled: string): ProxyManagerError {
  return new ProxyManagerError('PROXY_CONFIG_FAILED', {
    message: "NGINX's main configuration does not include sites-enabled",
    details: { stage: 'plan', culprit: 'host', remedy: missingInclude(sitesEnabled) },
  })
}
