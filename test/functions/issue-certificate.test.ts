import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import issueCertificate from '../../functions/issue-certificate.ts'
import putProxy from '../../functions/put-proxy.ts'
import { contentsOf, countEffects, installLineage, makeLineage, textAt, writeAt } from '../engine/arrange.ts'
import { assertError, assertIssues, call } from './wire.ts'

const test = suite('POST /proxies/:droplet_name/ssl')
const lineage = makeLineage('app.example.com')

/** A route that waits for its certificate, at a time when the lineage is valid. */
async function pendingApp(settings: Readonly<Record<string, string>> = {}): Promise<FakeDeps> {
  const deps = await fakeDeps({ settings: { SSL_PREFLIGHT: 'off', ...settings } })
  await deps.clock.sleep(Date.now() + 60_000 - deps.clock.nowMs())
  const body = { domain: 'app.example.com', upstream_port: 8002 }
  const { status } = await call(putProxy, deps, '/proxies/app', { method: 'PUT', body })
  assert.is(status, 202)
  return deps
}

/** certbot that writes the lineage and ends well. */
function issuing({ nginx, disk }: FakeDeps): void {
  nginx.certbot = () => {
    writeAt(disk, '/etc/letsencrypt/live/app.example.com/fullchain.pem', lineage.fullchain)
    writeAt(disk, '/etc/letsencrypt/live/app.example.com/privkey.pem', lineage.privkey, 0o600)
    return { exitCode: 0, output: 'Successfully received certificate.\n' }
  }
}

const post = (deps: FakeDeps, body?: unknown, path = '/proxies/app/ssl') =>
  call(issueCertificate, deps, path, { method: 'POST', ...(body === undefined ? {} : { body }) })

test('POST /proxies/:droplet_name/ssl answers 200, the certificate, and the proof that it is shown', async () => {
  const deps = await pendingApp()
  issuing(deps)
  const answer = await post(deps)
  assert.is(answer.status, 200)
  const { certificate, receipt, ...rest } = answer.body
  assert.equal(rest, {
    droplet_name: 'app',
    domain: 'app.example.com',
    status: 'active',
    expiry: certificate.expiry,
    issuer: 'CN=app.example.com',
    ordered: true,
    preflight: [],
  })
  assert.equal([receipt.reloaded, receipt.proved_by, receipt.batch], [true, 'tls_handshake', 1])
  assert.match(answer.headers.get('etag') ?? '', /^"[0-9a-f]{16}"$/)
  assert.match(answer.headers.get('server-timing') ?? '', 'confirm;dur=')
  assert.not.match(answer.text, 'PRIVATE')
  assert.match(textAt(deps.disk, '/etc/nginx/sites-enabled/fpai-app.conf') ?? '', certificate.fingerprint_sha256)
})

test('POST with a certificate that is not due for renewal asks no CA', async () => {
  const deps = await pendingApp()
  await installLineage(deps, 'app.example.com', lineage)
  const answer = await post(deps)
  assert.equal([answer.status, answer.body.ordered], [200, false])
  assert.is(countEffects(deps, /^run .*certbot/), 0)
  const again = await post(deps, {})
  assert.equal([again.status, again.body.receipt.reloaded], [200, false])
})

test('calls at the same time share one order', async () => {
  const deps = await pendingApp()
  issuing(deps)
  const answers = await Promise.all([post(deps), post(deps), post(deps)])
  assert.equal(
    answers.map(({ status }) => status),
    [200, 200, 200],
  )
  assert.is(countEffects(deps, /^run .*certbot/), 1)
})

test('what the caller sends reaches certbot as values alone, and only once it fits', async () => {
  const deps = await pendingApp()
  const before = contentsOf(deps.disk)
  for (const email of [
    '-h',
    '--version',
    'a@b.c\n',
    '',
    'a..b@c.example',
    '@c.example',
    7,
    `${'a'.repeat(260)}@b.example`,
  ]) {
    const { issues } = assertError(await post(deps, { email }), 'INVALID_REQUEST')
    assert.match(JSON.stringify(issues), '"path":"email"', String(email))
  }
  assertIssues(await post(deps, { force_renew: 'yes', staging: true }), [
    ['force_renew', 'must be true or false'],
    ['staging', 'is not a known field'],
  ])
  assert.equal(contentsOf(deps.disk), before)
  assert.is(countEffects(deps, /^run .*certbot/), 0)
  issuing(deps)
  await post(deps, { email: 'ops@example.com' })
  assert.is(countEffects(deps, /^run \/usr\/bin\/certbot .*--email=ops@example\.com( |$)/), 1)
})

test('POST for a droplet without a route answers 404, for what is no name 400', async () => {
  const deps = await pendingApp()
  assertError(await post(deps, {}, '/proxies/none/ssl'), 'PROXY_NOT_FOUND')
  assertError(await post(deps, {}, '/proxies/%2e%2e/ssl'), 'INVALID_REQUEST')
})

test('POST where certbot is missing answers 503 and what to install', async () => {
  const deps = await pendingApp()
  deps.disk.delete('/usr/bin/certbot')
  const details = assertError(await post(deps), 'SSL_UNAVAILABLE')
  assert.is(details.reason, 'certbot_missing')
})

test('certbot that fails answers 502, and the route goes on over HTTP', async () => {
  const deps = await pendingApp()
  const before = textAt(deps.disk, '/etc/nginx/sites-enabled/fpai-app.conf')
  const reloads = deps.nginx.reloads
  deps.nginx.certbot = () => ({
    exitCode: 1,
    output: 'Saving debug log to /var/log/letsencrypt/letsencrypt.log\nAn unexpected error occurred\n',
  })
  assertError(await post(deps), 'SSL_ISSUANCE_FAILED')
  assert.is(textAt(deps.disk, '/etc/nginx/sites-enabled/fpai-app.conf'), before)
  assert.is(deps.nginx.reloads, reloads)
})

test("certbot's exit status 0 without a new certificate is a failure", async () => {
  const deps = await pendingApp()
  deps.nginx.certbot = () => ({ exitCode: 0, output: '' })
  assertError(await post(deps), 'SSL_ISSUANCE_FAILED')
})

test.run()
