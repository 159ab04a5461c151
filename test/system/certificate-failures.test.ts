import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startRefusingCa } from '../../fixtures/acme/refusing-ca.ts'
import { createNginx } from '../../fixtures/nginx-instance.ts'
import { call, putRoute, type RealHost, startHost, through } from '../helpers/system/host.ts'
import { certbotFolders, type HostWithCa, startHostWithCa } from '../helpers/system/host-with-ca.ts'
import { setUp } from '../helpers/system/set-up.ts'

const test = suite<HostWithCa>('certificates that cannot be obtained')

setUp(test, async (context, undo) => {
  Object.assign(context, await startHostWithCa({ SSL_PREFLIGHT: 'warn' }))
  undo(context.close)
})

test('a name that does not resolve is reported as such, HTTP is still served, and the fourth attempt in an hour is not sent to the CA', async (context) => {
  const { host, pebble } = context
  await putRoute(host.manager, 'nodns', 'nodns.example.com', context.port, { enable_ssl: true })
  await pebble.dns('set-servfail', { host: 'nodns.example.com' })
  noteTwoFailures(host, 'nodns.example.com')
  const failed = await call(host.manager, 'POST', '/proxies/nodns/ssl')
  assert.is(failed.status, 422)
  assert.is(failed.body.error?.code, 'SSL_ISSUANCE_FAILED')
  assert.is(failed.body.error?.details.reason, 'dns')
  assert.match(String(failed.body.error?.details.remedy), /A \(or AAAA\) record/)
  const limited = await call(host.manager, 'POST', '/proxies/nodns/ssl')
  assert.is(limited.status, 429)
  assert.is(limited.body.error?.code, 'SSL_RATE_LIMITED')
  assert.ok(Number(limited.headers.get('retry-after')) > 3000)
  assert.is(await through(host.nginx.httpPort, 'nodns.example.com'), 'app')
  const shown = await call(host.manager, 'GET', '/proxies/nodns')
  assert.is(shown.body.status, 'pending_ssl')
  assert.match(JSON.stringify(shown.body.ssl_error), /"reason":"dns"/)
  await pebble.dns('clear-servfail', { host: 'nodns.example.com' })
})

test('a CA that is down is reported as such, does not count as a failure, and the next attempt works', async (context) => {
  const { host, pebble } = context
  await putRoute(host.manager, 'outage', 'outage.example.com', context.port, { enable_ssl: true })
  noteTwoFailures(host, 'outage.example.com')
  await pebble.stopCa()
  // If it counted, it would be the third.
  const failed = await call(host.manager, 'POST', '/proxies/outage/ssl')
  assert.is(failed.status, 502)
  assert.is(failed.body.error?.details.reason, 'ca_down')
  await pebble.startCa()
  // It is another CA now, with another root: it does not know certbot's account.
  rmSync(join(host.nginx.root, 'letsencrypt/accounts'), { recursive: true })
  const issued = await call(host.manager, 'POST', '/proxies/outage/ssl')
  assert.is(issued.status, 200, JSON.stringify(issued.body))
})

test("the CA's rate limit is reported with its end, and respected without another order", async (context) => {
  const { host } = context
  const until = new Date(Date.now() + 7200_000).toISOString().slice(0, 19).replace('T', ' ')
  const detail = `too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s, retry after ${until} UTC`
  const ca = await startRefusingCa(join(host.nginx.root, 'refusing'), { type: 'rateLimited', status: 429, detail })
  const nginx = await createNginx()
  const environment = { ACME_DIRECTORY_URL: ca.directoryUrl, REQUESTS_CA_BUNDLE: ca.caBundle, SSL_PREFLIGHT: 'off' }
  const other = await startHost({ root: nginx.root }, { ...environment, ...certbotFolders(nginx.root) })
  try {
    await putRoute(other.manager, 'limited', 'limited.example.com', context.port, { enable_ssl: true })
    const first = await call(other.manager, 'POST', '/proxies/limited/ssl')
    assert.is(first.status, 429, JSON.stringify(first.body))
    const retryAfter = Number(first.headers.get('retry-after'))
    assert.ok(retryAfter > 7000 && retryAfter <= 7200, String(retryAfter))
    for (let tries = 0; tries < 3; tries++) {
      assert.is((await call(other.manager, 'POST', '/proxies/limited/ssl', { force_renew: true })).status, 429)
    }
    assert.is(ca.orders, 1)
  } finally {
    await other.close()
    await ca.close()
  }
})

