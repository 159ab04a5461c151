import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { FakeDeps } from '../../fixtures/deps.ts'
import { MASTER_PID } from '../../fixtures/fake-nginx.ts'
import type { WorkerState } from '../../lib/adapters/processes.ts'
import { assertSettled, contentsOf, onReload, PORT_TAKEN, refusal, writeAt } from '../helpers/arrange.ts'
import { put, servedPort, worldWithRoute } from '../helpers/world.ts'

const test = suite('reload, and others who do things to the master')

/** NGINX's binary is being replaced: the master of before, with a worker that accepts, stands in nginx.pid.oldbin. */
function beginUpgrade({ disk, host }: FakeDeps): { retire: () => void } {
  const { isNginxMaster, workersOf, workerState } = host.processes
  let state: WorkerState = 'accepting'
  writeAt(disk, '/run/nginx.pid.oldbin', '99\n')
  Object.assign(host.processes, {
    isNginxMaster: (pid: number) => pid === 99 || isNginxMaster(pid),
    workersOf: (pid: number) => (pid === 99 ? [900] : workersOf(pid)),
    workerState: (pid: number) => (pid === 900 ? state : workerState(pid)),
  })
  return {
    retire: () => {
      state = 'shutting_down'
    },
  }
}

test('a master whose binary is being replaced still serves: a change waits until it retires its workers', async () => {
  const deps = await worldWithRoute()
  const { retire } = beginUpgrade(deps)
  const sleep = deps.host.clock.sleep
  let naps = 0
  deps.host.clock.sleep = async (ms) => {
    if (++naps === 20) retire()
    await sleep(ms)
  }
  await put(deps, 'app', 'app.example.com', 8002)
  assert.ok(naps >= 20, `it waited ${naps} times`)
  assert.is(servedPort(deps, 'app.example.com'), 8002)
  await assertSettled(deps)
})

test('an upgrade that nobody finishes: the change is refused after 10 s, says so, and nothing was touched', async () => {
  const deps = await worldWithRoute()
  beginUpgrade(deps)
  const before = contentsOf(deps.disk)
  const started = deps.clock.monotonicMs()
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  assert.equal([error.details.state, error.details.reason, error.details.retryable], ['unchanged', 'upgrading', true])
  assert.ok(deps.clock.monotonicMs() - started < 11_000)
  assert.match(await deps.metrics.text(), /nginx_reload_duration_seconds_count\{result="upgrading"\} 1$/m)
  assert.equal(contentsOf(deps.disk), before)
  assert.is(deps.nginx.reloads, 1)
})

test('an upgrade that begins after the signal: what the former master answers is no proof', async () => {
  const deps = await worldWithRoute()
  let upgrade: { retire: () => void } | undefined
  onReload(deps, () => {
    upgrade ??= beginUpgrade(deps)
  })
  const sleep = deps.host.clock.sleep
  let naps = 0
  deps.host.clock.sleep = async (ms) => {
    if (++naps === 500) upgrade?.retire()
    await sleep(ms)
  }
  await put(deps, 'app', 'app.example.com', 8002)
  assert.ok(naps >= 500, `it waited ${naps} times`)
})

test('a master that hands over in the middle of a reload: its successor is made to read the files', async () => {
  const deps = await worldWithRoute()
  const { processes } = deps.host
  const signalled: number[] = []
  let master = 100
  const sendHup = processes.sendHup
  processes.isNginxMaster = (pid) => pid === master
  processes.sendHup = (pid) => {
    signalled.push(pid)
    if (pid === 101) return sendHup(pid)
    master = 101
    writeAt(deps.disk, '/run/nginx.pid', '101\n')
    return true
  }
  await put(deps, 'app', 'app.example.com', 8002)
  assert.equal(signalled, [100, 101])
  assert.is(servedPort(deps, 'app.example.com'), 8002)
  await assertSettled(deps)
})

test('between two pid files NGINX is not taken for stopped', async () => {
  const deps = await worldWithRoute()
  deps.disk.delete('/run/nginx.pid')
  writeAt(deps.disk, '/run/nginx.pid.oldbin', `${MASTER_PID}\n`)
  assert.is((await deps.engine.readHealth()).nginx.running, true)
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  assert.is(error.details.reason, 'upgrading')
})

