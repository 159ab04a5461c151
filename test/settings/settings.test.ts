import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { isLoopbackHost } from '../../lib/net/address.ts'
import { resolverAddress } from '../../lib/net/dns-server.ts'
import { parseSettings } from '../../lib/settings/parse-settings.ts'
import { describeSettings, type Settings, wantsCredentials } from '../../lib/settings/settings.ts'
import type { ReadFile } from '../../lib/settings/token-file.ts'

const test = suite('settings')

type Environment = Readonly<Record<string, string | undefined>>

function parsed(environment: Environment, read?: ReadFile): Settings {
  const settings = parseSettings(environment, read)
  if ('faults' in settings) throw new Error(settings.faults.join('; '))
  return settings
}

function faults(environment: Environment, read?: ReadFile): readonly string[] {
  const settings = parseSettings(environment, read)
  return 'faults' in settings ? settings.faults : []
}

interface Row {
  readonly name: keyof Settings
  readonly unset: unknown
  /** What is written, and what it is taken for. */
  readonly good: readonly (readonly [string, unknown])[]
  readonly bad: readonly string[]
  readonly takes: string
  /** What has to be set as well. */
  readonly beside?: Environment
}

const port = {
  bad: ['0', '65536', '-1', '80.5', '1e3', '0x50', ' 80', 'http', '00000000080'],
  takes: 'an integer from 1 to 65535',
}
const flag = { unset: false, bad: ['yes', '1', 'TRUE', 'on', ' true'], takes: 'true or false' }
const flagGood = [['true', true] as const, ['false', false] as const]
const folder = {
  bad: ['relative', './a', '~/a', '/a\nb', '/a\0', '/a\t', '/$HOME', 'C:\\a'],
  takes: 'an absolute path',
}
const folderGood = [['/a/b c', '/a/b c'] as const, ['/a/', '/a'] as const, ['/', '/'] as const]
const optionalGood = [['/a/b c', '/a/b c'] as const]

const meshName = {
  good: [['edge', 'edge'] as const, ['A.b_c-1', 'A.b_c-1'] as const, ['7', '7'] as const],
  bad: ['-a', '.a', 'a b', 'a/b', 'ä', 'a\n', '"', 'x'.repeat(64)],
  takes: 'a name of letters, digits, ".", "_" and "-"',
}
const url = {
  unset: undefined,
  good: [
    ['http://registry.internal:8000/api', 'http://registry.internal:8000/api'] as const,
    ['https://a', 'https://a'] as const,
    ['http://[::1]:8000/', 'http://[::1]:8000/'] as const,
  ],
  bad: [
    ...[
      'a',
      'ftp://a',
      'http://',
      'http://a b',
      'file:///etc/passwd',
      'javascript:http://a',
      'http://a:b',
      'http://a:70000',
    ],
    ...['http://user@a', 'http://user:word@a', 'http://:word@a', 'http://a?b=c', 'http://a/#b'],
  ],
  takes: 'an http or https URL without credentials, query and fragment',
}
const token = {
  unset: undefined,
  good: [['0123456789abcdef', '0123456789abcdef'] as const, ['!'.repeat(512), '!'.repeat(512)] as const],
  bad: ['short', 'x'.repeat(513), '0123456789 abcdef', '0123456789abcdef\n', 'ä'.repeat(16)],
  takes: 'a token of 16 to 512 printable characters without spaces',
}

