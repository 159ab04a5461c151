import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import type { Processes } from '../../lib/adapters/processes.ts'
import type { TcpSocket } from '../../lib/net/tcp-table.ts'
import { refusal, settled, writeAt } from '../helpers/arrange.ts'
import { eventsOf, put, putRequest, remove, worldWithRoute } from '../helpers/world.ts'

const test = suite('drains')

const OLD_WORKER = 900
const socket = (own: Partial<TcpSocket>): TcpSocket => ({
  localAddress: '127.0.0.1',
  localPort: 40000,
  remoteAddress: '127.0.0.1',
  remotePort: 50000,
  isListening: false,
  uid: 33,
  inode: JSON.stringify(own),
  ...own,
})
const CLIENT = socket({ localPort: 80 })
const LISTENER = socket({ localPort: 80, isListening: true })
const to = (remotePort: number) => socket({ remotePort })

/** A host whose old worker holds these sockets from the next reload on. */
async function hostWith(...sockets: readonly TcpSocket[]): Promise<FakeDeps> {
  const deps = await worldWithRoute()
  deps.nginx.sockets = [LISTENER]
  deps.nginx.oldWorkers.set(OLD_WORKER, sockets)
  return deps
}

function deploy(deps: FakeDeps, port: number, drainWaitS: number, signal?: AbortSignal) {
  return deps.engine.putProxy({ ...putRequest('old', 'old.example.com', port), drainWaitS, signal })
}

/** What happens at a sleep; others pass at once. */
function onSleep(deps: FakeDeps, atMs: number, act: () => void): void {
  const { sleep } = deps.clock
  const startMs = deps.clock.monotonicMs()
  deps.clock.sleep = async (ms) => {
    await sleep(ms)
    if (deps.clock.monotonicMs() - startMs >= atMs) act()
  }
}

const FORMER = 'http://localhost:8001'

test('a change that replaces no upstream has no former one', async () => {
  const deps = await fakeDeps()
  assert.equal((await put(deps, 'app', 'app.example.com', 8001)).receipt.former, [])
  assert.equal((await put(deps, 'app', 'app.example.com', 8001)).receipt.former, [])
  assert.equal((await put(deps, 'app', 'www.example.com', 8001)).receipt.former, [])
  const renamed = await deps.engine.renameProxy({ dropletName: 'app', newName: 'web', precondition: {} })
  assert.equal(renamed.receipt.former, [])
})

test('a change with its answer and all that follows reads the routes once', async () => {
  const deps = await worldWithRoute()
  await put(deps, 'other', 'other.example.com', 8005)
  await deps.engine.idle()
  const { lstat } = deps.host.files
  let reads = 0
  deps.host.files.lstat = (path) => {
    if (path.endsWith('/sites-available/fpai-other.conf')) reads++
    return lstat(path)
  }
  const { receipt } = await deploy(deps, 8002, 0)
  assert.is(receipt.former.length, 1)
  await deps.engine.idle()
  assert.is(reads, 1)
})

test('without a wait, the answer says at once whether the former upstream is drained', async () => {
  const idle = await worldWithRoute()
  assert.equal((await deploy(idle, 8002, 0)).receipt.former, [
    { upstream: FORMER, drained: true, connections: 0, waited_ms: 0 },
  ])
  const busy = await hostWith(CLIENT, to(8001))
  assert.equal((await deploy(busy, 8002, 0)).receipt.former, [
    { upstream: FORMER, drained: false, connections: 1, waited_ms: 0 },
  ])
})

test('with a wait, the answer comes once the last connection has ended', async () => {
  const deps = await hostWith(CLIENT, to(8001))
  onSleep(deps, 5000, () => deps.nginx.oldWorkers.clear())
  const [former] = (await deploy(deps, 8002, 30)).receipt.former
  assert.equal([former?.drained, former?.connections], [true, 0])
  assert.ok(former !== undefined && former.waited_ms >= 5000 && former.waited_ms <= 6500, `${former?.waited_ms} ms`)
})

test('a time-out is no error, and the change stays', async () => {
  const deps = await hostWith(CLIENT, to(8001))
  const { outcome, receipt } = await deploy(deps, 8002, 30)
  assert.is(outcome, 'replaced')
  assert.equal(receipt.former, [{ upstream: FORMER, drained: false, connections: 1, waited_ms: 30_000 }])
})

test('a request that is still being read keeps the former upstream', async () => {
  const deps = await hostWith(CLIENT)
  assert.equal((await deploy(deps, 8002, 1)).receipt.former, [
    { upstream: FORMER, drained: false, connections: 0, waited_ms: 1000 },
  ])
})

