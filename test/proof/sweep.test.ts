import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  breakRecoveries,
  failEach,
  LASTING,
  type Swept,
  stopEach,
  stopEachWithoutNginx,
} from '../helpers/sweep-faults.ts'
import { SWEEPS } from '../helpers/sweeps.ts'

// Every effect fails once with an errno, and has one hard stop behind it. Of what differs from these in the errno, or in the side of the effect
// on which the stop is, there is less here; the proof of faults has all of it.
for (const [name, sweep] of Object.entries(SWEEPS)) {
  const test = suite(`sweep: ${name}`)

  for (const [code, every] of [
    ['ENOSPC', 1],
    ['EIO', 3],
    ['ETIMEDOUT', 3],
  ] as const) {
    test(`${code} at ${every === 1 ? 'any' : 'every third'} effect: the change is served whole or not at all, an answer says which, and the next one works`, async () => {
      assertKept(await failEach(sweep, code, undefined, every))
    })
  }

  test('a disk that is full or read-only from any effect on: health says so meanwhile, and afterwards all is as it was answered', async () => {
    for (const code of ['ENOSPC', 'EROFS']) assertKept(await failEach(sweep, code, LASTING[code], 4))
  })

  for (const [kind, where, every] of [
    ['stop_before', 'before every third', 3],
    ['stop_after', 'after any', 1],
  ] as const) {
    test(`hard stop ${where} effect: a restart finds all of the change or nothing of it`, async () => {
      assertKept(await stopEach(sweep, kind, every))
    })
  }

  test('a stop while NGINX is down leaves files with which it starts', async () => {
    assertKept(await stopEachWithoutNginx(sweep, 3))
  })

  test.run()
}

const test = suite('sweep: recovery')

test('a hard stop, or a failure, at any effect of the recovery itself is recovered from', async () => {
  assertKept(await breakRecoveries(SWEEPS.update, { kind: 'stop_after' }, 10))
  assertKept(await breakRecoveries(SWEEPS.update, { kind: 'error', code: 'ENOSPC' }, 10))
})

test.run()

function assertKept({ faults, violations }: Swept): void {
  assert.ok(faults > 5, `only ${faults} faults`)
  assert.equal(violations, [])
}
