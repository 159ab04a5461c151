import { Writable } from 'node:stream'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { hostLog, type Level } from '../../lib/adapters/log.ts'

const test = suite('log')
const NOW = Date.parse('2026-01-01T00:00:00.000Z')

/** Everything written to a stream, and the log on it. */
function logInto(minLevel: Level) {
  let text = ''
  const stdout = new Writable({
    write: (chunk, _encoding, done) => {
      text += String(chunk)
      setImmediate(done)
    },
  })
  return { log: hostLog(minLevel, stdout, () => NOW), written: () => text }
}

test('a line is one JSON object: time, level, and the fields in their order', async () => {
  const { log, written } = logInto('info')
  log.write('info', { action: 'putProxy', result: 'success', correlation_id: 'c-1', duration_ms: 12, generation: 3 })
  await log.flush()
  assert.is(
    written(),
    '{"timestamp":"2026-01-01T00:00:00.000Z","level":"info","action":"putProxy","result":"success","correlation_id":"c-1","duration_ms":12,"generation":3}\n',
  )
})

test('line breaks, escapes and separators of a value never make a second line', async () => {
  const { log, written } = logInto('info')
  const hostile = 'a\nb\r\u2028\u2029\u001b[31m"}\0'
  log.write('warn', { action: 'x', result: 'failure', cause: hostile, nested: { list: [hostile] } })
  await log.flush()
  assert.is(written().split('\n').length, 2)
  assert.not.match(written(), '\u001b')
  const line = JSON.parse(written())
  assert.equal([line.cause, line.nested.list], [hostile, [hostile]])
})

test('lines below the log level are left out, the others name theirs', async () => {
  const levels: readonly Level[] = ['debug', 'info', 'warn', 'error']
  for (const [i, least] of levels.entries()) {
    const { log, written } = logInto(least)
    for (const level of levels) log.write(level, { action: 'x', result: 'success' })
    await log.flush()
    const seen = written()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).level)
    assert.equal(seen, levels.slice(i))
  }
})

test('flush waits for every line', async () => {
  const { log, written } = logInto('info')
  for (let i = 0; i < 1000; i++) log.write('info', { action: 'x', result: 'success', outcome: String(i) })
  await log.flush()
  assert.is(written().trim().split('\n').length, 1000)
})

test('a field that is undefined is left out', async () => {
  const { log, written } = logInto('info')
  log.write('info', { action: 'x', result: 'success', cause: undefined })
  await log.flush()
  assert.not.match(written(), 'cause')
})

test.run()
