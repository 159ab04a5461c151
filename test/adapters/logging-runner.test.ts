import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { LogFields } from '../../lib/adapters/log.ts'
import type { RunResult } from '../../lib/adapters/runner.ts'
import { loggingRunner } from '../../lib/adapters/runner.ts'

const test = suite('logging runner')

test('each command is told at debug, with its exit status and how long it took, and answered as it ended', async () => {
  const lines: (LogFields & { readonly level: string })[] = []
  const log = {
    write: (level: string, fields: LogFields) => void lines.push({ level, ...fields }),
    flush: async () => {},
  }
  let nowMs = 0
  let ending: RunResult = { exitCode: 0, output: 'fine' }
  const runner = { run: async () => ending, detachRunning: () => undefined }
  const clock = {
    monotonicMs: () => {
      nowMs += 20
      return nowMs
    },
  }
  const { run } = loggingRunner(runner, log, clock)
  assert.equal(await run('/usr/sbin/nginx', ['-t', '-c', '/etc/nginx/nginx.conf'], { timeoutMs: 1 }), ending)
  ending = { exitCode: 1, output: 'no' }
  assert.equal(await run('/usr/bin/certbot', ['--version'], { timeoutMs: 1 }), ending)
  const told = { level: 'debug', action: 'run', duration_ms: 20 }
  assert.equal(lines, [
    { ...told, result: 'success', command: '/usr/sbin/nginx -t -c /etc/nginx/nginx.conf', exit_status: 0 },
    { ...told, result: 'failure', command: '/usr/bin/certbot --version', exit_status: 1 },
  ])
})

test.run()
