import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  EMPTY_LEDGER,
  lastFailure,
  nextOrderAt as nextOrderWithin,
  nextTryAt as nextTryWithin,
  type OrderLedger,
  orderLimit,
  parseLedger,
  withOrder,
} from '../../lib/certificates/order-ledger.ts'

const test = suite('order ledger')

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const NOW = Date.parse('2026-01-01T00:00:00.000Z')

const LIMITS = { SSL_FAILURES_PER_HOUR: 3, SSL_CERTIFICATES_PER_WEEK: 3 }
const nextOrderAt = (ledger: OrderLedger, nowMs: number) => nextOrderWithin(ledger, nowMs, LIMITS)
const nextTryAt = (ledger: OrderLedger, nowMs: number) => nextTryWithin(ledger, nowMs, LIMITS)

/** A ledger from results and how long ago they were, the oldest first. */
function ledger(...entries: readonly (readonly ['issued' | 'failed', number])[]): OrderLedger {
  return { entries: entries.map(([result, agoMs]) => ({ at: NOW - agoMs, result })) }
}

test('without previous orders, an order may be made at once', () => {
  assert.is(nextOrderAt(EMPTY_LEDGER, NOW), undefined)
  assert.is(nextTryAt(EMPTY_LEDGER, NOW), NOW)
  assert.is(lastFailure(EMPTY_LEDGER), undefined)
})

test('after three failures within an hour, the next order may be made when the first of them is an hour old', () => {
  const two = ledger(['failed', 50 * MINUTE], ['failed', 10 * MINUTE])
  assert.is(nextOrderAt(two, NOW), undefined)
  const three = ledger(['failed', 50 * MINUTE], ['failed', 10 * MINUTE], ['failed', 1])
  assert.is(nextOrderAt(three, NOW), NOW + 10 * MINUTE)
  assert.is(nextOrderAt(three, NOW + 10 * MINUTE - 1), NOW + 10 * MINUTE)
  assert.is(nextOrderAt(three, NOW + 10 * MINUTE), undefined)
})

test('the window slides: the third failure from the end decides', () => {
  const many = ledger(
    ['failed', 59 * MINUTE],
    ['failed', 40 * MINUTE],
    ['failed', 30 * MINUTE],
    ['failed', 20 * MINUTE],
  )
  assert.is(nextOrderAt(many, NOW), NOW + 20 * MINUTE)
})

test('three certificates may be issued within a week; failures do not count towards that', () => {
  const three = ledger(['issued', 6 * DAY], ['issued', 3 * DAY], ['failed', 2 * DAY], ['issued', DAY])
  assert.is(nextOrderAt(three, NOW), NOW + DAY)
  assert.is(nextOrderAt(three, NOW + DAY), undefined)
  assert.is(nextOrderAt(ledger(['issued', 3 * DAY], ['issued', 1], ['failed', 1], ['failed', 1]), NOW), undefined)
})

test('if both budgets are used up, the later time counts', () => {
  const both = ledger(
    ['issued', 6 * DAY],
    ['issued', 5 * DAY],
    ['issued', 4 * DAY],
    ['failed', 3],
    ['failed', 2],
    ['failed', 1],
  )
  assert.is(nextOrderAt(both, NOW), NOW + DAY)
})

test("the CA's time to retry is respected, whatever the budgets allow", () => {
  assert.is(nextOrderAt({ entries: [], blocked_until: NOW + 1 }, NOW), NOW + 1)
  assert.is(nextOrderAt({ entries: [], blocked_until: NOW }, NOW), undefined)
  const later = { ...ledger(['failed', 3], ['failed', 2], ['failed', 1]), blocked_until: NOW + 5 * HOUR }
  assert.is(nextOrderAt(later, NOW), NOW + 5 * HOUR)
})

test('the pauses in the background grow: 1, 10, 100 minutes, a day, and a day again', () => {
  const pauses = [MINUTE, 10 * MINUTE, 100 * MINUTE, DAY, DAY]
  for (const [i, pause] of pauses.entries()) {
    // A day apart, so that no budget has a say.
    const failures = Array.from({ length: i + 1 }, (_, n) => ['failed', (i - n) * DAY] as const)
    assert.is(nextTryAt(ledger(...failures), NOW), NOW + pause, `${i + 1} failures`)
  }
})

test('after the pause, the next attempt may be made at once', () => {
  assert.is(nextTryAt(ledger(['failed', MINUTE]), NOW), NOW)
  assert.is(nextTryAt(ledger(['failed', DAY]), NOW), NOW)
})

test('a success resets the consecutive failures', () => {
  const mended = ledger(['failed', 3 * HOUR], ['failed', 2 * HOUR], ['issued', HOUR])
  assert.is(nextTryAt(mended, NOW), NOW)
  assert.is(lastFailure(mended), undefined)
  const again = ledger(['failed', 3 * HOUR], ['issued', HOUR], ['failed', 10])
  assert.is(nextTryAt(again, NOW), NOW - 10 + MINUTE)
  assert.equal(lastFailure(again), { at: NOW - 10, result: 'failed' })
})

test('an attempt in the background is never made before an order may be', () => {
  const spent = ledger(
    ['failed', 20 * MINUTE],
    ['issued', 15 * MINUTE],
    ['failed', 10 * MINUTE],
    ['failed', 5 * MINUTE],
  )
  assert.is(nextTryAt(spent, NOW), NOW + 40 * MINUTE)
  assert.is(nextTryAt({ entries: [], blocked_until: NOW + DAY }, NOW), NOW + DAY)
})

