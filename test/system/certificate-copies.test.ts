import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Pebble } from '../../fixtures/acme/pebble.ts'
import { eventually, fingerprintOf, route, type Secure, secure } from '../helpers/system/certificate.ts'
import { call, putRoute, type RealHost } from '../helpers/system/host.ts'
import { type HostWithCa, startHostWithCa } from '../helpers/system/host-with-ca.ts'
import { setUp } from '../helpers/system/set-up.ts'

const test = suite<HostWithCa>('the copy of a certificate that NGINX reads')

/** One route for all tests: each order takes certbot seconds. */
setUp(test, async (context, undo) => {
  Object.assign(context, await startHostWithCa())
  undo(context.close)
  await route(context.host, 'app', context.port)
})

test("a renewal by certbot's own timer is served without a call", async ({ host, pebble, root }) => {
  const first = await reportedFingerprint(host)
  await renewByHand(host, pebble)
  const renewed = await eventually(async () => {
    const fingerprint = await reportedFingerprint(host)
    return fingerprint === first ? undefined : fingerprint
  })
  assert.is((await shown(host, root)).fingerprint, renewed)
})

test('a renewal while the API is down is served after its start', async ({ host, pebble, root }) => {
  const first = await reportedFingerprint(host)
  await host.manager.end('SIGKILL')
  await renewByHand(host, pebble)
  assert.is((await shown(host, root)).fingerprint, first)
  await host.restart('SIGKILL')
  const renewed = await eventually(async () => {
    const { fingerprint } = await shown(host, root)
    return fingerprint === first ? undefined : fingerprint
  })
  await eventually(async () => ((await reportedFingerprint(host)) === renewed ? true : undefined))
})

test('a deleted or damaged lineage does not affect what NGINX reads', async ({ host, port, root }) => {
  const first = await reportedFingerprint(host)
  rmSync(join(host.nginx.root, 'letsencrypt/live/app.example.com'), { recursive: true })
  const other = await host.droplet('other')
  assert.is((await putRoute(host.manager, 'app', 'app.example.com', other.port, { enable_ssl: true })).status, 200)
  const served = await shown(host, root)
  assert.equal([served.fingerprint, served.body], [first, 'other'])
  // And what is left of it does not hinder the next order.
  const forced = await call(host.manager, 'POST', '/proxies/app/ssl', { force_renew: true })
  assert.is(forced.status, 200, JSON.stringify(forced.body))
  assert.equal(lineagesOf(host), ['app.example.com'])
  await putRoute(host.manager, 'app', 'app.example.com', port, { enable_ssl: true })
})

test('after an emptied renewal file the next order uses the same lineage, not another one', async ({ host }) => {
  writeFileSync(join(host.nginx.root, 'letsencrypt/renewal/app.example.com.conf'), '')
  const forced = await call(host.manager, 'POST', '/proxies/app/ssl', { force_renew: true })
  assert.is(forced.status, 200, JSON.stringify(forced.body))
  assert.equal(lineagesOf(host), ['app.example.com'])
})

test('a lost copy is restored at the start, so that NGINX can start', async ({ host, root }) => {
  const first = await reportedFingerprint(host)
  await host.manager.end('SIGTERM')
  rmSync(join(host.nginx.root, 'state/certificates/app.example.com'), { recursive: true })
  await host.restart('SIGKILL')
  assert.is((await shown(host, root)).fingerprint, first)
  await host.nginx.stop()
  await host.nginx.start()
  assert.is((await shown(host, root)).body, 'app')
})

test('a copy that is damaged after NGINX has accepted it is detected by the next change, before anything goes live', async (context) => {
  const { host, root, port } = context
  const first = await reportedFingerprint(host)
  for (const more of [{}, { options: { buffering: true } }])
    await putRoute(host.manager, 'next', 'next.example.com', port, more)
  const key = join(host.nginx.root, 'state/certificates/app.example.com', first, 'privkey.pem')
  const whole = readFileSync(key)
  writeFileSync(key, 'torn')
  const refused = await putRoute(host.manager, 'next', 'next.example.com', port)
  assert.equal([refused.status, refused.body.error?.code], [503, 'NGINX_ALREADY_BROKEN'])
  assert.is((await shown(host, root)).fingerprint, first)
  writeFileSync(key, whole)
  assert.is((await putRoute(host.manager, 'next', 'next.example.com', port)).status, 200)
})

test.run()

/** The fingerprint of the route's certificate, as the API reports it. */
async function reportedFingerprint({ manager }: RealHost): Promise<string> {
  return fingerprintOf(await call(manager, 'GET', '/proxies/app'))
}

/** What a client of the route sees. */
async function shown({ nginx }: RealHost, root: string): Promise<Secure> {
  return await secure(nginx.httpsPort, 'app.example.com', root)
}

/** The environment of certbot. */
function lineagesOf({ nginx }: RealHost): readonly string[] {
  return readdirSync(join(nginx.root, 'letsencrypt/live'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
}

/** What certbot's timer does, forced. */
async function renewByHand({ nginx: { root } }: RealHost, pebble: Pebble): Promise<void> {
  const folders = [`--config-dir=${root}/letsencrypt`, `--work-dir=${root}/work`, `--logs-dir=${root}/certbot-logs`]
  const options = ['--force-renewal', '--no-random-sleep-on-renew', '--non-interactive', '--cert-name=app.example.com']
  // A blocked process would continue with connections that the API has closed meanwhile.
  await promisify(execFile)('/usr/bin/certbot', ['renew', ...options, ...folders], {
    env: { ...process.env, REQUESTS_CA_BUNDLE: pebble.caBundle },
  })
}
