import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { DEFAULT_OPTIONS, describeOptions, ProxyOptions } from '../../lib/route/options.ts'

const test = suite('options')

function faults(input: unknown): string[] {
  return (v.safeParse(ProxyOptions, input).issues ?? []).map((issue) => `${v.getDotPath(issue)}: ${issue.message}`)
}

test('options that are not given have their defaults', () => {
  assert.equal(DEFAULT_OPTIONS, {
    upstream_scheme: 'http',
    health_check_path: null,
    max_body_size: '64m',
    connect_timeout_s: 5,
    read_timeout_s: 300,
    websocket: true,
    buffering: false,
    hsts: false,
    allow: [],
    aliases: [],
    redirect_to: null,
    maintenance: false,
    header_buffer_size: '16k',
    upstream_keepalive_s: 4,
    balance: 'round_robin',
    failover: 'repeat',
    failover_on_5xx: false,
    request_headers: {},
    upstream_host_header: 'domain',
    upstream_tls_verify: false,
    strip_prefix: false,
  })
})

const GOOD = {
  upstream_scheme: ['http', 'https'],
  health_check_path: ['/', '/ready?deep=1', null],
  max_body_size: ['0', '1k', '512k', '64m', '2g', '99999m'],
  connect_timeout_s: [1, 300],
  read_timeout_s: [1, 86_400],
  allow: [[], ['10.0.0.0/8'], ['0.0.0.0/0', '::/0', '192.0.2.1', '2001:db8::/32', '::1/128']],
  aliases: [[], ['a.example.com'], Array.from({ length: 99 }, (_, i) => `a${i}.example.com`)],
  redirect_to: [null, 'new.example.com'],
  header_buffer_size: ['4k', '16k', '64K', '256k', '4096', '262144'],
  upstream_keepalive_s: [0, 1, 3600],
  balance: ['round_robin', 'least_conn'],
  failover: ['repeat', 'connect_only'],
  failover_on_5xx: [true, false],
  request_headers: [
    {},
    { 'X-Tier': 'gold; q=1' },
    { Authorization: 'Bearer a.b-c/d+e=', Cookie: null, 'x!#%&*+.^_|~1': '#{};' },
    Object.fromEntries(Array.from({ length: 32 }, (_, i) => [`X-${i}`, 'x'.repeat(1024)])),
    { ['x'.repeat(64)]: 'a b' },
  ],
  upstream_host_header: ['domain', 'upstream', 'app', 'App.internal.', 'a_b', '10.0.0.1'],
  upstream_tls_verify: [true, false],
}
const BAD = {
  upstream_scheme: ['ftp', 'HTTPS', 'http;', '', null],
  health_check_path: ['ready', '/a b', '/a\nb', '/ä', `/${'a'.repeat(256)}`, 1],
  max_body_size: ['64M', '64', '-1m', '064m', '64m;', '1.5m', '100000m', 64, ''],
  connect_timeout_s: [0, 301, 1.5, '5', null],
  read_timeout_s: [0, 86_401, -1, '5s'],
  websocket: ['true', 1, null],
  allow: [
    '10.0.0.0/8',
    ['10.0.0.0/33'],
    ['::/129'],
    ['10.0.0.0/08'],
    ['10.0.0/8'],
    ['all'],
    ['10.0.0.1;'],
    ['fe80::1%lo'],
    [1],
    ['1.2.3.4/5/6'],
    Array(201).fill('10.0.0.1'),
  ],
  aliases: [
    'a.example.com',
    ['*.example.com'],
    ['a.example.com; return 200'],
    ['10.0.0.1'],
    [null],
    Array.from({ length: 100 }, (_, i) => `a${i}.example.com`),
  ],
  redirect_to: ['', 'https://new.example.com', 'new.example.com/path', '$host', 'localhost', 1],
  maintenance: ['on', 503],
  header_buffer_size: [
    '3k',
    '257k',
    '4095',
    '4097',
    '262145',
    '1m',
    '0',
    '016k',
    '16 k',
    '16k;',
    '-16k',
    '1e1k',
    '16kb',
    '',
    16,
    null,
  ],
  upstream_keepalive_s: [-1, 3601, 1.5, '4', '4s', null],
  balance: ['ip_hash', 'LEAST_CONN', '', null],
  failover: ['off', null],
  failover_on_5xx: ['true', null],
  request_headers: [
    null,
    ['X-Tier'],
    'X-Tier: gold',
    { '': 'x' },
    ...['a b', 'a:b', 'a;', 'a"', "a'", '$a', 'a{', 'é', 'a\nb', 'x'.repeat(65)].map((name) => ({ [name]: 'x' })),
    ...['', ' a', 'a ', '$host', 'a"', "a'", 'a\\', 'a\nb', 'a\r', 'a\0', 'a\tb', 'é', 'x'.repeat(1025), 1].map(
      (value) => ({
        'X-Tier': value,
      }),
    ),
    ...['Host', 'host', 'X-Real-IP', 'X_Real_IP', 'x-forwarded-for', 'X_Forwarded-Prefix', 'Forwarded', 'Proxy'].map(
      (name) => ({
        [name]: 'x',
      }),
    ),
    ...['Connection', 'Upgrade', 'TE', 'Trailer', 'Transfer-Encoding', 'Keep-Alive', 'Content_Length', 'Expect'].map(
      (name) => ({
        [name]: null,
      }),
    ),
    { 'X-Tier': 'a', 'x-tier': 'b' },
    { 'X-Tier': 'a', X_Tier: null },
    Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`X-${i}`, 'x'])),
  ],
  upstream_host_header: ['', '::1', '[::1]', 'a:80', '$host', 'a b', 'http://a', 'a;', '0x7f000001', null, 1],
  upstream_tls_verify: ['true', null],
}

for (const [name, values] of Object.entries(GOOD)) {
  test(`${name} accepts its valid values`, () => {
    for (const value of values) assert.equal(faults({ [name]: value }), [], JSON.stringify(value))
  })
}

for (const [name, values] of Object.entries(BAD)) {
  test(`${name} refuses everything else, and the error names it`, () => {
    for (const value of values) {
      const [first = ''] = faults({ [name]: value })
      assert.match(first, new RegExp(`^${name}`), JSON.stringify(value))
    }
  })
}

test('an unknown option is refused', () => {
  assert.equal(faults({ max_body: '1m' }), ['max_body: is not a known option'])
})

test('aliases are lower-cased, sorted and deduplicated: their order makes no difference', () => {
  const given = ['www.Example.com', 'b.example.com.', 'bücher.example', 'B.example.com']
  const { aliases } = v.parse(ProxyOptions, { aliases: given })
  assert.equal(aliases, ['b.example.com', 'www.example.com', 'xn--bcher-kva.example'])
})

test('each spelling of a buffer size is stored as the same one', () => {
  const sizes = ['64k', '64K', '65536'].map((header_buffer_size) => v.parse(ProxyOptions, { header_buffer_size }))
  assert.equal(new Set(sizes.map((options) => options.header_buffer_size)), new Set(['64k']))
})

test('every option has a description and its default', () => {
  const described = describeOptions()
  assert.equal(Object.fromEntries(described.map(({ name, fallback }) => [name, JSON.parse(fallback)])), DEFAULT_OPTIONS)
  for (const { name, help } of described) assert.match(help, /^[A-Z].{10,}/, name)
})

test.run()