const rows: readonly Row[] = [
  {
    name: 'PROXY_MANAGER_PORT',
    unset: 8100,
    good: [
      ['1', 1],
      ['65535', 65535],
    ],
    ...port,
  },
  {
    name: 'PROXY_MANAGER_HOST',
    unset: '127.0.0.1',
    good: [
      ['localhost', 'localhost'],
      ['::1', '::1'],
      ['127.0.0.2', '127.0.0.2'],
    ],
    bad: ['a b', '[::1]', 'http://a', 'a/b', 'a_b'],
    takes: 'an IP address or host name',
  },
  { name: 'PROXY_MANAGER_INSECURE', good: flagGood, ...flag },
  {
    name: 'PROXY_MANAGER_ALLOWED_HOSTS',
    unset: [],
    good: [
      ['a', ['a']],
      ['a.example, B', ['a.example', 'B']],
    ],
    bad: ['a,,b', ',', 'a b', '*', 'a:80', 'http://a'],
    takes: 'host names, comma-separated',
  },
  { name: 'PROXY_MANAGER_API_TOKEN', ...token },
  { name: 'PROXY_MANAGER_READ_TOKEN', ...token, beside: { PROXY_MANAGER_API_TOKEN: 'x'.repeat(16) } },
  { name: 'AUTH_REGISTRY_JWT', good: flagGood, ...flag, beside: { REGISTRY_URL: 'http://registry.example' } },
  { name: 'PROXY_MANAGER_STATE_DIR', unset: '/var/lib/proxy-manager', good: folderGood, ...folder },
  { name: 'NGINX_SITES_AVAILABLE', unset: '/etc/nginx/sites-available', good: folderGood, ...folder },
  { name: 'NGINX_SITES_ENABLED', unset: '/etc/nginx/sites-enabled', good: folderGood, ...folder },
  { name: 'NGINX_BIN', unset: '/usr/sbin/nginx', good: folderGood, ...folder },
  { name: 'NGINX_CONF', unset: undefined, good: optionalGood, ...folder },
  { name: 'NGINX_HTTP_PORT', unset: 80, good: [['8080', 8080]], ...port },
  { name: 'NGINX_HTTPS_PORT', unset: 443, good: [['8443', 8443]], ...port },
  { name: 'CERTBOT_BIN', unset: '/usr/bin/certbot', good: folderGood, ...folder },
  { name: 'CERTBOT_CONFIG_DIR', unset: '/etc/letsencrypt', good: folderGood, ...folder },
  { name: 'CERTBOT_WORK_DIR', unset: undefined, good: optionalGood, ...folder },
  { name: 'CERTBOT_LOGS_DIR', unset: undefined, good: optionalGood, ...folder },
  {
    name: 'ACME_DIRECTORY_URL',
    unset: undefined,
    good: [['https://localhost:14000/dir', 'https://localhost:14000/dir']],
    bad: ['http://a', 'a', 'https://', 'https://a b', 'https://[', 'https://a:99999', '--server'],
    takes: 'an https URL',
  },
  { name: 'ACME_WEBROOT', unset: undefined, good: optionalGood, ...folder },
  {
    name: 'DEFAULT_SSL_EMAIL',
    unset: 'admin@fullpotential.ai',
    good: [
      ['a.b+c@d.example', 'a.b+c@d.example'],
      ['0@a-b.cd', '0@a-b.cd'],
    ],
    bad: [
      '-h',
      '--version',
      'a@b',
      'a@b.c\n',
      "x'y@b.c",
      'a..b@c.de',
      'a@c..de',
      '@b.c',
      'a b@c.de',
      `${'a'.repeat(250)}@b.cd`,
    ],
    takes: 'an e-mail address',
  },
  { name: 'SSL_AUTO_ISSUE', good: flagGood, ...flag },
  {
    name: 'SSL_PREFLIGHT',
    unset: 'warn',
    good: [
      ['strict', 'strict'],
      ['warn', 'warn'],
      ['off', 'off'],
    ],
    bad: ['on', 'Strict', 'true'],
    takes: 'strict, warn, off',
  },
  {
    name: 'SSL_RENEW_INTERVAL_HOURS',
    unset: 0,
    good: [
      ['0', 0],
      ['596', 596],
    ],
    bad: ['-1', '597', '720', '1.5', 'daily'],
    takes: 'an integer from 0 to 596',
  },
  {
    name: 'DNS_SERVERS',
    unset: [],
    good: [
      ['10.0.0.2', ['10.0.0.2']],
      ['10.0.0.2:5353, ::1,[::1],[2001:db8::1]:53', ['10.0.0.2:5353', '::1', '[::1]', '[2001:db8::1]:53']],
    ],
    bad: [
      ...['resolver.example', 'dead', 'a:b', '999.1.1.1', '1.2.3', '10.0.0.2:0', '10.0.0.2:65536', '10.0.0.2:'],
      ...['[10.0.0.2]:53', '[::1', 'fe80::1%lo', ':::', '::1,', '10.0.0.2;53'],
    ],
    takes: 'addresses, comma-separated, each with a port or without',
  },
  { name: 'REGISTRY_URL', ...url },
  { name: 'REGISTRY_REGISTER', good: flagGood, ...flag, beside: { REGISTRY_URL: 'http://registry.example' } },
  {
    name: 'REGISTRY_TOKEN',
    ...token,
    beside: { REGISTRY_URL: 'http://registry.example' },
    good: [...token.good, ['x'.repeat(4096), 'x'.repeat(4096)]],
    bad: ['short', 'x'.repeat(4097), '0123456789 abcdef', '0123456789abcdef\n'],
    takes: 'a token of 16 to 4096 printable characters without spaces',
  },
  { name: 'ORCHESTRATOR_URL', ...url },
  { name: 'PROXY_MANAGER_PUBLIC_URL', ...url },
  {
    name: 'REGISTRY_SYNC_INTERVAL_S',
    beside: { REGISTRY_URL: 'http://registry.example' },
    unset: 0,
    good: [
      ['0', 0],
      ['86400', 86_400],
    ],
    bad: ['-1', '86401', '1.5', '1m'],
    takes: 'an integer from 0 to 86400',
  },
  {
    name: 'HEALTH_CHECK_TIMEOUT_MS',
    unset: 1000,
    good: [
      ['1', 1],
      ['60000', 60000],
    ],
    bad: ['0', '60001', '1s', '-5'],
    takes: 'an integer from 1 to 60000',
  },
  {
    name: 'HEALTH_CHECK_PATH',
    unset: '/health',
    good: [
      ['/', '/'],
      ['/a?b=c', '/a?b=c'],
    ],
    bad: ['health', 'http://a/', '/a b', '/a\r\nHost: x', '/ä'],
    takes: 'a path that begins with "/"',
  },
  { name: 'SERVICE_NAME', unset: 'proxy-manager', ...meshName },
  { name: 'DROPLET_ID', unset: 'proxy-manager', ...meshName },
  { name: 'ENVIRONMENT', unset: 'production', ...meshName },
  {
    name: 'LOG_LEVEL',
    unset: 'info',
    good: [
      ['debug', 'debug'],
      ['error', 'error'],
    ],
    bad: ['INFO', 'trace', 'warning'],
    takes: 'debug, info, warn, error',
  },
]

