import { generateKeyPairSync } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import { createApp } from '../../functions/index.ts'
import putCertificate from '../../functions/put-certificate.ts'
import { contentsOf, textAt } from '../helpers/arrange.ts'
import { type Certificate, certificateFor, DAY_MS, HOUR_MS, putChoosing, START_MS, STATE } from '../helpers/certbot.ts'
import { assertError, assertIssues, type CallOptions, call, requestTo } from './wire.ts'

const test = suite('PUT /certificates/:name')

const DOMAIN = 'app.example.com'
const FIRST = certificateFor(DOMAIN)
const SECOND = certificateFor(DOMAIN, { fromMs: START_MS - HOUR_MS / 2 })
const CORP = { name: 'corp' } as const

const bodyOf = ({ fullchain, privkey }: Certificate) => ({ certificate: fullchain, private_key: privkey })
const upload = (deps: FakeDeps, pair: unknown, query = '', options: CallOptions = {}) =>
  call(putCertificate, deps, `/certificates/corp${query}`, { method: 'PUT', body: pair, ...options })

/** Every byte on the disk, in an answer and in the log, but the files with mode 0600 that a key belongs into. */
function assertNoKey(deps: FakeDeps, ...texts: readonly string[]): void {
  for (const [path, entry] of deps.disk) {
    if (entry.kind !== 'file' || !/PRIVATE KEY/.test(entry.file.text)) continue
    assert.match(path, new RegExp(`^${STATE}/(uploads|certificates)/[^/]+/[0-9a-f]{64}/privkey\\.pem$`))
    assert.is(entry.mode, 0o600, path)
  }
  for (const text of [...texts, JSON.stringify(deps.lines)]) assert.not.match(text, /PRIVATE KEY|BEGIN/)
}

test('it answers 201 with what was stored, without the key; the same pair again changes nothing', async () => {
  const deps = await fakeDeps()
  const { status, body, text } = await upload(deps, bodyOf(FIRST))
  assert.is(status, 201)
  const { certificate, ...entry } = body
  assert.equal(entry, {
    source: 'uploaded',
    name: 'corp',
    expiry: '2026-03-31T23:00:00.000Z',
    users: [],
    uploaded_at: '2026-01-01T00:00:00.000Z',
    last_attempt: null,
    next_attempt_at: null,
    budget_left: null,
    skipped: [],
  })
  assert.equal([certificate.domains, certificate.fingerprint_sha256], [[DOMAIN], FIRST.fingerprint])
  await deps.clock.sleep(1000)
  const before = contentsOf(deps.disk)
  const again = await upload(deps, bodyOf(FIRST))
  assert.equal([again.status, again.body], [200, body])
  assert.equal(contentsOf(deps.disk), before)
  assertNoKey(deps, text)
})

test('a pair that replaces another one is served by every route that uses it, and the former one is gone', async () => {
  const deps = await fakeDeps()
  await upload(deps, bodyOf(FIRST))
  await putChoosing(deps, 'app', DOMAIN, CORP)
  const { status, body, text } = await upload(deps, bodyOf(SECOND))
  assert.equal([status, body.users, body.skipped, body.receipt.proved_by], [200, ['app'], [], 'tls_handshake'])
  assert.equal(body.certificate.fingerprint_sha256, SECOND.fingerprint)
  assert.equal([...deps.disk].filter(([path]) => path.endsWith('privkey.pem')).length, 2)
  assertNoKey(deps, text)
})

test('a dry run shows the files that would change, without a key, and changes nothing', async () => {
  const deps = await fakeDeps()
  const empty = contentsOf(deps.disk)
  const first = await upload(deps, bodyOf(FIRST), '?dry_run=true')
  const paths = (answer: typeof first) => answer.body.plan.changes.map(({ path }: { path: string }) => path)
  assert.equal([first.status, paths(first)], [200, [`${STATE}/uploads/corp/record.json`]])
  assert.equal(contentsOf(deps.disk), empty)
  await upload(deps, bodyOf(FIRST))
  await putChoosing(deps, 'app', DOMAIN, CORP)
  await deps.engine.idle()
  const before = contentsOf(deps.disk)
  const { status, body, text } = await upload(deps, bodyOf(SECOND), '?dry_run=true')
  assert.equal([status, body.plan.nginx_test.ok, body.users], [200, true, ['app']])
  assert.equal(paths({ status, body, text, headers: new Headers() }), [
    '/etc/nginx/sites-available/000-proxy-manager.conf',
    '/etc/nginx/sites-available/fpai-app.conf',
    `${STATE}/uploads/corp/record.json`,
  ])
  assert.equal(contentsOf(deps.disk), before)
  assertNoKey(deps, text)
})

