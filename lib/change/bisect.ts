/** The test of a batch: when NGINX refuses it, the rejected changes are found and the others go on. */
import type { ProxyManagerError } from '../errors.ts'
import type { TestResult } from '../nginx/config-test.ts'
import type { Change } from '../plan/change.ts'
import type { BatchPlan } from '../plan/plan-batch.ts'
import type { Observation } from '../snapshot/observe.ts'
import { type ChangeContext, testedNow } from './context.ts'
import { alreadyBroken, configFailed, testCandidate } from './test-candidate.ts'

export interface AcceptedBatch {
  readonly changes: readonly Change[]
  readonly rejected: ReadonlyMap<Change, ProxyManagerError>
  /** The last test: of the acceptable changes together, or of the host without any. */
  readonly test: TestResult
}

/**
 * Finds the changes that NGINX accepts together by halving, each half tried on top of those that are known to be good:
 * one test where all are, about 2·log2(n) for each rejected one.
 * @throws {ProxyManagerError} NGINX_ALREADY_BROKEN where it refuses the host without any change; CONFIG_WRITE_FAILED
 */
export async function bisectBatch(
  { host, state, certificates, testChange }: ChangeContext,
  observation: Observation,
  changes: readonly Change[],
  plan: (changes: readonly Change[]) => BatchPlan,
): Promise<AcceptedBatch> {
  const tried = async (some: readonly Change[]): Promise<TestResult> => {
    const planned = plan(some)
    await certificates.copy(planned.certificates)
    return await testChange(observation, planned.files, planned.domains)
  }
  const whole = await tried(changes)
  if (whole.ok) return { changes, rejected: new Map(), test: whole }
  const baseline = await testCandidate(host, observation, [], new Set())
  state.lastTest = testedNow(host, baseline)
  if (!baseline.ok) throw alreadyBroken(baseline)

  const good: Change[] = []
  const rejected = new Map<Change, ProxyManagerError>()
  let test = baseline
  let isStaged = false
  const divide = async (some: readonly Change[], refused: TestResult): Promise<void> => {
    const [only] = some
    if (only !== undefined && some.length === 1) {
      rejected.set(only, configFailed(refused))
      return
    }
    const middle = Math.ceil(some.length / 2)
    for (const half of [some.slice(0, middle), some.slice(middle)]) {
      const result = await tried([...good, ...half])
      isStaged = result.ok
      if (result.ok) {
        good.push(...half)
        test = result
      } else {
        await divide(half, result)
      }
    }
  }
  await divide(changes, whole)
  // What is staged now is what the last try was about; the swap takes what it finds.
  if (good.length > 0 && !isStaged) test = await tried(good)
  if (!test.ok) throw configFailed(test)
  return { changes: good, rejected, test }
}
