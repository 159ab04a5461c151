import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps, MAIN_CONFIGURATION } from '../../fixtures/deps.ts'
import { MASTER_PID } from '../../fixtures/fake-nginx.ts'
import type { WorkerState } from '../../lib/adapters/processes.ts'
import { GENERATION_NAME } from '../../lib/nginx/generation.ts'
import {
  assertSettled,
  contentsOf,
  onReload,
  PORT_TAKEN,
  refusal,
  refuseNextReload,
  writeAt,
} from '../helpers/arrange.ts'
import { put, servedPort, worldWithRoute } from '../helpers/world.ts'

const test = suite('reload')

/** NGINX's binary is being replaced: nginx.pid.oldbin names the old master, which has a worker that accepts connections. */
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

test('during a binary upgrade a change waits until the old master has retired its workers', async () => {
  const deps = await worldWithRoute()
  const { retire } = beginUpgrade(deps)
  const sleep = deps.host.clock.sleep
  let waits = 0
  deps.host.clock.sleep = async (ms) => {
    if (++waits === 20) retire()
    await sleep(ms)
  }
  await put(deps, 'app', 'app.example.com', 8002)
  assert.ok(waits >= 20, `it waited ${waits} times`)
  assert.is(servedPort(deps, 'app.example.com'), 8002)
  await assertSettled(deps)
})

