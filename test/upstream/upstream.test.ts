import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { DEFAULT_OPTIONS } from '../../lib/route/options.ts'
import { UpstreamHost, UpstreamPort, UpstreamUrl, upstreamOf } from '../../lib/upstream/upstream.ts'
import { assertRefused, assertTaken, faults, label, NOT_STRINGS, nameOf } from '../helpers/schemas.ts'

const test = suite('upstream')

test('an upstream host is a name, an IPv4 address, or an IPv6 address with or without brackets', () => {
  assertTaken(UpstreamHost, [
    ['localhost', 'localhost'],
    ['LocalHost', 'localhost'],
    ['droplet_1', 'droplet_1'],
    ['_svc.my_app', '_svc.my_app'],
    ['registry.internal.', 'registry.internal'],
    ['1a', '1a'],
    ['0xzz', '0xzz'],
    ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
    ['127.0.0.1', '127.0.0.1'],
    ['255.255.255.255', '255.255.255.255'],
    ['::1', '::1'],
    ['[::1]', '::1'],
    ['[0:0:0:0:0:0:0:1]', '::1'],
    ['2001:DB8::0:1', '2001:db8::1'],
    ['::ffff:1.2.3.4', '::ffff:102:304'],
    [label(63), label(63)],
    [nameOf(253), nameOf(253)],
  ])
})

test('spellings that only the C library reads as an address are refused', () => {
  assertRefused(UpstreamHost, [
    '2130706433',
    '0x7f000001',
    '0177.0.0.1',
    '127.1',
    '127.0.1',
    '0x7f.0.0.1',
    '1.2.3.4.',
    '080',
  ])
  assertRefused(UpstreamHost, ['256.0.0.1', '1.2.3.04', '0X7F', '0x', 'a.b.0x7f', 'a.1', '1.2.3.4.5', '[127.0.0.1]'])
})

test('sockets, credentials, ports, variables, zones and broken brackets are not upstream hosts', () => {
  assertRefused(UpstreamHost, ['unix:/var/run/docker.sock', 'user@h', 'h:80', '$host', '[fe80::1%lo]', 'fe80::1%lo'])
  assertRefused(UpstreamHost, [
    '',
    '.',
    '..',
    'a..b',
    'a..',
    '-a',
    'a-',
    'a/b',
    'a b',
    'a;',
    'a}',
    'a"',
    'a\n',
    '[::1',
    '::1]',
  ])
  assertRefused(UpstreamHost, [
    '[[::1]]',
    '[]',
    '[a]',
    '[\n::1]',
    '::1\n',
    label(64),
    nameOf(254),
    'bücher',
    'http://a',
  ])
  assertRefused(UpstreamHost, NOT_STRINGS)
})

test('a non-ASCII letter does not become an upstream name by case folding', () => {
  assertRefused(UpstreamHost, ['\u212aube', 'ku\u0130be', '\u017f'])
  assertRefused(UpstreamUrl, ['http://\u212aube:80'])
})

test('an upstream port is an integer from 1 to 65535', () => {
  assertTaken(
    UpstreamPort,
    [1, 80, 8001, 65535].map((port) => [port, port]),
  )
  const values = [0, 65536, -1, 80.5, '80', true, null, undefined, JSON.parse('1e400'), Number.NaN, [80], {}]
  for (const value of values)
    for (const fault of faults(UpstreamPort, value)) assert.is(fault, ': must be an integer from 1 to 65535')
  assertRefused(UpstreamPort, values)
})

test('an upstream URL is http or https, a host and a port, and nothing else', () => {
  assertTaken(UpstreamUrl, [
    ['http://localhost:8001', { host: 'localhost', port: 8001, scheme: 'http' }],
    ['http://localhost:8001/', { host: 'localhost', port: 8001, scheme: 'http' }],
    ['http://LOCALHOST.:1', { host: 'localhost', port: 1, scheme: 'http' }],
    ['http://10.0.0.7:65535', { host: '10.0.0.7', port: 65535, scheme: 'http' }],
    ['http://[0::1]:80', { host: '::1', port: 80, scheme: 'http' }],
    ['https://localhost:8443', { host: 'localhost', port: 8443, scheme: 'https' }],
    ['http://my_app:80', { host: 'my_app', port: 80, scheme: 'http' }],
  ])
  assertRefused(UpstreamUrl, ['HTTP://a:80', 'a:80', '//a:80', 'http://a', 'http://:80', 'http://a:', 'http://'])
  assertRefused(UpstreamUrl, [
    'http://a:0',
    'http://a:65536',
    'http://a:-1',
    'http://a:8e1',
    'http://a:80/x',
    'http://a:80?x',
  ])
  assertRefused(UpstreamUrl, [
    'http://a:80#x',
    'http://u@a:80',
    'http://u:p@a:80',
    'http://::1:80',
    'http://[::1]',
    'http://[a]:80',
  ])
  assertRefused(UpstreamUrl, [
    'http://127.1:80',
    'http://2130706433:80',
    'http://[fe80::1%lo]:80',
    'http://unix:/a.sock:80',
  ])
  assertRefused(UpstreamUrl, [
    'http://$host:80',
    'http://a b:80',
    ' http://a:80',
    'http://a:80\n',
    'http://a\n:80',
    'http://a;:80',
  ])
  assertRefused(UpstreamUrl, NOT_STRINGS)
})

test('an upstream is written as a URL, with brackets only around IPv6', () => {
  const urlOf = (upstream_host: string, upstream_port: number) => upstreamOf({ upstream_host, upstream_port })?.url
  assert.is(urlOf('localhost', 80), 'http://localhost:80')
  assert.is(urlOf('::1', 8001), 'http://[::1]:8001')
  const options = { ...DEFAULT_OPTIONS, upstream_scheme: 'https' as const }
  assert.equal(upstreamOf({ upstream_host: '10.0.0.7', upstream_port: 443, options }), {
    scheme: 'https',
    host: '10.0.0.7',
    port: 443,
    authority: '10.0.0.7:443',
    url: 'https://10.0.0.7:443',
  })
})

test('a route without an upstream has none', () => {
  assert.is(upstreamOf({ upstream_host: null, upstream_port: null }), undefined)
})

test.run()
