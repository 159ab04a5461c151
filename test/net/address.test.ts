import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { callerOf, canonicalIpv6, embeddedIpv4, ipFamily, isCidr, isLoopback } from '../../lib/net/address.ts'
import { isForbiddenAddress } from '../../lib/upstream/forbidden-address.ts'

const test = suite('address')

test('spellings that only the C library reads as an address are rejected', () => {
  for (const text of [
    ...['2130706433', '0x7f000001', '0177.0.0.1', '127.1', '127.0.1', '0x7f.0.0.1', '1.2.3.04', '1.2.3.4 ', ''],
    ...['fe80::1%lo', '::1%1', '[::1]', '::ffff:0177.0.0.1', '::ffff:0x7f.0.0.1', '64:ff9b::010.0.0.1', '::127.1'],
  ]) {
    assert.is(ipFamily(text), undefined, text)
    assert.is(isCidr(text), false, text)
    assert.is(isCidr(`${text}/8`), false, text)
  }
  assert.is(ipFamily('127.0.0.1'), 4)
  assert.is(ipFamily('::ffff:1.2.3.4'), 6)
})

test('the prefix length of a network fits its family, and is a plain number', () => {
  for (const text of ['10.0.0.0/8', '10.0.0.1', '0.0.0.0/0', '1.2.3.4/32', '::/0', '2001:db8::/32', '::1/128', '::1'])
    assert.ok(isCidr(text), text)
  for (const bits of ['', '33', '129', '08', '+8', '8.0', '8/8', ' 8', '1e1', '99999999999999999999'])
    assert.not.ok(isCidr(`10.0.0.0/${bits}`), bits)
  for (const text of ['::/129', '::1/', '::1%lo/64', '/8', '10.0.0.0/255.0.0.0']) assert.not.ok(isCidr(text), text)
})

test('metadata, link-local, multicast and reserved addresses are forbidden, also embedded in IPv6', () => {
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
      '64:ff9b:1::169.254.169.254',
      '2002:a9fe:a9fe::1',
      '::169.254.169.254',
      '::ffff:0:169.254.169.254',
      '::ffff:0.0.0.0',
      '::ffff:224.0.0.1',
      '2002:e000:1::',
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
    '2002:a00:1::',
    '64:ff9b::10.0.0.1',
  ]) {
    assert.not.ok(isForbiddenAddress(address), address)
  }
})

test('loopback is recognized in both families, also embedded', () => {
  for (const address of [
    '127.0.0.1',
    '127.255.0.9',
    '::1',
    '0:0:0:0:0:0:0:1',
    '::ffff:127.0.0.1',
    '64:ff9b::127.0.0.1',
  ])
    assert.ok(isLoopback(address), address)
  for (const address of ['128.0.0.1', '::2', '10.0.0.1', '::ffff:10.0.0.1']) assert.not.ok(isLoopback(address), address)
})

test('two spellings of an IPv6 address become the same one', () => {
  assert.is(canonicalIpv6('0:0:0:0:0:0:0:1'), '::1')
  assert.is(canonicalIpv6('2001:DB8::0:1'), '2001:db8::1')
  assert.is(embeddedIpv4('::ffff:a9fe:a9fe'), '169.254.169.254')
  assert.is(canonicalIpv6('::1.2.3.4'), '::102:304')
  for (const address of ['2001:db8::1', '::', '::1']) assert.is(embeddedIpv4(address), undefined, address)
})

test('a caller is an IPv4 address or an IPv6 network of 64 bits', () => {
  for (const [remote, caller] of [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:0:1:2:3:4:5', '2001:db8:0:1::/64'],
    ['2001:db8::ff', '2001:db8::/64'],
    ['fe80::1%eth0', 'fe80::/64'],
    ['::1', '::1'],
    ['', ''],
  ] as const)
    assert.is(callerOf(remote), caller)
})

test.run()
