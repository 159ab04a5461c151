import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import {
  CreateProxyBody,
  Domain,
  DropletName,
  nameFromDomain,
  PutProxyBody,
  UpstreamHost,
  UpstreamPort,
  UpstreamUrl,
  upstreamUrl,
} from '../../lib/core/proxy.ts'
import { DEFAULT_OPTIONS } from '../../lib/core/proxy-options.ts'

const test = suite('proxy')

/** Each fault as `path: message`, in alphabetical order. */
function faults(schema: v.GenericSchema, value: unknown): string[] {
  const result = v.safeParse(schema, value)
  return (result.issues ?? []).map((issue) => `${v.getDotPath(issue) ?? ''}: ${issue.message}`).sort()
}

function assertTaken(schema: v.GenericSchema, table: readonly (readonly [given: unknown, taken: unknown])[]): void {
  for (const [given, taken] of table) {
    const result = v.safeParse(schema, given)
    assert.ok(result.success, `refused: ${JSON.stringify(given)}`)
    assert.equal(result.output, taken, JSON.stringify(given))
  }
}

function assertRefused(schema: v.GenericSchema, values: readonly unknown[]): void {
  for (const value of values) assert.is.not(faults(schema, value).length, 0, `taken: ${JSON.stringify(value)}`)
}

const NOT_STRINGS = [undefined, null, 1, true, [], {}, ['a.example.com']]
const label = (length: number) => 'a'.repeat(length)
/** A name of exactly this many characters, in labels of at most 63. */
const nameOf = (length: number) => `${'a.'.repeat(200).slice(0, length - 4)}`.replace(/\.$/, 'a').concat('.com')

test('droplet names are letters, digits, "_" and "-" inside, 1 to 63 characters', () => {
  const names = ['a', '0', 'a1', 'a-b', 'a_b', 'a--b', 'a__b', 'orchestrator', '000-default-x', label(63)]
  assertTaken(
    DropletName,
    names.map((name) => [name, name]),
  )
})

test('a droplet name is never a path, an option, a dot-file, or a name with a break in it', () => {
  assertRefused(DropletName, [
    '',
    '.',
    '..',
    '...',
    'a.b',
    'a..b',
    'a/b',
    '/a',
    'a/',
    'a\\b',
    '../a',
    '-rf',
    '--',
    'a-',
  ])
  assertRefused(DropletName, [
    '_a',
    'a_',
    '.hidden',
    label(64),
    'A',
    'aB',
    'a b',
    ' a',
    'a ',
    'a\n',
    '\na',
    'a\r',
    'a\0',
  ])
  assertRefused(DropletName, ['%2e%2e', '..%252F', 'a%00', '%c0%af', 'a;x=1', 'a~', 'ä', 'a\u2028', 'a\u212a', 'a*'])
  assertRefused(DropletName, NOT_STRINGS)
})

test('names that stand for files of the host or of the API are reserved', () => {
  for (const name of ['default', '000-default', '000-proxy-manager'])
    assert.equal(faults(DropletName, name), [': is reserved'])
})

