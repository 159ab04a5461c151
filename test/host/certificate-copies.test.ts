import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Pebble } from '../../fixtures/acme/pebble.ts'
import { eventually, fingerprintOf, route, secure } from './certificate.ts'
import { call, putRoute, type RealHost } from './host.ts'
import { type HostWithCa, startHostWithCa } from './host-with-ca.ts'
import { setUp } from './set-up.ts'

const test = suite<HostWithCa>('the copy of a certificate that NGINX reads')

setUp(test, async (context, undo) => {
  Object.assign(context, await startHostWithCa())
  undo(context.close)
})

test("a renewal by certbot itself, behind the API's back, is served without a call", async (context) => {
  const { host, pebble, root } = context
  const first = await route(host, 'renewed', context.port)
  renewByHand(host, pebble, 'renewed.example.com')
  const shown = await eventually(async () => {
    const fingerprint = fingerprintOf(await call(host.manager, 'GET', '/proxies/renewed'))
    return fingerprint === fingerprintOf(first) ? undefined : fingerprint
  })
  assert.is((await secure(host.nginx.httpsPort, 'renewed.example.com', root)).fingerprint, shown)
})

test('a renewal while the API is down is served after its start', async (context) => {
  const { host, pebble, root } = context
  const first = await route(host, 'down', context.port)
  await host.manager.end('SIGKILL')
  renewByHand(host, pebble, 'down.example.com')
  assert.is((await secure(host.nginx.httpsPort, 'down.example.com', root)).fingerprint, fingerprintOf(first))
  await host.restart('SIGKILL')
  await eventually(async () => {
    const { fingerprint } = await secure(host.nginx.httpsPort, 'down.example.com', root)
    return fingerprint === fingerprintOf(first) ? undefined : fingerprint
  })
})

test('a deleted or damaged lineage does not touch what NGINX reads', async (context) => {
  const { host, root } = context
  const first = await route(host, 'damaged', context.port)
  rmSync(join(host.nginx.root, 'letsencrypt/live/damaged.example.com'), { recursive: true })
  const other = await host.droplet('other')
  assert.is(
    (await putRoute(host.manager, 'damaged', 'damaged.example.com', other.port, { enable_ssl: true })).status,
    200,
  )
  const shown = await secure(host.nginx.httpsPort, 'damaged.example.com', root)
  assert.is(shown.fingerprint, fingerprintOf(first))
  assert.is(shown.body, 'other')
  // And what is left of it does not get in the way of the next order.
  const forced = await call(host.manager, 'POST', '/proxies/damaged/ssl', { force_renew: true })
  assert.is(forced.status, 200, JSON.stringify(forced.body))
  assert.not.ok(existsSync(join(host.nginx.root, 'letsencrypt/live/damaged.example.com-0001')))
})

test('an emptied renewal file ends in the same lineage, not in another one', async (context) => {
  const { host } = context
  await route(host, 'emptied', context.port)
  writeFileSync(join(host.nginx.root, 'letsencrypt/renewal/emptied.example.com.conf'), '')
  const forced = await call(host.manager, 'POST', '/proxies/emptied/ssl', { force_renew: true })
  assert.is(forced.status, 200, JSON.stringify(forced.body))
  assert.equal(
    readdirSync(join(host.nginx.root, 'letsencrypt/live')).filter((name) => name.startsWith('emptied')),
    ['emptied.example.com'],
  )
})

test('a lost copy is mended at the start, so that NGINX can start', async (context) => {
  const { host, root } = context
  const first = await route(host, 'lost', context.port)
  await host.manager.end('SIGTERM')
  rmSync(join(host.nginx.root, 'state/certificates/lost.example.com'), { recursive: true })
  await host.restart('SIGKILL')
  assert.is((await secure(host.nginx.httpsPort, 'lost.example.com', root)).fingerprint, fingerprintOf(first))
  await host.nginx.stop()
  await host.nginx.start()
  assert.is((await secure(host.nginx.httpsPort, 'lost.example.com', root)).body, 'app')
})

test('a copy that is damaged after NGINX has accepted it is noticed by the next change, before anything goes live', async (context) => {
  const { host, root, port } = context
  const first = await route(host, 'torn', port)
  for (const more of [{}, { options: { buffering: true } }])
    await putRoute(host.manager, 'next', 'next.example.com', port, more)
  const key = join(host.nginx.root, 'state/certificates/torn.example.com', fingerprintOf(first) ?? '', 'privkey.pem')
  const whole = readFileSync(key)
  writeFileSync(key, 'torn')
  const refused = await putRoute(host.manager, 'next', 'next.example.com', port)
  assert.equal([refused.status, refused.body.error?.code], [503, 'NGINX_ALREADY_BROKEN'])
  assert.is((await secure(host.nginx.httpsPort, 'torn.example.com', root)).fingerprint, fingerprintOf(first))
  writeFileSync(key, whole)
  assert.is((await putRoute(host.manager, 'next', 'next.example.com', port)).status, 200)
})

test.run()

/** What certbot's timer does, forced. */
function renewByHand(host: RealHost, pebble: Pebble, domain: string): void {
  const { root } = host.nginx
  const folders = [`--config-dir=${root}/letsencrypt`, `--work-dir=${root}/work`, `--logs-dir=${root}/certbot-logs`]
  const options = ['--force-renewal', '--no-random-sleep-on-renew', '--non-interactive', `--cert-name=${domain}`]
  execFileSync('/usr/bin/certbot', ['renew', ...options, ...folders], {
    env: { ...process.env, REQUESTS_CA_BUNDLE: pebble.caBundle },
    stdio: 'pipe',
  })
}
