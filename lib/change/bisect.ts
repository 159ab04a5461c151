/** The test of a batch: if NGINX rejects it, the batch is bisected and the changes that NGINX accepts continue. */
import { basename } from 'node:path'
import { UNTESTED } from '../candidate/nginx-control.ts'
import { alreadyBroken, configFailed } from '../candidate/test-candidate.ts'
import { ProxyManagerError } from '../errors.ts'
import type { TestResult } from '../nginx/config-test.ts'
import { type Change, dropletsOf } from '../plan/change.ts'
import type { BatchPlan } from '../plan/plan-batch.ts'
import { routeFileName, SHARED_FILE } from '../route/droplet-name.ts'
import type { CommitOptions } from './commit.ts'
import { type BatchDryRun, type ChangeContext, type ChangeState, type ObservedHost, testedNow } from './context.ts'

export interface AcceptedBatch {
  readonly changes: readonly Change[]
  readonly rejected: ReadonlyMap<Change, ProxyManagerError>
  /** The last test: of all accepted changes together, or of the host without a change. */
  readonly test: TestResult
  /** False if NGINX rejects files of ours besides these changes: it cannot be reloaded then. */
  readonly isServable: boolean
}

/** Before any test: every change counts as accepted. */
export function untestedBatch(changes: readonly Change[]): AcceptedBatch {
  return { changes, rejected: new Map(), test: UNTESTED, isServable: true }
}

/** Tests that a batch may need to find its rejected changes: the others that wait are not kept longer than that. */
const TEST_BUDGET = 10

type PlanFor = (changes: readonly Change[]) => BatchPlan
/** Tests some of the changes together, without the enabled files of these names. */
type TestOf = (subset: readonly Change[], leftOut?: ReadonlySet<string>) => Promise<TestResult>

/**
 * Finds the changes that NGINX accepts together: one test if all pass; see {@link search} if not.
 * @throws {ProxyManagerError} NGINX_ALREADY_BROKEN if NGINX rejects the host without any change, and none of them is a remedy; CONFIG_WRITE_FAILED
 */
export async function bisectBatch(
  context: ChangeContext,
  observation: ObservedHost,
  changes: readonly Change[],
  planFor: PlanFor,
  { isIndivisible = false }: Pick<CommitOptions, 'isIndivisible'> = {},
): Promise<AcceptedBatch> {
  const { host, state, certificates } = context
  const { nginx } = observation
  const test: TestOf = async (subset, leftOut) => {
    const plan = planFor(subset)
    await certificates.copy(plan.certificates)
    return await nginx.testChange(plan.files, plan.domains, leftOut)
  }
  // A crowd that was postponed has failed together already.
  const isPostponed = changes.length > 0 && changes.every((one) => state.postponable.get(one) === 'postponed_before')
  const whole = isPostponed ? undefined : await test(changes)
  if (whole?.ok === true) return { changes, rejected: new Map(), test: whole, isServable: true }
  const baseline = await nginx.testAsIs()
  state.lastTest = testedNow(host, baseline)
  if (isIndivisible) throw baseline.ok ? configFailed(whole ?? baseline) : alreadyBroken(baseline)
  if (!baseline.ok) return await bisectBroken(state, observation, changes, { planFor, test, baseline })
  if (changes.length === 0) throw configFailed(whole ?? baseline)

  const { good, rejected, staged } = await search(state, changes, test, whole ?? 1)
  // The swap renames the staged files: they must be those of the accepted changes, not of the last rejected test.
  const last = good.length === 0 ? baseline : (staged ?? (await test(good)))
  if (!last.ok) throw configFailed(last)
  return { changes: good, rejected, test: last, isServable: true }
}

/** What NGINX says about these of the changes: its message, if it rejects one of them. */
export async function verdictOn(
  changes: readonly Change[],
  bisecting: Promise<AcceptedBatch>,
): Promise<BatchDryRun['test']> {
  try {
    const { rejected, test } = await bisecting
    const error = changes.map((change) => rejected.get(change)).find((one) => one !== undefined)
    if (error === undefined) return test
    throw error
  } catch (error) {
    const output = error instanceof ProxyManagerError ? error.details.nginx_output : undefined
    if (typeof output !== 'string') throw error
    return { ok: false, output }
  }
}

/**
 * The same while NGINX rejects the host without any change. If that is because of routes' files, each change is tested without those of all other
 * domains. What is rejected besides, and stays, prevents every reload: then only files that fit their host again, and deletions of rejected files are
 * written, so that several of them can be removed one after another.
 */
