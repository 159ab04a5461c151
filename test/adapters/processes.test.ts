import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { hostProcesses } from '../../lib/adapters/processes.ts'

const test = suite('processes')
const processes = hostProcesses()

/** A process with this title, and a child of it with another; resolves once both have them. */
async function family(
  title: string,
  childTitle: string,
): Promise<{ process: ChildProcess; pid: number; child: number }> {
  const script = `(exec -a "$2" sleep 30) & echo $!; exec -a "$1" sleep 30`
  const process = spawn('/bin/bash', ['-c', script, 'family', title, childTitle], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const [line] = await once(process.stdout, 'data')
  const [pid, child] = [process.pid ?? 0, Number(String(line))]
  const titleOf = (id: number) => readFileSync(`/proc/${id}/cmdline`, 'utf8')
  while (!titleOf(pid).startsWith(title) || !titleOf(child).startsWith(childTitle))
    await new Promise((resolve) => setImmediate(resolve))
  return { process, pid, child }
}

async function end({ process: parent, child }: { process: ChildProcess; child: number }): Promise<void> {
  const exited = parent.exitCode === null && parent.signalCode === null ? once(parent, 'exit') : undefined
  try {
    process.kill(child, 'SIGKILL')
  } catch {
    // It has already ended.
  }
  parent.kill('SIGKILL')
  await exited
}

test('neither this process nor init is a master', () => {
  assert.not.ok(processes.isNginxMaster(process.pid))
  assert.not.ok(processes.isNginxMaster(1))
})

test('a process that has ended is not a master, has no workers, and cannot be signalled', async () => {
  const child = spawn('/bin/true')
  await once(child, 'exit')
  const pid = child.pid ?? 0
  assert.not.ok(processes.isNginxMaster(pid))
  assert.equal(processes.workersOf(pid), [])
  assert.is(processes.workerState(pid), 'gone')
  assert.is(processes.startTime(pid), '')
  assert.not.ok(processes.sendHup(pid))
})

test('a master and its workers are recognised by their titles', async () => {
  const found = await family('nginx: master process /usr/sbin/nginx', 'nginx: worker process')
  try {
    assert.ok(processes.isNginxMaster(found.pid))
    assert.not.ok(processes.isNginxMaster(found.child))
    assert.equal(processes.workersOf(found.pid), [found.child])
    assert.is(processes.workerState(found.child), 'accepting')
    assert.is(processes.workerState(found.pid), 'gone')
    assert.match(processes.startTime(found.child), /^\d+$/)
    assert.is(processes.startTime(found.child), processes.startTime(found.child))
  } finally {
    await end(found)
  }
})

test('a worker that shuts down accepts no new connections', async () => {
  const found = await family('nginx: master process /usr/sbin/nginx', 'nginx: worker process is shutting down')
  try {
    assert.is(processes.workerState(found.child), 'shutting_down')
  } finally {
    await end(found)
  }
})

test('a cache process is not a worker', async () => {
  const found = await family('nginx: master process /usr/sbin/nginx', 'nginx: cache manager process')
  try {
    assert.equal(processes.workersOf(found.pid), [])
    assert.is(processes.workerState(found.child), 'gone')
  } finally {
    await end(found)
  }
})

test("a process whose title only resembles a master's, such as an editor of nginx.conf, is not one", async () => {
  const found = await family('vim nginx: master process', 'less nginx.conf')
  try {
    assert.not.ok(processes.isNginxMaster(found.pid))
  } finally {
    await end(found)
  }
})

test("workers are found by the master's own list of children, and without one by looking at every process", () => {
  const proc = mkdtempSync(join(tmpdir(), 'proc-'))
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(proc, path)), { recursive: true })
    writeFileSync(join(proc, path), text)
  }
  try {
    for (const pid of [8, 9]) {
      write(`${pid}/cmdline`, 'nginx: worker process\0')
      write(`${pid}/stat`, `${pid} (a ) S 1) S 7 0`)
    }
    write('7/cmdline', 'nginx: master process\0')
    write('7/stat', '7 (nginx) S 1 0')
    write('10/cmdline', 'nginx: cache manager process\0')
    write('10/stat', '10 (nginx) S 7 0')
    const { workersOf } = hostProcesses({ proc })
    assert.equal(workersOf(7), [8, 9])
    write('7/task/7/children', '9 10 ')
    assert.equal(workersOf(7), [9])
    write('7/task/7/children', '')
    assert.equal(workersOf(7), [])
  } finally {
    rmSync(proc, { recursive: true })
  }
})

