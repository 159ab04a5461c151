import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createNginx } from '../../fixtures/nginx-instance.ts'
import { parseLedger } from '../../lib/certificates/order-ledger.ts'
import { type Answer, call, putRoute, type RealHost, startHost, through } from '../helpers/system/host.ts'
import { type HostWithCa, startHostWithCa } from '../helpers/system/host-with-ca.ts'
import { setUp } from '../helpers/system/set-up.ts'

const CHALLENGES = 'state/acme/.well-known/acme-challenge'

/** Without a preflight, only certbot writes below the challenge path. */
const SETTINGS = { SSL_PREFLIGHT: 'off' }

const test = suite<HostWithCa>('failures of certbot and the CA during an order')

setUp(test, async (context, undo) => {
  Object.assign(context, await startHostWithCa(SETTINGS, { validitySeconds: 6 * 86_400 }))
  undo(context.close)
})

test('a certbot that is killed during an order is reported as such, leaves nothing behind, and the next attempt works', async ({
  host,
  port,
}) => {
  await putRoute(host.manager, 'app', 'app.example.com', port, { enable_ssl: true })
  const issuing = call(host.manager, 'POST', '/proxies/app/ssl')
  await eventually(() => isChallenged(host))
  process.kill(certbotOf(host), 'SIGKILL')
  const failed = await issuing
  assert.is(failed.status, 502, JSON.stringify(failed.body))
  const { code, message, details } = failed.body.error ?? { code: '', message: '', details: {} }
  assert.equal([code, details.reason, details.culprit], ['SSL_ISSUANCE_FAILED', 'interrupted', 'host'])
  assert.is(message, 'The certificate was not issued: certbot was killed')
  assert.not.ok(JSON.stringify(failed.body).includes(host.nginx.root))
  await assertUntouched(host, 'app')
  await assertIssues(host, 'app')
  assert.equal(resultsOf(host, 'app.example.com'), ['failed', 'issued'])
  assert.equal(readdirSync(join(host.nginx.root, 'letsencrypt/archive')), ['app.example.com'])
})

test('a certificate of six days is served, is not due, and the host is healthy', async ({ host: { manager } }) => {
  // The one of the previous test.
  const { not_before: from, expiry } = certificateOf(await call(manager, 'GET', '/proxies/app'))
  const days = Math.round((Date.parse(expiry) - Date.parse(from)) / 86_400_000)
  // Debian 11's Pebble does not know the setting, and issues for its default.
  if (readFileSync('/usr/bin/pebble').includes('CertificateValidityPeriod')) assert.is(days, 6)
  const again = await call(manager, 'POST', '/proxies/app/ssl')
  assert.equal([again.status, again.body.ordered, again.body.receipt?.reloaded], [200, false, false])
  assert.is(again.body.status, 'active')
  const health = await call(manager, 'GET', '/proxy-manager/health')
  assert.equal([health.status, health.body.status, health.body.reasons], [200, 'healthy', []])
})

test('an API that is killed during an order serves, after its restart, the certificate that certbot obtained meanwhile', async ({
  host,
  port,
}) => {
  await putRoute(host.manager, 'killed', 'killed.example.com', port, { enable_ssl: true })
  const issuing = call(host.manager, 'POST', '/proxies/killed/ssl').catch(() => undefined)
  await eventually(() => isChallenged(host))
  await host.restart('SIGKILL')
  assert.is(await issuing, undefined)
  await eventually(async () => (await call(host.manager, 'GET', '/proxies/killed')).body.status === 'active')
  const again = await call(host.manager, 'POST', '/proxies/killed/ssl')
  assert.equal([again.status, again.body.ordered], [200, false], JSON.stringify(again.body))
  assert.equal(resultsOf(host, 'killed.example.com'), ['failed'])
})

test("an API that is stopped while it waits for certbot's lock ends, and does not call certbot again", async () => {
  const { root, httpPort, httpsPort } = await createNginx()
  const [certbot, calls] = [join(root, 'busy-certbot'), join(root, 'calls')]
  const script = `#!/bin/sh\necho called >> ${calls}\necho 'Another instance of Certbot is already running.'\nexit 1\n`
  writeFileSync(certbot, script, { mode: 0o755 })
  const settings = { CERTBOT_BIN: certbot, SSL_AUTO_ISSUE: 'true', SSL_PREFLIGHT: 'off' }
  const host = await startHost({ root, httpPort, httpsPort }, settings)
  try {
    await putRoute(host.manager, 'app', 'app.example.com', (await host.droplet('app')).port, { enable_ssl: true })
    await eventually(() => existsSync(calls))
    assert.is(await host.manager.end('SIGTERM'), 0)
    assert.is(readFileSync(calls, 'utf8'), 'called\n')
    assert.equal(resultsOf(host, 'app.example.com'), ['failed'])
  } finally {
    await host.close()
  }
})