test('a deletion waits as well, also after that of the certificate', async () => {
  for (const deleteCertificate of [false, true]) {
    const deps = await hostWith(CLIENT, to(8001))
    onSleep(deps, 2000, () => deps.nginx.oldWorkers.clear())
    const deleted = await deps.engine.deleteProxy({
      dropletName: 'old',
      precondition: {},
      deleteCertificate,
      drainWaitS: 30,
    })
    assert.is(deleted.receipt.former[0]?.drained, true)
    assert.is(deleted.certificateDeleted, deleteCertificate || undefined)
  }
})

test('of an upstream that a route leads to nothing is known, and nobody waits for it', async () => {
  const same = await hostWith(CLIENT, to(8001))
  const spec = { ...putRequest('old', 'old.example.com', 8001).spec, upstream_host: '127.0.0.1' }
  const moved = await same.engine.putProxy({ ...putRequest('old', 'old.example.com', 8001), spec, drainWaitS: 30 })
  assert.equal(moved.receipt.former, [{ upstream: FORMER, drained: null, connections: null, waited_ms: 0 }])

  const shared = await hostWith(CLIENT, to(8001))
  await put(shared, 'other', 'other.example.com', 8001)
  assert.equal((await deploy(shared, 8002, 30)).receipt.former[0]?.drained, null)
})

test('if the process table does not show the workers, nobody waits', async () => {
  const deps = await worldWithRoute()
  Object.assign(deps.host.processes, { workersOf: () => 'unknown' })
  assert.equal((await deploy(deps, 8002, 30)).receipt.former, [
    { upstream: FORMER, drained: null, connections: null, waited_ms: 0 },
  ])
})

test('if the host cannot be read after a change, the change still succeeds', async () => {
  const deps = await hostWith(CLIENT, to(8001))
  const { tcpTable } = deps.host.processes
  Object.assign(deps.host.processes, {
    tcpTable: () => {
      throw new Error('EMFILE')
    },
  })
  assert.equal((await deploy(deps, 8002, 30)).receipt.former[0]?.drained, null)
  Object.assign(deps.host.processes, { tcpTable })
})

test('without CAP_SYS_PTRACE the wait ends with the workers', async () => {
  const deps = await worldWithRoute()
  deps.nginx.oldWorkers.set(OLD_WORKER, 'unknown')
  assert.equal((await deploy(deps, 8002, 1)).receipt.former[0]?.drained, null)
  onSleep(deps, 2000, () => deps.nginx.oldWorkers.clear())
  assert.equal((await deploy(deps, 8003, 30)).receipt.former[0]?.drained, true)
})

test('a process that stops ends every wait with what is known, and later ones at once', async () => {
  const deps = await hostWith(CLIENT, to(8001))
  onSleep(deps, 3000, () => deps.engine.endWaits())
  const [former] = (await deploy(deps, 8002, 600)).receipt.former
  assert.equal([former?.drained, former?.connections], [false, 1])
  assert.ok(former !== undefined && former.waited_ms < 5000)
  deps.nginx.oldWorkers.set(OLD_WORKER, [CLIENT, to(8002)])
  assert.is((await deploy(deps, 8003, 600)).receipt.former[0]?.waited_ms, 0)
})

test('once the caller has gone the wait ends', async () => {
  const deps = await hostWith(CLIENT, to(8001))
  const caller = new AbortController()
  onSleep(deps, 3000, () => caller.abort())
  const [former] = (await deploy(deps, 8002, 600, caller.signal)).receipt.former
  assert.ok(former !== undefined && former.waited_ms < 5000)
})

test('nobody else waits: a change is made while another call waits for a former upstream', async () => {
  const deps = await hostWith(CLIENT, to(8001))
  const { sleep } = deps.clock
  let go: () => void = () => undefined
  deps.clock.sleep = (ms) => (ms >= 20 ? new Promise<void>((resolve) => (go = resolve)) : sleep(ms))
  const waiting = deploy(deps, 8002, 30)
  for (let i = 0; i < 50; i++) await settled()
  deps.clock.sleep = sleep
  assert.is((await put(deps, 'app', 'app.example.com', 8005)).outcome, 'created')
  deps.nginx.oldWorkers.clear()
  await sleep(1000)
  go()
  assert.is((await waiting).receipt.former[0]?.drained, true)
})

test('a route shows its former upstreams while old workers have connections to them', async () => {
  const deps = await hostWith(CLIENT, to(8001), to(8001))
  await deploy(deps, 8002, 0)
  const since = new Date(deps.clock.nowMs()).toISOString()
  await deps.clock.sleep(60_000)
  assert.equal((await deps.engine.getProxy('old')).draining, [{ upstream: FORMER, connections: 2, since }])
  await deps.engine.renameProxy({ dropletName: 'old', newName: 'new', precondition: {} })
  assert.is((await deps.engine.getProxy('new')).draining?.length, 1)
  deps.nginx.oldWorkers.clear()
  await deps.clock.sleep(1000)
  assert.is((await deps.engine.getProxy('new')).draining, undefined)
  const events = eventsOf(deps).filter(({ type }) => type === 'route.drained')
  assert.equal(
    events.map(({ droplet_name, details }) => [droplet_name, details]),
    [['new', { upstream: FORMER, took_ms: 61_000 }]],
  )
})

