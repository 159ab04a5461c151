import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { contentsOf, refused } from '../../helpers/arrange.ts'
import { type Api, withAnswer, withApi } from '../../helpers/cli.ts'

const test = suite('proxy-manager list, get, put, plan, delete, ssl')

const APP = ['--domain', 'app.example.com', '--upstream', 'http://localhost:8002', '--no-ssl']
const putApp = (api: Api, ...more: string[]) => api.cli('put', 'app', ...APP, ...more)

const ISSUED = {
  droplet_name: 'app',
  domain: 'app.example.com',
  status: 'active',
  certificate: { issuer: 'A CA', expiry: '2026-03-01T00:00:00.000Z' },
  ordered: true,
  preflight: [{ check: 'dns', domain: 'app.example.com', ok: true, detail: 'points here' }],
}

test('put creates a route and shows it, aligned; again, it is unchanged', async () => {
  await withApi(async (api) => {
    const first = await putApp(api)
    assert.is(first.status, 0, first.err)
    assert.match(
      first.out,
      /^app created\.\n\nname {9}app\ndomain {7}app\.example\.com\nupstream {5}http:\/\/localhost:8002\n/,
    )
    assert.match(first.out, /\nserved {7}generation 1, proved by generation_probe in 0 ms\n$/)
    assert.match((await putApp(api)).out, /^app unchanged\./)
    assert.match((await putApp(api, '--options', '{"maintenance":true}')).out, /^app updated\./)
  })
})

test('put without a certificate yet names the next command', async () => {
  await withApi(async ({ cli }) => {
    const { status, out } = await cli('put', 'app', ...APP.slice(0, 4))
    assert.is(status, 0)
    assert.match(out, /^app is served over HTTP\.\n[\s\S]+get a certificate: proxy-manager ssl app\n$/)
  })
})

test('put sends what was asked for, and nothing else', async () => {
  await withAnswer({ body: {} }, async ({ cli }, seen) => {
    await cli('put', 'a/b', ...APP.slice(0, 4))
    await cli('put', 'app', ...APP, '--no-health-check', '--options={"hsts":true}')
    const wanted = { domain: 'app.example.com', upstream: 'http://localhost:8002' }
    const all = { ...wanted, enable_ssl: false, require_healthy: false, options: { hsts: true } }
    assert.equal(
      seen.map(({ method, url, body }) => [method, url, body]),
      [
        ['PUT', '/proxies/a%2Fb', wanted],
        ['PUT', '/proxies/app', all],
      ],
    )
  })
})

test('list shows every route in columns, or those that are asked for', async () => {
  await withApi(async (api) => {
    assert.is((await api.cli('list')).out, 'No routes found.\n')
    await putApp(api)
    await api.cli('put', 'b', '--domain', 'b.example.com', '--upstream', 'http://localhost:8003')
    const { status, out } = await api.cli('list')
    assert.is(status, 0)
    assert.is(
      out,
      [
        'NAME  DOMAIN           UPSTREAM               STATUS       HEALTH   CERTIFICATE UNTIL',
        'app   app.example.com  http://localhost:8002  active       healthy  -',
        'b     b.example.com    http://localhost:8003  pending_ssl  healthy  -\n',
      ].join('\n'),
    )
    assert.not.match((await api.cli('list', '--status', 'pending_ssl')).out, /^app/m)
    assert.not.match((await api.cli('list', '--domain=app.example.com')).out, /^b /m)
  })
})

test('get shows one route; --json is the answer of the API', async () => {
  await withApi(async (api) => {
    await putApp(api)
    assert.match((await api.cli('get', 'app')).out, /^name {9}app\n/)
    const { status, out } = await api.cli('get', 'app', '--json')
    assert.is(status, 0)
    const route = JSON.parse(out)
    assert.equal([route.droplet_name, route.upstream_port], ['app', 8002])
    assert.equal(JSON.parse((await api.cli('list', '--json')).out), [route])
  })
})

test('plan shows the diff and the verdict of NGINX, and changes nothing', async () => {
  await withApi(async ({ cli }, deps) => {
    const before = contentsOf(deps.disk)
    const { status, out } = await cli('plan', 'app', ...APP)
    assert.is(status, 0)
    assert.match(out, /^create .*\/sites-available\/fpai-app\.conf$/m)
    assert.match(out, /^\+ +server_name app\.example\.com;$/m)
    assert.match(out, /\nNGINX accepts it\.\n$/)
    assert.equal(contentsOf(deps.disk), before)
    await cli('put', 'app', ...APP)
    assert.is((await cli('plan', 'app', ...APP)).out, 'Nothing would change.\n')
  })
})

test('plan ends with 1 where NGINX refuses, in its words', async () => {
  await withApi(async ({ cli }, deps) => {
    deps.nginx.judge = () => refused('fpai-app.conf', 3, 'unknown directive "x"')
    const { status, out } = await cli('plan', 'app', ...APP)
    assert.is(status, 1)
    assert.match(out, /\nNGINX rejects it:\n.*unknown directive/)
    assert.is((await cli('plan', 'app', ...APP, '--json')).status, 1)
  })
})

