import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { DEFAULT_OPTIONS, type ProxyOptions } from '../../../lib/route/options.ts'
import { APP, runCli, withAnswer, withApi } from '../../helpers/cli.ts'

const test = suite('proxy-manager put')

const SOCKET = { localAddress: '127.0.0.1', remoteAddress: '127.0.0.1', isListening: false, uid: 33 }
const CLIENT = { ...SOCKET, localPort: 80, remotePort: 50000, inode: '1' }
const TO_FORMER = { ...SOCKET, localPort: 40000, remotePort: 8002, inode: '2' }

const NOT_FOUND = { status: 404, body: { error: { code: 'PROXY_NOT_FOUND', message: 'None' } } }

test('it creates a route and shows it, aligned; repeated, it changes nothing', async () => {
  await withApi(async (api) => {
    const first = await api.cli('put', 'app', ...APP)
    assert.is(first.status, 0, first.err)
    assert.match(
      first.out,
      /^app created\.\n\nname {9}app\ndomain {7}app\.example\.com\nupstream {5}http:\/\/localhost:8002\n/,
    )
    assert.match(
      first.out,
      /\nserved {7}generation 1, proved by generation_probe in 0 ms\ntook {9}queue 0 ms, probe 0 ms, test 0 ms, .*\n$/,
    )
    assert.match((await api.cli('put', 'app', ...APP)).out, /^app unchanged\./)
    assert.match((await api.cli('put', 'app', ...APP, '--options', '{"maintenance":true}')).out, /^app updated\./)
  })
})

interface Deployed {
  readonly status: number | undefined
  readonly out: string
  /** What was written to standard error, text by text. */
  readonly err: readonly string[]
}

/** A deploy that waits once for the new droplet and once for the former one, each until that was shown. */
async function slowDeploy(isErrorTerminal: boolean): Promise<Deployed> {
  const err: string[] = []
  let ended: Omit<Deployed, 'err'> | undefined
  await withApi(async (api, deps) => {
    await api.cli('put', 'app', ...APP)
    deps.nginx.upstreams.set(8003, 'ECONNREFUSED')
    deps.nginx.oldWorkers.set(900, [CLIENT, TO_FORMER])
    let tick: () => void = () => undefined
    const { sleep } = deps.clock
    deps.clock.sleep = async (ms) => {
      await sleep(ms)
      if (ms < 20) return
      const isLive = deps.nginx.upstreams.get(8003) === 200
      const isShown = () => err.some((text) => text.includes(isLive ? 'live, waiting' : 'to become healthy'))
      for (; !isShown(); tick()) await new Promise((resolve) => setImmediate(resolve))
      if (isLive) deps.nginx.oldWorkers.clear()
      deps.nginx.upstreams.set(8003, 200)
    }
    const every = (_: number, act: () => void) => {
      tick = act
      return () => undefined
    }
    const argv = ['put', 'app', '--upstream', 'http://localhost:8003', '--wait', '60', '--drain', '30']
    ended = await runCli(argv, api.environment, {}, { every, isErrorTerminal, err: (text) => err.push(text) })
  })
  return { status: ended?.status, out: ended?.out ?? '', err }
}

test('with --wait and --drain it says on standard error what it waits for, and at the end whether the former droplet may be stopped', async () => {
  const { status, out, err } = await slowDeploy(false)
  assert.match(
    err[0] ?? '',
    /^app \(\d+ s\): waiting for the droplet to become healthy; its last answer: ECONNREFUSED\n$/,
  )
  assert.match(
    err.at(-1) ?? '',
    /^app \(\d+ s\): live, waiting until the former droplet may be stopped; http:\/\/localhost:8002: 1 open\n$/,
  )
  assert.is(status, 0)
  assert.match(out, /^former {7}http:\/\/localhost:8002 is drained: its droplet may be stopped$/m)
})