test('a former upstream to which the route has returned is none any more', async () => {
  const deps = await hostWith(CLIENT, to(8001))
  await deploy(deps, 8002, 0)
  await deploy(deps, 8001, 0)
  assert.is((await deps.engine.getProxy('old')).draining, undefined)
})

test('metrics count the old workers, and their connections by droplet, also of a deleted one', async () => {
  const deps = await hostWith(CLIENT, to(8001))
  await remove(deps, 'old')
  const text = await deps.engine.readMetrics()
  assert.match(text, /^proxy_manager_draining_workers 1$/m)
  assert.match(text, /^proxy_manager_draining_connections\{droplet_name="old"\} 1$/m)
  deps.nginx.oldWorkers.clear()
  await deps.clock.sleep(1000)
  const later = await deps.engine.readMetrics()
  assert.match(later, /^proxy_manager_draining_workers 0$/m)
  assert.not.match(later, /draining_connections\{/)
})

test('an old worker that has lost its master is still waited for', async () => {
  const deps = await hostWith(CLIENT, to(8001))
  const { workersOf } = deps.host.processes
  onSleep(deps, 2000, () => Object.assign(deps.host.processes, { workersOf: () => [] }))
  assert.is((await deploy(deps, 8002, 10)).receipt.former[0]?.drained, false)
  Object.assign(deps.host.processes, { workersOf })
})

/** What /proc shows of a process that is ending: nothing, or that it may not be read. */
const ENDING: Readonly<Record<string, (deps: FakeDeps, end: () => void) => Partial<Processes>>> = {
  'while its sockets are read': (_, end) => ({
    socketsOf: () => {
      end()
      return 'unknown'
    },
    userOf: () => 'unknown',
  }),
  'and another process gets its number': () => {
    let looks = 0
    return { socketsOf: () => 'unknown', userOf: () => 'unknown', startTime: () => `${++looks}` }
  },
  'after its master, while the table of sockets is read through it': ({ host }, end) => ({
    isNginxMaster: () => false,
    workerState: (pid) => (pid === OLD_WORKER ? 'shutting_down' : host.processes.workerState(pid)),
    tcpTable: () => {
      end()
      Object.assign(host.processes, { workerState: () => 'gone' })
      return 'unknown'
    },
  }),
}

for (const [when, ending] of Object.entries(ENDING)) {
  test(`an old worker that ends ${when} has nothing open any more`, async () => {
    const deps = await hostWith(CLIENT, to(8001))
    const { processes } = deps.host
    const found = { ...processes }
    onSleep(deps, 2000, () =>
      Object.assign(
        processes,
        ending(deps, () => deps.nginx.oldWorkers.clear()),
      ),
    )
    const [former] = (await deploy(deps, 8002, 10)).receipt.former
    assert.equal([former?.drained, former?.connections], [true, 0])
    Object.assign(processes, found)
  })
}

test('during an upgrade of the binary the workers of the old master count as well', async () => {
  const deps = await worldWithRoute()
  const { isNginxMaster, workersOf } = deps.host.processes
  writeAt(deps.disk, '/run/nginx.pid.oldbin', '99\n')
  deps.nginx.oldWorkers.set(OLD_WORKER, [CLIENT, to(8001)])
  Object.assign(deps.host.processes, {
    isNginxMaster: (pid: number) => pid === 99 || isNginxMaster(pid),
    workersOf: (pid: number) => (pid === 99 ? [OLD_WORKER] : [deps.nginx.worker]),
  })
  assert.is((await deploy(deps, 8002, 1)).receipt.former[0]?.drained, false)
  Object.assign(deps.host.processes, { isNginxMaster, workersOf })
})

test('health names a worker that has been finishing its connections for more than an hour', async () => {
  const deps = await hostWith(CLIENT, to(8001))
  await deploy(deps, 8002, 0)
  const advice = async () => (await deps.engine.readHealth()).advice.filter((text) => text.includes('worker 900'))
  assert.equal(await advice(), [])
  await deps.clock.sleep(2 * 3_600_000 + 1000)
  const [first = '', ...others] = await advice()
  assert.match(first, '2 h')
  assert.equal(others, [])
  assert.is((await deps.engine.readHealth()).status, 'healthy')
})

test('a DELETE while NGINX is stopped knows nothing of its workers', async () => {
  const deps = await worldWithRoute()
  deps.nginx.running = false
  assert.equal((await remove(deps, 'old')).receipt.former, [
    { upstream: FORMER, drained: null, connections: null, waited_ms: 0 },
  ])
  await refusal(deploy(deps, 8002, 30), 'NGINX_RELOAD_FAILED')
})

test.run()
