import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { singleFlight } from '../../lib/host/single-flight.ts'

const test = suite('single flight')

test('callers of the same key share one run; another key, or a call after its end, starts another', async () => {
  const flights = singleFlight<number>()
  let runs = 0
  const job = async () => ++runs
  const shared = [flights.run(job), flights.run(job), flights.run(job, 'other')]
  assert.equal(flights.keys(), ['', 'other'])
  assert.ok(flights.running() !== undefined)
  assert.equal(await Promise.all(shared), [1, 1, 2])
  assert.is(flights.running(), undefined)
  assert.equal(flights.keys(), [])
  assert.is(await flights.run(job), 3)
})

test('a run that fails is the failure of everyone who shares it, and of nobody after them', async () => {
  const flights = singleFlight<string>()
  const failing = async () => {
    throw new Error('no')
  }
  const results = await Promise.allSettled([flights.run(failing), flights.run(failing)])
  assert.equal(
    results.map(({ status }) => status),
    ['rejected', 'rejected'],
  )
  assert.is(await flights.run(async () => 'yes'), 'yes')
})

test.run()
