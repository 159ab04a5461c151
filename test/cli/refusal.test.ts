import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { describeRefusal, flagOf, inCommandWords } from '../../lib/cli/refusal.ts'
import { runCli, withApi } from '../helpers/cli.ts'

const test = suite('errors in the words of the command line')

const root = join(import.meta.dirname, '../..')
/** Where calls, fields and headers of the API are written; a sentence for a person has none of them. */
const API_WORDS =
  /\b(GET|PUT|POST|DELETE|If-(None-)?Match|Retry-After|Authorization: Bearer)\b|\b(upstream_(host|port)|nginx_output|droplet_name|confirm=|(details|options)\.[a-z]|call (again|with a token))|"[a-z_]+": /

/** The sentences of remedies and of health in the sources, with a name in place of what is filled in. */
function sentences(): string[] {
  const files = globSync('lib/**/*.ts', { cwd: root, exclude: (path) => /lib\/(cli|settings|adapters)\b/.test(path) })
  const lines = files
    .filter((path) => !/openapi\/(?!errors)|^lib\/http\/(message-call|listener)/.test(path))
    .flatMap((path) => readFileSync(join(root, path), 'utf8').split('\n'))
    .filter((line) => !/^\s*(\/\/|\*|\/\*\*)|v\.description|^ +(maintenance|aliases)/.test(line))
  return lines
    .flatMap((line) => line.match(/'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*"/g) ?? [])
    .map((literal) =>
      literal
        .slice(1, -1)
        .replace(/\\(.)/g, '$1')
        .replace(/\$\{[^}]*\}/g, 'app'),
    )
    .filter((text) => /[a-z]+ [a-z]+/.test(text) && !text.startsWith('#'))
}

test('no sentence of the API speaks of calls, fields or headers on the command line', () => {
  const found = sentences()
  assert.ok(found.filter((text) => API_WORDS.test(text)).length > 20)
  const left = found.map(inCommandWords).filter((text) => API_WORDS.test(text))
  assert.equal(left, ["The route's revision does not match If-Match or If-None-Match"])
})

for (const [said, words] of [
  [
    'Start the droplet, see that its health check answers 2xx, or pass "require_healthy": false',
    'Start the droplet, see that its health check answers 2xx, or pass --no-health-check',
  ],
  ['Install it, or pass "enable_ssl": false', 'Install it, or pass --no-ssl'],
  ['Install it, or leave out options.allow', 'Install it, or pass --no-allow'],
  ['GET /proxies lists the existing routes', '"proxy-manager list" lists the existing routes'],
  [
    'route a-b was edited by hand: repeat PUT /proxies/a-b to replace the edit',
    'route a-b was edited by hand: run "proxy-manager put a-b" to replace the edit',
  ],
  ['POST /proxies/app/ssl, or find out', '"proxy-manager ssl app", or find out'],
  ['to delete them all, add confirm=12', 'to delete them all, add --confirm 12'],
  [
    'The disk is full: free some space, then call again',
    'The disk is full: free some space, then run the command again',
  ],
] as const) {
  test(`"${said}" becomes "${words}"`, () => assert.is(inCommandWords(said), words))
}

test('a field or option is named by its flag', () => {
  const names = ['domain', 'enable_ssl', 'require_healthy', 'upstream_port', 'max_body_size']
  assert.equal(names.map(flagOf), ['--domain', '--ssl', '--health-check', '--upstream', '--max-body-size'])
})

test('an upstream that fails its health check is shown with every attempt', async () => {
  await withApi(async ({ cli }, deps) => {
    deps.nginx.upstreams.set(8003, 503)
    const { status, out, err } = await cli('put', 'app', '--domain=app.example.com', '--upstream=http://localhost:8003')
    assert.equal([status, out], [1, ''])
    assert.match(err, /^ {2}upstream: http:\/\/localhost:8003$/m)
    assert.match(err, /^ {2}attempt: address 127\.0\.0\.1, path \/health, status 503$/m)
    assert.match(err, /^ {2}remedy: Start the droplet .*--no-health-check/m)
  })
})

test('without a token, or with a wrong one, the remedy names the variable', async () => {
  await withApi(
    async ({ environment }) => {
      for (const token of [{}, { PROXY_MANAGER_API_TOKEN: 'another-token-of-many-characters' }]) {
        const { err } = await runCli(['list'], { ...environment, ...token })
        assert.match(err, /remedy: Set PROXY_MANAGER_API_TOKEN, or PROXY_MANAGER_API_TOKEN_FILE, to the API token/)
      }
    },
    { settings: { PROXY_MANAGER_API_TOKEN: 'a-token-of-many-characters' } },
  )
})

test('what certbot printed, failed checks, the state of the host and the time of the next try are shown', () => {
  const details = {
    certbot_output: 'DNS problem\n',
    preflight: [{ check: 'dns', domain: 'a.example.com', ok: false, detail: 'does not resolve' }],
    state: 'rolled_back',
    attempts: [{ address: '::1', failure: 'TIMEOUT' }],
    owner: { droplet_name: 'app' },
  }
  const shown = describeRefusal({ error: { code: 'X', message: 'A message', details } }, '30')
  assert.equal(shown.split('\n').slice(1), [
    '  DNS problem',
    '  a.example.com dns failed: does not resolve',
    '  state: rolled_back',
    '  retry after: 30 s',
    '  attempt: address ::1, failure TIMEOUT',
    '  owner: route app',
  ])
})

test.run()
