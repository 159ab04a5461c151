import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ChangeResult } from '../../lib/change/context.ts'
import { type ChangeQueue, changeQueue, QUEUE_LIMIT } from '../../lib/change/queue.ts'
import { ProxyManagerError } from '../../lib/errors.ts'
import type { Change } from '../../lib/plan/change.ts'
import { refusal } from '../helpers/arrange.ts'

const test = suite('queue')

const remove = (dropletName: string): Change => ({ kind: 'delete', dropletName, precondition: {} })
/** A result that names its change. */
const resultOf = (change: Change): ChangeResult =>
  new ProxyManagerError('PROXY_NOT_FOUND', { message: change.dropletName })
const namesOf = (changes: readonly Change[]) => changes.map(({ dropletName }) => dropletName).join(' ')
const labelOf = (result: ChangeResult) => (result instanceof Error ? result.message : result.outcome)

type Apply = (changes: readonly Change[]) => Promise<readonly ChangeResult[]>

/** A queue over `apply`, by default with no call about to arrive, and a clock that only sleeping moves. */
function queueOver(apply: Apply, cleanup = async () => {}, arriving = () => 0): ChangeQueue {
  let nowMs = 0
  const clock = {
    monotonicMs: () => nowMs,
    sleep: async (ms: number) => {
      nowMs += ms
    },
  }
  return changeQueue({
    apply: async (changes) => ({ results: await apply(changes), cleanup }),
    isPostponed: () => false,
    arriving,
    clock,
  })
}

interface Batch {
  readonly names: string
  readonly end: () => void
}

/** A queue whose batches run until the test ends them. */
function heldQueue() {
  const batches: Batch[] = []
  const waiting: ((batch: Batch) => void)[] = []
  const queue = queueOver(
    (changes) =>
      new Promise((resolve) => {
        const batch = { names: namesOf(changes), end: () => resolve(changes.map(resultOf)) }
        batches.push(batch)
        waiting.shift()?.(batch)
      }),
  )
  const nextBatch = () => new Promise<Batch>((resolve) => waiting.push(resolve))
  return { queue, batches, nextBatch }
}

test('calls within one turn of the event loop form one batch in order, and each gets its own result', async () => {
  const seen: string[] = []
  const queue = queueOver(async (changes) => {
    seen.push(namesOf(changes))
    return changes.map(resultOf)
  })
  const results = await Promise.all(['a', 'b', 'c'].map((name) => queue.submit(remove(name))))
  assert.equal(seen, ['a b c'])
  assert.equal(results.map(labelOf), ['a', 'b', 'c'])
})

test('one batch runs at a time; all that arrives meanwhile forms the next one', async () => {
  const { queue, batches, nextBatch } = heldQueue()
  const first = nextBatch()
  const calls = [queue.submit(remove('a'))]
  const running = await first
  calls.push(...['b', 'c', 'd'].map((name) => queue.submit(remove(name))))
  assert.is(batches.length, 1)
  assert.is(queue.depth, 3)
  const second = nextBatch()
  running.end()
  const following = await second
  assert.is(following.names, 'b c d')
  following.end()
  assert.equal((await Promise.all(calls)).map(labelOf), ['a', 'b', 'c', 'd'])
  assert.is(queue.depth, 0)
})

test('a second change of a droplet waits for the next batch; others may overtake it, but not those of the same droplet', async () => {
  const seen: string[] = []
  const queue = queueOver(async (changes) => {
    seen.push(namesOf(changes))
    return changes.map(resultOf)
  })
  await Promise.all(['a', 'a', 'b', 'a', 'c', 'b'].map((name) => queue.submit(remove(name))))
  assert.equal(seen, ['a b c', 'a b', 'a'])
})

test('jobs and batches take turns, so neither can starve the other', async () => {
  const seen: string[] = []
  const queue = queueOver(async (changes) => {
    seen.push(namesOf(changes))
    return changes.map(resultOf)
  })
  const job = (name: string) =>
    queue.exclusively(async () => {
      seen.push(name)
    })
  await Promise.all([
    ...['j1', 'j2', 'j3', 'j4'].map(job),
    ...['a', 'a', 'b', 'a'].map((name) => queue.submit(remove(name))),
  ])
  assert.equal(seen, ['j1', 'a b', 'j2', 'a', 'j3', 'a', 'j4'])
})

