import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../../../../fixtures/free-port.ts'
import { startManager } from '../../../../fixtures/manager.ts'
import { type CliHost, ENTRY, onHost, runProcess } from '../../../helpers/cli-host.ts'

const test = suite<CliHost>('proxy-manager serve')

onHost(test)

test('exit status 78 with a wrong setting, and one line that names it', async ({ environment }) => {
  const { status, out, err } = await runProcess(['serve'], { ...environment, PROXY_MANAGER_PORT: '0' })
  assert.is(status, 78)
  assert.is(out, '')
  assert.match(err, /^proxy-manager: PROXY_MANAGER_PORT: expected .*, got "0"\n$/)
})

test('the log line of the start says where it listens, and the state directory', async ({ root, environment }) => {
  const manager = await startManager(environment)
  await manager.end()
  const { timestamp, ...line } = JSON.parse(manager.log.find((line) => line.includes('"action":"start"')) ?? '')
  assert.equal(line, {
    level: 'info',
    action: 'start',
    result: 'success',
    host: '127.0.0.1',
    port: manager.port,
    state_folder: join(root, 'state'),
  })
})

test('exit status 78 if the port is in use, with a message that says so', async (context) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const environment = { ...context.environment, PROXY_MANAGER_PORT: String(address.port) }
  const { status, err } = await runProcess(['serve'], environment)
  server.close()
  assert.is(status, 78)
  assert.is(
    err,
    `proxy-manager: PROXY_MANAGER_PORT: cannot listen on 127.0.0.1:${address.port} (EADDRINUSE): address already in use\n`,
  )
})

test('exit status 75 if this host does not have the address yet, with the setting', async (context) => {
  const environment = { ...context.environment, PROXY_MANAGER_HOST: '192.0.2.77', PROXY_MANAGER_INSECURE: 'true' }
  const { status, err } = await runProcess(['serve'], environment)
  assert.is(status, 75)
  assert.match(err, /^proxy-manager: PROXY_MANAGER_HOST: cannot listen on 192\.0\.2\.77:8100 \(EADDRNOTAVAIL\): .+\n$/)
})

test('exit status 78, of recover too, if the state directory cannot be created', async ({ environment }) => {
  for (const command of ['serve', 'recover']) {
    const { status, err } = await runProcess([command], { ...environment, PROXY_MANAGER_STATE_DIR: '/proc/state' })
    assert.is(status, 78)
    assert.match(err, /^proxy-manager: PROXY_MANAGER_STATE_DIR: \/proc\/state cannot be used \(ENOENT: .+\)\n$/)
  }
})

test('it is no failure if the reader of the help goes away, or that of an error', async () => {
  for (const [argv, status] of [
    [['serve', '--help'], 0],
    [['lst'], 2],
  ] as const) {
    const child = spawn(process.execPath, [ENTRY, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] })
    child.stdout.destroy()
    child.stderr.destroy()
    assert.is((await once(child, 'close'))[0], status)
  }
})

test('output that cannot be written is one line and exit status 1', async () => {
  const full = openSync('/dev/full', 'w')
  const child = spawn(process.execPath, [ENTRY, 'systemd-unit', '--help'], { stdio: ['ignore', full, 'pipe'] })
  closeSync(full)
  let err = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    err += chunk.toString()
  })
  const [status] = await once(child, 'close')
  assert.equal([status, err], [1, 'proxy-manager: the output cannot be written (ENOSPC)\n'])
})

test('SIGHUP, SIGUSR1 and SIGUSR2 end nothing, open no debugger, and are logged with what to do instead', async ({
  environment,
}) => {
  const manager = await startManager({ ...environment, NODE_OPTIONS: '--no-warnings' })
  for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const) {
    const from = manager.log.length
    process.kill(manager.pid, signal)
    const seen = () =>
      manager.log.slice(from).some((line) => line.includes('"action":"signal"') && line.includes(signal))
    // NODE_FLAGS keep SIGUSR1 from the process: nothing is seen of it.
    while (signal !== 'SIGUSR1' && !seen()) assert.is((await fetch(`${manager.url}/health`)).status < 600, true)
  }
  assert.not.match(manager.errors, 'Debugger')
  assert.is(await manager.end('SIGQUIT'), 0)
})

test("without Node's flag, as in a process of somebody else's, SIGUSR1 opens no debugger either", async ({
  environment,
}) => {
  const port = await freePort()
  const env = { PATH: process.env.PATH, ...environment, PROXY_MANAGER_PORT: String(port) }
  const child = spawn(process.execPath, [ENTRY, 'serve'], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let [out, err] = ['', '']
  child.stderr.on('data', (chunk) => {
    err += chunk
  })
  const signalled = new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk) => {
      if (!out.includes('"action":"start"') && `${out}${chunk}`.includes('"action":"start"')) child.kill('SIGUSR1')
      out += chunk
      if (out.includes('"signal":"SIGUSR1"')) resolve()
    })
  })
  await signalled
  child.kill('SIGTERM')
  assert.equal([(await once(child, 'close'))[0], err], [0, ''])
})

test.run()
