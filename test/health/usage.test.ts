import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { usageCounter } from '../../lib/health/usage.ts'

const test = suite('usage')
const START = Date.parse('2026-01-01T00:00:00.500Z')

/** A counter on two clocks that a test sets: the wall's, and the one that only runs forward. */
function counter() {
  const clock = { wallMs: START, runMs: 7_000_123 }
  const usage = usageCounter({ nowMs: () => clock.wallMs, monotonicMs: () => clock.runMs })
  const pass = (ms: number) => {
    clock.wallMs += ms
    clock.runMs += ms
  }
  return { usage, clock, pass }
}

test('nothing has happened yet', () => {
  const { usage } = counter()
  const figures = { startedAtMs: START, uptimeSeconds: 0, requestsTotal: 0, requestsPerMinute: 0, errorsLastHour: 0 }
  assert.equal(usage.read(), figures)
})

test('requests are counted in total and for the last minute', () => {
  const { usage, pass } = counter()
  for (const status of [200, 201, 404, 500]) usage.record(status)
  pass(58_000)
  usage.record(200)
  assert.equal([usage.read().requestsTotal, usage.read().requestsPerMinute], [5, 5])
  pass(2000)
  assert.equal([usage.read().requestsTotal, usage.read().requestsPerMinute], [5, 1])
  pass(58_000)
  assert.equal([usage.read().requestsTotal, usage.read().requestsPerMinute], [5, 0])
})

test('an answer of 500 or more counts as an error of the last hour, a lower one does not', () => {
  const { usage, pass } = counter()
  for (const status of [200, 302, 400, 404, 429, 499]) usage.record(status)
  assert.is(usage.read().errorsLastHour, 0)
  for (const status of [500, 502, 503]) usage.record(status)
  pass(58 * 60_000)
  usage.record(503)
  assert.is(usage.read().errorsLastHour, 4)
  pass(2 * 60_000)
  assert.is(usage.read().errorsLastHour, 1)
  pass(60 * 60_000)
  assert.is(usage.read().errorsLastHour, 0)
})

test('reading changes no figure, however often', () => {
  const { usage } = counter()
  usage.record(200)
  for (let i = 0; i < 10; i++) usage.read()
  assert.is(usage.read().requestsTotal, 1)
})

test('uptime is in whole seconds', () => {
  const { usage, pass } = counter()
  pass(999)
  assert.is(usage.read().uptimeSeconds, 0)
  pass(1)
  assert.is(usage.read().uptimeSeconds, 1)
  pass(86_400_000)
  assert.is(usage.read().uptimeSeconds, 86_401)
})

test('a wall clock that is set back or forward changes no figure', () => {
  const { usage, clock, pass } = counter()
  usage.record(500)
  pass(10_000)
  for (const wallMs of [0, START * 2]) {
    clock.wallMs = wallMs
    usage.record(200)
    const { uptimeSeconds, startedAtMs, errorsLastHour } = usage.read()
    assert.equal([uptimeSeconds, startedAtMs, errorsLastHour], [10, START, 1])
  }
  assert.is(usage.read().requestsPerMinute, 3)
})

test.run()