test('a full queue answers BUSY with Retry-After, and accepts changes again once it has drained', async () => {
  const { queue, nextBatch } = heldQueue()
  const first = nextBatch()
  const calls = [queue.submit(remove('running'))]
  const running = await first
  for (let i = 0; i < QUEUE_LIMIT; i++) calls.push(queue.submit(remove(`d${i}`)))
  const error = await refusal(
    Promise.resolve().then(() => queue.submit(remove('late'))),
    'BUSY',
  )
  assert.is(error.retryAfterS, 2)
  const second = nextBatch()
  running.end()
  const last = await second
  calls.push(queue.submit(remove('late')))
  const third = nextBatch()
  last.end()
  const late = await third
  assert.is(late.names, 'late')
  late.end()
  assert.is((await Promise.all(calls)).length, QUEUE_LIMIT + 2)
})

test('an exclusive job runs between batches, never beside one', async () => {
  const { queue, nextBatch } = heldQueue()
  const first = nextBatch()
  const call = queue.submit(remove('a'))
  const running = await first
  let ran = false
  const job = queue.exclusively(async () => {
    ran = true
    return 'done'
  })
  await Promise.resolve()
  assert.not.ok(ran)
  running.end()
  assert.is(await job, 'done')
  await call
})

test('a job that fails rejects only for its caller', async () => {
  const queue = queueOver(async (changes) => changes.map(resultOf))
  const job = queue.exclusively(async () => {
    throw new Error('no')
  })
  const call = queue.submit(remove('a'))
  await job.then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, 'no'),
  )
  assert.is(labelOf(await call), 'a')
})

test('a batch that throws answers INTERNAL to each of its callers, and the next one runs', async () => {
  let isBroken = true
  const queue = queueOver(async (changes) => {
    if (isBroken) throw new Error('unforeseen')
    return changes.map(resultOf)
  })
  const results = await Promise.all([queue.submit(remove('a')), queue.submit(remove('b'))])
  for (const result of results) assert.is(result instanceof ProxyManagerError && result.code, 'INTERNAL')
  isBroken = false
  assert.is(labelOf(await queue.submit(remove('c'))), 'c')
  await queue.idle()
})

test('callers are answered before the cleanup, and the next batch starts after it', async () => {
  const order: string[] = []
  const queue = queueOver(
    async (changes) => {
      order.push(`apply ${namesOf(changes)}`)
      return changes.map(resultOf)
    },
    async () => {
      order.push('cleanup')
    },
  )
  const second = queue.submit(remove('a')).then(async () => {
    order.push('answer')
    return await queue.submit(remove('b'))
  })
  await second
  await queue.idle()
  assert.equal([...order].sort(), ['answer', 'apply a', 'apply b', 'cleanup', 'cleanup'])
  assert.ok(order.indexOf('cleanup') < order.indexOf('apply b'))
})

test('a failed cleanup fails no change, and the next batch runs', async () => {
  const queue = queueOver(
    async (changes) => changes.map(resultOf),
    async () => {
      throw new Error('no space left')
    },
  )
  assert.is(labelOf(await queue.submit(remove('a'))), 'a')
  assert.is(labelOf(await queue.submit(remove('b'))), 'b')
  await queue.idle()
})

test('a batch waits for calls that are about to arrive, and includes them', async () => {
  const seen: string[] = []
  let arriving = 1
  const queue: ChangeQueue = queueOver(
    async (changes) => {
      seen.push(namesOf(changes))
      return changes.map(resultOf)
    },
    undefined,
    () => {
      if (seen.length === 0 && arriving === 1 && queue.depth === 1) void queue.submit(remove('b'))
      if (queue.depth === 2) arriving = 0
      return arriving
    },
  )
  await queue.submit(remove('a'))
  await queue.idle()
  assert.equal(seen, ['a b'])
})

test('a batch includes calls that begin a few turns of the event loop later', async () => {
  const seen: string[] = []
  const queue = queueOver(async (changes) => {
    seen.push(namesOf(changes))
    return changes.map(resultOf)
  })
  const rounds = async (count: number) => {
    for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
  }
  const later = async (name: string, after: number) => {
    await rounds(after)
    return await queue.submit(remove(name))
  }
  await Promise.all([later('a', 0), later('b', 30), later('c', 60)])
  assert.equal(seen, ['a b c'])
})

