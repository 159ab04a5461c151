import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { buffers } from '../../lib/render/buffers.ts'

const test = suite('buffers')

function sizes(size: string, host: Readonly<Record<string, string>> = {}): string {
  const setByHost = new Map(Object.entries(host).map(([name, value]) => [name, value.split(' ')]))
  return buffers(size, { setByHost })
    .map(([name, args]) => `${name.replace('proxy_', '')} ${args.join(' ')}`)
    .join(', ')
}

const group = (size: string, twice: string) =>
  `buffer_size ${size}, buffers 8 ${size}, busy_buffers_size ${twice}, temp_file_write_size ${twice}`

test('the whole group follows one size', () => {
  assert.is(sizes('16k'), group('16k', '32k'))
  assert.is(sizes('256k'), group('256k', '512k'))
})

test("a larger proxy_buffer_size of the host applies, in any of NGINX's units; what is no size does not", () => {
  assert.is(sizes('16k', { proxy_buffer_size: '128K' }), group('128k', '256k'))
  assert.is(sizes('16k', { proxy_buffer_size: '1m' }), group('1024k', '2048k'))
  assert.is(sizes('16k', { proxy_buffer_size: '20000' }), group('20000', '40000'))
  for (const none of ['4k', '', 'x', '-1', '$size'])
    assert.is(sizes('16k', { proxy_buffer_size: none }), group('16k', '32k'), none)
})

test('proxy_max_temp_file_size stays the one of the host, unless NGINX would refuse it beside the others', () => {
  for (const valid of ['0', '16k', '2g'])
    assert.is(sizes('16k', { proxy_max_temp_file_size: valid }), group('16k', '32k'))
  assert.match(sizes('16k', { proxy_max_temp_file_size: '8k' }), /, max_temp_file_size 16k$/)
})

test.run()