test('on a terminal that is one line, which is gone at the end', async () => {
  const { status, err } = await slowDeploy(true)
  assert.is(status, 0)
  assert.ok(err.every((text) => text.startsWith('\r') && !text.includes('\n') && text.length <= 81))
  assert.match(err[0] ?? '', /^\rapp \(\d+ s\): waiting for the droplet to become healthy; its last/)
  assert.match(err.at(-2) ?? '', /^\rapp \(\d+ s\): live, waiting until the former droplet may be stopped/)
  assert.match(err.at(-1) ?? '', /^\r +\r$/)
})

test('what has not drained in time is no failure, and shown', async () => {
  await withApi(async (api, deps) => {
    await api.cli('put', 'app', ...APP)
    deps.nginx.oldWorkers.set(900, [CLIENT, TO_FORMER])
    const { status, out } = await api.cli('put', 'app', '--upstream', 'http://localhost:8003', '--drain', '30')
    assert.is(status, 0)
    assert.match(out, /http:\/\/localhost:8002 is not drained after 30 s: 1 connection/)
    assert.match((await api.cli('get', 'app')).out, /^draining {5}http:\/\/localhost:8002: 1 open$/m)
  })
})

test('a time that the API refuses is refused with the name of the flag', async () => {
  await withApi(async ({ cli }) => {
    const { status, err } = await cli('put', 'app', ...APP, '--drain', 'soon')
    assert.is(status, 1)
    assert.match(err, /--drain: must be a number of seconds from 0 to 600/)
  })
})

test('without a certificate yet, it names the next command', async () => {
  await withApi(async ({ cli }) => {
    const { status, out } = await cli('put', 'app', ...APP.slice(0, 4))
    assert.is(status, 0)
    assert.match(out, /^app is served over HTTP\.\n[\s\S]+get a certificate: proxy-manager ssl app\n$/)
  })
})

test('a new route is sent as it is named, and only if there is still none', async () => {
  await withAnswer(
    (request) => (request.method === 'GET' ? NOT_FOUND : { body: {} }),
    async ({ cli }, seen) => {
      await cli('put', 'a/b', ...APP.slice(0, 4))
      await cli('put', 'app', ...APP, '--no-health-check', '--options={"hsts":true}')
      const wanted = { domain: 'app.example.com', upstream: 'http://localhost:8002' }
      const all = { ...wanted, enable_ssl: false, require_healthy: false, options: { hsts: true } }
      const puts = seen.filter(({ method }) => method === 'PUT')
      assert.equal(
        puts.map(({ url, headers, body }) => [url, headers['if-none-match'], body]),
        [
          ['/proxies/a%2Fb', '*', wanted],
          ['/proxies/app', '*', all],
        ],
      )
    },
  )
})

test('a new route without a domain, or without an upstream and redirect, is wrong usage that names the flag', async () => {
  await withApi(async ({ cli }) => {
    for (const [argv, flags] of [
      [['--upstream', 'http://localhost:8002'], '--domain'],
      [['--domain', 'app.example.com'], '--upstream or --redirect-to'],
    ] as const) {
      const { status, out, err } = await cli('put', 'app', ...argv)
      assert.equal([status, out], [2, ''])
      assert.is(err, `proxy-manager: ${flags} is required: there is no route app yet\nSee proxy-manager put --help\n`)
    }
  })
})

