import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startManager } from '../../../fixtures/manager.ts'
import { type CliHost, ENTRY, onHost, runProcess } from '../../helpers/cli-host.ts'

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

test.run()
