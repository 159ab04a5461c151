import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Domain } from '../../lib/net/domain.ts'
import { assertRefused, assertTaken, faults, label, NOT_STRINGS, nameOf } from '../helpers/schemas.ts'

const test = suite('domain')

test('a domain is normalised: lower case, no trailing dot, A-labels', () => {
  assertTaken(Domain, [
    ['ex.com', 'ex.com'],
    ['Ex.COM', 'ex.com'],
    ['ex.com.', 'ex.com'],
    ['a-b.c--d.example', 'a-b.c--d.example'],
    ['1.2.example.com', '1.2.example.com'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['BÜCHER.Example.', 'xn--bcher-kva.example'],
    ['bu\u0308cher.example', 'xn--bcher-kva.example'],
    ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
    ['XN--BCHER-KVA.example', 'xn--bcher-kva.example'],
    ['straße.de', 'xn--strae-oqa.de'],
    ['例え.テスト', 'xn--r8jz45g.xn--zckzah'],
    ['пример.рф', 'xn--e1afmkfd.xn--p1ai'],
    ['xn--e1afmkfd.xn--p1ai', 'xn--e1afmkfd.xn--p1ai'],
    ['orchestrator.fullpotential.ai', 'orchestrator.fullpotential.ai'],
  ])
})

test('domains of every allowed length are accepted, one character more is refused', () => {
  for (const length of [47, 64, 128, 253]) {
    assert.is(nameOf(length).length, length)
    assertTaken(Domain, [[nameOf(length), nameOf(length)]])
  }
  assertTaken(Domain, [[`${nameOf(253)}.`, nameOf(253)]])
  assertTaken(Domain, [[`${label(63)}.com`, `${label(63)}.com`]])
  assertRefused(Domain, [nameOf(254), `${label(64)}.com`, `${'a.'.repeat(5000)}com`, `${'ü'.repeat(60)}.com`])
})

test('anything that NGINX would read as more than a name is refused', () => {
  assertRefused(Domain, [
    'a.test\nserver{}',
    'a.test\r',
    'a.test\n',
    'a.test;#',
    'a.test }',
    'a.test{',
    '"a.test"',
    "a.test'",
  ])
  assertRefused(Domain, [
    'a.test\\',
    'a.test\0',
    'a.test\t',
    'a.test\u2028',
    'a.te\u00a0st',
    ' a.test',
    'a.test ',
    'a b.test',
  ])
  assertRefused(Domain, [
    '$hostname',
    '$host.test',
    '~^.*$',
    '~a.test',
    '_',
    '*',
    '*.x.com',
    'www.*',
    '.x.com',
    '""',
    '',
  ])
})

test('addresses, ports, schemes, paths and single labels are not domains', () => {
  assertRefused(Domain, ['10.0.0.1', '[::1]', '::1', '127.1', '0x7f.1', '1.2.3', 'http://x', 'http://a.example.com'])
  assertRefused(Domain, [
    'a.example.com:80',
    'a.example.com/x',
    'u@a.example.com',
    'a.example.com?x',
    'a.example.com#x',
  ])
  assertRefused(Domain, [
    'example',
    'a..example.com',
    '..',
    '.',
    'a.b..',
    '-a.example.com',
    'a-.example.com',
    'a.-b.com',
  ])
  assertRefused(Domain, ['a_b.example.com', 'a.c0m', 'a.1com', 'a.com1', 'a.c-m'])
  assertRefused(Domain, NOT_STRINGS)
})

test('reserved top-level domains are rejected', () => {
  const names = ['localhost', 'x.localhost', 'x.LOCALHOST.', 'x.invalid', 'generation.proxy-manager.invalid', 'x.onion']
  assertRefused(Domain, [...names, '1.0.0.127.in-addr.arpa', 'x.home.arpa'])
  assert.equal(faults(Domain, 'x.invalid'), [': must not end in .invalid'])
})

test('a Unicode name that is converted to a plain ASCII name is rejected', () => {
  const mapped = [
    'ⓔxample.com',
    'a。b.com',
    'a．b.com',
    'ａ.example.com',
    'ﬁ.com',
    'ſ.com',
    '\u212a.com',
    'exam\u00adple.com',
  ]
  assertRefused(Domain, [
    ...mapped,
    'a\u200db.com',
    'a\u200bb.com',
    '١.com',
    'a.１２３',
    '💩.example',
    '\u0300a.com',
    '½.com',
  ])
})

test('an xn-- label that cannot be decoded, or is encoded differently, is rejected', () => {
  for (const name of ['xn--a.com', 'a.xn--a', 'xn--xn--a.com', 'xn--zzzzzzzz.com', 'xn--a-0.com', 'xn--a.xn--p1ai'])
    assert.equal(faults(Domain, name), [': contains an invalid xn-- label'], name)
  // "Ä" and the kelvin sign, of which only the folded forms have A-labels; a soft hyphen, a joiner; an accent on its own.
  assertRefused(Domain, ['xn--7ba.com', 'xn--tda985n.com', 'xn--a-vca1v.com', 'xn--a-eha279u.com', 'xn--e-xbb.com'])
  assertRefused(Domain, ['xn--tda564p.com', 'xn--abc-.com', 'xn--.com', 'bücher.xn--a'])
})

test.run()
