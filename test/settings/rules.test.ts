import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { isLoopbackHost } from '../../lib/net/address.ts'
import { parseFaults, parseValid } from '../helpers/settings.ts'

const test = suite('rules across settings')

test('beyond loopback the API requires a token, unless it is declared insecure', () => {
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'proxy.internal', '128.0.0.1', 'localhost.example']) {
    assert.equal(parseFaults({ PROXY_MANAGER_HOST: host }), [
      `PROXY_MANAGER_HOST: expected a loopback address unless PROXY_MANAGER_API_TOKEN, PROXY_MANAGER_API_TOKENS_FILE or AUTH_REGISTRY_JWT is set (or PROXY_MANAGER_INSECURE=true, behind a VPN), got "${host}"`,
    ])
    assert.equal(parseFaults({ PROXY_MANAGER_HOST: host, PROXY_MANAGER_INSECURE: 'false' }).length, 1)
    assert.is(parseValid({ PROXY_MANAGER_HOST: host, PROXY_MANAGER_INSECURE: 'true' }).PROXY_MANAGER_HOST, host)
    assert.is(
      parseValid({ PROXY_MANAGER_HOST: host, PROXY_MANAGER_API_TOKEN: 'x'.repeat(16) }).PROXY_MANAGER_HOST,
      host,
    )
  }
})

test('tokens of the Registry count as a token', () => {
  const others = { REGISTRY_URL: 'http://registry.example', AUTH_REGISTRY_JWT: 'true' }
  assert.is(parseValid({ ...others, PROXY_MANAGER_HOST: '0.0.0.0' }).PROXY_MANAGER_HOST, '0.0.0.0')
  const read = 'r'.repeat(20)
  assert.is(parseValid({ ...others, PROXY_MANAGER_READ_TOKEN: read }).PROXY_MANAGER_READ_TOKEN, read)
})

test('a token for reading requires a way to write', () => {
  assert.equal(parseFaults({ PROXY_MANAGER_READ_TOKEN: 'r'.repeat(20) }), [
    'PROXY_MANAGER_READ_TOKEN: requires PROXY_MANAGER_API_TOKEN, PROXY_MANAGER_API_TOKENS_FILE or AUTH_REGISTRY_JWT too, otherwise nobody could change anything',
  ])
})

test('what is useless without a Registry requires its URL', () => {
  for (const [name, value] of [
    ['AUTH_REGISTRY_JWT', 'true'],
    ['REGISTRY_REGISTER', 'true'],
    ['REGISTRY_SYNC_INTERVAL_S', '60'],
    ['REGISTRY_TOKEN', 't'.repeat(20)],
  ] as const) {
    assert.equal(parseFaults({ [name]: value }), [`${name}: requires REGISTRY_URL too`])
    parseValid({ [name]: value, REGISTRY_URL: 'http://registry.example' })
  }
  for (const [name, value] of [
    ['AUTH_REGISTRY_JWT', 'false'],
    ['REGISTRY_REGISTER', 'false'],
    ['REGISTRY_SYNC_INTERVAL_S', '0'],
    ['REGISTRY_TOKEN', ''],
  ] as const)
    parseValid({ [name]: value })
})

test('with AUTH_JWT_KEY_URL, tokens of the Registry need no Registry', () => {
  const key = { AUTH_JWT_KEY_URL: 'https://keys.example/certs' }
  assert.ok(parseValid({ AUTH_REGISTRY_JWT: 'true', ...key }).AUTH_REGISTRY_JWT)
  assert.equal(parseFaults({ AUTH_REGISTRY_JWT: 'true', ...key, REGISTRY_REGISTER: 'true' }), [
    'REGISTRY_REGISTER: requires REGISTRY_URL too',
  ])
})

test('what limits tokens of the Registry requires that they are accepted: otherwise no call would need one', () => {
  for (const name of ['AUTH_JWT_KEY_URL', 'AUTH_JWT_AUDIENCE', 'AUTH_JWT_ISSUER'])
    assert.equal(parseFaults({ [name]: 'https://a.example' }), [`${name}: requires AUTH_REGISTRY_JWT=true too`])
})

test('a token for heartbeats requires that there are some', () => {
  assert.equal(parseFaults({ HEARTBEAT_TOKEN: 'a-token-of-many-characters' }), [
    'HEARTBEAT_TOKEN: requires HEARTBEAT_URL or ORCHESTRATOR_URL too',
  ])
})