async function bisectBroken(
  state: ChangeState,
  { nginx, snapshot }: ObservedHost,
  changes: readonly Change[],
  { planFor, test, baseline }: { readonly planFor: PlanFor; readonly test: TestOf; readonly baseline: TestResult },
): Promise<AcceptedBatch> {
  const withoutOthers = (kept: readonly Change[]): ReadonlySet<string> => {
    const own = [...snapshot.unmanagedFiles, ...kept.map(({ dropletName }) => dropletName)]
    const stay = new Set([SHARED_FILE, ...[...own, ...siteMates(snapshot.routes, kept)].map(routeFileName)])
    return new Set([...snapshot.enabledImages.keys()].filter((name) => !stay.has(name)))
  }
  const shared = planFor(changes).files.filter(({ path }) => basename(path) === SHARED_FILE)
  const testUnchanged = (kept: readonly Change[]) => nginx.testChange(shared, new Set(), withoutOthers(kept))
  if (changes.length === 0 || !(await testUnchanged([])).ok) throw alreadyBroken(baseline)

  const testAlone = (subset: readonly Change[]) => test(subset, withoutOthers(subset))
  const { good, rejected } = await search(state, changes, testAlone, changes.length)
  const live = good.length === 0 ? baseline : await test(good)
  if (live.ok) return { changes: good, rejected, test: live, isServable: true }
  const remedies: Change[] = []
  for (const change of good) {
    const isRemedy = change.kind === 'rerender' || (change.kind === 'delete' && !(await testUnchanged([change])).ok)
    if (isRemedy) remedies.push(change)
    else rejected.set(change, alreadyBroken(live))
  }
  const isRerender = changes.every(({ kind }) => kind === 'rerender')
  if (remedies.length === 0 && !isRerender) throw alreadyBroken(live)
  const last = remedies.length === 0 ? live : await testAlone(remedies)
  return { changes: remedies, rejected, test: last, isServable: false }
}

/** The other routes of the domains that changes touch: their files name one another's upstreams. */
function siteMates(routes: ObservedHost['snapshot']['routes'], changes: readonly Change[]): readonly string[] {
  const domains = new Set(
    changes
      .flatMap((change) => [
        routes.get(change.dropletName)?.record.domain ?? [],
        change.kind === 'put' ? change.spec.domain : [],
      ])
      .flat(),
  )
  return [...routes].flatMap(([name, { record }]) => (domains.has(record.domain) ? [name] : []))
}

/**
 * Finds the changes that pass together. A change whose file NGINX names is rejected; the next few changes are tested with those that passed, half as
 * many after a failure and twice as many after a success. `first` is the failed test of all of them, or how many to begin with.
 * What is undecided when the budget is used up is postponed if it may be ({@link ChangeState.postponable}); files to be rendered again stay as they
 * are until they are looked at again. `staged` is the last test if it was of the accepted changes.
 */
async function search(
  state: ChangeState,
  changes: readonly Change[],
  test: TestOf,
  first: TestResult | number,
): Promise<{ good: Change[]; rejected: Map<Change, ProxyManagerError>; staged: TestResult | undefined }> {
  const good: Change[] = []
  const rejected = new Map<Change, ProxyManagerError>()
  let staged: TestResult | undefined
  let lastFailed: TestResult | undefined
  let undecided = changes
  let size = typeof first === 'number' ? first : Math.ceil(changes.length / 2)
  /** Rejects one of these changes if it is the only one, or if NGINX names its file. */
  const blame = (subset: readonly Change[], failed: TestResult): void => {
    lastFailed = failed
    const named = subset.length === 1 ? subset[0] : subset.find((change) => isNamed(change, failed))
    if (named !== undefined) rejected.set(named, configFailed(failed))
    size = Math.ceil(size / 2)
    undecided = undecided.filter((change) => change !== named)
  }
  if (typeof first !== 'number') {
    blame(changes, first)
    // Most often it is the only one.
    size = undecided.length < changes.length ? undecided.length : Math.ceil(changes.length / 2)
  }
  const hasBudget = changes.every((change) => change.kind === 'rerender' || state.postponable.has(change))
  for (let tests = 0; undecided.length > 0 && !(hasBudget && tests >= TEST_BUDGET); tests++) {
    size = Math.min(size, undecided.length)
    const subset = undecided.slice(0, size)
    const result = await test([...good, ...subset])
    staged = result.ok ? result : undefined
    if (result.ok) {
      good.push(...subset)
      undecided = undecided.slice(size)
      size *= 2
    } else {
      blame(subset, result)
    }
  }
  const failed = lastFailed && configFailed(lastFailed)
  for (const change of undecided) {
    state.postponed.add(change)
    const isFinal = failed !== undefined && change.kind === 'rerender'
    rejected.set(change, isFinal ? failed : new ProxyManagerError('BUSY', { details: failed?.details ?? {} }))
  }
  return { good, rejected, staged }
}

function isNamed(change: Change, { diagnostics }: TestResult): boolean {
  const names = dropletsOf(change).map(routeFileName)
  return diagnostics.some(({ level, file }) => level === 'emerg' && file !== null && names.includes(file))
}
