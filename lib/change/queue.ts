/** Group commit: one batch at a time; what arrives meanwhile becomes the next. k concurrent changes cost one test and one reload, not k. */
import type { Clock } from '../adapters/clock.ts'
import { ProxyManagerError, stopping } from '../errors.ts'
import { type Change, dropletsOf } from '../plan/change.ts'
import type { ChangeResult } from './context.ts'
import type { AppliedBatch } from './pipeline.ts'

export interface ChangeQueue {
  /**
   * Waits for the change's turn and its result. A batch holds at most one change per droplet: a later one for the same droplet waits.
   * @throws {ProxyManagerError} BUSY if too many wait, or the engine is closed
   */
  submit(change: Change): Promise<ChangeResult>
  /**
   * Runs a job while no batch is being applied. Jobs and batches alternate: neither waits for more than one of the other.
   * @throws {ProxyManagerError} BUSY if the engine is closed; what the job throws
   */
  exclusively<T>(job: () => Promise<T>): Promise<T>
  /** Refuses everything new from now on: the process is about to exit. */
  close(): void
  /** Resolves once nothing runs and nothing waits. */
  idle(): Promise<void>
  /** Number of changes and jobs that wait. */
  readonly depth: number
}

/** More waiting changes than this are refused: at one reload per batch they would wait longer than their callers do. */
export const QUEUE_LIMIT = 2000
const RETRY_AFTER_S = 2
/** Less than a reload takes: a hanging health check delays the other changes by no more than this. */
const GATHER_MS = 100
/** Upper limit in wall-clock time: hundreds of calls at once keep this process too busy to check every millisecond. */
const GATHER_AT_MOST_MS = 500
/** More than the listener lets pass between requests while it accepts connections; half a millisecond if nothing else happens. */
const QUIET_ROUNDS = 64

export interface QueueOptions {
  readonly apply: (changes: readonly Change[]) => Promise<AppliedBatch>
  /** Whether a change that was applied has no result yet: it waits for a later batch. */
  readonly isPostponed: (change: Change) => boolean
  /** Number of calls that are about to submit a change. */
  readonly arriving: () => number
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
}

/** Makes an empty queue. `apply` gets one batch at a time. */
export function changeQueue({ apply, isPostponed, arriving, clock }: QueueOptions): ChangeQueue {
  const waiting: Waiting[] = []
  const jobs: (() => Promise<void>)[] = []
  let running: Promise<void> | undefined
  let isClosed = false
  let isPostponedsTurn = false

  const run = async (): Promise<void> => {
    let isJobsTurn = true
    while (waiting.length > 0 || jobs.length > 0) {
      const job: (() => Promise<void>) | undefined = isJobsTurn || waiting.length === 0 ? jobs.shift() : undefined
      isJobsTurn = job === undefined
      if (job !== undefined) {
        await job()
      } else if (waiting.length > 0) {
        await gatherArriving(arriving, clock)
        const batch = takeBatch(waiting, isPostponedsTurn)
        isPostponedsTurn = batch.every(({ wasPostponed }) => !wasPostponed)
        waiting.unshift(...(await applyWaiting(batch, apply, isPostponed)))
      }
    }
    running = undefined
  }
  /** Starts one turn of the event loop later, so that calls that arrived together share a batch. */
  const start = () => {
    running ??= nextRound().then(run)
  }

  return {
    close: () => {
      isClosed = true
    },
    submit: async (change) => {
      if (isClosed) throw stopping()
      if (waiting.length >= QUEUE_LIMIT) throw new ProxyManagerError('BUSY', { retryAfterS: RETRY_AFTER_S })
      return await new Promise((settle) => {
        waiting.push({ change, settle, wasPostponed: false })
        start()
      })
    },
    exclusively: async (job) => {
      if (isClosed) throw stopping()
      return await new Promise((resolve, reject) => {
        jobs.push(() => job().then(resolve, reject))
        start()
      })
    },
    idle: async () => {
      while (running !== undefined) await running
    },
    get depth() {
      return waiting.length + jobs.length
    },
  }
}

interface Waiting {
  readonly change: Change
  readonly settle: (result: ChangeResult) => void
  readonly wasPostponed: boolean
}

/**
 * Removes the first waiting change of each droplet, in their order. Postponed changes, which are first, have batches of their own: they take turns
 * with the others, so that a crowd of rejected changes keeps nobody waiting.
 */
function takeBatch(waiting: Waiting[], postponedFirst: boolean): Waiting[] {
  const isMixed = waiting.some(({ wasPostponed }) => wasPostponed)
  const postponed = isMixed ? takeKind(waiting, (next) => next.wasPostponed === postponedFirst) : []
  return postponed.length > 0 ? postponed : takeKind(waiting, () => true)
}

function takeKind(waiting: Waiting[], isWanted: (next: Waiting) => boolean): Waiting[] {
  const droplets = new Set<string>()
  const batch: Waiting[] = []
  for (let i = 0; i < waiting.length; ) {
    const next = waiting[i]
    const names = next === undefined ? [] : dropletsOf(next.change)
    const isLater = names.some((name) => droplets.has(name))
    // What waits for a rename keeps its place in front of what comes later for either name.
    for (const name of names) droplets.add(name)
    if (next !== undefined && !isLater && isWanted(next)) batch.push(...waiting.splice(i, 1))
    else i++
  }
  return batch
}

/** Applies a batch, and returns what was postponed. Whatever fails, every other caller gets an answer, and the queue continues. */
async function applyWaiting(
  batch: readonly Waiting[],
  apply: QueueOptions['apply'],
  isPostponed: QueueOptions['isPostponed'],
): Promise<readonly Waiting[]> {
  const { results, cleanup } = await apply(batch.map(({ change }) => change)).catch((cause: unknown) => ({
    results: batch.map(() => new ProxyManagerError('INTERNAL', { cause })),
    cleanup: async () => undefined,
  }))
  for (const [i, { change, settle }] of batch.entries())
    if (!isPostponed(change)) settle(results[i] ?? new ProxyManagerError('INTERNAL'))
  await cleanup().catch(() => undefined)
  return batch.filter(({ change }) => isPostponed(change)).map((next) => ({ ...next, wasPostponed: true }))
}

/** Waits briefly for calls whose upstream is being checked: each would need a reload of its own otherwise. */
async function gatherArriving(arriving: () => number, clock: QueueOptions['clock']): Promise<void> {
  const deadline = clock.monotonicMs() + GATHER_AT_MOST_MS
  for (let ms = 0; ms < GATHER_MS && clock.monotonicMs() < deadline; ms++) {
    if (await isQuiet(arriving)) return
    await clock.sleep(1)
  }
}

/** Node starts only a few of the calls that came together in one turn of the event loop, so one look is not enough. */
async function isQuiet(arriving: () => number): Promise<boolean> {
  for (let round = 0; round < QUIET_ROUNDS; round++) {
    if (arriving() > 0) return false
    await nextRound()
  }
  return true
}

function nextRound(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
