import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import getProxy from '../../functions/get-proxy.ts'
import issueCertificate from '../../functions/issue-certificate.ts'
import { contentsOf, PORT_TAKEN, refuseNextReload, writeAt } from '../helpers/arrange.ts'
import {
  certbotThat,
  certbotThatIssues,
  certificateFor,
  failing,
  HOUR_MS,
  putLineage,
  putSecure,
  START_MS,
  servedFingerprint,
} from '../helpers/certbot.ts'
import { assertError, assertIssues, type CallOptions, call, requestTo, revisionAt } from './wire.ts'

const test = suite('POST /proxies/:droplet_name/ssl')

const DOMAIN = 'app.example.com'
const FIRST = certificateFor(DOMAIN)
const SECOND = certificateFor(DOMAIN, { fromMs: START_MS - HOUR_MS / 2 })

async function pending(settings: Readonly<Record<string, string>> = { SSL_PREFLIGHT: 'off' }): Promise<FakeDeps> {
  const deps = await fakeDeps({ settings })
  await putSecure(deps, 'app', DOMAIN)
  return deps
}

const post = (deps: FakeDeps, body?: unknown, path = '/proxies/app/ssl', options: CallOptions = {}) =>
  call(issueCertificate, deps, path, { method: 'POST', body, ...options })

const emailOf = (args: readonly string[] | undefined) => args?.find((argument) => argument.startsWith('--email='))

test('POST .../ssl answers 200, the certificate that is served, and its proof', async () => {
  const deps = await pending({})
  deps.names.hosts.set(DOMAIN, ['192.0.2.10'])
  certbotThatIssues(deps, FIRST)
  const answer = await post(deps, {})
  assert.is(answer.status, 200)
  const { certificate } = answer.body
  assert.equal(answer.body, {
    droplet_name: 'app',
    domain: DOMAIN,
    status: 'active',
    expiry: '2026-03-31T23:00:00.000Z',
    issuer: 'CN=Test CA',
    certificate: {
      issuer: 'CN=Test CA',
      not_before: '2025-12-31T23:00:00.000Z',
      expiry: '2026-03-31T23:00:00.000Z',
      domains: [DOMAIN],
      serial: certificate.serial,
      fingerprint_sha256: FIRST.fingerprint,
      source: 'own',
      why: 'it was ordered for this route',
    },
    ordered: true,
    preflight: [
      { check: 'dns', domain: DOMAIN, ok: true, detail: `${DOMAIN} resolves to 192.0.2.10` },
      {
        check: 'challenge',
        domain: DOMAIN,
        ok: true,
        detail: 'a file under the challenge path, requested at 192.0.2.10: served',
      },
      { check: 'caa', domain: DOMAIN, ok: true, detail: 'no CAA records' },
    ],
    receipt: { generation: 2, reloaded: true, proved_by: 'tls_handshake', proved_ms: 0, batch: 1 },
  })
  assert.match(certificate.serial, /^[0-9a-f]{16,40}$/)
  assert.is(answer.headers.get('etag'), `"${revisionAt(deps, 'app')}"`)
  assert.match(answer.headers.get('server-timing') ?? '', /^queue;dur=0\.0, .*confirm;dur=0\.0$/)
  assert.equal((await call(getProxy, deps, '/proxies/app')).body.certificate, certificate)
})

test('POST .../ssl accepts an empty body, and none', async () => {
  for (const body of [undefined, {}]) {
    const deps = await pending()
    const calls = certbotThatIssues(deps, FIRST)
    assert.is((await post(deps, body)).status, 200)
    assert.equal(calls.map(emailOf), ['--email=admin@fullpotential.ai'])
  }
})

test('POST .../ssl again answers 200 without an order; with force_renew it orders', async () => {
  const deps = await pending()
  const calls = certbotThatIssues(deps, FIRST, SECOND)
  await post(deps)
  const again = await post(deps, { force_renew: false })
  assert.equal([again.status, again.body.ordered, again.body.receipt.proved_by], [200, false, 'files_unchanged'])
  const forced = await post(deps, { force_renew: true })
  assert.equal([forced.status, forced.body.ordered], [200, true])
  assert.is(forced.body.certificate.fingerprint_sha256, SECOND.fingerprint)
  assert.is(calls.length, 2)
})

test('POST .../ssl passes its e-mail address to the CA', async () => {
  const deps = await pending()
  const calls = certbotThatIssues(deps, FIRST)
  assert.is((await post(deps, { email: 'ops+tls@example.com' })).status, 200)
  assert.equal(calls.map(emailOf), ['--email=ops+tls@example.com'])
})

