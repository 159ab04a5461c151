import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { eventually, fingerprintOf, secure } from '../helpers/system/certificate.ts'
import { call, putRoute, through } from '../helpers/system/host.ts'
import { type HostWithCa, startHostWithCa } from '../helpers/system/host-with-ca.ts'
import { setUp } from '../helpers/system/set-up.ts'

const test = suite<HostWithCa>('certificates from a real CA, by a real certbot')

setUp(test, async (context, undo) => {
  Object.assign(context, await startHostWithCa())
  undo(context.close)
})

// The later tests use this route as well: each order takes certbot seconds.
test('a route goes from 202 to HTTPS that a client verifies against the root', async ({ host, port, root }) => {
  const { manager, nginx } = host
  const pending = await putRoute(manager, 'app', 'app.example.com', port, { enable_ssl: true })
  assert.is(pending.status, 202)
  assert.is(pending.body.status, 'pending_ssl')
  const issued = await call(manager, 'POST', '/proxies/app/ssl')
  assert.is(issued.status, 200, JSON.stringify(issued.body))
  assert.is(issued.body.status, 'active')
  assert.is(issued.body.domain, 'app.example.com')
  assert.is(issued.body.receipt?.proved_by, 'tls_handshake')
  assert.equal(issued.body.preflight, [
    { check: 'dns', domain: 'app.example.com', ok: true, detail: 'app.example.com resolves to 127.0.0.1' },
    {
      check: 'challenge',
      domain: 'app.example.com',
      ok: true,
      detail: 'a file under the challenge path, requested at 127.0.0.1: served',
    },
    { check: 'caa', domain: 'app.example.com', ok: true, detail: 'no CAA records' },
  ])

  const shown = await secure(nginx.httpsPort, 'app.example.com', root)
  assert.is(shown.body, 'app')
  assert.is(shown.fingerprint, fingerprintOf(issued))
  assert.is(shown.protocol, 'TLSv1.3')
  assert.match(await alpn(nginx.httpsPort, 'app.example.com'), /ALPN protocol: h2/)

  // Over HTTP: a redirect that keeps path and query, except for the CA's challenge.
  assert.is(
    await locationOf(nginx.httpPort, 'app.example.com', '/a/b?c=d'),
    `https://app.example.com:${nginx.httpsPort}/a/b?c=d`,
  )
  assert.is(await through(nginx.httpPort, 'app.example.com', '/.well-known/acme-challenge/none'), 'status 404')
})

test('a second order returns the same certificate without the CA; a forced one gets a new certificate, served at once', async (context) => {
  const { host, root } = context
  const first = await call(host.manager, 'GET', '/proxies/app')
  const again = await call(host.manager, 'POST', '/proxies/app/ssl')
  assert.is(again.status, 200)
  assert.is(again.body.ordered, false)
  assert.is(again.body.receipt?.reloaded, false)
  assert.is(fingerprintOf(again), fingerprintOf(first))
  const forced = await call(host.manager, 'POST', '/proxies/app/ssl', { force_renew: true })
  assert.is(forced.status, 200, JSON.stringify(forced.body))
  assert.is(forced.body.ordered, true)
  assert.is.not(fingerprintOf(forced), fingerprintOf(first))
  assert.is((await secure(host.nginx.httpsPort, 'app.example.com', root)).fingerprint, fingerprintOf(forced))
  // The previous copy is removed after the caller's answer: no generation uses it.
  const copies = () => readdirSync(join(host.nginx.root, 'state/certificates/app.example.com'))
  await eventually(async () => copies().length === 1 || undefined)
  assert.equal(copies(), [fingerprintOf(forced)])
})

test('one certificate covers the domain and its aliases; a later alias is served over HTTP until the next order', async (context) => {
  const { host, port, root } = context
  const shop = (...aliases: string[]) =>
    putRoute(host.manager, 'shop', 'shop.example.com', port, { enable_ssl: true, options: { aliases } })
  const order = () => call(host.manager, 'POST', '/proxies/shop/ssl')
  await shop('www.shop.example.com')
  const rehearsed = await call(host.manager, 'POST', '/proxies/shop/ssl?dry_run=true')
  assert.equal([rehearsed.status, rehearsed.body.would_order], [200, true])
  const first = await order()
  assert.is(first.status, 200, JSON.stringify(first.body))
  for (const name of ['shop.example.com', 'www.shop.example.com'])
    assert.is((await secure(host.nginx.httpsPort, name, root)).fingerprint, fingerprintOf(first))
  const location = await locationOf(host.nginx.httpPort, 'www.shop.example.com', '/')
  assert.is(location, `https://www.shop.example.com:${host.nginx.httpsPort}/`)

  const wider = await shop('www.shop.example.com', 'shop.example.net')
  assert.equal([wider.status, wider.body.status], [202, 'pending_ssl'])
  assert.match(JSON.stringify(wider.body.next), 'shop.example.net is served over HTTP; HTTPS is wanted')
  assert.is(await through(host.nginx.httpPort, 'shop.example.net'), 'app')
  assert.is((await secure(host.nginx.httpsPort, 'shop.example.com', root)).fingerprint, fingerprintOf(first))
  const second = await order()
  assert.equal([second.status, second.body.ordered, second.body.status], [200, true, 'active'])
  assert.is((await secure(host.nginx.httpsPort, 'shop.example.net', root)).fingerprint, fingerprintOf(second))
  const lineages = readdirSync(join(host.nginx.root, 'letsencrypt/live')).filter((name) => name.startsWith('shop'))
  assert.equal(lineages, ['shop.example.com'])
})

