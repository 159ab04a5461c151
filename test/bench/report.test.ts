import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readOptions } from './options.ts'
import { describeTarget, type Target, table } from './report.ts'
import { median, medianRatio, percentile } from './statistics.ts'

const test = suite('report')

test('a median is the middle value, or the mean of the middle two, whatever the order', () => {
  for (const [values, middle] of [
    [[3], 3],
    [[9, 1], 5],
    [[5, 1, 100], 5],
    [[4, 2, 8, 6], 5],
    [[10, 9, 2], 9],
  ] as const)
    assert.is(median(values), middle, String(values))
  assert.ok(Number.isNaN(median([])))
})

test('a percentile is the smallest value that so many of 100 do not exceed', () => {
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i)
  for (const [percent, value] of [
    [0, 1],
    [50, 50],
    [99, 99],
    [100, 100],
  ] as const)
    assert.is(percentile(hundred, percent), value, String(percent))
  assert.is(percentile([7], 99), 7)
  assert.ok(Number.isNaN(percentile([], 50)))
})

test('what slows down both of a pair does not change their ratio', () => {
  assert.is(medianRatio([10, 200, 30], [5, 100, 15]), 2)
  assert.is(medianRatio([10, 999], [5]), 2)
  assert.ok(Number.isNaN(medianRatio([], [])))
})

test('a target at its limit is reached if the limit is included, and an unmeasured one is missed', () => {
  const lines = (
    [
      ['at most', 1.15],
      ['at most', 1.16],
      ['below', 1.15],
      ['below', 1.14],
      ['at least', 1.15],
      ['at least', 1.14],
      ['above', 1.15],
      ['above', 1.16],
      ['at most', Number.NaN],
    ] as const
  ).map(([bound, value]) => describeTarget({ what: 'a change', value, bound, limit: 1.15, unit: 'floors' }))
  assert.equal(lines, [
    'reached  a change: 1.15 floors, at most 1.15',
    'MISSED   a change: 1.16 floors, at most 1.15',
    'MISSED   a change: 1.15 floors, below 1.15',
    'reached  a change: 1.14 floors, below 1.15',
    'reached  a change: 1.15 floors, at least 1.15',
    'MISSED   a change: 1.14 floors, at least 1.15',
    'MISSED   a change: 1.15 floors, above 1.15',
    'reached  a change: 1.16 floors, above 1.15',
    'MISSED   a change: NaN floors, at most 1.15',
  ])
})

test('the figure of a missed target is not rounded to its limit', () => {
  const miss: Target = { what: 'the rate', value: 0.9699, bound: 'at least', limit: 0.97, unit: 'times' }
  assert.is(describeTarget(miss), 'MISSED   the rate: 0.9699 times, at least 0.97')
})

test('a table aligns its first column left and the others right, even with short rows', () => {
  assert.is(
    table([['routes', '1', '1000'], ['a change', '9.0 ms'], []]),
    'routes          1   1000\na change   9.0 ms\n',
  )
})

test('an invalid option is refused with what it expects, and missing ones have their defaults', () => {
  for (const [args, fault] of [
    [['--routes', '1,0'], '--routes: got "0", expects integers from 1 to 5000'],
    [['--routes', '5001'], '--routes: got "5001", expects integers from 1 to 5000'],
    [['--runs', '1.5'], '--runs: got "1.5", expects integers from 1 to 200'],
    [['--scheme', 'ftp'], '--scheme: got "ftp", expects http, https'],
    [['--only', ''], '--only: got "", expects changes, caddy, throughput, handshakes, checks'],
  ] as const)
    assert.equal(readOptions(args), { fault })
  assert.ok('fault' in Object(readOptions(['--rounds', '3'])))
  assert.is(readOptions(['--runs', '3', '--help']), 'help')
  assert.equal(readOptions(['--routes', '1,5000', '--scheme', 'https']), {
    only: ['changes', 'caddy', 'throughput', 'handshakes', 'checks'],
    routes: [1, 5000],
    schemes: ['https'],
    runs: 15,
    buffering: false,
  })
})

test.run()