test('a pair that may not be served is refused with what is wrong with it, and nothing is stored', async () => {
  const deps = await fakeDeps()
  const before = contentsOf(deps.disk)
  const expired = certificateFor(DOMAIN, { fromMs: START_MS - 9 * DAY_MS, days: 8 })
  const later = certificateFor(DOMAIN, { fromMs: START_MS + HOUR_MS })
  const ed25519 = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })
  const encrypted = FIRST.privkey.replaceAll('PRIVATE KEY', 'ENCRYPTED PRIVATE KEY')
  for (const [pair, fault] of [
    [{ certificate: FIRST.fullchain, private_key: SECOND.privkey }, /private key belongs to another certificate/],
    [{ certificate: FIRST.chain + FIRST.cert, private_key: FIRST.privkey }, /is not the first of the chain/],
    [{ certificate: FIRST.cert + SECOND.cert, private_key: FIRST.privkey }, /do not sign one another/],
    [{ certificate: FIRST.fullchain.slice(0, -60), private_key: FIRST.privkey }, /cut short/],
    [{ certificate: FIRST.privkey, private_key: FIRST.privkey }, /contains no certificate/],
    [{ certificate: FIRST.fullchain, private_key: FIRST.cert }, /private key cannot be read/],
    [{ certificate: FIRST.fullchain, private_key: encrypted }, /remove its passphrase/],
    [{ certificate: FIRST.fullchain, private_key: ed25519 }, /use RSA .* or EC/],
    [bodyOf(expired), /has expired/],
    [bodyOf(later), /not valid yet/],
  ] as const) {
    const answer = await upload(deps, pair)
    assertError(answer, 'CERTIFICATE_INVALID')
    assert.match(answer.body.error.message, fault)
    assertNoKey(deps, answer.text)
  }
  assert.equal(contentsOf(deps.disk), before)
})

test('whatever the texts contain besides certificates and the key is not stored', async () => {
  const deps = await fakeDeps()
  const certificate = `Bag Attributes\n${FIRST.privkey}${FIRST.fullchain}`.replaceAll('\n', '\r\n')
  assert.is((await upload(deps, { certificate, private_key: `friendly name\n${FIRST.privkey}` })).status, 201)
  const stored = [...deps.disk].flatMap(([path, { kind }]) => (kind === 'file' && /\.pem$/.test(path) ? [path] : []))
  assert.is(textAt(deps.disk, stored.find((path) => path.includes('fullchain')) ?? ''), FIRST.fullchain)
  assertNoKey(deps)
})

test('a pair that lacks a name of a route that uses it is refused with the names of these routes', async () => {
  const deps = await fakeDeps()
  await upload(deps, bodyOf(FIRST))
  await putChoosing(deps, 'app', DOMAIN, CORP)
  await deps.engine.idle()
  const before = contentsOf(deps.disk)
  const { users } = assertError(await upload(deps, bodyOf(certificateFor('other.example.com'))), 'CERTIFICATE_INVALID')
  assert.equal(users, ['app'])
  assert.equal(contentsOf(deps.disk), before)
})

test('texts that are no PEM, unknown fields and names that are no file names are 400', async () => {
  const deps = await fakeDeps()
  const answer = await upload(deps, { certificate: 'x', private_key: 1, note: '' })
  assertIssues(answer, [
    ['certificate', 'must be PEM'],
    ['private_key', 'must be a string'],
    ['note', 'is not a known field'],
  ])
  for (const name of ['..', '.corp', 'Corp', 'a%2fb', 'a'.repeat(64)]) {
    const options = { method: 'PUT', body: bodyOf(FIRST) }
    const response = await putCertificate(requestTo(`/certificates/${name}`, options), deps)
    assert.is(response.status, 400, name)
  }
  const large = { certificate: `-----BEGIN ${'x'.repeat(70_000)}`, private_key: FIRST.privkey }
  assertError(await upload(deps, large), 'PAYLOAD_TOO_LARGE')
})

test('a read-only token uploads nothing', async () => {
  const deps = await fakeDeps({
    settings: { PROXY_MANAGER_API_TOKEN: 'w'.repeat(32), PROXY_MANAGER_READ_TOKEN: 'r'.repeat(32) },
  })
  const app = createApp(() => deps)
  const headers = { authorization: `Bearer ${'r'.repeat(32)}` }
  const before = contentsOf(deps.disk)
  for (const method of ['PUT', 'DELETE']) {
    const response = await app(requestTo('/certificates/corp', { method, body: bodyOf(FIRST), headers }))
    assert.is(response.status, 403)
  }
  assert.is((await app(requestTo('/certificates', { headers }))).status, 200)
  assert.equal(contentsOf(deps.disk), before)
})

test.run()