/** How long a batch waits for a call that never arrives, if the process is busy for this many milliseconds at each check. */
async function waitForNobody(busyMs: number): Promise<number> {
  let waitedMs = 0
  const clock = {
    monotonicMs: () => waitedMs,
    sleep: async (ms: number) => {
      waitedMs += ms + busyMs
    },
  }
  const apply = async (changes: readonly Change[]) => ({ results: changes.map(resultOf), cleanup: async () => {} })
  const queue = changeQueue({ apply, isPostponed: () => false, arriving: () => 1, clock })
  assert.is(labelOf(await queue.submit(remove('a'))), 'a')
  return waitedMs
}

test('a call that never arrives delays a batch by at most 100 ms', async () => {
  assert.is(await waitForNobody(0), 100)
})

test('time in which the process was too busy to check does not count, up to 500 ms', async () => {
  assert.is(await waitForNobody(2), 300)
  assert.is(await waitForNobody(24), 500)
})

test('a batch with fewer results than changes still answers every caller', async () => {
  const queue = queueOver(async (changes) => changes.slice(1).map(resultOf))
  const [first, second] = await Promise.all([queue.submit(remove('a')), queue.submit(remove('b'))])
  assert.is(labelOf(first), 'b')
  assert.is(second instanceof ProxyManagerError && second.code, 'INTERNAL')
})

test('idle() resolves once nothing runs and nothing waits', async () => {
  const { queue, nextBatch } = heldQueue()
  await queue.idle()
  const first = nextBatch()
  const call = queue.submit(remove('a'))
  const running = await first
  let isIdle = false
  const idle = queue.idle().then(() => {
    isIdle = true
  })
  await Promise.resolve()
  assert.not.ok(isIdle)
  running.end()
  await idle
  await call
  assert.is(queue.depth, 0)
})

test('a closed queue finishes what it has, and accepts nothing more', async () => {
  const { queue, nextBatch } = heldQueue()
  const started = nextBatch()
  const first = queue.submit(remove('a'))
  const batch = await started
  const second = queue.submit(remove('b'))
  queue.close()
  await refusal(queue.submit(remove('c')), 'BUSY')
  await refusal(
    queue.exclusively(async () => undefined),
    'BUSY',
  )
  const last = nextBatch()
  batch.end()
  ;(await last).end()
  assert.equal([labelOf(await first), labelOf(await second)], ['a', 'b'])
})

test('postponed changes take turns with the others, and a droplet never loses its order', async () => {
  const batches: string[][] = []
  const postponed = new Set<Change>()
  const tries = new Map<Change, number>()
  const queue = changeQueue({
    apply: async (changes) => {
      batches.push(changes.map(({ dropletName }) => dropletName))
      for (const change of changes) {
        tries.set(change, (tries.get(change) ?? 0) + 1)
        if (change.dropletName.startsWith('slow') && tries.get(change) === 1) postponed.add(change)
        else postponed.delete(change)
      }
      return { results: changes.map(() => new ProxyManagerError('INTERNAL')), cleanup: async () => undefined }
    },
    isPostponed: (change) => postponed.has(change),
    arriving: () => 0,
    clock: { monotonicMs: () => 0, sleep: async () => undefined },
  })
  const remove = (dropletName: string): Change => ({ kind: 'delete', dropletName, precondition: {} })
  const first = ['slow-1', 'slow-2', 'quick-1'].map((name) => queue.submit(remove(name)))
  const later = ['slow-1', 'quick-2'].map((name) => queue.submit(remove(name)))
  await Promise.all([...first, ...later])
  assert.equal(batches, [['slow-1', 'slow-2', 'quick-1', 'quick-2'], ['slow-1', 'slow-2'], ['slow-1'], ['slow-1']])
})

test('a rename waits for earlier changes of either name, and later ones of both wait for it', async () => {
  const seen: string[] = []
  const queue = queueOver(async (changes) => {
    seen.push(namesOf(changes))
    return changes.map(resultOf)
  })
  const rename = (dropletName: string, newName: string): Change => ({
    kind: 'rename',
    dropletName,
    newName,
    precondition: {},
  })
  const changes = [remove('b'), rename('a', 'b'), remove('a'), remove('b'), remove('c')]
  await Promise.all(changes.map((change) => queue.submit(change)))
  assert.equal(seen, ['b c', 'a', 'a b'])
})

test.run()
