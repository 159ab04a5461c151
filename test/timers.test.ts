import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../fixtures/deps.ts'
import { repeat, startTimers } from '../lib/timers.ts'

const test = suite<{ timers: NodeJS.Timeout[] }>('timers')

test.before.each((context) => {
  context.timers = []
})
test.after.each(({ timers }) => {
  for (const timer of timers) clearInterval(timer)
})

const silent = () => undefined

/** Resolves after this many ticks of a timer with the interval of the one under test. */
function ticks(timers: NodeJS.Timeout[], count: number): Promise<void> {
  let seen = 0
  return new Promise((resolve) => {
    const tick = async () => {
      if (++seen === count) resolve()
    }
    timers.push(repeat(1, tick, silent))
  })
}

test('a job that takes longer than its interval is not started again before it ends', async ({ timers }) => {
  let started = 0
  let end = () => {}
  const job = () => {
    started++
    return new Promise<void>((resolve) => {
      end = resolve
    })
  }
  timers.push(repeat(1, job, silent))
  await ticks(timers, 10)
  assert.is(started, 1)
  end()
  await ticks(timers, 10)
  assert.is(started, 2)
})

test('a failed job is reported, and started again', async ({ timers }) => {
  let started = 0
  const failures: string[] = []
  const job = async () => {
    throw new Error(`${++started}`)
  }
  timers.push(repeat(1, job, ({ message }) => failures.push(message)))
  await ticks(timers, 10)
  assert.equal(failures.slice(0, 2), ['1', '2'])
})

test('upstreams are not checked at all if the interval is 0', async ({ timers }) => {
  const started = async (interval: string) => {
    const { host, engine } = await fakeDeps({ settings: { HEALTH_CHECK_INTERVAL_S: interval } })
    const own = startTimers(host, engine)
    timers.push(...own)
    return own.length
  }
  assert.is((await started('15')) - (await started('0')), 1)
})

test.run()
