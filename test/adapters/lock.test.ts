import { randomUUID } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { hostLock, type LockResult } from '../../lib/adapters/lock.ts'

const test = suite('lock')

function held(result: LockResult): { readonly release: () => Promise<void> } {
  if ('heldBy' in result) throw new Error(`held by ${result.heldBy}`)
  return result
}

test('a second take of the same name says which process holds it, every time', async () => {
  const name = randomUUID()
  const first = held(await hostLock().take(name))
  for (let i = 0; i < 3; i++) assert.equal(await hostLock().take(name), { heldBy: `process ${process.pid}` })
  await first.release()
})

test('once released it can be taken again', async () => {
  const name = randomUUID()
  for (let i = 0; i < 3; i++) await held(await hostLock().take(name)).release()
})

test('two names are two locks', async () => {
  const locks = [held(await hostLock().take(randomUUID())), held(await hostLock().take(randomUUID()))]
  for (const lock of locks) await lock.release()
})

test('of many that take it at once one gets it', async () => {
  const name = randomUUID()
  const results = await Promise.all(Array.from({ length: 10 }, () => hostLock().take(name)))
  const winners = results.filter((result) => 'release' in result)
  assert.is(winners.length, 1)
  for (const winner of winners) await held(winner).release()
})

test('names of any length and alphabet are taken', async () => {
  for (const name of ['', 'ä\0/..', 'x'.repeat(5000)])
    await held(await hostLock().take(`${randomUUID()}${name}`)).release()
})

test.run()