test('a binary upgrade that does not finish within 10 s refuses the change, and nothing is touched', async () => {
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

test('if a binary upgrade begins after the signal, an answer of the old master is no proof', async () => {
  const deps = await worldWithRoute()
  let upgrade: { retire: () => void } | undefined
  onReload(deps, () => {
    upgrade ??= beginUpgrade(deps)
  })
  const sleep = deps.host.clock.sleep
  let waits = 0
  deps.host.clock.sleep = async (ms) => {
    if (++waits === 500) upgrade?.retire()
    await sleep(ms)
  }
  await put(deps, 'app', 'app.example.com', 8002)
  assert.ok(waits >= 500, `it waited ${waits} times`)
})

test('if a master is replaced during a reload, its successor is reloaded', async () => {
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

test('NGINX is not taken for stopped while only nginx.pid.oldbin is there', async () => {
  const deps = await worldWithRoute()
  deps.disk.delete('/run/nginx.pid')
  writeAt(deps.disk, '/run/nginx.pid.oldbin', `${MASTER_PID}\n`)
  assert.is((await deps.engine.readHealth()).nginx.running, true)
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  assert.is(error.details.reason, 'upgrading')
})

test('a refusal is found in a log that was rotated during the reload', async () => {
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

test('a refusal is found among any number of other log lines, and is reported in full', async () => {
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

test('a refusal that is logged in two pieces is reported once', async () => {
  const deps = await worldWithRoute()
  const log = '/var/log/nginx/error.log'
  const half = PORT_TAKEN.length - 10
  const sleep = deps.host.clock.sleep
  let waits = 0
  onReload(deps, (count) => {
    deps.nginx.refuseReload = count === 1 ? PORT_TAKEN.slice(0, half) : undefined
    waits = count === 1 ? 1 : 0
  })
  deps.host.clock.sleep = async (ms) => {
    // The fake ends each line that it logs: here the line continues.
    if (waits === 1) writeAt(deps.disk, log, PORT_TAKEN.slice(0, half))
    if (waits === 60) writeAt(deps.disk, log, `${PORT_TAKEN}\n`)
    if (waits > 0) waits++
    await sleep(ms)
  }
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  assert.is(error.details.reason, 'refused')
  assert.is(String(error.details.nginx_output).match(/still could not bind\(\)$/gm)?.length, 1)
  assert.is(String(error.details.nginx_output).match(/still/g)?.length, 1)
})

const FORGED = `[emerg] ${MASTER_PID}#${MASTER_PID}: bind() to 0.0.0.0:80 failed`

test("what visitors write in NGINX's error log is not taken for the master's refusal", async () => {
  const deps = await worldWithRoute()
  const log = '/var/log/nginx/error.log'
  const line = '2026/01/01 00:00:00 [error] 1000#1000: *1 connect() failed, request: "GET / HTTP/1.1"'
  const own = `2026/01/01 00:00:00 [emerg] 1000#1000: *1 open() failed`
  // A path with a decoded line break makes a whole line; no line is a proof that the reload has failed.
  const whole = `2026/01/01 00:00:00 ${FORGED}`
  onReload(deps, () => writeAt(deps.disk, log, [`${line}, referrer: "${FORGED}"`, own, whole, ''].join('\n')))
  await put(deps, 'app', 'app.example.com', 8002)
  assert.is(servedPort(deps, 'app.example.com'), 8002)
  // Nor does it end the wait for a reload that takes longer than reading the log.
  slowReloads(deps, [400])
  await put(deps, 'app', 'app.example.com', 8003)
  assert.is(servedPort(deps, 'app.example.com'), 8003)
  await assertSettled(deps)
})

test('a referrer of the right shape is no refusal, however long the reload takes', async () => {
  const deps = await worldWithRoute()
  const line = '2026/01/01 00:00:00 [error] 1000#1000: *1 connect() failed, request: "GET / HTTP/1.1"'
  const text = `${line}, referrer: "2026/01/01 00:00:00 ${FORGED}"\n`
  onReload(deps, () => writeAt(deps.disk, '/var/log/nginx/error.log', text))
  slowReloads(deps, [9000])
  await put(deps, 'app', 'app.example.com', 8002)
  assert.is(servedPort(deps, 'app.example.com'), 8002)
})

for (const [logs, path] of [
  ['error_log /var/log/nginx/a.log; error_log syslog:server=127.0.0.1;', '/var/log/nginx/a.log'],
  ['error_log stderr; error_log /var/log/nginx/b.log alert; error_log memory:32m debug;', '/var/log/nginx/b.log'],
  ['error_log logs/a.log; error_log logs/b.log info;', '/usr/share/nginx/logs/a.log'],
] as const)
  test(`a refusal is found in a file among several logs: ${logs}`, async () => {
    const mainConfiguration = MAIN_CONFIGURATION.replace('error_log /var/log/nginx/error.log;', logs)
    const deps = await worldWithRoute({ mainConfiguration })
    onReload(deps, (count) => {
      deps.nginx.refuseReload = count === 1 ? 'elsewhere' : undefined
      writeAt(deps.disk, path, count === 1 ? `${PORT_TAKEN}\n` : '')
    })
    const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
    assert.is(error.details.reason, 'refused')
    assert.match(String(error.details.nginx_output), /still could not bind/)
  })

test('if NGINX logs to no file, a refusal ends with the time limit, and the remedy says where to look', async () => {
  const mainConfiguration = MAIN_CONFIGURATION.replace('/var/log/nginx/error.log', 'stderr')
  const deps = await worldWithRoute({ mainConfiguration })
  refuseNextReload(deps, PORT_TAKEN)
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  assert.equal([error.details.reason, error.details.state], ['not_confirmed', 'rolled_back'])
  assert.match(String(error.details.remedy), /error log/)
})

test('the generation is queried at each address of this host that the routes listen on, from loopback', async () => {
  const servers = 'server { listen 192.0.2.10:80; listen [::1]:80; listen 198.51.100.7:80; }'
  const mainConfiguration = MAIN_CONFIGURATION.replace('include /etc/nginx/conf.d/*.conf;', servers)
  const deps = await fakeDeps({ mainConfiguration })
  const seen = new Set<string>()
  const { get } = deps.host.probe
  deps.host.probe.get = async (request) => {
    if (request.host === GENERATION_NAME) seen.add(`${request.localAddress} ${request.address} ${request.port}`)
    return await get(request)
  }
  await put(deps, 'app', 'app.example.com', 8002)
  // 198.51.100.7 is not an address of this host now: another machine would answer.
  assert.equal([...seen], ['127.0.0.1 192.0.2.10 80', '::1 ::1 80'])
})

test('a generation that one of the addresses does not answer is not served', async () => {
  const deps = await worldWithRoute()
  const { get } = deps.host.probe
  deps.host.probe.get = async (request) =>
    request.host === GENERATION_NAME && request.address === '::1' ? { status: 200, body: '1' } : await get(request)
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  assert.is(error.details.reason, 'not_confirmed')
})

test('a listener with proxy_protocol gets its header, and our blocks the same protocols as the host', async () => {
  const servers = 'server { listen 80 proxy_protocol; listen [::]:80; }'
  const mainConfiguration = MAIN_CONFIGURATION.replace('include /etc/nginx/conf.d/*.conf;', servers)
  const deps = await fakeDeps({ mainConfiguration })
  const seen = new Set<string>()
  const { get } = deps.host.probe
  deps.host.probe.get = async (request) => {
    if (request.host === GENERATION_NAME) seen.add(`${request.address} ${request.proxyProtocol}`)
    return await get(request)
  }
  await put(deps, 'app', 'app.example.com', 8002)
  assert.equal([...seen], ['127.0.0.1 true', '::1 false'])
  assert.match([...deps.nginx.loaded.values()].join(''), /listen 80 proxy_protocol;\n\s+listen \[::\]:80;/)
})

for (const [what, body] of [
  ['a page', '<h1>It works!</h1>'],
  ['digits', '7'],
] as const)
  test(`a first change that is refused is rolled back if another site answers every name with ${what}`, async () => {
    const deps = await fakeDeps()
    const { get } = deps.host.probe
    deps.host.probe.get = async (request) => {
      const answer = await get(request)
      return request.host === GENERATION_NAME && 'failure' in answer ? { status: 200, body } : answer
    }
    refuseNextReload(deps, PORT_TAKEN)
    const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
    assert.is(error.details.state, 'rolled_back')
    await put(deps, 'app', 'app.example.com', 8002)
    assert.is(servedPort(deps, 'app.example.com'), 8002)
    await assertSettled(deps)
  })

/** The next reloads take this long, one after another, until the old worker no longer accepts connections. */
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

test('a reload may take as long as the previous one, however short the test was', async () => {
  const deps = await worldWithRoute()
  slowReloads(deps, [8_000, 14_000])
  for (const port of [8002, 8003]) await put(deps, 'app', 'app.example.com', port)
  assert.is(servedPort(deps, 'app.example.com'), 8003)
})

test('a reload that takes much longer than the previous ones times out', async () => {
  const deps = await worldWithRoute()
  slowReloads(deps, [1000, 14_000])
  await put(deps, 'app', 'app.example.com', 8002)
  const error = await refusal(put(deps, 'app', 'app.example.com', 8003), 'NGINX_RELOAD_FAILED')
  assert.is(error.details.reason, 'not_confirmed')
  assert.is(servedPort(deps, 'app.example.com'), 8002)
})

test('a refusal ends the wait within a second; a failed bind that NGINX retries does not', async () => {
  const deps = await worldWithRoute()
  const [firstTry = ''] = PORT_TAKEN.split('\n')
  const started = deps.clock.monotonicMs()
  refuseNextReload(deps, PORT_TAKEN)
  await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  assert.ok(deps.clock.monotonicMs() - started < 1000)

  const other = await worldWithRoute()
  refuseNextReload(other, firstTry)
  const waited = other.clock.monotonicMs()
  const error = await refusal(put(other, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  assert.is(error.details.reason, 'not_confirmed')
  assert.ok(other.clock.monotonicMs() - waited >= 10_000)
})

test('an earlier refusal in the log is not taken for the result of this reload', async () => {
  const deps = await worldWithRoute()
  writeAt(deps.disk, '/var/log/nginx/error.log', `${PORT_TAKEN}\n`)
  await put(deps, 'app', 'app.example.com', 8002)
  assert.is(servedPort(deps, 'app.example.com'), 8002)
})

test('a process that is not an NGINX master is not signalled, even if the pid file names it', async () => {
  const deps = await worldWithRoute()
  const pids: number[] = []
  onReload(deps, () => pids.push(1))
  for (const text of ['', '1\n', '-1\n', '4242\n', 'nonsense\n', '0\n']) {
    writeAt(deps.disk, '/run/nginx.pid', text)
    const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
    assert.is(error.details.reason, 'not_running', text)
  }
  assert.equal(pids, [])
})

test('if the master cannot be signalled, the binary is called, and its error is reported', async () => {
  const deps = await worldWithRoute()
  const { processes, runner } = deps.host
  processes.sendHup = () => false
  const run = runner.run
  const calls: string[][] = []
  runner.run = async (file, args, options) => {
    if (args[0] !== '-s') return await run(file, args, options)
    calls.push([file, ...args])
    return { exitCode: 1, output: 'nginx: [alert] kill(100, 1) failed (1: Operation not permitted)\n' }
  }
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  assert.equal(calls[0], ['/usr/sbin/nginx', '-s', 'reload'])
  assert.is(error.details.nginx_output, 'nginx: [alert] kill(100, 1) failed (1: Operation not permitted)')
})

/** Processes of other users are hidden: nothing is known of any process. */
function hideProcesses({ host }: FakeDeps): void {
  Object.assign(host.processes, {
    isNginxMaster: () => 'unknown',
    workersOf: () => 'unknown',
    workerState: () => 'unknown',
    startTime: () => '',
  })
}

test('an NGINX that cannot be looked at is not called stopped: its own command reloads it, and only its answer proves that', async () => {
  const deps = await worldWithRoute()
  const { sendHup } = deps.host.processes
  const { run } = deps.host.runner
  hideProcesses(deps)
  deps.host.processes.sendHup = () => {
    throw new Error('an unknown process was signalled')
  }
  deps.host.runner.run = async (file, args, options) => {
    if (args[0] === '-s') sendHup(MASTER_PID)
    return await run(file, args, options)
  }
  const { receipt } = await put(deps, 'app', 'app.example.com', 8002)
  assert.equal([receipt.reloaded, receipt.proved_by], [true, 'generation_probe'])
  assert.is(servedPort(deps, 'app.example.com'), 8002)
  const { nginx } = await deps.engine.readHealth()
  assert.ok(nginx.running)
  const reloads = deps.nginx.reloads
  await deps.engine.proveServed()
  assert.is(deps.nginx.reloads, reloads)
})

test('old workers that can no longer be looked at do not count as retired: the change is undone', async () => {
  const deps = await worldWithRoute()
  const { sendHup } = deps.host.processes
  const { workersOf, workerState } = deps.host.processes
  let isFirst = true
  deps.host.processes.sendHup = (pid) => {
    const wasFirst = isFirst
    isFirst = false
    Object.assign(deps.host.processes, wasFirst ? { workerState: () => 'unknown' } : { workersOf, workerState })
    return sendHup(pid)
  }
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  assert.equal([error.details.reason, error.details.state], ['not_confirmed', 'rolled_back'])
  assert.is(servedPort(deps, 'app.example.com'), undefined)
  assert.not.ok(deps.disk.has('/etc/nginx/sites-available/fpai-app.conf'))
})

test('an upgrade of the binary whose old workers cannot be looked at has not ended', async () => {
  const deps = await worldWithRoute()
  beginUpgrade(deps)
  const { workersOf } = deps.host.processes
  deps.host.processes.workersOf = (pid) => (pid === 99 ? 'unknown' : workersOf(pid))
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  assert.is(error.details.reason, 'upgrading')
})

test('workers that were seen at the last proof and cannot be now make it be repeated', async () => {
  const deps = await worldWithRoute()
  const { workersOf, workerState } = deps.host.processes
  Object.assign(deps.host.processes, { workersOf: () => 'unknown', workerState: () => 'unknown' })
  const reloads = deps.nginx.reloads
  deps.host.processes.sendHup = ((sendHup) => (pid: number) => {
    Object.assign(deps.host.processes, { workersOf, workerState })
    return sendHup(pid)
  })(deps.host.processes.sendHup)
  await deps.engine.proveServed()
  assert.is(deps.nginx.reloads, reloads + 1)
})

test.run()
