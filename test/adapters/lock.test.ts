import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { hostLock, type LockResult } from '../../lib/adapters/lock.ts'

const test = suite<{ folder: string }>('lock')

const ADAPTER = new URL('../../lib/adapters/lock.ts', import.meta.url).href
const UNSEEN = { heldBy: 'a process of another user or container, which is not visible from here' }

test.before((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'proxy-manager-lock-'))
})
test.after(({ folder }) => rmSync(folder, { recursive: true }))

function held(result: LockResult): { readonly release: () => Promise<void> } {
  if ('heldBy' in result) throw new Error(`held by ${result.heldBy}`)
  return result
}

/** A process that takes a lock and keeps it; it holds it once this resolves. */
async function holding(command: string, ...args: readonly string[]): Promise<ChildProcess> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, 'close')
  child.kill('SIGKILL')
  await ended
}

test('a second attempt reports which process holds the lock, every time', async ({ folder }) => {
  const path = join(folder, 'a')
  const first = held(await hostLock().take(path))
  for (let i = 0; i < 3; i++) assert.equal(await hostLock().take(path), { heldBy: `process ${process.pid}` })
  await first.release()
})

test('the lock is free as soon as its holder is killed, and names that process until then', async ({ folder }) => {
  const path = join(folder, 'b')
  const script = `import { hostLock } from '${ADAPTER}'
    console.log(await hostLock().take('${path}'))
    setInterval(() => {}, 1000)`
  const holder = await holding(process.execPath, '--input-type=module', '-e', script)
  assert.equal(await hostLock().take(path), { heldBy: `process ${holder.pid}` })
  await kill(holder)
  await held(await hostLock().take(path)).release()
})

test('whoever has locked the file with flock(2), as an older version does, holds the lock', async ({ folder }) => {
  const path = join(folder, 'c')
  const holder = await holding('/usr/bin/flock', '--no-fork', path, '/bin/sh', '-c', 'echo; exec sleep 60')
  assert.equal(await hostLock().take(path), { heldBy: `process ${holder.pid}` })
  await kill(holder)
  await held(await hostLock().take(path)).release()
})

test('a holder that is invisible to this process holds the lock all the same', async ({ folder }) => {
  const path = join(folder, 'd')
  const first = held(await hostLock().take(path))
  assert.equal(await hostLock({ proc: folder }).take(path), UNSEEN)
  assert.equal(await hostLock({ proc: join(folder, 'none') }).take(path), UNSEEN)
  await first.release()
})

for (const umask of [0o077, 0o000]) {
  test(`only its owner can open the lock file, and so take it, under umask ${umask.toString(8)}`, async ({
    folder,
  }) => {
    const path = join(folder, `umask-${umask}`)
    const former = process.umask(umask)
    try {
      const first = held(await hostLock().take(path))
      assert.is(statSync(path).mode & 0o777, 0o600)
      await first.release()
    } finally {
      process.umask(former)
    }
  })
}

test('a released lock can be taken again, and a second release does not affect the next holder', async ({ folder }) => {
  const path = join(folder, 'f')
  for (let i = 0; i < 3; i++) {
    const first = held(await hostLock().take(path))
    await first.release()
    const next = held(await hostLock().take(path))
    await first.release()
    assert.equal(await hostLock().take(path), { heldBy: `process ${process.pid}` })
    await next.release()
  }
})

test('two files are two locks', async ({ folder }) => {
  const locks = await Promise.all(['g', 'h'].map(async (name) => held(await hostLock().take(join(folder, name)))))
  for (const lock of locks) await lock.release()
})

test('of many concurrent attempts one gets the lock', async ({ folder }) => {
  const path = join(folder, 'i')
  const results = await Promise.all(Array.from({ length: 10 }, () => hostLock().take(path)))
  const winners = results.filter((result) => 'release' in result)
  assert.is(winners.length, 1)
  for (const winner of winners) await held(winner).release()
})

test('if flock(1) is missing or fails, nobody gets the lock, and the reason is reported', async ({ folder }) => {
  const reason = (flock: string) =>
    hostLock({ flock })
      .take(join(folder, 'j'))
      .then(() => 'taken', String)
  assert.match(await reason('/no/such/flock'), 'spawn /no/such/flock ENOENT')
  assert.match(await reason('/usr/bin/env'), '/usr/bin/env exited with 125')
  await held(await hostLock().take(join(folder, 'j'))).release()
})

test('a directory is locked without a trace in it, also a read-only one; its holder is named, and a killed one leaves nothing', async ({
  folder,
}) => {
  const path = mkdtempSync(join(folder, 'sites-'))
  chmodSync(path, 0o555)
  const script = `import { hostLock } from '${ADAPTER}'
    console.log(await hostLock().takeFolder('${path}'))
    setInterval(() => {}, 1000)`
  const holder = await holding(process.execPath, '--input-type=module', '-e', script)
  symlinkSync(path, join(folder, 'another-spelling'))
  for (const spelling of [path, join(folder, 'another-spelling')])
    assert.equal(await hostLock().takeFolder(spelling), { heldBy: `process ${holder.pid}` })
  await kill(holder)
  await held(await hostLock().takeFolder(path)).release()
  assert.equal(readdirSync(path), [])
  const missing = await hostLock()
    .takeFolder(join(folder, 'missing'))
    .catch(({ code }) => code)
  assert.is(missing, 'ENOENT')
})

test.run()
