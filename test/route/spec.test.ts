import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { Domain } from '../../lib/net/domain.ts'
import { DropletName, nameFromDomain } from '../../lib/route/droplet-name.ts'
import { DEFAULT_OPTIONS } from '../../lib/route/options.ts'
import { CreateProxyBody, PutProxyBody } from '../../lib/route/spec.ts'
import { UpstreamHost, UpstreamPort, UpstreamUrl } from '../../lib/upstream/upstream.ts'
import { assertRefused, assertTaken, faults, label, NOT_STRINGS } from '../helpers/schemas.ts'

const test = suite('spec')

test('droplet names are 1 to 63 letters and digits, with "_" and "-" only inside', () => {
  const names = ['a', '0', 'a1', 'a-b', 'a_b', 'a--b', 'a__b', 'orchestrator', '000-default-x', label(63)]
  assertTaken(
    DropletName,
    names.map((name) => [name, name]),
  )
})

test('a droplet name is never a path, an option, a dot-file, or a name with a line break', () => {
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

test('names of files of the host and of the API are reserved', () => {
  for (const name of ['default', '000-default', '000-proxy-manager'])
    assert.equal(faults(DropletName, name), [': is reserved'])
})

test('the shortest body means localhost, a health check, and HTTPS', () => {
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

test('all faults of a body are reported at once, and none repeats what was sent', () => {
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
    'require_healthy: must be true, false or "any"',
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

test('a body without domain and port reports both', () => {
  const both = ['domain: is required', 'upstream_port: is required (or upstream as http://host:port)']
  assert.equal(faults(PutProxyBody, {}), both)
  assert.equal(faults(CreateProxyBody, {}), both)
})

test('the forms of an upstream may be there together if they agree', () => {
  const fault = ': upstream, upstream_host and upstream_port, and upstreams, must be the same upstream'
  const body = { domain: 'a.example.com', upstream: 'http://a:80' }
  const upstreams = [
    { host: 'c', port: 1, backup: true },
    { host: 'a', port: 80 },
    { host: 'b', port: 81 },
  ]
  for (const same of [
    { upstream_port: 80 },
    { upstream_host: 'A' },
    { upstream_host: 'a', upstream_port: 80, upstreams },
  ])
    assert.equal(faults(PutProxyBody, { ...body, ...same }), [])
  for (const other of [
    { upstream_port: 81 },
    { upstream_host: 'b' },
    { upstream_host: 'c', upstream_port: 1, upstreams },
    { upstreams: [{ host: 'b', port: 81 }] },
  ])
    assert.equal(faults(PutProxyBody, { ...body, ...other }), [fault])
  assert.equal(faults(PutProxyBody, { ...body, upstream: 'nonsense', upstream_port: 80 }), [
    'upstream: must be http://host:port or https://host:port',
  ])
})

test('several upstreams: the first that is not a backup is upstream_host and upstream_port; one is as the single form', () => {
  const parsed = (upstreams: unknown, more = {}) =>
    v.parse(PutProxyBody, { domain: 'a.example.com', upstreams, ...more })
  const several = [
    { host: 'C', port: 1, backup: true },
    { host: '[::1]', port: 80 },
  ]
  const { upstream_host, upstream_port, upstreams } = parsed(several)
  assert.equal([upstream_host, upstream_port], ['::1', 80])
  assert.equal(upstreams, [
    { host: 'c', port: 1, backup: true },
    { host: '::1', port: 80, backup: false },
  ])
  const single = v.parse(PutProxyBody, { domain: 'a.example.com', upstream: 'http://b:2' })
  assert.equal(parsed([{ host: 'b', port: 2, backup: false }]), single)
  assert.equal(parsed([], { upstream_host: 'b', upstream_port: 2 }), single)
})

test('a list of upstreams that is none is refused, and the error says what is wrong', () => {
  const of = (upstreams: unknown) => faults(PutProxyBody, { domain: 'a.example.com', upstreams })
  const a = { host: 'a', port: 1 }
  const many = Array.from({ length: 33 }, (_, i) => ({ host: 'a', port: i + 1 }))
  assert.equal(of([]), ['upstream_port: is required (or upstream as http://host:port)'])
  assert.equal(of([{ ...a, backup: true }]), ['upstreams: must have one that is not a backup'])
  assert.equal(of([a, { ...a, host: 'A.', backup: true }]), ['upstreams: must not have an upstream twice'])
  assert.equal(of(many), ['upstreams: must be at most 32 upstreams'])
  assert.equal(of({ 0: a }), ['upstreams: must be a list'])
  assert.equal(of(['http://a:1']), ['upstreams.0: must be { "host", "port", "backup" }'])
  assert.equal(of([{ ...a, weight: 1 }]), ['upstreams.0.weight: is not a known field'])
  assert.equal(of([a, { port: 0 }]).length, 2)
})

test('the Host header of one upstream cannot be that of several', () => {
  const body = { domain: 'a.example.com', options: { upstream_host_header: 'upstream' } }
  const upstreams = [1, 2].map((port) => ({ host: 'a', port }))
  assert.equal(faults(PutProxyBody, { ...body, upstreams: upstreams.slice(1) }), [])
  assert.equal(faults(PutProxyBody, { ...body, upstreams }), [
    'options.upstream_host_header: must be domain or a name: there are several upstreams',
  ])
})

test('what a domain has once is refused for a path of it, and a prefix can only be stripped if there is one', () => {
  const at = (path: string, options: unknown) =>
    faults(PutProxyBody, { domain: 'a.example.com', upstream_port: 1, path, options })
  const message = 'is of the whole domain: set it on its route with the path "/"'
  for (const [option, value] of Object.entries({
    aliases: ['b.example.com'],
    redirect_to: 'c.example.com',
    hsts: true,
  })) {
    assert.equal(at('/api', { [option]: value }), [`options.${option}: ${message}`])
    assert.equal(at('/', { [option]: value }), [])
  }
  assert.equal(at('/api', { aliases: [], redirect_to: null, hsts: false, strip_prefix: true }), [])
  assert.equal(
    faults(PutProxyBody, { domain: 'a.example.com', upstream_port: 1, path: '/api', certificate: { name: 'corp' } }),
    [`certificate: ${message}`],
  )
  assert.equal(at('/api', { strip_prefix: true, failover: 'connect_only' }), [
    'options.strip_prefix: cannot be combined with failover connect_only',
  ])
  assert.equal(at('/', { strip_prefix: true }), ['options.strip_prefix: needs a path to strip: pass path'])
  assert.equal(faults(PutProxyBody, { domain: 'a.example.com', upstream_port: 1, path: '/api/' }), [
    'path: must not end in "/": /api is for /api, /api/ and all below',
  ])
})

test('a body that is not a JSON object, or has keys such as __proto__, is refused', () => {
  for (const value of [null, 'x', 1, true]) assert.equal(faults(PutProxyBody, value), [': must be a JSON object'])
  assertRefused(PutProxyBody, [[], [{ domain: 'a.example.com', upstream_port: 80 }]])
  const polluted = '{"__proto__":{"enable_ssl":false},"domain":"a.example.com","upstream_port":80}'
  assert.equal(faults(PutProxyBody, JSON.parse(polluted)), ['__proto__: is not a known field'])
  for (const key of ['nginx_bin', 'reload_cmd', 'droplet_name', 'Domain', 'constructor']) {
    const body = { domain: 'a.example.com', upstream_port: 80, [key]: 'x' }
    assert.equal(faults(PutProxyBody, body), [`${key}: is not a known field`])
  }
})

test('a route created without a name is named after its domain', () => {
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

test('a route that only redirects needs no upstream, and may name one', () => {
  const options = { redirect_to: 'New.Example.com' }
  const asked = { require_healthy: true, enable_ssl: true, domain: 'old.example.com' }
  const taken = { ...asked, options: { ...DEFAULT_OPTIONS, redirect_to: 'new.example.com' } }
  assertTaken(PutProxyBody, [
    [
      { domain: 'old.example.com', options },
      { ...taken, upstream_host: null, upstream_port: null },
    ],
    [
      { domain: 'old.example.com', upstream_port: 80, options },
      { ...taken, upstream_host: 'localhost', upstream_port: 80 },
    ],
  ])
  const required = 'upstream_port: is required (or upstream as http://host:port)'
  assert.equal(faults(PutProxyBody, { domain: 'old.example.com', options: { redirect_to: null } }), [required])
  assert.equal(faults(PutProxyBody, { domain: 'old.example.com', upstream_host: 'a', options }), [required])
})

test('a route cannot redirect to one of its own names, nor have its domain as an alias', () => {
  const at = (options: unknown) => faults(PutProxyBody, { domain: 'A.example.com', upstream_port: 80, options })
  const elsewhere = 'options.redirect_to: must not be a domain of this route'
  assert.equal(at({ redirect_to: 'a.EXAMPLE.com' }), [elsewhere])
  assert.equal(at({ redirect_to: 'b.example.com', aliases: ['c.example.com', 'b.example.com'] }), [elsewhere])
  assert.equal(at({ aliases: ['b.example.com', 'a.example.com.'] }), [
    'options.aliases: must not contain the domain itself',
  ])
  assert.equal(at({ redirect_to: 'https://x.example.com', aliases: 'b.example.com' }), [
    'options.aliases: must be a list',
    'options.redirect_to: must be a DNS name: labels of 1 to 63 letters, digits and inner hyphens; no wildcard, port, scheme or path',
  ])
})

test.run()
