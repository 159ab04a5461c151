import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { limiter } from '../../../lib/adapters/disk/limiter.ts'

const test = suite('limiter')

test('no more jobs than allowed run at once; all of them run, in their order, failed ones too', async () => {
  const limited = limiter(3)
  const started: number[] = []
  let [running, most] = [0, 0]
  const jobs = Array.from({ length: 20 }, (_, i) =>
    limited(async () => {
      started.push(i)
      most = Math.max(most, ++running)
      await new Promise((resolve) => setImmediate(resolve))
      running--
      if (i % 4 === 0) throw new Error('failed')
      return i
    }),
  )
  const results = await Promise.allSettled(jobs)
  assert.is(most, 3)
  assert.equal(started, [...Array(20).keys()])
  assert.is(results.filter(({ status }) => status === 'rejected').length, 5)
})

test.run()
