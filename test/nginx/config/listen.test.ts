import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { listenName, readListen } from '../../../lib/nginx/config/listen.ts'

const test = suite('listen')

test('every form of listen is read', () => {
  const table: readonly (readonly [string, readonly (readonly [string, number])[]])[] = [
    ['80', [['*', 80]]],
    ['*:80', [['*', 80]]],
    ['0.0.0.0:8080', [['*', 8080]]],
    ['0.0.0.0', [['*', 80]]],
    ['127.0.0.1:443', [['127.0.0.1', 443]]],
    ['127.0.0.1', [['127.0.0.1', 80]]],
    ['[::]:80', [['[::]', 80]]],
    ['[::]', [['[::]', 80]]],
    ['[::0]:80', [['[::]', 80]]],
    ['[0:0:0:0:0:0:0:0]:80', [['[::]', 80]]],
    ['[2001:0DB8::0001]', [['[2001:db8::1]', 80]]],
    ['[2001:DB8::1]:443', [['[2001:db8::1]', 443]]],
    ['LocalHost:80', [['localhost', 80]]],
    ['localhost', [['localhost', 80]]],
    ['unix:/run/a.sock', []],
    [
      '8000-8002',
      [
        ['*', 8000],
        ['*', 8001],
        ['*', 8002],
      ],
    ],
    [
      '[::1]:1-2',
      [
        ['[::1]', 1],
        ['[::1]', 2],
      ],
    ],
  ]
  for (const [written, expected] of table) {
    const found = readListen([written, 'ssl']).map(({ address, port }) => [address, port])
    assert.equal(found, expected, written)
  }
  assert.equal(readListen(['443', 'quic', 'reuseport']), [], 'UDP')
  assert.equal(readListen(['80', 'ssl', 'http2'])[0]?.options, ['ssl', 'http2'])
})

test('only a host name has to be resolved', () => {
  const nameIn = (text: string) => readListen([text]).map(listenName)
  assert.equal(nameIn('LocalHost:80'), ['localhost'])
  for (const address of ['80', '*', '0.0.0.0:80', '127.0.0.1:80', '[::1]:80', '[::]'])
    assert.equal(nameIn(address), [undefined], address)
})

test.run()
