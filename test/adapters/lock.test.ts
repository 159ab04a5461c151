import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { hostLock, type LockResult } from '../../lib/adapters/lock.ts'

const test = suite<{ folder: string }>('lock')

test.before((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'proxy-manager-lock-'))
})
test.after(({ folder }) => rmSync(folder, { recursive: true }))

function held(result: LockResult): { readonly release: () => Promise<void> } {
  if ('heldBy' in result) throw new Error(`held by ${result.heldBy}`)
  return result
}

test('a second take of the same name says which process holds it, every time', async ({ folder }) => {
  const [name, path] = [randomUUID(), join(folder, 'a')]
  const first = held(await hostLock().take(name, path))
  for (let i = 0; i < 3; i++) assert.equal(await hostLock().take(name, path), { heldBy: `process ${process.pid}` })
  await first.release()
})

test('where the name is not seen, as in another network namespace, the file is locked all the same', async ({
  folder,
}) => {
  const path = join(folder, 'b')
  const first = held(await hostLock().take(randomUUID(), path))
  assert.equal(await hostLock().take(randomUUID(), path), { heldBy: 'a process in another container or namespace' })
  await first.release()
  await held(await hostLock().take(randomUUID(), path)).release()
})

test('once released it can be taken again', async ({ folder }) => {
  const [name, path] = [randomUUID(), join(folder, 'c')]
  for (let i = 0; i < 3; i++) await held(await hostLock().take(name, path)).release()
})

test('two names and files are two locks', async ({ folder }) => {
  const locks = await Promise.all(
    ['d', 'e'].map(async (file) => held(await hostLock().take(randomUUID(), join(folder, file)))),
  )
  for (const lock of locks) await lock.release()
})

test('of many that take it at once one gets it', async ({ folder }) => {
  const [name, path] = [randomUUID(), join(folder, 'f')]
  const results = await Promise.all(Array.from({ length: 10 }, () => hostLock().take(name, path)))
  const winners = results.filter((result) => 'release' in result)
  assert.is(winners.length, 1)
  for (const winner of winners) await held(winner).release()
})

test('names of any length and alphabet are taken', async ({ folder }) => {
  for (const name of ['', 'ä\0/..', 'x'.repeat(5000)])
    await held(await hostLock().take(`${randomUUID()}${name}`, join(folder, 'g'))).release()
})

test.run()