test('POST .../ssl with an invalid e-mail address answers 400, and certbot does not run', async () => {
  const deps = await pending()
  const calls = certbotThatIssues(deps, FIRST)
  const before = contentsOf(deps.disk)
  const addresses = [
    '-h',
    '--version',
    'a@b',
    'a@b.c\n',
    "x'y@b.c",
    '',
    'a b@c.de',
    'a..b@c.de',
    `${'a'.repeat(250)}@c.de`,
  ]
  for (const email of addresses) assertIssues(await post(deps, { email }), [['email', 'must be an e-mail address']])
  for (const email of [null, 1, ['a@b.cd']]) assertIssues(await post(deps, { email }), [['email', 'must be a string']])
  assert.equal(calls, [])
  assert.equal(contentsOf(deps.disk), before)
})

test('POST .../ssl with other faults answers 400 with all of them, and certbot does not run', async () => {
  const deps = await pending()
  const calls = certbotThatIssues(deps, FIRST)
  assertIssues(await post(deps, { force_renew: 'yes' }), [['force_renew', 'must be true or false']])
  for (const key of ['certbot_bin', 'server', 'deploy_hook', 'staging'])
    assertIssues(await post(deps, { [key]: 'x' }), [[key, 'is not a known field']])
  const many = assertError(await post(deps, { email: '-h', force_renew: 1, x: 1 }), 'INVALID_REQUEST')
  assert.is(Array.isArray(many.issues) ? many.issues.length : 0, 3)
  for (const body of [[], null, 'x']) assertError(await post(deps, body), 'INVALID_REQUEST')
  assertIssues(await post(deps, {}, '/proxies/app/ssl?force_renew=true'), [['force_renew', 'is not a known parameter']])
  for (const name of ['APP', '..%2f..%2fx', 'a%00', '-rf'])
    assertError(await post(deps, {}, `/proxies/${name}/ssl`), 'INVALID_REQUEST')
  assert.equal(calls, [])
})

test('POST .../ssl accepts only JSON', async () => {
  const deps = await pending()
  const request = requestTo('/proxies/app/ssl', { method: 'POST', body: {}, headers: { 'content-type': 'text/plain' } })
  assert.is((await issueCertificate(request, deps)).status, 415)
})

test('POST .../ssl of an unknown droplet answers 404', async () => {
  assertError(await post(await pending(), {}, '/proxies/other/ssl'), 'PROXY_NOT_FOUND')
})

test('POST .../ssl that fails for a reason in the domain answers 422 with it, its message and a remedy', async () => {
  const deps = await pending()
  certbotThat(deps, failing(deps, 'connection-refused'))
  const answer = await post(deps)
  const details = assertError(answer, 'SSL_ISSUANCE_FAILED')
  assert.is(answer.status, 422)
  assert.equal(
    [details.stage, details.state, details.culprit, details.retryable, details.reason, details.domain],
    ['issue', 'unchanged', 'caller', true, 'unreachable', DOMAIN],
  )
  assert.match(String(details.said), /connect: connection refused$/)
  assert.match(String(details.remedy), /port 80/)
  assert.match(String(details.certbot_output), /Some challenges have failed/)
  assert.is(answer.headers.get('retry-after'), null)
  const shown = await call(getProxy, deps, '/proxies/app')
  assert.equal([shown.body.status, shown.body.ssl_error.reason], ['pending_ssl', 'unreachable'])
})

test('POST .../ssl that fails for a reason of the CA answers 502', async () => {
  const deps = await pending()
  certbotThat(deps, failing(deps, 'ca-down'))
  const answer = await post(deps)
  assert.is(assertError(answer, 'SSL_ISSUANCE_FAILED').reason, 'ca_down')
  assert.is(answer.status, 502)
})

test('POST .../ssl beyond the limit answers 429 with Retry-After', async () => {
  const deps = await pending()
  certbotThat(deps, failing(deps, 'caa'))
  for (let tries = 0; tries < 3; tries++) await post(deps)
  const answer = await post(deps, { force_renew: true })
  const details = assertError(answer, 'SSL_RATE_LIMITED')
  assert.is(answer.headers.get('retry-after'), '3600')
  assert.equal([details.retry_at, details.reason], ['2026-01-01T01:00:00.000Z', 'rate_limited'])
})

test('POST .../ssl without certbot answers 503', async () => {
  const deps = await pending()
  deps.disk.delete('/usr/bin/certbot')
  assert.is(assertError(await post(deps), 'SSL_UNAVAILABLE').reason, 'certbot_missing')
})

