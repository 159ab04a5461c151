import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { APP, withAnswer, withApi } from '../../helpers/cli.ts'

const test = suite('proxy-manager ssl')

const ISSUED = {
  droplet_name: 'app',
  domain: 'app.example.com',
  status: 'active',
  certificate: { issuer: 'A CA', expiry: '2026-03-01T00:00:00.000Z' },
  ordered: true,
  preflight: [{ check: 'dns', domain: 'app.example.com', ok: true, detail: 'points here' }],
}

test('--dry-run shows whether a certificate would be ordered, the preflight, and what would change', async () => {
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

test('it orders with the given contact, also before the renewal is due, and shows the certificate', async () => {
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

test.run()