test('a refusal is found in a log that was rotated meanwhile', async () => {
  const deps = await worldWithRoute()
  writeAt(deps.disk, '/var/log/nginx/error.log', 'an old line\n'.repeat(100))
  const started = deps.clock.monotonicMs()
  onReload(deps, (count) => {
    if (count === 1) writeAt(deps.disk, '/var/log/nginx/error.log', '')
    deps.nginx.refuseReload = count === 1 ? PORT_TAKEN : undefined
  })
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  assert.is(error.details.reason, 'refused')
  assert.ok(deps.clock.monotonicMs() - started < 1000)
})

test('a refusal is found behind any number of lines of others, and told whole', async () => {
  const deps = await worldWithRoute()
  const noise =
    '2026/01/01 00:00:00 [error] 1000#1000: *1 connect() failed, request: "GET /caf\u00e9 HTTP/1.1"\n'.repeat(1500)
  const [bind = '', ...rest] = PORT_TAKEN.split('\n')
  onReload(deps, (count) => {
    deps.nginx.refuseReload = count === 1 ? [noise, bind, noise, ...rest, noise].join('\n') : undefined
  })
  const started = deps.clock.monotonicMs()
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  assert.is(error.details.reason, 'refused')
  assert.is(
    error.details.nginx_output,
    PORT_TAKEN.split('\n')
      .filter((line) => line.includes('[emerg]'))
      .join('\n'),
  )
  assert.ok(deps.clock.monotonicMs() - started < 1000)
})

test('a refusal that is logged in two pieces is told once', async () => {
  const deps = await worldWithRoute()
  const log = '/var/log/nginx/error.log'
  const half = PORT_TAKEN.length - 10
  const sleep = deps.host.clock.sleep
  let naps = 0
  onReload(deps, (count) => {
    deps.nginx.refuseReload = count === 1 ? PORT_TAKEN.slice(0, half) : undefined
    naps = count === 1 ? 1 : 0
  })
  deps.host.clock.sleep = async (ms) => {
    // What the fake logs ends its line: here the line goes on.
    if (naps === 1) writeAt(deps.disk, log, PORT_TAKEN.slice(0, half))
    if (naps === 60) writeAt(deps.disk, log, `${PORT_TAKEN}\n`)
    if (naps > 0) naps++
    await sleep(ms)
  }
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  assert.is(error.details.reason, 'refused')
  assert.is(String(error.details.nginx_output).match(/still could not bind\(\)$/gm)?.length, 1)
  assert.is(String(error.details.nginx_output).match(/still/g)?.length, 1)
})

/** The next reloads take this long, one after another, until the worker of before accepts nothing any more. */
function slowReloads(deps: FakeDeps, durationsMs: readonly number[]): void {
  const { processes, clock } = deps.host
  const workerState = processes.workerState
  let old: number | undefined
  let untilMs = 0
  onReload(deps, (count) => {
    old = deps.nginx.worker
    untilMs = clock.monotonicMs() + (durationsMs[count - 1] ?? 0)
  })
  processes.workerState = (pid) => (pid === old && clock.monotonicMs() < untilMs ? 'accepting' : workerState(pid))
}

test('a reload may take as long as the one before it, however little was tested', async () => {
  const deps = await worldWithRoute()
  slowReloads(deps, [8_000, 14_000])
  for (const port of [8002, 8003]) await put(deps, 'app', 'app.example.com', port)
  assert.is(servedPort(deps, 'app.example.com'), 8003)
})

test('a reload that takes much longer than those before it is given up', async () => {
  const deps = await worldWithRoute()
  slowReloads(deps, [1000, 14_000])
  await put(deps, 'app', 'app.example.com', 8002)
  const error = await refusal(put(deps, 'app', 'app.example.com', 8003), 'NGINX_RELOAD_FAILED')
  assert.is(error.details.reason, 'not_confirmed')
  assert.is(servedPort(deps, 'app.example.com'), 8002)
})

test.run()