test('every variable is in this table, once', () => {
  const described = describeSettings().map(({ name }) => name)
  assert.equal(rows.map(({ name }) => name).sort(), described.sort())
})

for (const { name, unset, good, bad, takes, beside } of rows) {
  test(`${name}: its default, what it takes, and what it refuses`, () => {
    assert.equal(parsed({})[name], unset)
    assert.equal(parsed({ [name]: undefined })[name], unset)
    assert.equal(parsed({ [name]: '' })[name], unset)
    for (const [written, taken] of good) assert.equal(parsed({ ...beside, [name]: written })[name], taken, written)
    for (const written of bad) {
      const got = name.endsWith('_TOKEN') ? 'a value that does not fit' : JSON.stringify(written)
      assert.equal(faults({ [name]: written }), [`${name}: got ${got}, takes ${takes}`])
    }
  })
}

test('every fault is named at once, each in one line', () => {
  const found = faults({ PROXY_MANAGER_PORT: 'x\ny', LOG_LEVEL: 'loud', NGINX_BIN: 'nginx', HOME: 'anything' })
  assert.equal(
    found.map((fault) => fault.split(':')[0]),
    ['PROXY_MANAGER_PORT', 'NGINX_BIN', 'LOG_LEVEL'],
  )
  assert.not.match(found.join(';'), '\n')
})

test("a token's value is in no message", () => {
  const token = 'secret token'
  assert.not.match(faults({ PROXY_MANAGER_API_TOKEN: token, LOG_LEVEL: 'x' }).join(), 'secret')
  const exposed = faults({ PROXY_MANAGER_API_TOKEN: token, PROXY_MANAGER_HOST: '0.0.0.0' })
  assert.is(exposed.length, 1)
  assert.not.match(exposed.join(), 'secret')
})

test('beyond loopback the API wants a token, or to be told that it is safe without', () => {
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'proxy.internal', '128.0.0.1', 'localhost.example']) {
    assert.equal(faults({ PROXY_MANAGER_HOST: host }), [
      `PROXY_MANAGER_HOST: got "${host}", takes a loopback address unless PROXY_MANAGER_API_TOKEN or AUTH_REGISTRY_JWT is set (or PROXY_MANAGER_INSECURE=true, behind a VPN)`,
    ])
    assert.equal(faults({ PROXY_MANAGER_HOST: host, PROXY_MANAGER_INSECURE: 'false' }).length, 1)
    assert.is(parsed({ PROXY_MANAGER_HOST: host, PROXY_MANAGER_INSECURE: 'true' }).PROXY_MANAGER_HOST, host)
    assert.is(parsed({ PROXY_MANAGER_HOST: host, PROXY_MANAGER_API_TOKEN: 'x'.repeat(16) }).PROXY_MANAGER_HOST, host)
  }
})