test('sendHup sends exactly SIGHUP', async () => {
  const found = await family('nginx: master process /usr/sbin/nginx', 'nginx: worker process')
  try {
    const exited = once(found.process, 'exit')
    assert.ok(processes.sendHup(found.pid))
    assert.equal(await exited, [null, 'SIGHUP'])
  } finally {
    await end(found)
  }
})

/** A process table that does not show this process, or in which its files cannot be read, as without a free descriptor. */
const TABLES = [
  ['that hides it', () => undefined],
  [
    'that cannot be read',
    (proc: string) => {
      for (const file of ['cmdline', 'stat', 'exe'])
        mkdirSync(join(proc, `${process.pid}/${file}`), { recursive: true })
    },
  ],
] as const

for (const [what, fill] of TABLES) {
  test(`of a process in a table ${what} nothing is concluded`, () => {
    const proc = mkdtempSync(join(tmpdir(), 'proc-'))
    try {
      fill(proc)
      const seen = hostProcesses({ proc })
      assert.is(seen.isNginxMaster(process.pid), 'unknown')
      assert.is(seen.workersOf(process.pid), 'unknown')
      assert.is(seen.workerState(process.pid), 'unknown')
      assert.is(seen.startTime(process.pid), '')
    } finally {
      rmSync(proc, { recursive: true })
    }
  })
}

test('the sockets that a process has open are found in the table of its network, with both of their ends', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'string' ? 0 : (address?.port ?? 0)
  const accepted = once(server, 'connection')
  const client = connect(port, '127.0.0.1')
  const [[connection]] = await Promise.all([accepted, once(client, 'connect')])
  try {
    const [own, table] = [processes.socketsOf(process.pid), processes.tcpTable(process.pid)]
    if (own === 'unknown' || table === 'unknown') throw new Error('/proc cannot be read')
    const open = table.filter(
      ({ inode, localPort, remotePort }) => own.has(inode) && [localPort, remotePort].includes(port),
    )
    assert.equal(open.map(({ isListening, remotePort }) => isListening || remotePort === port).sort(), [
      false,
      true,
      true,
    ])
    assert.ok(open.every(({ localAddress, uid }) => localAddress === '127.0.0.1' && uid === process.geteuid?.()))
    assert.is(processes.userOf(process.pid), process.geteuid?.())
  } finally {
    connection.destroy()
    client.destroy()
    server.close()
  }
})

test('a process that has ended has no sockets; its user is unknown', async () => {
  const child = spawn('/bin/true')
  await once(child, 'exit')
  assert.equal(processes.socketsOf(child.pid ?? 0), new Set())
  assert.is(processes.userOf(child.pid ?? 0), 'unknown')
})

test('descriptors and tables that cannot be read are unknown', () => {
  const proc = mkdtempSync(join(tmpdir(), 'proc-'))
  try {
    mkdirSync(join(proc, '7/fd/3'), { recursive: true })
    mkdirSync(join(proc, '7/net/tcp'), { recursive: true })
    const seen = hostProcesses({ proc })
    assert.is(seen.socketsOf(7), 'unknown')
    assert.is(seen.tcpTable(7), 'unknown')
    assert.is(seen.tcpTable(8), 'unknown')
  } finally {
    rmSync(proc, { recursive: true })
  }
})

test('without a process table, a process that has ended is still known to have', async () => {
  const child = spawn('/bin/true')
  await once(child, 'exit')
  const seen = hostProcesses({ proc: '/nonexistent' })
  assert.is(seen.isNginxMaster(child.pid ?? 0), false)
  assert.is(seen.workerState(child.pid ?? 0), 'gone')
  assert.is(seen.workersOf(child.pid ?? 0), 'unknown')
})

test("a process's file that may not be read is no failure, one that cannot be is", () => {
  const proc = mkdtempSync(join(tmpdir(), 'proc-'))
  try {
    mkdirSync(join(proc, '7/exe'), { recursive: true })
    const { executableOf } = hostProcesses({ proc })
    assert.is(executableOf(8), undefined)
    assert.throws(() => executableOf(7), /EINVAL/)
  } finally {
    rmSync(proc, { recursive: true })
  }
})

test.run()
