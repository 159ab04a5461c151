/** The test of a batch: if NGINX rejects it, the batch is bisected and the changes that NGINX accepts continue. */
import { UNTESTED } from '../candidate/nginx-control.ts'
import { alreadyBroken, configFailed } from '../candidate/test-candidate.ts'
import type { ProxyManagerError } from '../errors.ts'
import type { TestResult } from '../nginx/config-test.ts'
import type { Change } from '../plan/change.ts'
import type { BatchPlan } from '../plan/plan-batch.ts'
import { type ChangeContext, type ObservedHost, testedNow } from './context.ts'

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

/**
 * Finds the changes that NGINX accepts together; each half is tested with the changes that passed before it:
 * one test if all pass, about 2·log2(n) for each rejected one.
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
  const whole = await test(changes)
  if (whole.ok) return { changes, rejected: new Map(), test: whole }
  const baseline = await nginx.testAsIs()
  state.lastTest = testedNow(host, baseline)
  if (!baseline.ok) throw alreadyBroken(baseline)
  if (changes.length === 0) throw configFailed(whole)

  const good: Change[] = []
  const rejected = new Map<Change, ProxyManagerError>()
  let last = baseline
  let isStaged = false
  const divide = async (subset: readonly Change[], failed: TestResult): Promise<void> => {
    const [only] = subset
    if (only !== undefined && subset.length === 1) {
      rejected.set(only, configFailed(failed))
      return
    }
    const middle = Math.ceil(subset.length / 2)
    for (const half of [subset.slice(0, middle), subset.slice(middle)]) {
      const result = await test([...good, ...half])
      isStaged = result.ok
      if (result.ok) {
        good.push(...half)
        last = result
      } else {
        await divide(half, result)
      }
    }
  }
  await divide(changes, whole)
  // The swap renames the staged files: they must be those of the accepted changes, not of the last rejected test.
  if (good.length > 0 && !isStaged) last = await test(good)
  if (!last.ok) throw configFailed(last)
  return { changes: good, rejected, test: last }
}