test('an entry is appended, and entries that no budget counts any more are dropped', () => {
  const before = ledger(['issued', 7 * DAY], ['failed', 7 * DAY - 1], ['failed', HOUR])
  const entry = { at: NOW, result: 'failed', reason: 'dns', said: 'no address' } as const
  assert.equal(withOrder(before, entry), { entries: [...before.entries.slice(1), entry] })
})

test("the CA's time to retry is kept until it has passed; a new one replaces it", () => {
  const blocked: OrderLedger = { entries: [], blocked_until: NOW + HOUR }
  const at = (ms: number) => ({ at: ms, result: 'issued' }) as const
  assert.is(withOrder(blocked, at(NOW)).blocked_until, NOW + HOUR)
  assert.equal(withOrder(blocked, at(NOW + HOUR)), { entries: [at(NOW + HOUR)] })
  assert.is(withOrder(blocked, at(NOW), NOW + DAY).blocked_until, NOW + DAY)
})

test('a ledger is read as it was written', () => {
  const kept: OrderLedger = {
    entries: [{ at: NOW, result: 'failed', reason: 'dns', said: 'no "address"' }],
    blocked_until: NOW + HOUR,
  }
  assert.equal(parseLedger(JSON.stringify(kept), NOW), kept)
})

test('a ledger that cannot be read counts as empty', () => {
  const texts = [undefined, '', '{', 'null', '[]', '{"entries":1}', '{"entries":[{"at":"x","result":"failed"}]}']
  for (const text of [...texts, '{"entries":[{"at":1,"result":"lost"}]}', '{"entries":[],"blocked_until":"soon"}'])
    assert.equal(parseLedger(text, NOW), EMPTY_LEDGER, text)
})

test('failures that the CA does not count delay the next attempt, are exempt from the budget, and do not accumulate', () => {
  let ledger = EMPTY_LEDGER
  for (let i = 0; i < 50; i++)
    ledger = withOrder(ledger, { at: i, result: 'failed', reason: 'ca_down', uncounted: true })
  assert.is(nextOrderAt(ledger, 50), undefined)
  assert.is(nextTryAt(ledger, 50), 49 + 86_400_000)
  assert.ok(ledger.entries.length <= 11)
  assert.equal(lastFailure(ledger)?.reason, 'ca_down')
})

test('after attempts for which the CA was not asked, the next one is at most ten minutes later', () => {
  let ledger = EMPTY_LEDGER
  for (let i = 0; i < 5; i++)
    ledger = withOrder(ledger, { at: i, result: 'failed', reason: 'dns', uncounted: true, asked: false })
  assert.is(nextTryAt(ledger, 5), 4 + 600_000)
})

test('what was recorded while the clock was ahead is not believed, and the CA is asked again', () => {
  const ahead = NOW + 8 * DAY
  const failures = [0, 1, 2].map((i) => ({ at: ahead + i, result: 'failed' }) as const)
  const text = JSON.stringify({
    entries: [{ at: NOW - 1, result: 'issued' }, ...failures],
    blocked_until: ahead + HOUR,
  })
  assert.equal(parseLedger(text, NOW), { entries: [{ at: NOW - 1, result: 'issued' }] })
  assert.is(nextTryAt(parseLedger(text, NOW), NOW), NOW)
  assert.is(nextOrderAt(parseLedger(text, ahead), ahead + 3), ahead + HOUR)
})

test('a clock that is set back by seconds forgets no order', () => {
  const recent = { entries: [{ at: NOW + 5000, result: 'failed' }], blocked_until: NOW + HOUR }
  assert.equal(parseLedger(JSON.stringify(recent), NOW), recent)
})

test('a certificate that lives for days can be replaced three times within its lifetime, and no pause outlasts a 24th of it', () => {
  const lifetime_ms = 2 * DAY
  const at = (agoMs: number) => ({ at: NOW - agoMs, result: 'issued', lifetime_ms }) as const
  const renewed: OrderLedger = { entries: [at(6 * DAY), at(4 * DAY), at(2 * DAY), at(0.6 * DAY)] }
  assert.is(nextOrderAt(renewed, NOW), undefined)
  const often: OrderLedger = { entries: [at(1.5 * DAY), at(DAY), at(HOUR)] }
  assert.equal(orderLimit(often, NOW, LIMITS), {
    at: NOW + DAY / 2,
    by: 'SSL_CERTIFICATES_PER_WEEK',
    max: 3,
    withinMs: 2 * DAY,
  })
  const failures = [4, 3, 2, 1].map((i) => ({ at: NOW - i, result: 'failed', uncounted: true }) as const)
  assert.is(nextTryAt({ entries: [at(DAY), ...failures] }, NOW), NOW - 1 + 2 * HOUR)
})

test('the limits are settings, and the one that holds is named', () => {
  const failed = ledger(['failed', 20 * MINUTE], ['failed', 10 * MINUTE])
  assert.is(nextOrderAt(failed, NOW), undefined)
  const strict = { ...LIMITS, SSL_FAILURES_PER_HOUR: 1 }
  assert.equal(orderLimit(failed, NOW, strict), {
    at: NOW + 50 * MINUTE,
    by: 'SSL_FAILURES_PER_HOUR',
    max: 1,
    withinMs: HOUR,
  })
  assert.is(orderLimit({ ...failed, blocked_until: NOW + DAY }, NOW, strict)?.by, 'ca')
})

test.run()