test('by default an order that is certain to fail is refused, however often it is repeated, and made once DNS answers', async ({
  pebble,
  port,
}) => {
  const nginx = await createNginx()
  const { root, httpPort, httpsPort } = nginx
  const host = await startHost({ root, httpPort, httpsPort }, { ...pebble.environment, ...certbotFolders(root) })
  const early = 'early.example.com'
  try {
    await putRoute(host.manager, 'early', early, port, { enable_ssl: true })
    await pebble.dns('set-servfail', { host: early })
    for (const retryAfter of [null, /^(60|59)$/, /^(60|59|58)$/]) {
      const refused = await call(host.manager, 'POST', '/proxies/early/ssl')
      assert.equal([refused.status, refused.body.error?.details.reason], [422, 'dns'], JSON.stringify(refused.body))
      if (retryAfter === null) assert.is(refused.headers.get('retry-after'), null)
      else assert.match(refused.headers.get('retry-after') ?? '', retryAfter)
    }
    assert.not.ok(existsSync(join(root, 'letsencrypt/accounts')))
    await pebble.dns('clear-servfail', { host: early })
    // The preflight passes, and the CA's validation, which comes to another host, fails.
    const ordered = await call(host.manager, 'POST', '/proxies/early/ssl')
    assert.equal(
      [ordered.status, ordered.body.error?.details.reason],
      [422, 'unreachable'],
      JSON.stringify(ordered.body),
    )
    const orders = () => readFileSync(join(root, `state/orders/${early}.json`), 'utf8')
    const before = orders()
    const repeated = await call(host.manager, 'POST', '/proxies/early/ssl')
    assert.equal([repeated.status, repeated.body.error?.message], [422, ordered.body.error?.message])
    assert.ok(Number(repeated.headers.get('retry-after')) > 50)
    assert.is(orders(), before)
  } finally {
    await host.close()
  }
})

test('strict preflight refuses with the reason, before anything is sent to the CA', async ({ pebble, port }) => {
  const nginx = await createNginx()
  const host = await startHost({ root: nginx.root }, { ...pebble.environment, SSL_PREFLIGHT: 'strict' })
  try {
    await putRoute(host.manager, 'strict', 'strict.example.com', port, { enable_ssl: true })
    await pebble.dns('add-a', { host: 'strict.example.com', addresses: ['127.0.0.1', '192.0.2.1'] })
    const refused = await call(host.manager, 'POST', '/proxies/strict/ssl')
    assert.is(refused.status, 422)
    assert.is(refused.body.error?.details.reason, 'unreachable')
    assert.match(refused.body.error?.message ?? '', /192\.0\.2\.1/)
    assert.not.ok(existsSync(join(nginx.root, 'letsencrypt/accounts')))
    await pebble.dns('clear-a', { host: 'strict.example.com' })
    await pebble.dns('add-caa', { host: 'strict.example.com', policies: [{ tag: 'issue', value: ';' }] })
    const forbidden = await call(host.manager, 'POST', '/proxies/strict/ssl')
    assert.is(forbidden.body.error?.details.reason, 'caa', JSON.stringify(forbidden.body))
  } finally {
    await host.close()
  }
})

test('without certbot the error names what to install', async ({ port }) => {
  const host = await startHost({}, { CERTBOT_BIN: '/nowhere/certbot' })
  try {
    await putRoute(host.manager, 'app', 'app.example.com', port, { enable_ssl: true })
    const refused = await call(host.manager, 'POST', '/proxies/app/ssl')
    assert.is(refused.status, 503)
    assert.is(refused.body.error?.code, 'SSL_UNAVAILABLE')
    assert.match(String(refused.body.error?.details.remedy), /Install certbot/)
  } finally {
    await host.close()
  }
})

test.run()

/** Two orders of this hour that the CA has counted as failures, so that one more is allowed. */
function noteTwoFailures({ nginx }: RealHost, domain: string): void {
  const entry = { at: Date.now() - 60_000, result: 'failed', reason: 'dns' } as const
  writeFileSync(join(nginx.root, `state/orders/${domain}.json`), JSON.stringify({ entries: [entry, entry] }))
}
