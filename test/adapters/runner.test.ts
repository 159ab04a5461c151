import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { LogFields } from '../../lib/adapters/log.ts'
import { hostRunner, loggingRunner, type RunResult } from '../../lib/adapters/runner.ts'

const test = suite('runner')

const runner = hostRunner(process.env)
const sh = (script: string, timeoutMs = 10_000) => runner.run('/bin/sh', ['-c', script], { timeoutMs })

function inFolder<T>(prove: (folder: string) => Promise<T>): () => Promise<T> {
  return async () => {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), 'runner-')))
    try {
      return await prove(folder)
    } finally {
      rmSync(folder, { recursive: true })
    }
  }
}

test('a command returns its exit status and both outputs', async () => {
  assert.equal(await sh('echo out; echo err >&2'), { exitCode: 0, output: 'out\nerr\n' })
  assert.equal(await sh('exit 3'), { exitCode: 3, output: '' })
  assert.is((await sh('exit 255')).exitCode, 255)
})

test('no shell interprets arguments', async () => {
  const args = ['%s|', '$HOME', '`id`', '; exit 9', '"', '*', '-n', '']
  const { exitCode, output } = await runner.run('/usr/bin/printf', args, { timeoutMs: 10_000 })
  assert.equal([exitCode, output], [0, '$HOME|`id`|; exit 9|"|*|-n||'])
})

test('a missing binary is 127', async () => {
  assert.equal(await runner.run('/no/such/binary', [], { timeoutMs: 1000 }), { exitCode: 127, output: '' })
})

test(
  'a file that cannot be executed is 126, and so is a directory',
  inFolder(async (folder) => {
    const file = join(folder, 'plain')
    writeFileSync(file, 'text')
    chmodSync(file, 0o644)
    assert.is((await runner.run(file, [], { timeoutMs: 1000 })).exitCode, 126)
    assert.is((await runner.run(folder, [], { timeoutMs: 1000 })).exitCode, 126)
  }),
)

test('death by a signal is 128 plus its number', async () => {
  for (const signal of ['SIGTERM', 'SIGKILL', 'SIGSEGV', 'SIGABRT', 'SIGHUP', 'SIGUSR1'] as const)
    assert.is((await sh(`kill -${signal.slice(3)} $$`)).exitCode, 128 + constants.signals[signal], signal)
})

test('the time limit ends a command with 124, and keeps its output until then', async () => {
  const started = performance.now()
  assert.equal(await sh('echo begun; exec sleep 60', 200), { exitCode: 124, output: 'begun\n' })
  assert.ok(performance.now() - started < 1500)
})

test('the time limit also ends what the command has started', async () => {
  const started = performance.now()
  const { exitCode, output } = await sh('sleep 60 & echo $!; wait', 200)
  assert.is(exitCode, 124)
  assert.ok(performance.now() - started < 1500)
  // A zombie has no command line.
  const cmdline = `/proc/${Number(output)}/cmdline`
  assert.is(existsSync(cmdline) ? readFileSync(cmdline, 'utf8') : '', '')
})

test('a command that ignores TERM is killed two seconds later', async () => {
  const started = performance.now()
  const { exitCode } = await sh("trap '' TERM; while :; do sleep 0.1; done", 200)
  assert.is(exitCode, 124)
  const tookMs = performance.now() - started
  assert.ok(tookMs >= 2000 && tookMs < 4000, String(tookMs))
})

test('a grandchild that left the process group and keeps the output open does not block the caller', async () => {
  const started = performance.now()
  const { exitCode } = await sh('setsid sleep 6 & exit 0', 200)
  assert.is(exitCode, 124)
  assert.ok(performance.now() - started < 4000)
})

test('output is truncated after 64 KiB, and the command still runs to its end', async () => {
  const { exitCode, output } = await sh('head -c 5000000 /dev/zero | tr "\\0" x; exit 4')
  assert.is(exitCode, 4)
  assert.is(output.length, 65_536)
})

test('a character that arrives in pieces is decoded correctly', async () => {
  const { output } = await sh("printf '\\303'; sleep 0.1; printf '\\274'")
  assert.is(output, 'ü')
})

test('a command gets PATH from the environment, but no token', async () => {
  process.env.PROXY_MANAGER_API_TOKEN = 'a-secret-of-this-process'
  try {
    const { output } = await hostRunner(process.env).run('/usr/bin/env', [], { timeoutMs: 10_000 })
    assert.not.match(output, 'a-secret-of-this-process')
    assert.not.match(output, 'PROXY_MANAGER')
    assert.match(output, /^PATH=/m)
  } finally {
    delete process.env.PROXY_MANAGER_API_TOKEN
  }
})

test("a command gets only the given environment, not the process's own variables, even those set later", async () => {
  const ownRunner = hostRunner({ PATH: '/usr/bin', LANG: 'C' })
  process.env.DATABASE_PASSWORD = 'a-secret-of-this-process'
  try {
    const { output } = await ownRunner.run('/usr/bin/env', [], { timeoutMs: 10_000 })
    assert.equal(output.trim().split('\n').toSorted(), ['LANG=C', 'PATH=/usr/bin'])
  } finally {
    delete process.env.DATABASE_PASSWORD
  }
})

test(
  'a binary planted in node_modules/.bin of the working directory is not found',
  inFolder(async (folder) => {
    const bin = join(folder, 'node_modules', '.bin')
    mkdirSync(bin, { recursive: true })
    writeFileSync(join(bin, 'planted-nginx'), '#!/bin/sh\necho planted\n', { mode: 0o755 })
    const former = process.cwd()
    process.chdir(folder)
    try {
      assert.is((await sh('planted-nginx')).exitCode, 127)
      assert.is((await runner.run('planted-nginx', [], { timeoutMs: 1000 })).exitCode, 127)
    } finally {
      process.chdir(former)
    }
  }),
)

test("a command's standard input is empty", async () => {
  assert.equal(await runner.run('/bin/cat', [], { timeoutMs: 5000 }), { exitCode: 0, output: '' })
})

test('each command is logged at debug with its exit status and duration, and its result is returned unchanged', async () => {
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
  const logged = { level: 'debug', action: 'run', duration_ms: 20 }
  assert.equal(lines, [
    { ...logged, result: 'success', command: '/usr/sbin/nginx -t -c /etc/nginx/nginx.conf', exit_status: 0 },
    { ...logged, result: 'failure', command: '/usr/bin/certbot --version', exit_status: 1 },
  ])
})

test.run()
