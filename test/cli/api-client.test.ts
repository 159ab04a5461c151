import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CALLING, runCli, withAnswer, withApi } from '../helpers/cli.ts'

const test = suite('calls of the API')

/** What apply reads. */
const FILES = { 'routes.json': '{}' }

test('exit status 3 if the API cannot be reached, with every command that calls it', async () => {
  for (const argv of CALLING) {
    const { status, out, err } = await runCli(argv, { PROXY_MANAGER_URL: 'http://127.0.0.1:1/' }, FILES)
    assert.is(status, 3, argv[0])
    assert.is(out, '')
    assert.match(err, /^proxy-manager: http:\/\/127\.0\.0\.1:1 cannot be reached \(.+\)\n {2}remedy: /)
  }
})

test('exit status 3 if something else answers', async () => {
  for (const answer of [{ body: '<html>' }, { body: { ok: true } }, { status: 502, body: 'Bad Gateway' }])
    await withAnswer(answer, async ({ environment }) => {
      for (const argv of CALLING) {
        const { status, err } = await runCli(argv, environment, FILES)
        assert.is(status, 3, argv[0])
        assert.match(err, /is not Proxy Manager/)
      }
    })
})

test('exit status 2 with an invalid address or token, and the token is not repeated', async () => {
  assert.is((await runCli(['list'], { PROXY_MANAGER_URL: 'localhost:8100' })).status, 2)
  const { status, err } = await runCli(['list'], { PROXY_MANAGER_API_TOKEN: 'a secret\n' })
  assert.is(status, 2)
  assert.not.match(err, /secret/)
})

test('the address may have a path; the token is sent if there is one', async () => {
  await withAnswer({ body: [] }, async ({ environment }, seen) => {
    const { PROXY_MANAGER_URL } = environment
    await runCli(['list'], { PROXY_MANAGER_URL: `${PROXY_MANAGER_URL}/pm/`, PROXY_MANAGER_API_TOKEN: 'token' })
    await runCli(['list'], environment)
    assert.equal(
      seen.map(({ url, authorization }) => [url, authorization]),
      [
        ['/pm/proxies', 'Bearer token'],
        ['/proxies', undefined],
      ],
    )
  })
})

test('the token may be in a file; exit status 2 if that is empty or cannot be read, before anything is sent', async () => {
  const environment = { PROXY_MANAGER_URL: 'http://127.0.0.1:1', PROXY_MANAGER_API_TOKEN_FILE: '/run/token' }
  assert.equal(await runCli(['list'], environment, { '/run/token': ' \n' }), {
    status: 2,
    out: '',
    err: 'proxy-manager: PROXY_MANAGER_API_TOKEN_FILE: /run/token is empty\n',
  })
  const { status, err } = await runCli(['list'], environment)
  assert.equal([status, err], [2, 'proxy-manager: PROXY_MANAGER_API_TOKEN_FILE: /run/token cannot be read (ENOENT)\n'])
})

const ENV_FILE = '/etc/proxy-manager.env'

test('without an address, the service of this host is called, as its environment file has address and token', async () => {
  await withAnswer({ body: [] }, async ({ environment }, seen) => {
    const { hostname, port } = new URL(environment.PROXY_MANAGER_URL ?? '')
    const file = (lines: string) => ({ [ENV_FILE]: `LOG_LEVEL=warn\nPROXY_MANAGER_PORT=${port}\n${lines}` })
    const calls = [
      await runCli(['list'], { PROXY_MANAGER_PORT: '' }, file('PROXY_MANAGER_API_TOKEN=of-the-file\n')),
      await runCli(
        ['list'],
        {},
        { ...file('PROXY_MANAGER_API_TOKEN_FILE=/run/token\n'), '/run/token': 'of-its-file\n' },
      ),
      await runCli(['list'], { PROXY_MANAGER_API_TOKEN: 'own' }, file('PROXY_MANAGER_API_TOKEN_FILE=/run/token\n')),
      await runCli(['list'], { PROXY_MANAGER_PORT: port }, { [ENV_FILE]: 'PROXY_MANAGER_PORT=1\n' }),
      ...(await Promise.all(
        ['0.0.0.0', hostname, 'localhost'].map((host) => runCli(['list'], {}, file(`PROXY_MANAGER_HOST=${host}\n`))),
      )),
    ]
    assert.equal(
      calls.filter(({ status, err }) => status !== 0 || err !== ''),
      [],
    )
    assert.equal(
      seen.slice(0, 4).map(({ authorization }) => authorization),
      ['Bearer of-the-file', 'Bearer of-its-file', 'Bearer own', undefined],
    )
  })
})

