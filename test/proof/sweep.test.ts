import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  breakRecoveries,
  failEach,
  failEachRead,
  LASTING,
  type Swept,
  stopEach,
  stopEachWithoutNginx,
} from '../helpers/sweep-faults.ts'
import { SWEEPS } from '../helpers/sweeps.ts'

/** A change reads hundreds of times. */
const READ_EVERY = 3

// Every effect fails once with an errno, and once the process stops hard after it. Of other errnos, and of stops before an effect, only a
// part is here; `npm run proof:faults` covers all of it.
for (const [name, sweep] of Object.entries(SWEEPS)) {
  const test = suite(`sweep: ${name}`)

  for (const [code, every] of [
    ['ENOSPC', 1],
    ['EIO', 3],
    ['ETIMEDOUT', 3],
  ] as const) {
    test(`${code} at ${every === 1 ? 'any' : 'every third'} effect: the change is served completely or not at all, its answer says which, and the next change works`, async () => {
      assertKept(await failEach(sweep, code, undefined, every))
    })
  }

  test('if the disk is full or read-only from any effect on, health says so, and afterwards the host is as the answer said', async () => {
    for (const code of ['ENOSPC', 'EROFS']) assertKept(await failEach(sweep, code, LASTING[code], 4))
  })

  test('if a read fails, once or until the answer, nothing counts as absent: the change is right or an error, and the next one works', async () => {
    assertKept(await failEachRead(sweep, 'EIO', READ_EVERY))
    assertKept(await failEachRead(sweep, 'EMFILE', 2 * READ_EVERY, true))
  })

  for (const [kind, where, every] of [
    ['stop_before', 'before every third', 3],
    ['stop_after', 'after any', 1],
  ] as const) {
    test(`after a hard stop ${where} effect a restart finds all of the change or none of it`, async () => {
      assertKept(await stopEach(sweep, kind, every))
    })
  }

  test('a hard stop while NGINX is down leaves files with which it starts', async () => {
    assertKept(await stopEachWithoutNginx(sweep, 3))
  })

  test.run()
}

const test = suite('sweep: recovery')

test('a hard stop, or a failure, at any effect of the recovery itself is recovered from by the next one', async () => {
  assertKept(await breakRecoveries(SWEEPS.update, { kind: 'stop_after' }, 10))
  assertKept(await breakRecoveries(SWEEPS.update, { kind: 'error', code: 'ENOSPC' }, 10))
  assertKept(await breakRecoveries(SWEEPS.update, { kind: 'read', code: 'ESTALE' }, 10))
})

test.run()

function assertKept({ faults, violations }: Swept): void {
  assert.ok(faults > 5, `only ${faults} faults`)
  assert.equal(violations, [])
}
