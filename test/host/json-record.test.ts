import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { fakeDeps } from '../../fixtures/deps.ts'
import { readRecord, writeRecord } from '../../lib/host/json-record.ts'

const test = suite('json record')
const Schema = v.object({ name: v.string() })
const PATH = '/var/lib/proxy-manager/record.json'

test('a record that was written is read; none, a torn one and one of another shape count as missing', async () => {
  const { host, disk } = await fakeDeps()
  assert.is(readRecord(host, PATH, Schema), undefined)
  await writeRecord(host, PATH, { name: 'a' }, 'record')
  assert.equal(readRecord(host, PATH, Schema), { name: 'a' })
  for (const text of ['', '{"name":', 'null', '[]', '{"name":1}']) {
    disk.set(PATH, { kind: 'file', file: { text }, mode: 0o600 })
    assert.is(readRecord(host, PATH, Schema), undefined, text)
  }
})

test('a record that cannot be written is a line in the log, not a failure', async () => {
  const { host, effects, lines } = await fakeDeps()
  effects.arrange({ at: 0, kind: 'error', code: 'ENOSPC' })
  await writeRecord(host, PATH, { name: 'a' }, 'record_it')
  assert.equal(
    lines.map(({ level, action, result }) => [level, action, result]),
    [['warn', 'record_it', 'failure']],
  )
})

test.run()