test('a domain that only redirects does so over HTTPS, with its own certificate', async ({ host, root }) => {
  const body = { domain: 'old.example.com', options: { redirect_to: 'app.example.com' } }
  assert.is((await call(host.manager, 'PUT', '/proxies/old', body)).status, 202)
  assert.is((await call(host.manager, 'POST', '/proxies/old/ssl')).status, 200)
  const target = `https://app.example.com:${host.nginx.httpsPort}/x`
  assert.is(await locationOf(host.nginx.httpPort, 'old.example.com', '/x'), target)
  const shown = await secure(host.nginx.httpsPort, 'old.example.com', root)
  assert.match(shown.body, '308 Permanent Redirect')
})

test('the private key is readable only by root, and is in no answer and no log', async ({ host }) => {
  const folder = join(host.nginx.root, 'state/certificates/app.example.com')
  const [fingerprint = ''] = readdirSync(folder)
  const keyPath = join(folder, fingerprint, 'privkey.pem')
  assert.is(statSync(keyPath).mode & 0o777, 0o600)
  const secret = readFileSync(keyPath, 'utf8').split('\n')[1] ?? ''
  assert.ok(secret.length > 20)
  const answers = [await call(host.manager, 'GET', '/proxies/app'), await call(host.manager, 'GET', '/proxies')]
  assert.not.ok(JSON.stringify(answers.map(({ body }) => body)).includes(secret))
  assert.not.ok(host.manager.log.join('\n').includes(secret))
})

test('a changed domain never serves the certificate of the previous one; changed back, it has its own at once', async (context) => {
  const { host, port, root } = context
  const first = fingerprintOf(await call(host.manager, 'GET', '/proxies/app'))
  const moved = await putRoute(host.manager, 'app', 'moved.example.com', port, { enable_ssl: true })
  assert.is(moved.status, 202)
  await secure(host.nginx.httpsPort, 'app.example.com', root).then(
    () => assert.unreachable('the previous name is still served'),
    () => undefined,
  )
  const back = await putRoute(host.manager, 'app', 'app.example.com', port, { enable_ssl: true })
  assert.equal([back.status, back.body.status, fingerprintOf(back)], [200, 'active', first])
})

test('DELETE keeps the certificate, and a new route with it is served over HTTPS at once; with delete_certificate it is deleted', async (context) => {
  const { host } = context
  const lineage = join(host.nginx.root, 'letsencrypt/live/app.example.com')
  await call(host.manager, 'DELETE', '/proxies/app')
  assert.ok(existsSync(lineage))
  const created = await putRoute(host.manager, 'app', 'app.example.com', context.port, { enable_ssl: true })
  assert.is(created.status, 201)
  assert.is(created.body.status, 'active')
  const deleted = await call(host.manager, 'DELETE', '/proxies/app?delete_certificate=true')
  assert.is(deleted.body.certificate_deleted, true)
  assert.not.ok(existsSync(lineage))
  assert.not.ok(existsSync(join(host.nginx.root, 'state/certificates/app.example.com')))
  assert.is((await putRoute(host.manager, 'app', 'app.example.com', context.port, { enable_ssl: true })).status, 202)
})

test.run()

/** Where a request over HTTP is redirected to. */
async function locationOf(port: number, domain: string, path: string): Promise<string | undefined> {
  return await new Promise((resolve, reject) => {
    const asking = request({ host: '127.0.0.1', port, path, agent: false, headers: { host: domain } }, (response) => {
      response.resume()
      resolve(response.statusCode === 308 ? response.headers.location : `status ${response.statusCode}`)
    })
    asking.on('error', reject)
    asking.end()
  })
}

async function alpn(port: number, domain: string): Promise<string> {
  const options = ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', domain, '-alpn', 'h2']
  return execFileSync('openssl', options, { input: '', stdio: ['pipe', 'pipe', 'ignore'] }).toString()
}
