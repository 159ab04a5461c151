import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { hostNetwork } from '../../lib/adapters/network.ts'

const test = suite('network')
const network = hostNetwork()

/** A resolver on loopback that answers with `answer`, or never. */
async function resolver(
  answer?: (question: Buffer) => Buffer | undefined,
): Promise<{ socket: Socket; server: string }> {
  const socket = createSocket('udp4')
  socket.on('message', (question, from) => {
    const reply = answer?.(question)
    if (reply !== undefined) socket.send(reply, from.port, from.address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return { socket, server: `127.0.0.1:${socket.address().port}` }
}

/** Answers every query with this response code and no record. */
const nothing = (code: number) => (question: Buffer) => {
  const reply = Buffer.from(question.subarray(0, question.indexOf(0, 12) + 5))
  reply.writeUInt16BE(0x8180 + code, 2)
  reply.fill(0, 6, 12)
  return reply
}

/** Answers queries for an A record with 192.0.2.7, all others with no record (RFC 1035, 4.1). */
function addressRecord(question: Buffer): Buffer {
  const end = question.indexOf(0, 12) + 5
  const isA = question.readUInt16BE(end - 4) === 1
  const header = Buffer.from(question.subarray(0, 12))
  header.writeUInt16BE(0x8180, 2)
  header.writeUInt16BE(isA ? 1 : 0, 6)
  header.writeUInt16BE(0, 8)
  header.writeUInt16BE(0, 10)
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7])
  return Buffer.concat([header, question.subarray(12, end), ...(isA ? [record] : [])])
}

/** Answers every query with CAA records: flags 0, tag and value (RFC 8659, 4.1). */
const caaRecords =
  (...records: readonly (readonly [tag: string, value: string])[]) =>
  (question: Buffer) => {
    const reply = nothing(0)(question)
    reply.writeUInt16BE(records.length, 6)
    const answers = records.map(([tag, value]) => {
      const data = Buffer.concat([Buffer.from([0, tag.length]), Buffer.from(tag + value)])
      return Buffer.concat([Buffer.from([0xc0, 12, 1, 1, 0, 1, 0, 0, 0, 60, 0, data.length]), data])
    })
    return Buffer.concat([reply, ...answers])
  }

test('localhost is resolved without a query', async () => {
  const addresses = await network.lookup('localhost', 2000)
  assert.ok(addresses.includes('127.0.0.1') || addresses.includes('::1'), addresses.join())
})

test('a name under a reserved top-level domain resolves to no address, without an error', async () => {
  assert.equal(await network.lookup('no-such-name.invalid', 2000), [])
})

test('the given server is the one that is queried', async () => {
  const { socket, server } = await resolver(addressRecord)
  assert.equal(await network.query('app.example', [server], 2000), ['192.0.2.7'])
  socket.close()
})

test('a server that never answers takes no longer than the time limit', async () => {
  const { socket, server } = await resolver()
  const started = performance.now()
  assert.equal(await network.query('app.example', [server], 200), [])
  assert.ok(performance.now() - started < 1500)
  socket.close()
})

test('names that hang, however many, delay no other name', async () => {
  const { socket, server } = await resolver((question) =>
    question.includes('hang') ? undefined : addressRecord(question),
  )
  const hanging = Array.from({ length: 100 }, (_, i) => network.query(`hang${i}.example`, [server], 600))
  const started = performance.now()
  assert.equal(await network.query('app.example', [server], 500), ['192.0.2.7'])
  assert.ok(performance.now() - started < 500)
  assert.ok((await Promise.all(hanging)).every((addresses) => addresses.length === 0))
  socket.close()
})

test('an answer is not remembered: a changed record counts at once', async () => {
  let isThere = true
  const { socket, server } = await resolver((question) => (isThere ? addressRecord(question) : nothing(3)(question)))
  assert.equal(await network.query('app.example', [server], 2000), ['192.0.2.7'])
  isThere = false
  assert.equal(await network.query('app.example', [server], 2000), [])
  socket.close()
})

test('the hosts file has localhost, and no name that it does not list', () => {
  assert.ok(network.hostsFile('LOCALHOST').includes('127.0.0.1'))
  assert.equal(network.hostsFile('no-such-name.invalid'), [])
})

test('no CAA record is an answer; a server that fails or does not answer gives none', async () => {
  const [noError, serverFailure, nameError] = [0, 2, 3]
  for (const [answer, records] of [
    [nothing(noError), []],
    [nothing(nameError), []],
    [nothing(serverFailure), undefined],
    [undefined, undefined],
  ] as const) {
    const { socket, server } = await resolver(answer)
    assert.equal(await network.caaRecords('app.example', [server], 200), records)
    socket.close()
  }
})

test('why a name has no address is what its server answers: no such name, no record, a failure, or nothing in time', async () => {
  const [noError, serverFailure, nameError, refused] = [0, 2, 3, 5]
  for (const [answer, codes] of [
    [nothing(nameError), ['ENOTFOUND', 'ENOTFOUND']],
    [nothing(noError), ['ENODATA', 'ENODATA']],
    [nothing(serverFailure), ['ESERVFAIL', 'ESERVFAIL']],
    [nothing(refused), ['EREFUSED', 'EREFUSED']],
    [undefined, ['ETIMEOUT', 'ETIMEOUT']],
    [addressRecord, []],
  ] as const) {
    const { socket, server } = await resolver(answer)
    assert.equal(await network.noAddress('app.example', [server], 200), codes)
    socket.close()
  }
})

test('every CAA record is returned, with its tag in lower case', async () => {
  const { socket, server } = await resolver(caaRecords(['iodef', 'mailto:a@app.example'], ['ISSUE', 'CA.example; a=b']))
  assert.equal(await network.caaRecords('app.example', [server], 2000), [
    { tag: 'iodef', value: 'mailto:a@app.example' },
    { tag: 'issue', value: 'CA.example; a=b' },
  ])
  socket.close()
})

test('the interface addresses include loopback', () => {
  assert.ok(network.localAddresses().includes('127.0.0.1'))
  assert.type(network.hasIpv6(), 'boolean')
})

test("the system's resolvers are addresses", () => {
  for (const server of network.systemResolvers()) assert.match(server, /^[0-9a-fA-F.:]+$/)
})

test('who accepts TCP connections at a port is found in both families, and nobody else', async () => {
  for (const [address, expected] of [
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '0000:0000:0000:0000:0000:0000:0000:0001'],
  ]) {
    const server = createServer()
    server.listen(0, address)
    await once(server, 'listening')
    const found = server.address()
    const port = found !== null && typeof found === 'object' ? found.port : 0
    const client = connect(port, address)
    await once(client, 'connect')
    assert.equal(network.listeners(port), [expected])
    client.destroy()
    server.close()
    await once(server, 'close')
    assert.equal(network.listeners(port), [])
  }
})

test.run()
