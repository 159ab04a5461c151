import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import {
  detailsOf,
  HealthDetails,
  type HealthHistory,
  NO_CHECKS,
  noteCheck,
  summaryOf,
} from '../../lib/upstream/health-history.ts'

const test = suite('health history')

/** The history after these checks, one each second: `1` for a success, `0` for a failure. */
function after(results: string, known = NO_CHECKS): HealthHistory {
  return [...results].reduce(
    (history, result, i) =>
      noteCheck(history, { atMs: (i + 1) * 1000, ms: 5, failure: result === '1' ? null : 'HTTP 503' }),
    known,
  )
}

const STATUSES: readonly (readonly [results: string, status: string, sinceMs: number | null])[] = [
  ['', 'unknown', null],
  ['1', 'healthy', 1000],
  ['0', 'unknown', null],
  ['00', 'unknown', null],
  ['000', 'unhealthy', 3000],
  ['001', 'healthy', 3000],
  ['100', 'healthy', 1000],
  ['1000', 'unhealthy', 4000],
  ['100100', 'healthy', 1000],
  ['1000000', 'unhealthy', 4000],
  ['10001', 'unhealthy', 4000],
  ['1000101', 'unhealthy', 4000],
  ['100011', 'healthy', 6000],
]
for (const [results, status, sinceMs] of STATUSES) {
  test(`after the checks "${results}" an upstream is ${status}`, () => {
    const history = after(results)
    assert.equal([history.status, history.sinceMs, history.recent], [status, sinceMs, results])
  })
}

test('the successful check of a change needs no second one', () => {
  const check = { atMs: 9000, ms: 5, failure: null }
  assert.equal(
    [noteCheck(after('000'), check).status, noteCheck(after('000'), check, true).status],
    ['unhealthy', 'healthy'],
  )
})

test('the last 120 checks are kept, the oldest first, and the last 60 in short', () => {
  const history = after(`${'0'.repeat(100)}${'1'.repeat(59)}0`)
  assert.equal([history.checks.length, history.checks[0]?.atMs, history.checks.at(-1)?.atMs], [120, 41_000, 160_000])
  assert.is(history.recent, `${'1'.repeat(59)}0`)
})

test('a further check makes another history, and leaves the former as it was', () => {
  const before = after('1')
  const copy = structuredClone(before)
  assert.is.not(noteCheck(before, { atMs: 2000, ms: 5, failure: null }), before)
  assert.equal(before, copy)
})

test('it is shown with ISO times: in short, and with each check', () => {
  const summary = { status: 'healthy', since: '1970-01-01T00:00:01.000Z', latency_ms: 5, recent: '10' }
  assert.equal(summaryOf(after('10')), summary)
  const shown = detailsOf(after('10'))
  assert.equal(shown, {
    ...summary,
    failure: 'HTTP 503',
    consecutive_failures: 1,
    checks: [
      { at: '1970-01-01T00:00:01.000Z', ok: true, ms: 5, failure: null },
      { at: '1970-01-01T00:00:02.000Z', ok: false, ms: 5, failure: 'HTTP 503' },
    ],
  })
  assert.ok(v.is(HealthDetails, shown))
  assert.equal(summaryOf(NO_CHECKS), { status: 'unknown', since: null, latency_ms: null, recent: '' })
})

test.run()