test('an unspecified address is never announced as the one to call', () => {
  for (const PROXY_MANAGER_HOST of ['0.0.0.0', '::'])
    for (const announced of [
      { REGISTRY_REGISTER: 'true', REGISTRY_URL: 'http://registry.example' },
      { ORCHESTRATOR_URL: 'http://orchestrator.example' },
      { HEARTBEAT_URL: 'http://registry.example/heartbeat' },
    ]) {
      const environment = { ...announced, PROXY_MANAGER_HOST, PROXY_MANAGER_INSECURE: 'true' }
      assert.match(
        parseFaults(environment).join(),
        /^PROXY_MANAGER_PUBLIC_URL: expected the URL at which others reach this API/,
      )
      parseValid({ ...environment, PROXY_MANAGER_PUBLIC_URL: 'http://edge.example:8100' })
      parseValid({ ...environment, PROXY_MANAGER_HOST: '10.0.0.7' })
    }
})

test('the two directories of sites differ, and so do the two ports of NGINX', () => {
  const directory = '/etc/nginx/conf.d'
  for (const enabled of [directory, `${directory}/`])
    assert.equal(parseFaults({ NGINX_SITES_AVAILABLE: directory, NGINX_SITES_ENABLED: enabled }), [
      'NGINX_SITES_ENABLED: expected another directory than NGINX_SITES_AVAILABLE, got "/etc/nginx/conf.d"',
    ])
  assert.equal(parseFaults({ NGINX_SITES_AVAILABLE: '/etc/nginx/sites-enabled/' }).length, 1)
  parseValid({ NGINX_SITES_AVAILABLE: '/etc/nginx/conf.d', NGINX_SITES_ENABLED: '/etc/nginx/conf.d/enabled' })
  for (const ports of [{ NGINX_HTTP_PORT: '443' }, { NGINX_HTTP_PORT: '8080', NGINX_HTTPS_PORT: '8080' }])
    assert.match(parseFaults(ports).join(), /^NGINX_HTTPS_PORT: expected another port than NGINX_HTTP_PORT, got \d+$/)
})

test('the two ports at which clients reach NGINX differ, whether they are mapped or not', () => {
  parseValid({
    NGINX_HTTP_PORT: '8080',
    NGINX_HTTPS_PORT: '8443',
    NGINX_PUBLIC_HTTP_PORT: '8443',
    NGINX_PUBLIC_HTTPS_PORT: '8080',
  })
  for (const ports of [{ NGINX_PUBLIC_HTTPS_PORT: '80' }, { NGINX_PUBLIC_HTTP_PORT: '443' }])
    assert.match(
      parseFaults(ports).join(),
      /^NGINX_PUBLIC_HTTPS_PORT: expected another port than NGINX_PUBLIC_HTTP_PORT/,
    )
})

test('loopback is localhost, ::1 and 127.0.0.0/8, and no name that only resembles them', () => {
  for (const host of ['localhost', '::1', '127.0.0.1', '127.1.2.3']) assert.ok(isLoopbackHost(host), host)
  for (const host of ['127.0.0.1.nip.io', 'localhost.evil.com', '127.evil.com', '127.0.0', '::', ''])
    assert.not.ok(isLoopbackHost(host), host)
})

test('an external account consists of a key identifier and a file with its key, which others cannot read', () => {
  const [kid, file] = [{ ACME_EAB_KID: 'kid' }, { ACME_EAB_HMAC_KEY_FILE: '/root/key' }]
  assert.equal(parseFaults(kid), ['ACME_EAB_KID: requires ACME_EAB_HMAC_KEY_FILE too'])
  assert.equal(parseFaults(file), ['ACME_EAB_HMAC_KEY_FILE: requires ACME_EAB_KID too'])
  parseValid({ ...kid, ...file }, () => ({ text: 'c2VjcmV0-_=\n', isPublic: false }))
  for (const [found, fault] of [
    [{ failure: 'ENOENT' }, 'cannot be read (ENOENT)'],
    [{ text: 'c2VjcmV0', isPublic: true }, 'can be read by every user: chmod 600'],
    [{ text: '\n' }, 'does not contain a key in base64url'],
    [{ text: 'secret key' }, 'does not contain a key in base64url'],
  ] as const)
    assert.equal(
      parseFaults({ ...kid, ...file }, () => found),
      [`ACME_EAB_HMAC_KEY_FILE: /root/key ${fault}`],
    )
})

test('events are sent over TLS, or to this host', () => {
  for (const url of ['https://hooks.example/', 'http://127.0.0.1:8000/', 'http://[::1]:8000/', 'http://localhost/'])
    assert.equal(parseFaults({ EVENTS_URL: url }), [], url)
  assert.equal(parseFaults({ EVENTS_URL: 'http://hooks.example/' }), [
    'EVENTS_URL: expected an https URL, or one of a loopback address',
  ])
  assert.equal(parseFaults({ EVENTS_TOKEN: 't'.repeat(20) }), ['EVENTS_TOKEN: requires EVENTS_URL too'])
})

test.run()
