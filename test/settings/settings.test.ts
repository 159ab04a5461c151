import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { describeSettings, publicUrl, type Settings, wantsCredentials } from '../../lib/settings/settings.ts'
import { type Environment, parseFaults, parseValid } from '../helpers/settings.ts'

const test = suite('settings')

interface Row {
  readonly name: keyof Settings
  readonly default: unknown
  /** Valid texts, and their values. */
  readonly good: readonly (readonly [string, unknown])[]
  readonly bad: readonly string[]
  readonly expected: string
  /** What must be set too. */
  readonly others?: Environment
}

const port = {
  bad: ['0', '65536', '-1', '80.5', '1e3', '0x50', ' 80', 'http', '00000000080'],
  expected: 'an integer from 1 to 65535',
}
const flag = { default: false, bad: ['yes', '1', 'TRUE', 'on', ' true'], expected: 'true or false' }
const flagGood = [['true', true] as const, ['false', false] as const]
const path = {
  bad: ['relative', './a', '~/a', '/a\nb', '/a\0', '/a\t', '/$HOME', 'C:\\a'],
  expected: 'an absolute path',
}
const pathGood = [['/a/b c', '/a/b c'] as const, ['/a/', '/a'] as const, ['/', '/'] as const]

const meshName = {
  good: [['edge', 'edge'] as const, ['A.b_c-1', 'A.b_c-1'] as const, ['7', '7'] as const],
  bad: ['-a', '.a', 'a b', 'a/b', 'ä', 'a\n', '"', 'x'.repeat(64)],
  expected: 'a name of letters, digits, ".", "_" and "-"',
}
const url = {
  default: undefined,
  good: [
    ['http://registry.internal:8000/api', 'http://registry.internal:8000/api'] as const,
    ['https://a', 'https://a'] as const,
    ['http://[::1]:8000/', 'http://[::1]:8000'] as const,
    ['http://a/b//', 'http://a/b'] as const,
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
  expected: 'an http or https URL without credentials, query and fragment',
}
const token = {
  default: undefined,
  good: [['0123456789abcdef', '0123456789abcdef'] as const, ['!'.repeat(512), '!'.repeat(512)] as const],
  bad: ['short', 'x'.repeat(513), '0123456789 abcdef', '0123456789abcdef\n', 'ä'.repeat(16)],
  expected: 'a token of 16 to 512 printable characters without spaces',
}
const JWT = { AUTH_REGISTRY_JWT: 'true', REGISTRY_URL: 'http://registry.example' }

const rows: readonly Row[] = [
  {
    name: 'PROXY_MANAGER_PORT',
    default: 8100,
    good: [
      ['1', 1],
      ['65535', 65535],
    ],
    ...port,
  },
  {
    name: 'PROXY_MANAGER_HOST',
    default: '127.0.0.1',
    good: [
      ['localhost', 'localhost'],
      ['::1', '::1'],
      ['127.0.0.2', '127.0.0.2'],
    ],
    bad: ['a b', '[::1]', 'http://a', 'a/b', 'a_b'],
    expected: 'an IP address or host name',
  },
  { name: 'PROXY_MANAGER_INSECURE', good: flagGood, ...flag },
  {
    name: 'PROXY_MANAGER_ALLOWED_HOSTS',
    default: [],
    good: [
      ['a', ['a']],
      ['a.example, B', ['a.example', 'B']],
    ],
    bad: ['a,,b', ',', 'a b', '*', 'a:80', 'http://a'],
    expected: 'host names, comma-separated',
  },
  { name: 'PROXY_MANAGER_API_TOKEN', ...token },
  { name: 'PROXY_MANAGER_READ_TOKEN', ...token, others: { PROXY_MANAGER_API_TOKEN: 'x'.repeat(16) } },
  { name: 'AUTH_REGISTRY_JWT', good: flagGood, ...flag, others: { REGISTRY_URL: 'http://registry.example' } },
  {
    name: 'AUTH_JWT_KEY_URL',
    default: undefined,
    good: [
      ['https://keys.example/certs?use=sig', 'https://keys.example/certs?use=sig'],
      ['http://registry.example/key/', 'http://registry.example/key/'],
    ],
    bad: ['keys.example', 'ftp://keys.example', 'https://user:secret@keys.example', 'https://'],
    expected: 'an http or https URL without credentials',
    others: JWT,
  },
  {
    name: 'AUTH_JWT_AUDIENCE',
    default: undefined,
    good: [
      ['gateway', ['gateway']],
      ['gateway, https://edge.example', ['gateway', 'https://edge.example']],
    ],
    bad: ['a b', 'a,,b', ',', 'a\tb'],
    expected: 'names without spaces, comma-separated',
    others: JWT,
  },
  {
    name: 'AUTH_JWT_ISSUER',
    default: undefined,
    good: [['https://registry.example', 'https://registry.example']],
    bad: ['a b', ' '],
    expected: 'a name or URL without spaces',
    others: JWT,
  },
  { name: 'PROXY_MANAGER_UI', good: flagGood, ...flag, default: true },
  { name: 'PROXY_MANAGER_STATE_DIR', default: '/var/lib/proxy-manager', good: pathGood, ...path },
  { name: 'NGINX_SITES_AVAILABLE', default: '/etc/nginx/sites-available', good: pathGood, ...path },
  { name: 'NGINX_SITES_ENABLED', default: '/etc/nginx/sites-enabled', good: pathGood, ...path },
  { name: 'NGINX_BIN', default: '/usr/sbin/nginx', good: pathGood, ...path },
  { name: 'NGINX_CONF', default: undefined, good: pathGood, ...path },
  { name: 'NGINX_HTTP_PORT', default: 80, good: [['8080', 8080]], ...port },
  { name: 'NGINX_HTTPS_PORT', default: 443, good: [['8443', 8443]], ...port },
  { name: 'NGINX_PUBLIC_HTTP_PORT', default: undefined, good: [['8080', 8080]], ...port },
  { name: 'NGINX_PUBLIC_HTTPS_PORT', default: undefined, good: [['8443', 8443]], ...port },
  {
    name: 'TRUSTED_PROXIES',
    default: [],
    good: [
      ['192.0.2.7', ['192.0.2.7']],
      ['10.1.2.3/8, 2001:DB8:0::1/32,10.0.0.0/8', ['10.0.0.0/8', '2001:db8::/32']],
      ['192.0.2.7/32,::1/128', ['192.0.2.7', '::1']],
    ],
    bad: [
      '10.0.0.0/33',
      'proxy.example.com',
      '10.0.0.0/8;',
      '10.0.0.0/8,',
      '::ffff:10.0.0.1',
      '::ffff:0:0/104',
      'all',
      '$host',
    ],
    expected: 'IP addresses or networks such as 10.0.0.0/8, comma-separated',
  },
  { name: 'CERTBOT_BIN', default: '/usr/bin/certbot', good: pathGood, ...path },
  { name: 'CERTBOT_CONFIG_DIR', default: '/etc/letsencrypt', good: pathGood, ...path },
  { name: 'CERTBOT_WORK_DIR', default: undefined, good: pathGood, ...path },
  { name: 'CERTBOT_LOGS_DIR', default: undefined, good: pathGood, ...path },
  {
    name: 'ACME_DIRECTORY_URL',
    default: undefined,
    good: [['https://localhost:14000/dir', 'https://localhost:14000/dir']],
    bad: ['http://a', 'a', 'https://', 'https://a b', 'https://[', 'https://a:99999', '--server'],
    expected: 'an https URL',
  },
  {
    name: 'ACME_PROFILE',
    default: undefined,
    good: [['shortlived', 'shortlived']],
    bad: ['-h', '--staging', 'a b', 'a=b', '.', 'a\n', 'x'.repeat(65)],
    expected: 'the name of a profile: letters, digits, ".", "_" and "-"',
  },
  {
    name: 'ACME_EAB_KID',
    default: undefined,
    good: [['V6iRR0p3', 'V6iRR0p3']],
    bad: ['a b', '"a"', "'a", 'a#b', '[a]', 'a\n', 'x'.repeat(513)],
    expected: 'a key identifier of printable characters without quotes and spaces',
    others: { ACME_EAB_HMAC_KEY_FILE: '/root/key' },
  },
  {
    name: 'ACME_EAB_HMAC_KEY_FILE',
    default: undefined,
    good: pathGood,
    ...path,
    others: { ACME_EAB_KID: 'a' },
  },
  { name: 'ACME_WEBROOT', default: undefined, good: pathGood, ...path },
  { name: 'PROXY_MANAGER_API_TOKENS_FILE', default: undefined, good: pathGood, ...path },
  {
    name: 'SSL_FAILURES_PER_HOUR',
    default: 3,
    good: [['1000', 1000]],
    bad: ['0', '1001', '-1', '1.5', 'x'],
    expected: 'an integer from 1 to 1000',
  },
  {
    name: 'SSL_CERTIFICATES_PER_WEEK',
    default: 3,
    good: [['1000', 1000]],
    bad: ['0', '1001', '-1', '1.5', 'x'],
    expected: 'an integer from 1 to 1000',
  },
  {
    name: 'DEFAULT_SSL_EMAIL',
    default: 'admin@fullpotential.ai',
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
    expected: 'an e-mail address',
  },
  { name: 'SSL_AUTO_ISSUE', good: flagGood, ...flag },
  {
    name: 'SSL_PREFLIGHT',
    default: 'certain',
    good: [
      ['strict', 'strict'],
      ['certain', 'certain'],
      ['warn', 'warn'],
      ['off', 'off'],
    ],
    bad: ['on', 'Strict', 'true'],
    expected: 'one of strict, certain, warn, off',
  },
  {
    name: 'SSL_RENEW_INTERVAL_HOURS',
    default: 0,
    good: [
      ['0', 0],
      ['596', 596],
    ],
    bad: ['-1', '597', '720', '1.5', 'daily'],
    expected: 'an integer from 0 to 596',
  },
  {
    name: 'DNS_SERVERS',
    default: [],
    good: [
      ['10.0.0.2', ['10.0.0.2']],
      ['10.0.0.2:5353, ::1,[::1],[2001:db8::1]:53', ['10.0.0.2:5353', '::1', '[::1]', '[2001:db8::1]:53']],
    ],
    bad: [
      ...['resolver.example', 'dead', 'a:b', '999.1.1.1', '1.2.3', '10.0.0.2:0', '10.0.0.2:65536', '10.0.0.2:'],
      ...['[10.0.0.2]:53', '[::1', 'fe80::1%lo', ':::', '::1,', '10.0.0.2;53'],
    ],
    expected: 'IP addresses, comma-separated, each with or without a port',
  },
  { name: 'REGISTRY_URL', ...url },
  { name: 'REGISTRY_REGISTER', good: flagGood, ...flag, others: { REGISTRY_URL: 'http://registry.example' } },
  {
    name: 'REGISTRY_TOKEN',
    ...token,
    others: { REGISTRY_URL: 'http://registry.example' },
    good: [...token.good, ['x'.repeat(4096), 'x'.repeat(4096)]],
    bad: ['short', 'x'.repeat(4097), '0123456789 abcdef', '0123456789abcdef\n'],
    expected: 'a token of 16 to 4096 printable characters without spaces',
  },
  {
    name: 'EVENTS_URL',
    default: undefined,
    good: [
      ['https://hooks.example/events', 'https://hooks.example/events'],
      ['http://127.0.0.1:8000/message', 'http://127.0.0.1:8000/message'],
    ],
    bad: ['hooks.example', 'ftp://hooks.example', 'https://user:word@hooks.example/'],
    expected: 'an http or https URL without credentials',
  },
  {
    name: 'EVENTS_TOKEN',
    ...token,
    others: { EVENTS_URL: 'https://hooks.example/events' },
    good: [...token.good, ['x'.repeat(4096), 'x'.repeat(4096)]],
    bad: ['short', 'x'.repeat(4097), '0123456789 abcdef', '0123456789abcdef\n'],
    expected: 'a token of 16 to 4096 printable characters without spaces',
  },
  { name: 'ORCHESTRATOR_URL', ...url },
  { name: 'HEARTBEAT_URL', ...url },
  {
    name: 'HEARTBEAT_TOKEN',
    ...token,
    others: { HEARTBEAT_URL: 'https://registry.example/droplets/7/heartbeat' },
    good: [...token.good, ['x'.repeat(4096), 'x'.repeat(4096)]],
    bad: ['short', 'x'.repeat(4097), '0123456789 abcdef', '0123456789abcdef\n'],
    expected: 'a token of 16 to 4096 printable characters without spaces',
  },
  { name: 'PROXY_MANAGER_PUBLIC_URL', ...url },
  {
    name: 'REGISTRY_SYNC_INTERVAL_S',
    others: { REGISTRY_URL: 'http://registry.example' },
    default: 0,
    good: [
      ['0', 0],
      ['86400', 86_400],
    ],
    bad: ['-1', '86401', '1.5', '1m'],
    expected: 'an integer from 0 to 86400',
  },
  {
    name: 'HEALTH_CHECK_TIMEOUT_MS',
    default: 1000,
    good: [
      ['1', 1],
      ['60000', 60000],
    ],
    bad: ['0', '60001', '1s', '-5'],
    expected: 'an integer from 1 to 60000',
  },
  {
    name: 'HEALTH_CHECK_INTERVAL_S',
    default: 15,
    good: [
      ['0', 0],
      ['86400', 86400],
    ],
    bad: ['-1', '86401', '1.5', '15s'],
    expected: 'an integer from 0 to 86400',
  },
  {
    name: 'HEALTH_CHECK_PATH',
    default: '/health',
    good: [
      ['/', '/'],
      ['/a?b=c', '/a?b=c'],
    ],
    bad: ['health', 'http://a/', '/a b', '/a\r\nHost: x', '/ä'],
    expected: 'a path that starts with "/"',
  },
  { name: 'SERVICE_NAME', default: 'proxy-manager', ...meshName },
  { name: 'DROPLET_ID', default: 'proxy-manager', ...meshName },
  { name: 'ENVIRONMENT', default: 'production', ...meshName },
  {
    name: 'LOG_LEVEL',
    default: 'info',
    good: [
      ['debug', 'debug'],
      ['error', 'error'],
    ],
    bad: ['INFO', 'trace', 'warning'],
    expected: 'one of debug, info, warn, error',
  },
]

test('every variable is in this table once', () => {
  const described = describeSettings().map(({ name }) => name)
  assert.equal(rows.map(({ name }) => name).sort(), described.sort())
})

for (const { name, default: value, good, bad, expected, others } of rows) {
  test(`${name}: its default, and what it accepts and refuses`, () => {
    assert.equal(parseValid({})[name], value)
    assert.equal(parseValid({ [name]: undefined })[name], value)
    assert.equal(parseValid({ [name]: '' })[name], value)
    for (const [text, parsed] of good) assert.equal(parseValid({ ...others, [name]: text })[name], parsed, text)
    for (const text of bad) {
      const got = name.endsWith('_TOKEN') ? '' : `, got ${JSON.stringify(text)}`
      assert.equal(parseFaults({ [name]: text }), [`${name}: expected ${expected}${got}`])
    }
  })
}

test('no interval is longer than a timer can wait: it would fire at once, again and again', () => {
  const longestMs = 2 ** 31 - 1
  const settings = parseValid({
    SSL_RENEW_INTERVAL_HOURS: '596',
    REGISTRY_SYNC_INTERVAL_S: '86400',
    REGISTRY_URL: 'http://registry.example',
  })
  assert.ok(settings.SSL_RENEW_INTERVAL_HOURS * 3_600_000 <= longestMs)
  assert.ok(settings.REGISTRY_SYNC_INTERVAL_S * 1000 <= longestMs)
})

test('callers must authenticate if there is a token, or if tokens of the Registry are accepted', () => {
  assert.not.ok(wantsCredentials(parseValid({ REGISTRY_URL: 'http://registry.example' })))
  assert.ok(wantsCredentials(parseValid({ PROXY_MANAGER_API_TOKEN: 'x'.repeat(16) })))
  assert.ok(wantsCredentials(parseValid({ REGISTRY_URL: 'http://registry.example', AUTH_REGISTRY_JWT: 'true' })))
})

test('the public URL is the one that is set, or made of the listen address', () => {
  assert.is(publicUrl(parseValid({ PROXY_MANAGER_PUBLIC_URL: 'https://edge.example/' })), 'https://edge.example')
  assert.is(publicUrl(parseValid({})), 'http://127.0.0.1:8100')
  assert.is(publicUrl(parseValid({ PROXY_MANAGER_HOST: '::1', PROXY_MANAGER_PORT: '81' })), 'http://[::1]:81')
})

test('every variable has a description', () => {
  for (const { name, help } of describeSettings()) {
    assert.match(name, /^[A-Z]+(_[A-Z]+)*$/)
    assert.match(help, /^\S.{5,}[^.]$/, name)
  }
})

test.run()