/** A value other than the default for each option of a route with a whole domain, as its flag takes it. */
const OTHERS: {
  readonly [O in Exclude<keyof ProxyOptions, 'strip_prefix'>]: readonly [flag: string, value: ProxyOptions[O]]
} = {
  upstream_scheme: ['--upstream-scheme=https', 'https'],
  health_check_path: ['--health-check-path=/up', '/up'],
  max_body_size: ['--max-body-size=0', '0'],
  connect_timeout_s: ['--connect-timeout-s=7', 7],
  read_timeout_s: ['--read-timeout-s=600', 600],
  websocket: ['--no-websocket', false],
  buffering: ['--buffering', true],
  hsts: ['--hsts', true],
  allow: ['--allow=10.0.0.0/8, 192.0.2.7', ['10.0.0.0/8', '192.0.2.7']],
  aliases: ['--aliases=www.example.com', ['www.example.com']],
  redirect_to: ['--redirect-to=new.example.com', 'new.example.com'],
  header_buffer_size: ['--header-buffer-size=64k', '64k'],
  upstream_keepalive_s: ['--upstream-keepalive-s=1', 1],
  maintenance: ['--maintenance', true],
  balance: ['--balance=least_conn', 'least_conn'],
  failover: ['--failover=connect_only', 'connect_only'],
  failover_on_5xx: ['--failover-on-5xx', true],
  request_headers: ['--request-headers=X-Tier: gold', { 'X-Tier': 'gold' }],
  upstream_host_header: ['--upstream-host-header=app.internal', 'app.internal'],
  upstream_tls_verify: ['--upstream-tls-verify', true],
}

/** An option as it is shown, one line each. */
const linesOf = (value: unknown) =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.entries(value).map(([name, text]) => `${name}: ${text}`)
    : [value].flat()

test('every option has a flag; what is not named is kept, and get shows whatever differs from the defaults', async () => {
  await withApi(async ({ cli }) => {
    const flags = Object.values(OTHERS).map(([flag]) => flag)
    const created = await cli('put', 'app', ...APP, '--no-health-check', ...flags)
    assert.is(created.status, 0, created.err)
    const named = Object.fromEntries(Object.entries(OTHERS).map(([name, [, value]]) => [name, value]))
    const wanted = { ...DEFAULT_OPTIONS, ...named }
    const read = async () => JSON.parse((await cli('get', 'app', '--json')).out)
    assert.equal((await read()).options, wanted)
    const shown = (await cli('get', 'app')).out
    for (const [name, value] of Object.entries({ enable_ssl: false, ...named }))
      for (const one of linesOf(value)) assert.match(shown, new RegExp(`^(${name})? +${one}$`, 'm'), name)

    for (const [name, [, value]] of Object.entries(OTHERS)) {
      const flag = `--${name.replaceAll('_', '-')}`
      const [argv, fallback] = backToDefault(flag, value, DEFAULT_OPTIONS[name as keyof ProxyOptions])
      const before = await read()
      const changed = await cli('put', 'app', '--no-health-check', argv)
      assert.is(changed.status, 0, changed.err)
      const after = await read()
      assert.equal(after.options, { ...before.options, [name]: fallback }, name)
      assert.equal([after.domain, after.upstream_port, after.enable_ssl], ['app.example.com', 8002, false])
    }
    assert.equal((await read()).options, DEFAULT_OPTIONS)
  })
})

test('a route is mounted at a path of a domain, with or without it for the upstream, and get says whose file serves it', async () => {
  await withApi(async ({ cli }) => {
    await cli('put', 'web', ...APP)
    const flags = ['--path', '/api', '--upstream', 'http://localhost:8003', '--strip-prefix', '--no-health-check']
    const created = await cli('put', 'api', '--domain', 'app.example.com', '--no-ssl', ...flags)
    assert.is(created.status, 0, created.err)
    await cli('put', 'api', '--maintenance', '--no-health-check')
    const { path, served_by, options } = JSON.parse((await cli('get', 'api', '--json')).out)
    assert.equal([path, served_by, options.strip_prefix, options.maintenance], ['/api', 'web', true, true])
    assert.match((await cli('get', 'api')).out, /^path +\/api\nserved by +web$/m)
    assert.match((await cli('list')).out, /^api +app\.example\.com\/api +/m)
    const whole = await cli('put', 'api', '--path', '/', '--no-strip-prefix', '--no-health-check')
    assert.match(whole.err, /DOMAIN_CONFLICT/)
    await cli('delete', 'web')
    assert.is((await cli('put', 'api', '--path', '/', '--no-strip-prefix', '--no-health-check')).status, 0)
    assert.not.match((await cli('get', 'api')).out, /^(path|served by) /m)
  })
})

