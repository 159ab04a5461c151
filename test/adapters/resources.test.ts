import { spawnSync } from 'node:child_process'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { hostResources } from '../../lib/adapters/resources.ts'

const test = suite('resources')

test('processor time is counted since the last call, in percent of one core', () => {
  const { cpuPercent } = hostResources()
  const until = performance.now() + 20
  while (performance.now() < until);
  assert.ok(cpuPercent() > 0)
})

test('memory is the resident size of this process, in MiB', () => {
  const { memoryMb } = hostResources()
  assert.ok(Math.abs(memoryMb() - process.memoryUsage.rss() / 1024 / 1024) < 32)
})

test('this V8 has the flag that keeps its heap small', () => {
  const lib = new URL('../../lib/adapters/resources.ts', import.meta.url).href
  const script = `(await import('${lib}')).keepHeapSmall()`
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  assert.equal([status, stderr], [0, ''])
})

test.run()
