import type { Stats } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { statCache } from '../../../lib/adapters/disk/stat-cache.ts'

const test = suite('stat cache')

/** A status as far as it is compared, whose times are this long ago. */
function status(agoMs: number, precisionMs: number): Stats {
  const atMs = Math.floor((Date.now() - agoMs) / precisionMs) * precisionMs
  return { dev: 1, ino: 2, size: 3, mtimeMs: atMs, ctimeMs: atMs } as Stats
}

/** How often a path is read if it is needed twice under one status. */
function readsOf(stat: Stats): number {
  const cache = statCache<number>()
  let reads = 0
  for (let i = 0; i < 2; i++) cache.get('/a', stat, () => ++reads)
  return reads
}

test('whole seconds, as ext4 with small inodes and NFS store them, are trusted only once they are two seconds old', () => {
  assert.is(readsOf(status(0, 1000)), 2)
  assert.is(readsOf(status(1000, 1000)), 2)
  assert.is(readsOf(status(4000, 1000)), 1)
})

test('finer time stamps are trusted once they are older than the tick of the kernel', () => {
  assert.is(readsOf(status(1, 0.25)), 2)
  assert.is(readsOf({ ...status(1000, 1000), mtimeMs: Date.now() - 500.5, ctimeMs: Date.now() - 500.5 }), 1)
})

test('a time stamp of the future is not trusted', () => {
  assert.is(readsOf(status(-60_000, 1000)), 2)
})

test('a changed status is read again, and the same value stays the same object', () => {
  const cache = statCache<{ readonly text: string }>((before, now) => before.text === now.text)
  const old = status(10_000, 1000)
  const first = cache.get('/a', old, () => ({ text: 'x' }))
  assert.is(
    cache.get('/a', { ...old, ino: 3 } as Stats, () => ({ text: 'x' })),
    first,
  )
  assert.is(cache.get('/a', { ...old, ino: 4 } as Stats, () => ({ text: 'y' })).text, 'y')
})

test('what is forgotten is read again, alone or with its directory', () => {
  const cache = statCache<number>()
  const old = status(10_000, 1000)
  cache.get('/in/a', old, () => 1)
  cache.forget('/in/a')
  assert.is(
    cache.get('/in/a', old, () => 2),
    2,
  )
  cache.forgetBelow('/in')
  assert.is(
    cache.get('/in/a', old, () => 3),
    3,
  )
})

test.run()