test('tokens of the Registry count as a token, and need to know where the Registry is', () => {
  const beside = { REGISTRY_URL: 'http://registry.example', AUTH_REGISTRY_JWT: 'true' }
  assert.is(parsed({ ...beside, PROXY_MANAGER_HOST: '0.0.0.0' }).PROXY_MANAGER_HOST, '0.0.0.0')
  assert.ok(wantsCredentials(parsed(beside)))
  assert.not.ok(wantsCredentials(parsed({ REGISTRY_URL: 'http://registry.example' })))
  const read = 'r'.repeat(20)
  assert.is(parsed({ ...beside, PROXY_MANAGER_READ_TOKEN: read }).PROXY_MANAGER_READ_TOKEN, read)
})

test('what is of no use without a Registry needs to know where it is', () => {
  for (const [name, value] of [
    ['AUTH_REGISTRY_JWT', 'true'],
    ['REGISTRY_REGISTER', 'true'],
    ['REGISTRY_SYNC_INTERVAL_S', '60'],
    ['REGISTRY_TOKEN', 't'.repeat(20)],
  ] as const) {
    assert.match(faults({ [name]: value }).join(), new RegExp(`^${name}: takes REGISTRY_URL as well`))
    parsed({ [name]: value, REGISTRY_URL: 'http://registry.example' })
  }
  for (const [name, value] of [
    ['AUTH_REGISTRY_JWT', 'false'],
    ['REGISTRY_REGISTER', 'false'],
    ['REGISTRY_SYNC_INTERVAL_S', '0'],
    ['REGISTRY_TOKEN', ''],
  ] as const)
    parsed({ [name]: value })
})

test('every address of a host is told to nobody as the one to call', () => {
  for (const PROXY_MANAGER_HOST of ['0.0.0.0', '::'])
    for (const told of [
      { REGISTRY_REGISTER: 'true', REGISTRY_URL: 'http://registry.example' },
      { ORCHESTRATOR_URL: 'http://orchestrator.example' },
    ]) {
      const environment = { ...told, PROXY_MANAGER_HOST, PROXY_MANAGER_INSECURE: 'true' }
      assert.match(faults(environment).join(), /^PROXY_MANAGER_PUBLIC_URL: takes the URL that others reach/)
      parsed({ ...environment, PROXY_MANAGER_PUBLIC_URL: 'http://edge.example:8100' })
      parsed({ ...environment, PROXY_MANAGER_HOST: '10.0.0.7' })
    }
})

test('no interval is longer than a timer can wait: it would fire again and again at once', () => {
  const longestMs = 2 ** 31 - 1
  const settings = parsed({
    SSL_RENEW_INTERVAL_HOURS: '596',
    REGISTRY_SYNC_INTERVAL_S: '86400',
    REGISTRY_URL: 'http://registry.example',
  })
  assert.ok(settings.SSL_RENEW_INTERVAL_HOURS * 3_600_000 <= longestMs)
  assert.ok(settings.REGISTRY_SYNC_INTERVAL_S * 1000 <= longestMs)
})

test('the two folders of sites are different ones, and so are the two ports of NGINX', () => {
  const folder = '/etc/nginx/conf.d'
  for (const enabled of [folder, `${folder}/`])
    assert.equal(faults({ NGINX_SITES_AVAILABLE: folder, NGINX_SITES_ENABLED: enabled }), [
      'NGINX_SITES_ENABLED: got "/etc/nginx/conf.d", takes another folder than NGINX_SITES_AVAILABLE, into whose files its symlinks lead',
    ])
  assert.equal(faults({ NGINX_SITES_AVAILABLE: '/etc/nginx/sites-enabled/' }).length, 1)
  parsed({ NGINX_SITES_AVAILABLE: '/etc/nginx/conf.d', NGINX_SITES_ENABLED: '/etc/nginx/conf.d/enabled' })
  for (const ports of [{ NGINX_HTTP_PORT: '443' }, { NGINX_HTTP_PORT: '8080', NGINX_HTTPS_PORT: '8080' }])
    assert.match(faults(ports).join(), /^NGINX_HTTPS_PORT: got \d+, takes another port than NGINX_HTTP_PORT$/)
})