test('an unspecified IPv6 address stands for ::1, and IPv6 addresses are in brackets', async () => {
  for (const [host, shown] of [
    ['::', '[::1]'],
    ['::0', '[::1]'],
    ['::ffff:127.0.0.1', '[::ffff:127.0.0.1]'],
  ] as const) {
    const { err } = await runCli(['list'], { PROXY_MANAGER_HOST: host, PROXY_MANAGER_PORT: '1' })
    assert.ok(err.startsWith(`proxy-manager: http://${shown}:1 cannot be reached`), err)
  }
})

test('the token of the environment file goes to no other address', async () => {
  await withAnswer({ body: [] }, async ({ environment }, seen) => {
    await runCli(['list'], environment, { [ENV_FILE]: 'PROXY_MANAGER_API_TOKEN=of-the-file\nPROXY_MANAGER_HOST=::1\n' })
    assert.equal(
      seen.map(({ authorization }) => authorization),
      [undefined],
    )
  })
})

test('an environment file that cannot be understood is named and left out, without its text', async () => {
  await withAnswer({ body: [] }, async ({ environment }) => {
    const { port } = new URL(environment.PROXY_MANAGER_URL ?? '')
    const { status, err } = await runCli(['list'], { PROXY_MANAGER_PORT: port }, { [ENV_FILE]: 'TOKEN="a secret"\n' })
    assert.is(status, 0)
    assert.is(err, 'proxy-manager: /etc/proxy-manager.env is not used: line 1: expected NAME=value without quotes\n')
  })
})

test('exit status 1 if the API refuses a call without a token', async () => {
  await withApi(
    async ({ cli, environment }) => {
      const { status, err } = await cli('list')
      assert.is(status, 1)
      assert.match(err, /UNAUTHORIZED/)
      const token = { ...environment, PROXY_MANAGER_API_TOKEN: 'a-token-of-many-characters' }
      assert.is((await runCli(['list'], token)).status, 0)
    },
    { settings: { PROXY_MANAGER_API_TOKEN: 'a-token-of-many-characters' } },
  )
})

test('exit status 1 if the API refuses, with code, message, issues and remedy on standard error', async () => {
  await withApi(async (api) => {
    const missing = await api.cli('get', 'app')
    assert.is(missing.status, 1)
    assert.is(missing.out, '')
    assert.match(missing.err, /^proxy-manager: PROXY_NOT_FOUND: There is no route for this droplet\n/)
    const unfit = await api.cli('put', 'app', '--domain', 'x', '--upstream', 'ftp://x')
    assert.match(unfit.err, /^ {2}--domain: must have at least two labels/m)
    assert.match(unfit.err, /^ {2}--upstream: must be http:\/\/host:port or https:\/\/host:port$/m)
    const details = { remedy: 'Do this', nginx_output: 'a\nb\n', owner: { file: 'x', line: 3 } }
    const body = { error: { code: 'SOME_CODE', message: 'A message', details } }
    await withAnswer({ status: 500, body }, async ({ cli }) => {
      const { err } = await cli('list')
      assert.is(err, 'proxy-manager: SOME_CODE: A message\n  a\n  b\n  owner: file x, line 3\n  remedy: Do this\n')
    })
  })
})

test('with --json the whole error of the API is on standard output', async () => {
  await withApi(async ({ cli }) => {
    const { status, out, err } = await cli('get', 'app', '--json')
    assert.is(status, 1)
    assert.is(JSON.parse(out).error.code, 'PROXY_NOT_FOUND')
    assert.match(err, /PROXY_NOT_FOUND/)
  })
})

test.run()