test('a domain is folded to one spelling: lower case, no trailing dot, A-labels', () => {
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

test('domains of every allowed length are taken, one character more is refused', () => {
  for (const length of [47, 64, 128, 253]) {
    assert.is(nameOf(length).length, length)
    assertTaken(Domain, [[nameOf(length), nameOf(length)]])
  }
  assertTaken(Domain, [[`${nameOf(253)}.`, nameOf(253)]])
  assertTaken(Domain, [[`${label(63)}.com`, `${label(63)}.com`]])
  assertRefused(Domain, [nameOf(254), `${label(64)}.com`, `${'a.'.repeat(5000)}com`, `${'ü'.repeat(60)}.com`])
})

test('nothing that NGINX would read as more than a name gets through', () => {
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

test('addresses, ports, schemes, paths and single labels are no domains', () => {
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

test('reserved top-level domains are refused', () => {
  const names = ['localhost', 'x.localhost', 'x.LOCALHOST.', 'x.invalid', 'generation.proxy-manager.invalid', 'x.onion']
  assertRefused(Domain, [...names, '1.0.0.127.in-addr.arpa', 'x.home.arpa'])
  assert.equal(faults(Domain, 'x.invalid'), [': must not end in .invalid'])
})

test('a Unicode name that would become another, plain ASCII name is refused', () => {
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

test('an xn-- label that decodes to nothing, or to something with another spelling, is refused', () => {
  for (const name of ['xn--a.com', 'a.xn--a', 'xn--xn--a.com', 'xn--zzzzzzzz.com', 'xn--a-0.com', 'xn--a.xn--p1ai'])
    assert.equal(faults(Domain, name), [': holds an invalid xn-- label'], name)
  // "Ä" and the kelvin sign themselves, where only their folded forms have A-labels; a soft hyphen, a joiner; an accent on its own.
  assertRefused(Domain, ['xn--7ba.com', 'xn--tda985n.com', 'xn--a-vca1v.com', 'xn--a-eha279u.com', 'xn--e-xbb.com'])
  assertRefused(Domain, ['xn--tda564p.com', 'xn--abc-.com', 'xn--.com', 'bücher.xn--a'])
})

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

test('the spellings that only the C library takes for an address are refused', () => {
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

test('sockets, credentials, ports, variables, zones and broken brackets are no upstream hosts', () => {
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

test('a letter outside ASCII does not become an upstream name by folding its case', () => {
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

test('the shortest body stands for localhost, a health check, and HTTPS', () => {
  assertTaken(PutProxyBody, [
    [
      { domain: 'App.Example.com', upstream_port: 8001 },
      {
        domain: 'app.example.com',
        upstream_host: 'localhost',
        upstream_port: 8001,
        require_healthy: true,
        enable_ssl: true,
        options: DEFAULT_OPTIONS,
      },
    ],
    [
      { domain: 'a.example.com', upstream: 'http://[::1]:80', require_healthy: false, enable_ssl: false },
      {
        domain: 'a.example.com',
        upstream_host: '::1',
        upstream_port: 80,
        require_healthy: false,
        enable_ssl: false,
        options: DEFAULT_OPTIONS,
      },
    ],
  ])
})

test('every fault of a body is named at once, and none repeats what was sent', () => {
  const body = {
    domain: 'secret_1',
    upstream_host: 'secret 2',
    upstream_port: 'secret3',
    require_healthy: 'secret4',
    enable_ssl: null,
    nginx_bin: 'secret5',
  }
  const found = faults(PutProxyBody, body)
  assert.equal(found, [
    'domain: must have at least two labels, such as app.example.com',
    'enable_ssl: must be true or false',
    'nginx_bin: is not a known field',
    'require_healthy: must be true or false',
    'upstream_host: must be a host name, an IPv4 address of four decimal octets, or an IPv6 address without a zone',
    'upstream_port: must be an integer from 1 to 65535',
  ])
  assert.not.match(found.join('\n'), /secret/)
})

test('no message of any grammar repeats the input', () => {
  const input = 'hunter2!.Example.com'
  const url = `http://${input}:80`
  const all = [DropletName, Domain, UpstreamHost, UpstreamPort].flatMap((schema) => faults(schema, input))
  all.push(...faults(UpstreamUrl, url), ...faults(PutProxyBody, input), ...faults(PutProxyBody, { domain: [input] }))
  all.push(...faults(CreateProxyBody, { droplet_name: { [input]: 1 }, domain: input, upstream: url }))
  assert.ok(all.length >= 8)
  assert.not.match(all.join('\n'), /hunter2/i)
})

test('a body without domain and port names both', () => {
  const both = ['domain: is required', 'upstream_port: is required (or upstream as http://host:port)']
  assert.equal(faults(PutProxyBody, {}), both)
  assert.equal(faults(CreateProxyBody, {}), both)
})

test('upstream stands instead of host and port, never beside them', () => {
  const fault = ': upstream stands instead of upstream_host and upstream_port: pass one form'
  const body = { domain: 'a.example.com', upstream: 'http://a:80' }
  assert.equal(faults(PutProxyBody, { ...body, upstream_port: 80 }), [fault])
  assert.equal(faults(PutProxyBody, { ...body, upstream_host: 'a' }), [fault])
  assert.equal(faults(PutProxyBody, { ...body, upstream: 'nonsense', upstream_port: 80 }), [
    fault,
    'upstream: must be http://host:port or https://host:port',
  ])
})

test('what is no JSON object, or has keys of an object of its own, is refused', () => {
  for (const value of [null, 'x', 1, true]) assert.equal(faults(PutProxyBody, value), [': must be a JSON object'])
  assertRefused(PutProxyBody, [[], [{ domain: 'a.example.com', upstream_port: 80 }]])
  const polluted = '{"__proto__":{"enable_ssl":false},"domain":"a.example.com","upstream_port":80}'
  assert.equal(faults(PutProxyBody, JSON.parse(polluted)), ['__proto__: is not a known field'])
  for (const key of ['nginx_bin', 'reload_cmd', 'droplet_name', 'Domain', 'constructor']) {
    const body = { domain: 'a.example.com', upstream_port: 80, [key]: 'x' }
    assert.equal(faults(PutProxyBody, body), [`${key}: is not a known field`])
  }
})

test('a route created without a name is named by its domain', () => {
  const asked = { upstream_host: 'localhost', upstream_port: 80, require_healthy: true, enable_ssl: true }
  const spec = { ...asked, options: DEFAULT_OPTIONS }
  assertTaken(CreateProxyBody, [
    [
      { domain: 'a.Example.com.', upstream_port: 80 },
      { droplet_name: 'a-example-com', domain: 'a.example.com', ...spec },
    ],
    [
      { droplet_name: 'x', domain: 'a.example.com', upstream_port: 80 },
      { droplet_name: 'x', domain: 'a.example.com', ...spec },
    ],
    [
      { domain: 'bücher.example', upstream_port: 80 },
      { droplet_name: 'xn--bcher-kva-example', domain: 'xn--bcher-kva.example', ...spec },
    ],
  ])
  assert.equal(faults(CreateProxyBody, { domain: `${label(60)}.com`, upstream_port: 80 }), [
    ': no droplet name can be made from this domain: pass droplet_name',
  ])
  assert.is(nameFromDomain('a.b.c'), 'a-b-c')
})

test('an upstream is written as a URL with brackets around IPv6 alone', () => {
  assert.is(upstreamUrl({ upstream_host: 'localhost', upstream_port: 80 }), 'http://localhost:80')
  assert.is(upstreamUrl({ upstream_host: '::1', upstream_port: 8001 }), 'http://[::1]:8001')
})

test.run()