test('loopback is localhost, ::1 and 127.0.0.0/8, and no name that only looks like them', () => {
  for (const host of ['localhost', '::1', '127.0.0.1', '127.1.2.3']) assert.ok(isLoopbackHost(host), host)
  for (const host of ['127.0.0.1.nip.io', 'localhost.evil.com', '127.evil.com', '127.0.0', '::', ''])
    assert.not.ok(isLoopbackHost(host), host)
})

test('a resolver is written as NGINX takes it: with its port, IPv6 in brackets', () => {
  assert.is(resolverAddress('10.0.0.2'), '10.0.0.2:53')
  assert.is(resolverAddress('10.0.0.2:5353'), '10.0.0.2:5353')
  assert.is(resolverAddress('::1'), '[::1]:53')
  assert.is(resolverAddress('2001:db8::53'), '[2001:db8::53]:53')
  assert.is(resolverAddress('[::1]'), '[::1]:53')
  assert.is(resolverAddress('[::1]:5353'), '[::1]:5353')
})

test('a token may come from a file, and a read token never comes alone', () => {
  const read = (path: string) =>
    path === '/run/secrets/token' ? { text: `${'t'.repeat(20)}\n` } : { failure: 'ENOENT' }
  const environment = { PROXY_MANAGER_API_TOKEN_FILE: '/run/secrets/token', PROXY_MANAGER_PORT: '8101' }
  assert.is(parsed(environment, read).PROXY_MANAGER_API_TOKEN, 't'.repeat(20))
  assert.is(parsed(environment, read).PROXY_MANAGER_PORT, 8101)
  assert.is(faults({ PROXY_MANAGER_API_TOKEN_FILE: '/nowhere' }, read).length, 1)
  assert.match(faults({ PROXY_MANAGER_READ_TOKEN: 'r'.repeat(20) }).join(), 'PROXY_MANAGER_READ_TOKEN: takes')
})

test('a token file that cannot be read, or is empty, never means that there is no token, or another one', () => {
  for (const file of [{ failure: 'EACCES' }, { text: '' }, { text: '\n' }]) {
    const environment = { PROXY_MANAGER_API_TOKEN_FILE: '/run/secrets/token', PROXY_MANAGER_API_TOKEN: 'x'.repeat(16) }
    assert.match(faults(environment, () => file).join(), 'PROXY_MANAGER_API_TOKEN_FILE: /run/secrets/token')
  }
  const unnamed = { PROXY_MANAGER_API_TOKEN_FILE: '', PROXY_MANAGER_API_TOKEN: 'x'.repeat(16) }
  assert.is(parsed(unnamed, () => ({ failure: 'ENOENT' })).PROXY_MANAGER_API_TOKEN, 'x'.repeat(16))
})

test('a token file is named where it cannot be read or is empty, beside every other fault', () => {
  const environment = {
    PROXY_MANAGER_API_TOKEN_FILE: '/run/secrets/missing',
    PROXY_MANAGER_API_TOKEN: 'x'.repeat(16),
    PROXY_MANAGER_READ_TOKEN_FILE: '/run/secrets/empty',
    REGISTRY_TOKEN_FILE: '/run/secrets/short',
    PROXY_MANAGER_PORT: '0',
  }
  const read = (path: string) =>
    path.endsWith('missing') ? { failure: 'ENOENT' } : { text: path.endsWith('short') ? 'secret\n' : ' \n' }
  const found = parseSettings(environment, read)
  assert.equal('faults' in found ? [...found.faults].sort() : [], [
    'PROXY_MANAGER_API_TOKEN_FILE: /run/secrets/missing cannot be read (ENOENT)',
    'PROXY_MANAGER_PORT: got "0", takes an integer from 1 to 65535',
    'PROXY_MANAGER_READ_TOKEN_FILE: /run/secrets/empty is empty',
    'REGISTRY_TOKEN: got a value that does not fit, takes a token of 16 to 4096 printable characters without spaces',
  ])
  const settings = parseSettings(
    { PROXY_MANAGER_API_TOKEN_FILE: '/run/secrets/token', PROXY_MANAGER_READ_TOKEN_FILE: '' },
    () => ({ text: `${'t'.repeat(20)}\n` }),
  )
  assert.is('faults' in settings ? settings.faults.join() : settings.PROXY_MANAGER_API_TOKEN, 't'.repeat(20))
})

test('every variable is described in words', () => {
  for (const { name, help } of describeSettings()) {
    assert.match(name, /^[A-Z]+(_[A-Z]+)*$/)
    assert.match(help, /^\S.{5,}[^.]$/, name)
  }
})

test.run()