/** The flag that sets an option to its default. */
function backToDefault(
  flag: string,
  value: unknown,
  fallback: unknown,
): readonly [argument: string, fallback: unknown] {
  if (typeof value === 'boolean') return [value ? flag.replace('--', '--no-') : flag, fallback]
  const canBeUnset = typeof fallback === 'object'
  return [canBeUnset ? flag.replace('--', '--no-') : `${flag}=${fallback}`, fallback]
}

test('--reset-options sets what is not named to the defaults, and keeps domain, upstream and HTTPS', async () => {
  await withApi(async ({ cli }) => {
    await cli('put', 'app', ...APP, '--allow', '10.0.0.0/8', '--allow', '192.0.2.7', '--maintenance')
    const { out } = await cli('put', 'app', '--reset-options', '--hsts', '--json')
    const { options, domain, upstream, enable_ssl } = JSON.parse(out)
    assert.equal(options, { ...DEFAULT_OPTIONS, hsts: true })
    assert.equal([domain, upstream, enable_ssl], ['app.example.com', 'http://localhost:8002', false])
  })
})

test('the URL of a new upstream has its scheme, too', async () => {
  await withApi(async ({ cli }) => {
    await cli('put', 'app', ...APP, '--upstream-scheme=https', '--no-health-check')
    const { out } = await cli('put', 'app', '--upstream', 'http://localhost:8003', '--no-health-check', '--json')
    assert.is(JSON.parse(out).upstream, 'http://localhost:8003')
  })
})

test('a change by somebody else between reading and writing is kept', async () => {
  await withApi(async ({ cli, environment }, deps) => {
    await cli('put', 'app', ...APP)
    const others = [['--allow', '10.0.0.0/8'], ['--hsts'], ['--no-websocket'], ['--buffering']]
    const ended = await Promise.all(others.map((argv) => runCli(['put', 'app', ...argv], environment)))
    assert.equal(
      ended.map(({ status }) => status),
      [0, 0, 0, 0],
    )
    const { options } = JSON.parse((await cli('get', 'app', '--json')).out)
    assert.equal(options, { ...DEFAULT_OPTIONS, allow: ['10.0.0.0/8'], hsts: true, websocket: false, buffering: true })
    assert.ok(deps.effects.journal.length > 0)
  })
})

test('a route that changes at every try is left to the others, with exit status 1', async () => {
  const refused = { status: 412, body: { error: { code: 'PRECONDITION_FAILED', message: 'Changed', details: {} } } }
  await withApi(async (api) => {
    await api.cli('put', 'app', ...APP)
    const { out } = await api.cli('get', 'app', '--json')
    await withAnswer(
      (request) => (request.method === 'GET' ? { body: out } : refused),
      async ({ cli }, seen) => {
        const { status, err } = await cli('put', 'app', '--hsts')
        assert.is(status, 1)
        assert.match(err, /^proxy-manager: PRECONDITION_FAILED: Changed\n/)
        const { revision } = JSON.parse(out)
        const puts = seen.filter(({ method }) => method === 'PUT')
        assert.equal(
          puts.map(({ headers }) => headers['if-match']),
          Array.from({ length: 5 }, () => `"${revision}"`),
        )
      },
    )
  })
})

