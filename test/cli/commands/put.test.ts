import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { APP, withAnswer, withApi } from '../../helpers/cli.ts'

const test = suite('proxy-manager put')

test('it creates a route and shows it, aligned; repeated, it changes nothing', async () => {
  await withApi(async (api) => {
    const first = await api.cli('put', 'app', ...APP)
    assert.is(first.status, 0, first.err)
    assert.match(
      first.out,
      /^app created\.\n\nname {9}app\ndomain {7}app\.example\.com\nupstream {5}http:\/\/localhost:8002\n/,
    )
    assert.match(first.out, /\nserved {7}generation 1, proved by generation_probe in 0 ms\n$/)
    assert.match((await api.cli('put', 'app', ...APP)).out, /^app unchanged\./)
    assert.match((await api.cli('put', 'app', ...APP, '--options', '{"maintenance":true}')).out, /^app updated\./)
  })
})

test('without a certificate yet, it names the next command', async () => {
  await withApi(async ({ cli }) => {
    const { status, out } = await cli('put', 'app', ...APP.slice(0, 4))
    assert.is(status, 0)
    assert.match(out, /^app is served over HTTP\.\n[\s\S]+get a certificate: proxy-manager ssl app\n$/)
  })
})

test('it sends the given options, and nothing else', async () => {
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

test('it creates a route that only redirects, and shows where to', async () => {
  await withApi(async ({ cli }) => {
    const argv = ['--domain', 'old.example.com', '--redirect-to', 'new.example.com', '--no-ssl']
    const { status, out } = await cli('put', 'old', ...argv, '--options={"aliases":["older.example.com"]}')
    assert.is(status, 0)
    assert.match(out, /^aliases {6}older\.example\.com\nupstream {5}redirect to new\.example\.com$/m)
    assert.match((await cli('list')).out, /redirect to new\.example\.com/)
  })
})

test.run()