test('a CA that goes down during an order is reported as such, and the next attempt works once it is up again', async (context) => {
  const { host, pebble, port } = context
  await putRoute(host.manager, 'outage', 'outage.example.com', port, { enable_ssl: true })
  const issuing = call(host.manager, 'POST', '/proxies/outage/ssl')
  await eventually(() => isChallenged(host))
  await pebble.stopCa()
  const failed = await issuing
  assert.is(failed.status, 502, JSON.stringify(failed.body))
  const { code, message, details } = failed.body.error ?? { code: '', message: '', details: {} }
  assert.equal(
    [code, details.reason, details.culprit, details.retryable],
    ['SSL_ISSUANCE_FAILED', 'ca_down', 'ca', true],
  )
  assert.match(message, /Connection refused|Max retries exceeded|Connection aborted|Connection reset/)
  assert.match(String(details.remedy), /reaches the CA/)
  await assertUntouched(host, 'outage')
  await pebble.startCa()
  // It is another CA now, which does not know certbot's account.
  rmSync(join(host.nginx.root, 'letsencrypt/accounts'), { recursive: true })
  await assertIssues(host, 'outage')
  assert.equal(resultsOf(host, 'outage.example.com'), ['issued'])
})

test('a CA that refuses a fifth of its own nonces issues all the same, and each certificate counts once', async () => {
  const { host, port, close } = await startHostWithCa(SETTINGS, { refusedNonces: 20 })
  try {
    for (const name of ['a', 'b']) {
      await putRoute(host.manager, name, `${name}.example.com`, port, { enable_ssl: true })
      await assertIssues(host, name)
      assert.equal(resultsOf(host, `${name}.example.com`), ['issued'])
    }
  } finally {
    await close()
  }
})

test.run()

/** The files below the challenge path; certbot removes the directory itself if it has created it. */
function challengesIn({ nginx }: RealHost): readonly string[] {
  const folder = join(nginx.root, CHALLENGES)
  return existsSync(folder) ? readdirSync(folder) : []
}

function isChallenged(host: RealHost): boolean {
  return challengesIn(host).length > 0
}

/** The certbot that the API has started. */
function certbotOf({ manager }: RealHost): number {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  const found = pids.find((pid) => {
    try {
      const [stat, command] = ['stat', 'cmdline'].map((file) => readFileSync(`/proc/${pid}/${file}`, 'utf8'))
      // After the name in parentheses: state, parent.
      const parent = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[1]
      return parent === String(manager.pid) && command?.includes('certbot\0certonly') === true
    } catch {
      return false
    }
  })
  if (found === undefined) throw new Error('no certbot runs')
  return Number(found)
}

/** HTTP is still served, no challenge is left, and NGINX has no certificate. */
async function assertUntouched(host: RealHost, name: string): Promise<void> {
  const { nginx, manager } = host
  assert.equal(challengesIn(host), [])
  assert.is(await through(nginx.httpPort, `${name}.example.com`), 'app')
  assert.is((await call(manager, 'GET', `/proxies/${name}`)).body.status, 'pending_ssl')
  assert.not.ok(existsSync(join(nginx.root, `state/certificates/${name}.example.com`)))
}

async function assertIssues({ manager }: RealHost, name: string): Promise<void> {
  const issued = await call(manager, 'POST', `/proxies/${name}/ssl`)
  assert.is(issued.status, 200, JSON.stringify(issued.body))
  assert.equal([issued.body.status, issued.body.receipt?.proved_by], ['active', 'tls_handshake'])
}

/** The orders in the ledger of a domain that the CA has counted. */
function resultsOf({ nginx }: RealHost, domain: string): readonly string[] {
  const { entries } = parseLedger(readFileSync(join(nginx.root, `state/orders/${domain}.json`), 'utf8'), Date.now())
  return entries.flatMap(({ result, uncounted }) => (uncounted === true ? [] : [result]))
}

function certificateOf({ body }: Answer): { readonly not_before: string; readonly expiry: string } {
  const [, from = ''] = /"not_before":"([^"]+)"/.exec(JSON.stringify(body)) ?? []
  const [, expiry = ''] = /"expiry":"([^"]+)"/.exec(JSON.stringify(body)) ?? []
  return { not_before: from, expiry }
}

/** Waits until it is true; fails after a minute. */
async function eventually(look: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000
  while (Date.now() < deadline) {
    if (await look()) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  throw new Error('it never happened')
}
