import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import putProxy from '../../../../functions/put-proxy.ts'
import { call } from '../../../functions/wire.ts'
import { withAnswer, withApi } from '../../../helpers/cli.ts'

const test = suite('proxy-manager explain')

test('it shows what answers, the droplet, and what NGINX says', async () => {
  await withApi(async ({ cli }, deps) => {
    const body = { domain: 'app.example.com', upstream_port: 8002, enable_ssl: false }
    await call(putProxy, deps, '/proxies/app', { method: 'PUT', body })
    const { status, out } = await cli('explain', 'http://app.example.com/x')
    assert.is(
      out,
      `url            http://app.example.com/x
summary        Route app answers (sites-enabled/fpai-app.conf, line 10), from http://localhost:8002 (healthy). NGINX answered 200.
server block   route: sites-enabled/fpai-app.conf, line 10, for 80
location       /: sites-enabled/fpai-app.conf, line 21
route          app (active)
upstream       http://localhost:8002 (healthy)
updated        2026-01-01T00:00:00.000Z, by local
nginx          127.0.0.1:80: 200
as configured  yes
`,
    )
    assert.is(status, 0)
  })
})

test('exit status 1 if NGINX does not do what its configuration says, 0 if nothing was asked', async () => {
  await withApi(async ({ cli }, deps) => {
    const body = { domain: 'app.example.com', upstream_port: 8002, enable_ssl: false }
    await call(putProxy, deps, '/proxies/app', { method: 'PUT', body })
    deps.nginx.upstreams.set(80, 'ECONNREFUSED')
    const stopped = await cli('explain', 'http://app.example.com/')
    assert.is(stopped.status, 1)
    assert.match(stopped.out, /\nnginx {10}127\.0\.0\.1:80: ECONNREFUSED\nas configured {2}no\n$/)
    const { status, out } = await cli('explain', 'http://app.example.com:81/')
    assert.is(status, 0)
    assert.match(out, /\nserver block {3}none\nnginx {10}not asked\nas configured {2}not known\n$/)
  })
})

test('a certificate, a redirect and other addresses are shown', async () => {
  const place = { file: 'sites-enabled/shop', line: 3 }
  const body = {
    url: 'https://shop.example.org/',
    summary: 'A sentence.',
    server_block: { kind: 'hand_written', ...place, listen: '443' },
    location: null,
    route: null,
    certificate: { domains: ['a.test', 'b.test'], issuer: 'CN=CA', expiry: '2026-04-01', source: 'hand_written' },
    nginx: { address: '127.0.0.1:443', status: 301, location: 'https://b.test/', failure: null },
    agrees: true,
    elsewhere: [{ kind: 'shared', file: 'sites-enabled/000-proxy-manager.conf', line: 9, listen: '[::]:443' }],
  }
  await withAnswer({ body }, async ({ cli }) => {
    const { out } = await cli('explain', 'https://shop.example.org/')
    assert.match(out, /^elsewhere {6}shared: sites-enabled\/000-proxy-manager\.conf, line 9, for \[::\]:443$/m)
    assert.match(out, /^certificate {4}a\.test, b\.test\n {15}CN=CA, until 2026-04-01 \(hand_written\)$/m)
    assert.match(out, /^nginx {10}127\.0\.0\.1:443: 301 https:\/\/b\.test\/$/m)
  })
})

test('a URL that the API refuses is exit status 1, a missing one 2', async () => {
  await withApi(async ({ cli }) => {
    const { status, err } = await cli('explain', 'app.example.com')
    assert.is(status, 1)
    assert.match(err, /must be an absolute URL/)
    assert.is((await cli('explain')).status, 2)
  })
})

test.run()
