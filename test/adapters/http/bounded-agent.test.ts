import { once } from 'node:events'
import { get } from 'node:http'
import { createServer } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { boundedAgent } from '../../../lib/adapters/http/bounded-agent.ts'

const test = suite('bounded agent')

/** How many interim answers node:http parses, and how the request ends, if a server sends this many in one read before its answer. */
async function parsed(interim: number): Promise<{ readonly informed: number; readonly end: string }> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.once('data', () =>
      socket.end(`${'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(interim)}HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n`),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const { agent, isTooLarge } = boundedAgent('http://127.0.0.1')
  const request = get({ host: '127.0.0.1', port: address.port, agent })
  let informed = 0
  request.on('information', () => informed++)
  const end = await new Promise<string>((resolve) => {
    request.once('response', () => resolve('answered'))
    request.once('error', () => resolve(isTooLarge() ? 'too large' : 'failed'))
  })
  agent.destroy()
  server.close()
  return { informed, end }
}

test('node:http parses nothing of a read with too many interim answers', async () => {
  assert.equal(await parsed(100), { informed: 0, end: 'too large' })
})

test('a few interim answers are parsed, and then the answer', async () => {
  assert.equal(await parsed(3), { informed: 3, end: 'answered' })
})

test.run()