for (const [argv, words] of [
  [['--domain=x'], '--domain: must have at least two labels'],
  [['--upstream-host-header=a:1'], '--upstream-host-header: must be a host name'],
  [['--request-headers=Host: x'], '--request-headers (Host): is set by NGINX'],
  [['--balance=random'], '--balance: must be round_robin or least_conn'],
  [['--connect-timeout-s=soon'], '--connect-timeout-s: must be an integer from 1 to 300'],
  [['--read-timeout-s=0'], '--read-timeout-s: must be an integer from 1 to 86400'],
  [['--max-body-size=5'], '--max-body-size: must be a size such as 512k, 64m or 2g, or 0'],
  [['--upstream-scheme=ftp'], '--upstream-scheme: must be http or https'],
  [['--health-check-path=up'], '--health-check-path: must be a path that begins with "/"'],
  [['--allow=10.0.0.0/8,everyone'], '--allow (item 2): must be an IP address or a network such as 10.0.0.0/8'],
  [['--aliases='], '--aliases (item 1): '],
  [['--redirect-to=x'], '--redirect-to: must have at least two labels'],
  [['--options={"alow":[]}'], '--alow: is not a known option'],
] as const) {
  test(`${argv[0]} is refused with an error that names the flag`, async () => {
    await withApi(async ({ cli }) => {
      const { status, out, err } = await cli('put', 'app', ...APP, ...argv)
      assert.equal([status, out], [1, ''])
      assert.match(err, /^proxy-manager: INVALID_REQUEST: /)
      assert.ok(err.includes(`\n  ${words}`), err)
    })
  })
}

test('it creates a route that only redirects, and shows where to', async () => {
  await withApi(async ({ cli }) => {
    const argv = ['--domain', 'old.example.com', '--redirect-to', 'new.example.com', '--no-ssl']
    const { status, out } = await cli('put', 'old', ...argv, '--options={"aliases":["older.example.com"]}')
    assert.is(status, 0)
    assert.match(out, /^aliases {6}older\.example\.com\nredirect_to {2}new\.example\.com$/m)
    assert.match((await cli('list')).out, /redirect to new\.example\.com/)
  })
})

test('--upstream and --backup can be repeated; which of the two is not named is kept', async () => {
  await withApi(async ({ cli }) => {
    const [a, b, c] = ['http://10.0.0.1:1', 'http://10.0.0.2:2', 'http://10.0.0.3:3']
    const shown = async (...argv: string[]) => {
      const { status, out, err } = await cli('put', 'app', ...argv, '--json')
      assert.is(status, 0, err)
      return JSON.parse(out).upstreams.map(
        (one: Record<string, unknown>) => `${one.host}${one.backup ? ' backup' : ''}`,
      )
    }
    const [first, second, third] = ['10.0.0.1', '10.0.0.2', '10.0.0.3']
    const created = await shown(
      '--domain',
      'app.example.com',
      '--no-ssl',
      '--upstream',
      a,
      '--upstream',
      b,
      '--backup',
      c,
    )
    assert.equal(created, [first, second, `${third} backup`])
    assert.equal(await shown('--hsts'), created)
    assert.equal(await shown('--upstream', b), [second, `${third} backup`])
    assert.equal(await shown('--backup', '10.0.0.1:1'), [second, `${first} backup`])
    const { out } = await cli('get', 'app')
    assert.match(out, /\nupstream +http:\/\/10\.0\.0\.2:2\n +http:\/\/10\.0\.0\.1:1 \(backup\)\n/)
    assert.match((await cli('list')).out, / http:\/\/10\.0\.0\.2:2 \+1 /)
    assert.equal(await shown('--no-backup'), [second])
    const mixed = await cli('put', 'app', '--upstream', a, '--upstream', 'https://10.0.0.2:2')
    assert.equal([mixed.status, /same scheme/.test(mixed.err)], [2, true])
    const wrong = await cli('put', 'app', '--upstream', a, '--upstream', 'ftp://x')
    assert.equal([wrong.status, /Expected http:\/\/host:port/.test(wrong.err)], [2, true])
  })
})

test('one upstream that is no URL is refused by the API, with the flag', async () => {
  await withApi(async ({ cli }) => {
    const { status, err } = await cli('put', 'app', '--domain', 'app.example.com', '--upstream=ftp://x')
    assert.is(status, 1)
    assert.match(err, '--upstream: must be http://host:port or https://host:port')
  })
})

test.run()
