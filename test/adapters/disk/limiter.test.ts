import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Limiter, limiter } from '../../../lib/adapters/disk/limiter.ts'

const test = suite('limiter')

/** Jobs that end one turn of the event loop after their start, or fail; records what ran. */
function recorder() {
  const seen = { started: [] as number[], running: 0, most: 0 }
  const job = (i: number) => async () => {
    seen.started.push(i)
    seen.most = Math.max(seen.most, ++seen.running)
    await new Promise((resolve) => setImmediate(resolve))
    seen.running--
    if (i % 4 === 0) throw new Error('failed')
    return i
  }
  return { seen, job }
}

for (const kind of ['quick', 'slow'] as const) {
  test(`no more ${kind} jobs than allowed run at once; all of them run, in their order, failed ones too`, async () => {
    const { seen, job } = recorder()
    const limited = limiter(kind === 'quick' ? 3 : 9, 3)
    const results = await Promise.allSettled([...Array(20).keys()].map((i) => limited[kind](job(i))))
    assert.is(seen.most, 3)
    assert.equal(seen.started, [...Array(20).keys()])
    assert.is(results.filter(({ status }) => status === 'rejected').length, 5)
  })
}

/** Starts so many jobs that do not end. */
function occupy(limited: Limiter, count: number): void {
  for (let i = 0; i < count; i++) void limited.slow(() => new Promise(() => undefined))
}

test('however many slow jobs hang, quick ones run, within the same number of places', async () => {
  const { seen, job } = recorder()
  const limited = limiter(5, 3)
  occupy(limited, 100)
  await Promise.allSettled([...Array(10).keys()].map((i) => limited.quick(job(i))))
  assert.is(seen.started.length, 10)
  assert.is(seen.most, 2)
})

test('a slow job that waits for a place is overtaken by quick ones', async () => {
  const { seen, job } = recorder()
  const limited = limiter(1, 1)
  await Promise.all([limited.quick(job(1)), limited.slow(job(2)), limited.quick(job(3))])
  assert.equal(seen.started, [1, 3, 2])
})

test.run()
