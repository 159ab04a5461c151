/** The test of a batch: if NGINX rejects it, the batch is bisected and the changes that NGINX accepts continue. */
import { UNTESTED } from '../candidate/nginx-control.ts'
import { alreadyBroken, configFailed } from '../candidate/test-candidate.ts'
import { ProxyManagerError } from '../errors.ts'
import type { TestResult } from '../nginx/config-test.ts'
import { type Change, dropletsOf } from '../plan/change.ts'
import type { BatchPlan } from '../plan/plan-batch.ts'
import { routeFileName } from '../route/file-names.ts'
import { type ChangeContext, type ChangeState, type ObservedHost, testedNow } from './context.ts'

export interface AcceptedBatch {
  readonly changes: readonly Change[]
  readonly rejected: ReadonlyMap<Change, ProxyManagerError>
  /** The last test: of all accepted changes together, or of the host without a change. */
  readonly test: TestResult
}

/** Before any test: every change counts as accepted. */
export function untestedBatch(changes: readonly Change[]): AcceptedBatch {
  return { changes, rejected: new Map(), test: UNTESTED }
}

/** Tests that a batch may need to find its rejected changes: the others that wait are not kept longer than that. */
const TEST_BUDGET = 10

/**
 * Finds the changes that NGINX accepts together: one test if all pass. If not, a change whose file NGINX names is rejected; if it names none,
 * the next few changes are tested with those that passed, half as many after a failure and twice as many after a success. What is undecided
 * when the budget is used up is postponed if it may be ({@link ChangeState.postponable}).
 * @throws {ProxyManagerError} NGINX_ALREADY_BROKEN if NGINX rejects the host without any change; CONFIG_WRITE_FAILED
 */
export async function bisectBatch(
  { host, state, certificates }: ChangeContext,
  { nginx }: ObservedHost,
  changes: readonly Change[],
  planFor: (changes: readonly Change[]) => BatchPlan,
): Promise<AcceptedBatch> {
  const test = async (subset: readonly Change[]): Promise<TestResult> => {
    const plan = planFor(subset)
    await certificates.copy(plan.certificates)
    return await nginx.testChange(plan.files, plan.domains)
  }
  // A crowd that was postponed has failed together already.
  const isPostponed = changes.length > 0 && changes.every((one) => state.postponable.get(one) === 'postponed_before')
  const whole = isPostponed ? undefined : await test(changes)
  if (whole?.ok === true) return { changes, rejected: new Map(), test: whole }
  const baseline = await nginx.testAsIs()
  state.lastTest = testedNow(host, baseline)
  if (!baseline.ok) throw alreadyBroken(baseline)
  if (changes.length === 0) throw configFailed(whole ?? baseline)

  const good: Change[] = []
  const rejected = new Map<Change, ProxyManagerError>()
  let last = baseline
  let isStaged = false
  let undecided = changes
  let size = isPostponed ? 1 : Math.ceil(changes.length / 2)
  /** Rejects one of these changes if it is the only one, or if NGINX names its file. */
  const blame = (subset: readonly Change[], failed: TestResult): void => {
    const named = subset.length === 1 ? subset[0] : subset.find((change) => isNamed(change, failed))
    if (named === undefined) size = Math.ceil(size / 2)
    else rejected.set(named, configFailed(failed))
    undecided = undecided.filter((change) => change !== named)
  }
  if (whole !== undefined) {
    const before = undecided.length
    blame(changes, whole)
    // Most often it is the only one.
    size = undecided.length < before ? undecided.length : Math.ceil(changes.length / 2)
  }
  const mayPostpone = changes.every((change) => state.postponable.has(change))
  for (let tests = 0; undecided.length > 0 && !(mayPostpone && tests >= TEST_BUDGET); tests++) {
    size = Math.min(size, undecided.length)
    const subset = undecided.slice(0, size)
    const result = await test([...good, ...subset])
    isStaged = result.ok
    if (result.ok) {
      good.push(...subset)
      last = result
      undecided = undecided.slice(size)
      size *= 2
    } else {
      blame(subset, result)
    }
  }
  for (const change of undecided) rejected.set(change, postpone(state, change))
  // The swap renames the staged files: they must be those of the accepted changes, not of the last rejected test.
  if (good.length > 0 && !isStaged) last = await test(good)
  if (!last.ok) throw configFailed(last)
  return { changes: good, rejected, test: last }
}

function postpone({ postponed }: ChangeState, change: Change): ProxyManagerError {
  postponed.add(change)
  return new ProxyManagerError('BUSY')
}

function isNamed(change: Change, { diagnostics }: TestResult): boolean {
  const names = dropletsOf(change).map(routeFileName)
  return diagnostics.some(({ level, file }) => level === 'emerg' && file !== null && names.includes(file))
}
