/** Group commit: one batch at a time; what arrives meanwhile becomes the next. k concurrent changes cost one test and one reload, not k. */
import type { Clock } from '../adapters/clock.ts'
import { ProxyManagerError, stopping } from '../errors.ts'
import type { Change } from '../plan/change.ts'
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
  /** Number of calls that are about to submit a change. */
  readonly arriving: () => number
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
}

/** Makes an empty queue. `apply` gets one batch at a time. */
export function changeQueue({ apply, arriving, clock }: QueueOptions): ChangeQueue {
  const waiting: Waiting[] = []
  const jobs: (() => Promise<void>)[] = []
  let running: Promise<void> | undefined
  let isClosed = false

  const run = async (): Promise<void> => {
    let isJobsTurn = true
    while (waiting.length > 0 || jobs.length > 0) {
      const job: (() => Promise<void>) | undefined = isJobsTurn || waiting.length === 0 ? jobs.shift() : undefined
      isJobsTurn = job === undefined
      if (job !== undefined) {
        await job()
      } else if (waiting.length > 0) {
        await gatherArriving(arriving, clock)
        await applyWaiting(takeBatch(waiting), apply)
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
        waiting.push({ change, settle })
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
}

/** Removes the first waiting change of each droplet, in their order. */
function takeBatch(waiting: Waiting[]): Waiting[] {
  const droplets = new Set<string>()
  const batch: Waiting[] = []
  for (let i = 0; i < waiting.length; ) {
    const next = waiting[i]
    if (next === undefined || droplets.has(next.change.dropletName)) {
      i++
      continue
    }
    droplets.add(next.change.dropletName)
    batch.push(next)
    waiting.splice(i, 1)
  }
  return batch
}

/** Applies a batch. Whatever fails, every caller gets an answer, and the queue continues. */
async function applyWaiting(batch: readonly Waiting[], apply: QueueOptions['apply']): Promise<void> {
  const { results, cleanup } = await apply(batch.map(({ change }) => change)).catch((cause: unknown) => ({
    results: batch.map(() => new ProxyManagerError('INTERNAL', { cause })),
    cleanup: async () => undefined,
  }))
  for (const [i, { settle }] of batch.entries()) settle(results[i] ?? new ProxyManagerError('INTERNAL'))
  await cleanup().catch(() => undefined)
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