test('delete removes a route; --dry-run only says what it would do', async () => {
  await withApi(async (api) => {
    await putApp(api)
    assert.match((await api.cli('delete', 'app', '--dry-run')).out, /^delete .*\/fpai-app\.conf$/m)
    assert.is((await api.cli('get', 'app')).status, 0)
    const { status, out } = await api.cli('delete', 'app')
    assert.equal([status, out], [0, 'app deleted.\n'])
    assert.is((await api.cli('delete', 'app')).status, 1)
  })
})

test('delete takes the certificate along where it is told to, and says whether that is gone', async () => {
  for (const [gone, words] of [
    [true, 'Its certificate was deleted.'],
    [false, "Its certificate was not deleted: see the API's log."],
  ] as const) {
    const body = { status: 'deleted', droplet_name: 'app', certificate_deleted: gone }
    await withAnswer({ body }, async ({ cli }, seen) => {
      assert.is((await cli('delete', 'app', '--delete-certificate')).out, `app deleted. ${words}\n`)
      assert.is(seen[0]?.url, '/proxies/app?delete_certificate=true')
    })
  }
})

test('put makes a route that only redirects, and shows where to', async () => {
  await withApi(async ({ cli }) => {
    const words = ['--domain', 'old.example.com', '--redirect-to', 'new.example.com', '--no-ssl']
    const { status, out } = await cli('put', 'old', ...words, '--options={"aliases":["older.example.com"]}')
    assert.is(status, 0)
    assert.match(out, /^aliases {6}older\.example\.com\nupstream {5}redirect to new\.example\.com$/m)
    assert.match((await cli('list')).out, /redirect to new\.example\.com/)
  })
})

test('ssl --dry-run says whether the CA would be asked, what it would find, and what would change', async () => {
  await withApi(async ({ cli }, deps) => {
    await cli('put', 'app', ...APP.slice(0, 4))
    deps.names.hosts.set('app.example.com', ['192.0.2.10'])
    const { status, out } = await cli('ssl', 'app', '--dry-run')
    assert.is(status, 0)
    assert.match(out, /^A certificate would be ordered\.\napp\.example\.com dns ok: .*\n.*challenge ok/)
    assert.match(out, /^replace .*\/fpai-app\.conf$/m)
    assert.match(out, /NGINX accepts it\.\n$/)
  })
})

test('ssl orders with the contact and the force that are asked for, and shows the certificate', async () => {
  await withAnswer({ body: ISSUED }, async ({ cli }, seen) => {
    const { status, out } = await cli('ssl', 'app', '--force-renew', '--email', 'ops@example.com')
    assert.is(status, 0)
    assert.match(
      out,
      /^certificate {2}A CA, until 2026-03-01T00:00:00\.000Z\npreflight {4}app\.example\.com dns ok: points here$/m,
    )
    await cli('ssl', 'app')
    assert.equal(
      seen.map(({ method, url, body }) => [method, url, body]),
      [
        ['POST', '/proxies/app/ssl', { email: 'ops@example.com', force_renew: true }],
        ['POST', '/proxies/app/ssl', {}],
      ],
    )
    assert.equal(JSON.parse((await cli('ssl', 'app', '--json')).out), ISSUED)
  })
})

test('a refusal ends with 1, and its code, words, issues and remedy are on standard error', async () => {
  await withApi(async (api) => {
    const missing = await api.cli('get', 'app')
    assert.is(missing.status, 1)
    assert.is(missing.out, '')
    assert.match(missing.err, /^proxy-manager: PROXY_NOT_FOUND: There is no route for this droplet\n/)
    const unfit = await api.cli('put', 'app', '--domain', 'x', '--upstream', 'ftp://x')
    assert.match(unfit.err, /^ {2}domain: must have at least two labels/m)
    assert.match(unfit.err, /^ {2}upstream: must be http:\/\/host:port or https:\/\/host:port$/m)
    const details = { remedy: 'Do this', nginx_output: 'a\nb\n', owner: { file: 'x' } }
    const body = { error: { code: 'SOME_CODE', message: 'Words', details } }
    await withAnswer({ status: 500, body }, async ({ cli }) => {
      const { err } = await cli('list')
      assert.is(err, 'proxy-manager: SOME_CODE: Words\n  a\n  b\n  owner: {"file":"x"}\n  remedy: Do this\n')
    })
  })
})

test('with --json the error of the API is on standard output, whole', async () => {
  await withApi(async ({ cli }) => {
    const { status, out, err } = await cli('get', 'app', '--json')
    assert.is(status, 1)
    assert.is(JSON.parse(out).error.code, 'PROXY_NOT_FOUND')
    assert.match(err, /PROXY_NOT_FOUND/)
  })
})

test('what a terminal would obey is shown as question marks', async () => {
  const body = { error: { code: 'X', message: 'a\u001b[31mb\u009b', details: {} } }
  await withAnswer({ status: 400, body }, async ({ cli }) => {
    assert.is((await cli('list')).err, 'proxy-manager: X: a?[31mb?\n')
  })
})

test.run()
