import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { canonicalIpv6, embeddedIpv4, ipFamily, isLoopback } from '../../lib/net/address.ts'
import { isForbiddenAddress } from '../../lib/upstream/forbidden-address.ts'

const test = suite('address')

test('spellings that only the C library reads as an address are not addresses', () => {
  for (const text of ['2130706433', '0x7f000001', '0177.0.0.1', '127.1', '1.2.3.4 ', 'fe80::1%lo', '[::1]', '']) {
    assert.is(ipFamily(text), undefined, text)
  }
  assert.is(ipFamily('127.0.0.1'), 4)
  assert.is(ipFamily('::ffff:1.2.3.4'), 6)
})

test('metadata, link-local, multicast and reserved addresses are forbidden in every spelling', () => {
  const forbidden = [
    ...['0.0.0.0', '0.1.2.3', '169.254.169.254', '224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255'],
    ...[
      '100.100.100.200',
      '168.63.129.16',
      '192.0.0.192',
      '::',
      'fe80::1',
      'febf::1',
      'ff02::1',
      'fd00:ec2::254',
      'fd20:ce::254',
    ],
    ...[
      '::ffff:169.254.169.254',
      '::ffff:a9fe:a9fe',
      '64:ff9b::a9fe:a9fe',
      '64:ff9b:1::a9fe:a9fe',
      '2002:a9fe:a9fe::1',
      '::169.254.169.254',
    ],
  ]
  for (const address of forbidden) assert.ok(isForbiddenAddress(address), address)
})

test('loopback, private and public addresses are allowed', () => {
  for (const address of [
    '127.0.0.1',
    '::1',
    '10.0.0.1',
    '172.16.0.1',
    '192.168.1.1',
    'fd00::1',
    '203.0.113.5',
    '2001:db8::1',
    '::ffff:10.0.0.1',
  ]) {
    assert.not.ok(isForbiddenAddress(address), address)
  }
})

test('loopback is recognised in both families, also if mapped', () => {
  for (const address of ['127.0.0.1', '127.255.0.9', '::1', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1'])
    assert.ok(isLoopback(address), address)
  for (const address of ['128.0.0.1', '::2', '10.0.0.1', '::ffff:10.0.0.1']) assert.not.ok(isLoopback(address), address)
})

test('two spellings of an IPv6 address become the same one', () => {
  assert.is(canonicalIpv6('0:0:0:0:0:0:0:1'), '::1')
  assert.is(canonicalIpv6('2001:DB8::0:1'), '2001:db8::1')
  assert.is(embeddedIpv4('::ffff:a9fe:a9fe'), '169.254.169.254')
  assert.is(embeddedIpv4('2001:db8::1'), undefined)
})

test.run()
