/** Group commit: one batch at a time, and what arrives meanwhile becomes the next. k concurrent changes cost one test and one reload, not k. */
import { ProxyManagerError } from '../core/errors.ts'
import type { Change } from '../core/plan.ts'
import type { ChangeResult } from './apply.ts'

export interface ChangeQueue {
  /**
   * Waits for the change's turn and its result. A batch holds at most one change per droplet: a later one for the same droplet waits.
   * @throws {ProxyManagerError} BUSY when too many wait
   */
  submit(change: Change): Promise<ChangeResult>
  /** Runs something while no batch is being applied. */
  exclusively<T>(job: () => Promise<T>): Promise<T>
  /** Resolves once nothing runs and nothing waits. */
  idle(): Promise<void>
  /** Changes and jobs that wait. */
  readonly depth: number
}

interface Waiting {
  readonly change: Change
  readonly settle: (result: ChangeResult) => void
}

/** More waiting changes than this are refused: at a reload a batch, they would wait for longer than their callers do. */
export const QUEUE_LIMIT = 2000
const RETRY_AFTER_S = 2

export function changeQueue(apply: (changes: readonly Change[]) => Promise<ChangeResult[]>): ChangeQueue {
  const waiting: Waiting[] = []
  const jobs: (() => Promise<void>)[] = []
  let running: Promise<void> | undefined

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

  const run = async (): Promise<void> => {
    while (waiting.length > 0 || jobs.length > 0) {
      const job = jobs.shift()
      if (job !== undefined) {
        await job()
        continue
      }
      const batch = takeBatch()
      const results = await apply(batch.map(({ change }) => change))
      for (const [i, { settle }] of batch.entries()) settle(results[i] ?? new ProxyManagerError('INTERNAL'))
    }
    running = undefined
  }

  /** One turn of the event loop later, so that calls that arrived together start together. */
  const start = () => {
    running ??= new Promise((resolve, reject) => setImmediate(() => run().then(resolve, reject)))
  }

  return {
    submit: (change) => {
      if (waiting.length >= QUEUE_LIMIT) throw new ProxyManagerError('BUSY', { retryAfterS: RETRY_AFTER_S })
      return new Promise((settle) => {
        waiting.push({ change, settle })
        start()
      })
    },
    exclusively: (job) =>
      new Promise((resolve, reject) => {
        jobs.push(() => job().then(resolve, reject))
        start()
      }),
    idle: async () => {
      while (running !== undefined) await running
    },
    get depth() {
      return waiting.length + jobs.length
    },
  }
}
