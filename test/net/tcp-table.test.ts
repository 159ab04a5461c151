import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readTcpTable } from '../../lib/net/tcp-table.ts'

const test = suite('tcp-table')

const TABLE = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 6025605 1 0000000036ea59bc 100 0 0 10 0
   1: 0100007F:A793 0200000A:1F42 01 00000000:00000000 00:00000000 00000000    33        0 6350767 1 00000000c2a48582 100 0 0 10 0
   2: 0100007F:A794 0100007F:1F42 06 00000000:00000000 03:00000B2C 00000000     0        0 0 3 0000000000000000
   3: 0100007F:A795 0100007F:1F42 04 00000000:00000000 00:00000000 00000000    33        0 0 3 0000000000000000
10000: 0100007F:A796 0100007F:1F42 08 00000000:00000000 00:00000000 00000000    33        0 7 3 0000000000000000
`
const TABLE_6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:A793 0000000000000000FFFF00000100007F:1F42 01 00000000:00000000 00:00000000 00000000    33        0 8 1 0000000024317631 100 0 0 10 0
`

test('a socket has its two ends, its user and its inode', () => {
  const [listener, connection] = readTcpTable(TABLE)
  assert.equal(listener, {
    localAddress: '127.0.0.1',
    localPort: 8080,
    remoteAddress: '0.0.0.0',
    remotePort: 0,
    isListening: true,
    uid: 0,
    inode: '6025605',
  })
  assert.equal(connection, {
    localAddress: '127.0.0.1',
    localPort: 42899,
    remoteAddress: '10.0.0.2',
    remotePort: 8002,
    isListening: false,
    uid: 33,
    inode: '6350767',
  })
})

test('closed connections in TIME_WAIT are left out; any other socket is there, after the ten thousandth line too', () => {
  assert.equal(
    readTcpTable(TABLE).map(({ inode }) => inode),
    ['6025605', '6350767', '0', '7'],
  )
})

test('an address of IPv6 is in full, also one that stands for IPv4', () => {
  const [socket] = readTcpTable(TABLE_6)
  assert.is(socket?.localAddress, '0000:0000:0000:0000:0000:0000:0000:0001')
  assert.is(socket?.remoteAddress, '0000:0000:0000:0000:0000:FFFF:7F00:0001')
  assert.is(socket?.remotePort, 8002)
})

test('a table without sockets is empty', () => {
  assert.equal(readTcpTable(''), [])
  assert.equal(readTcpTable(TABLE.split('\n')[0] ?? ''), [])
})

test.run()
