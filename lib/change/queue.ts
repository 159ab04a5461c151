/** Group commit: one batch at a time, and what arrives meanwhile becomes the next. k concurrent changes cost one test and one reload, not k. */
import type { Clock } from '../adapters/clock.ts'
import { ProxyManagerError, stopping } from '../errors.ts'
import type { Change } from '../plan/change.ts'
import type { AppliedBatch } from './apply.ts'
import type { ChangeResult } from './context.ts'

export interface ChangeQueue {
  /**
   * Waits for the change's turn and its result. A batch holds at most one change per droplet: a later one for the same droplet waits.
   * @throws {ProxyManagerError} BUSY when too many wait
   */
  submit(change: Change): Promise<ChangeResult>
  /** Runs a job while no batch is being applied. Jobs and batches alternate: neither waits for more than one of the other. */
  exclusively<T>(job: () => Promise<T>): Promise<T>
  /** From now on nothing new is accepted: the process is about to end. */
  close(): void
  /** Resolves once nothing runs and nothing waits. */
  idle(): Promise<void>
  /** Changes and jobs that wait. */
  readonly depth: number
}

interface Waiting {
  readonly change: Change
  readonly settle: (result: ChangeResult) => void
}

/** More waiting changes than this are refused: with one reload a batch, they would wait for longer than their callers do. */
export const QUEUE_LIMIT = 2000
const RETRY_AFTER_S = 2
/** Less than a reload takes. A health check that hangs holds the others up for no longer than this. */
const GATHER_MS = 100
/** Time in which this process was too busy to check does not count, up to this: hundreds of calls at once keep it busy. */
const GATHER_AT_MOST_MS = 500
/** More than the listener lets pass between requests while it accepts connections; half a millisecond if nothing else happens. */
const QUIET_ROUNDS = 64

export interface QueueOptions {
  readonly apply: (changes: readonly Change[]) => Promise<AppliedBatch>
  /** How many calls will submit a change in a moment. */
  readonly arriving: () => number
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
}

export function changeQueue(options: QueueOptions): ChangeQueue {
  const { apply, arriving, clock } = options
  const waiting: Waiting[] = []
  const jobs: (() => Promise<void>)[] = []
  let running: Promise<void> | undefined
  let isClosed = false

  const takeBatch = (): Waiting[] => {
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

  /** Calls whose upstream is being checked right now will need a reload, too: a moment's wait for them saves one. */
  const gather = async (): Promise<void> => {
    const deadline = clock.monotonicMs() + GATHER_AT_MOST_MS
    for (let ms = 0; ms < GATHER_MS && clock.monotonicMs() < deadline; ms++) {
      if (await isQuiet()) return
      await clock.sleep(1)
    }
  }
  /** Calls that came together begin a few in a round of the event loop: that none is on its way now does not mean that there are no more. */
  const isQuiet = async (): Promise<boolean> => {
    for (let round = 0; round < QUIET_ROUNDS; round++) {
      if (arriving() > 0) return false
      await nextRound()
    }
    return true
  }

  const run = async (): Promise<void> => {
    let isJobsTurn = true
    while (waiting.length > 0 || jobs.length > 0) {
      const job = isJobsTurn || waiting.length === 0 ? jobs.shift() : undefined
      if (job !== undefined) {
        await job()
        isJobsTurn = false
        continue
      }
      isJobsTurn = true
      if (waiting.length === 0) continue
      await gather()
      const batch = takeBatch()
      // Whatever breaks, every caller gets an answer and the next batch its turn.
      const { results, cleanup } = await apply(batch.map(({ change }) => change)).catch((cause: unknown) => ({
        results: batch.map(() => new ProxyManagerError('INTERNAL', { cause })),
        cleanup: async () => undefined,
      }))
      for (const [i, { settle }] of batch.entries()) settle(results[i] ?? new ProxyManagerError('INTERNAL'))
      await cleanup().catch(() => undefined)
    }
    running = undefined
  }

  /** One turn of the event loop later, so that calls that arrived together start together. */
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

function nextRound(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