test('POST .../ssl whose certificate NGINX does not apply answers 500, and HTTP continues', async () => {
  const deps = await pending()
  certbotThatIssues(deps, FIRST)
  refuseNextReload(deps, PORT_TAKEN)
  assert.is(assertError(await post(deps), 'NGINX_RELOAD_FAILED').state, 'rolled_back')
  assert.is(servedFingerprint(deps, DOMAIN), undefined)
  // The certificate exists, so the next call needs no order.
  const next = await post(deps)
  assert.equal([next.status, next.body.ordered], [200, false])
})

test('POST .../ssl never answers or logs the private key', async () => {
  const deps = await pending()
  certbotThatIssues(deps, FIRST)
  const answer = await post(deps)
  const shown = await call(getProxy, deps, '/proxies/app')
  const secret = FIRST.privkey.split('\n')[1] ?? ''
  assert.ok(secret.length > 40)
  for (const text of [answer.text, shown.text, JSON.stringify(deps.lines)]) assert.not.ok(text.includes(secret))
})

test('POST .../ssl uses an existing certificate, whoever obtained it', async () => {
  const deps = await pending()
  putLineage(deps.disk, DOMAIN, FIRST)
  writeAt(deps.disk, `/etc/letsencrypt/renewal/${DOMAIN}.conf`, '')
  const { status, body } = await post(deps)
  assert.equal([status, body.ordered, body.certificate.fingerprint_sha256], [200, false, FIRST.fingerprint])
})

test('POST .../ssl?dry_run=true without a certificate answers that one would be ordered, and the plan', async () => {
  const deps = await pending({})
  deps.names.hosts.set(DOMAIN, ['192.0.2.10'])
  const calls = certbotThatIssues(deps, FIRST)
  // The challenge's directories may stay, its file must not.
  const files = () => contentsOf(deps.disk).filter(([, content]) => Array.isArray(content))
  const before = files()
  const { status, body } = await post(deps, undefined, '/proxies/app/ssl?dry_run=true')
  assert.is(status, 200)
  assert.equal([body.droplet_name, body.domain, body.status, body.would_order], ['app', DOMAIN, 'active', true])
  assert.equal(
    body.preflight.map(({ check, ok }: { check: string; ok: boolean }) => `${check} ${ok}`),
    ['dns true', 'challenge true', 'caa true'],
  )
  assert.ok(body.plan.nginx_test.ok)
  assert.equal(
    body.plan.changes.map(({ path, action }: { path: string; action: string }) => `${action} ${path}`),
    ['replace /etc/nginx/sites-available/000-proxy-manager.conf', 'replace /etc/nginx/sites-available/fpai-app.conf'],
  )
  assert.match(body.plan.changes[1].diff, /^\+ {4}ssl_certificate .*\/0{64}\/fullchain\.pem;$/m)
  assert.equal([calls.length, files(), deps.nginx.reloads], [0, before, 1])
})

test('POST .../ssl?dry_run=true with a certificate answers the plan with that one, tested by NGINX', async () => {
  const deps = await pending()
  putLineage(deps.disk, DOMAIN, FIRST)
  const before = contentsOf(deps.disk)
  const { body } = await post(deps, undefined, '/proxies/app/ssl?dry_run=true')
  assert.equal([body.would_order, body.preflight, body.plan.nginx_test.ok], [false, [], true])
  assert.match(body.plan.changes[1].diff, `${FIRST.fingerprint}/fullchain.pem;`)
  assert.equal(contentsOf(deps.disk), before)
  await post(deps)
  const served = await post(deps, undefined, '/proxies/app/ssl?dry_run=true')
  assert.equal([served.body.would_order, served.body.plan.changes], [false, []])
})

test('POST .../ssl?dry_run=true fails if the call itself would be rejected', async () => {
  const deps = await pending({ SSL_PREFLIGHT: 'strict' })
  const dry = (path = '/proxies/app/ssl?dry_run=true') => post(deps, undefined, path)
  assertError(await dry('/proxies/nobody/ssl?dry_run=true'), 'PROXY_NOT_FOUND')
  assert.is(assertError(await dry(), 'SSL_ISSUANCE_FAILED').reason, 'dns')
  deps.names.hosts.set(DOMAIN, ['192.0.2.10'])
  certbotThat(deps, failing(deps, 'caa'))
  await post(deps)
  assert.is((await dry()).headers.get('retry-after'), '60')
  for (let tries = 0; tries < 2; tries++) {
    await deps.clock.sleep(60_000)
    await post(deps)
  }
  assert.is(assertError(await dry(), 'SSL_RATE_LIMITED').retry_at, '2026-01-01T01:00:00.000Z')
  deps.disk.delete('/usr/bin/certbot')
  assertError(await dry(), 'SSL_UNAVAILABLE')
})

test.run()
