import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { TcpSocket } from '../../lib/net/tcp-table.ts'
import { type DrainState, drainState, type OldWorker, type OldWorkers } from '../../lib/nginx/draining.ts'

const test = suite('draining')

const FORMER = { addresses: ['127.0.0.1', '::1'], port: 8001 }

let inodes = 0
function socket(own: Partial<TcpSocket>): TcpSocket {
  const ends = { localAddress: '127.0.0.1', localPort: 40000, remoteAddress: '127.0.0.1', remotePort: 50000 }
  return { ...ends, isListening: false, uid: 33, inode: `${++inodes}`, ...own }
}
const client = (localPort = 80) => socket({ localPort, remoteAddress: '192.0.2.7' })
const to = (remotePort: number, remoteAddress = '127.0.0.1') => socket({ remotePort, remoteAddress })
const LISTENERS = [80, 443].map((localPort) => socket({ localPort, remotePort: 0, isListening: true, uid: 0 }))

function old(...workers: readonly (readonly TcpSocket[])[]): OldWorkers {
  return {
    workers: workers.map((sockets, i) => ({ pid: i, startTime: '1', user: 33, sockets })),
    table: [...LISTENERS, ...workers.flat()],
    plainPorts: [80],
  }
}

const drained: DrainState = { drained: true, connections: 0 }
const inUse = (connections: number): DrainState => ({ drained: false, connections })

const CASES: readonly (readonly [what: string, seen: OldWorkers, expected: DrainState])[] = [
  ['no old worker', old(), drained],
  ['one without connections', old([]), drained],
  ['a WebSocket to it', old([client(), to(8001)]), inUse(1)],
  ['connections to it in two workers', old([client(), to(8001)], [client(), to(8001), client(), to(8001)]), inUse(3)],
  ['one to its second address', old([client(), to(8001, '0000:0000:0000:0000:0000:0000:0000:0001')]), inUse(1)],
  ['one to it in IPv6 spelling', old([client(), to(8001, '0000:0000:0000:0000:0000:FFFF:7F00:0001')]), inUse(1)],
  ['one to its port at another address', old([client(), to(8001, '10.0.0.1')]), drained],
  [
    'a client whose port is the same number',
    old([client(), socket({ localPort: 80, remotePort: 8001 }), to(9), to(9)]),
    drained,
  ],
  ['a request that is still being read', old([client()]), inUse(0)],
  ['one that is being read beside one with another upstream', old([client(), client(), to(8002)]), inUse(0)],
  ['one that is being read in another worker', old([client(), to(8002)], [client()]), inUse(0)],
  ['clients with another upstream each', old([client(), client(), to(8002), to(8002)]), drained],
  [
    'more upstreams than clients, so that one may have none',
    old([client(), client(), to(8002), to(8002), to(8002)]),
    inUse(0),
  ],
  ['a client with TLS, whose connection may have several requests', old([client(443), to(8002)]), inUse(0)],
  ['upstreams without a client', old([to(8002)]), drained],
  ['a listening socket that it has not closed yet', old([client(), to(8002), LISTENERS[0] ?? client()]), drained],
]

for (const [what, seen, expected] of CASES) {
  test(`with ${what}, an upstream is ${expected.drained ? 'drained' : 'not drained'}`, () => {
    assert.equal(drainState(seen, FORMER), expected)
  })
}

test('of an upstream that NGINX resolves by its name, every connection to its port counts', () => {
  const named = { addresses: null, port: 8001 }
  assert.equal(drainState(old([client(), to(8001, '10.0.0.1')]), named), inUse(1))
  assert.equal(drainState(old([client(), to(8002)]), named), drained)
})

test('an address that is IPv4 written as IPv6 is that of the IPv4 socket', () => {
  assert.equal(drainState(old([client(), to(8001)]), { addresses: ['::ffff:7f00:1'], port: 8001 }), inUse(1))
})

/** Without CAP_SYS_PTRACE the descriptors of a worker cannot be read. */
function hidden(table: readonly TcpSocket[], user: OldWorker['user'] = 33): OldWorkers {
  const worker: OldWorker = { pid: 1, startTime: '1', user, sockets: 'unknown' }
  return { workers: [worker], table: [...LISTENERS, ...table], plainPorts: [80] }
}

test("if the workers' descriptors cannot be read, the connections of their user count", () => {
  assert.equal(drainState(hidden([to(8001), to(8001), socket({ remotePort: 8001, uid: 1000 })]), FORMER), inUse(2))
})

test('whether a request is being read cannot be seen then: without a connection it is not known to be drained', () => {
  assert.equal(drainState(hidden([to(8002)]), FORMER), { drained: null, connections: 0 })
})

test('without the user, or without the process table, nothing is known', () => {
  assert.equal(drainState(hidden([to(8001)], 'unknown'), FORMER), { drained: null, connections: null })
  assert.equal(drainState('unknown', FORMER), { drained: null, connections: null })
})

test.run()
