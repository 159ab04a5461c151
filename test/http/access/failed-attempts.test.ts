import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { failedAttempts } from '../../../lib/http/access/failed-attempts.ts'

const test = suite('failed attempts')

test('after 20 failures within a minute, calls are rejected until the minute is over', () => {
  let now = 0
  const attempts = failedAttempts(() => now)
  for (let i = 0; i < 20; i++) {
    assert.is(attempts.lockedOutForS('192.0.2.1'), undefined)
    attempts.recordFailure('192.0.2.1')
    now += 1000
  }
  assert.is(attempts.lockedOutForS('192.0.2.1'), 40)
  now = 60_000
  assert.is(attempts.lockedOutForS('192.0.2.1'), undefined)
})

test('exactly the failure that locks an address out is reported', () => {
  let now = 0
  const attempts = failedAttempts(() => now)
  const notes = () => Array.from({ length: 40 }, () => attempts.recordFailure('192.0.2.1'))
  const once = Array.from({ length: 40 }, (_, i) => i === 19)
  assert.equal(notes(), once)
  now = 60_000
  assert.equal(notes(), once)
  assert.not.ok(Array.from({ length: 40 }, () => attempts.recordFailure('127.0.0.1')).includes(true))
})

test('one address does not lock out another, and loopback is never locked out', () => {
  const attempts = failedAttempts(() => 0)
  for (let i = 0; i < 100; i++)
    for (const address of ['192.0.2.1', '127.0.0.1', '::1', '::ffff:127.0.0.1']) attempts.recordFailure(address)
  assert.is(attempts.lockedOutForS('192.0.2.1'), 60)
  for (const address of ['192.0.2.2', '127.0.0.1', '::1', '::ffff:127.0.0.1']) {
    assert.is(attempts.lockedOutForS(address), undefined, address)
  }
})

test('an IPv6 /64 is one caller, whatever the address in it, its zone or its spelling', () => {
  const attempts = failedAttempts(() => 0)
  for (let i = 0; i < 20; i++) attempts.recordFailure(`2001:db8:1:2:${i.toString(16)}::1`)
  for (let i = 0; i < 20; i++) attempts.recordFailure(`fe80::${i.toString(16)}%eth0`)
  for (let i = 0; i < 20; i++) attempts.recordFailure(`::ffff:192.0.2.${i}`)
  for (const address of ['2001:DB8:1:2::ffff', 'fe80::1%eth1', 'fe80:0::2'])
    assert.is(attempts.lockedOutForS(address), 60, address)
  for (const address of ['2001:db8:1:3::1', '192.0.2.1', '::ffff:192.0.2.1'])
    assert.is(attempts.lockedOutForS(address), undefined, address)
})

test('memory is bounded however many addresses fail: the oldest is forgotten', () => {
  const attempts = failedAttempts(() => 0)
  for (let i = 0; i < 20; i++) attempts.recordFailure('198.51.100.1')
  for (let i = 0; i < 10_001; i++) attempts.recordFailure(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)
  assert.is(attempts.lockedOutForS('198.51.100.1'), undefined)
})

test('a token counts as accepted for 24 hours after its last acceptance, and no other token does', () => {
  let now = 0
  const attempts = failedAttempts(() => now)
  assert.not.ok(attempts.wasAccepted('one'))
  attempts.recordAcceptance('one')
  now = 24 * 3_600_000
  assert.equal([attempts.wasAccepted('one'), attempts.wasAccepted('two')], [true, false])
  attempts.recordAcceptance('one')
  now *= 2
  assert.ok(attempts.wasAccepted('one'))
  now += 1
  assert.not.ok(attempts.wasAccepted('one'))
})

test.run()
