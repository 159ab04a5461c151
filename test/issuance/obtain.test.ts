import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ACCOUNT, type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import type { RunResult } from '../../lib/adapters/runner.ts'
import { lineageNameOf } from '../../lib/certificates/lineage-name.ts'
import type { ErrorCode } from '../../lib/errors.ts'
import { countEffects, refusal, settled, textAt, writeAt } from '../helpers/arrange.ts'
import {
  CHALLENGES,
  CONFIG,
  captured,
  certbotThat,
  certbotThatIssues,
  certificateFor,
  copiesOf,
  DAY_MS,
  failing,
  failuresOf,
  HOUR_MS,
  holdCertbot,
  issue,
  issuing,
  ledgerText,
  putLineage,
  putSecure,
  restartedNow,
  START_MS,
  STATE,
  servedFingerprint,
} from '../helpers/certbot.ts'
import { assertInvariant, put, remove, servedPort } from '../helpers/world.ts'

const DOMAIN = 'app.example.com'
const FIRST = certificateFor(DOMAIN)
const OTHER = certificateFor('other.example.com')
const SECOND = certificateFor(DOMAIN, { fromMs: START_MS - HOUR_MS / 2 })
const RUNS = /^run \/usr\/bin\/certbot/

/** A host with the route `app`, which wants HTTPS and has no certificate. */
async function pending(settings: Readonly<Record<string, string>> = {}): Promise<FakeDeps> {
  const deps = await fakeDeps({ settings })
  const { proxy } = await putSecure(deps, 'app', DOMAIN)
  assert.is(proxy.status, 'pending_ssl')
  return deps
}

/** A host whose route `app` serves its first certificate. */
async function secured(settings: Readonly<Record<string, string>> = {}): Promise<FakeDeps> {
  const deps = await fakeDeps({ settings })
  putLineage(deps.disk, DOMAIN, FIRST)
  const { proxy } = await putSecure(deps, 'app', DOMAIN)
  assert.is(proxy.status, 'active')
  return deps
}

/** HTTP goes on, there is no certificate, and nothing is left of the try. */
async function assertStillPending(deps: FakeDeps, what = ''): Promise<void> {
  await deps.engine.idle()
  assert.is(servedPort(deps, DOMAIN), 8001, what)
  assert.is(servedFingerprint(deps, DOMAIN), undefined, what)
  assert.equal(copiesOf(deps, DOMAIN), [], what)
  assert.is((await deps.engine.getProxy('app')).status, 'pending_ssl', what)
  assertInvariant(deps, what)
}

const test = suite('obtain: a certificate')

test('a pending route gets its certificate: one call of certbot, a copy, and a handshake that proves it', async () => {
  const deps = await pending()
  const calls = certbotThatIssues(deps, FIRST)
  const { proxy, receipt, ordered, outcome } = await issue(deps, 'app')
  assert.equal(calls, [
    [
      'certonly',
      '--non-interactive',
      '--agree-tos',
      '--no-eff-email',
      '--no-directory-hooks',
      '--force-renewal',
      '--authenticator=webroot',
      `--webroot-path=${STATE}/acme`,
      '--preferred-challenges=http-01',
      `--cert-name=${DOMAIN}`,
      '--renew-with-new-domains',
      `--domain=${DOMAIN}`,
      '--email=admin@fullpotential.ai',
      `--account=${ACCOUNT}`,
      `--deploy-hook=touch '${STATE}/renewed'`,
      '--server=https://acme-v02.api.letsencrypt.org/directory',
      `--config-dir=${CONFIG}`,
    ],
  ])
  assert.equal([outcome, ordered, proxy.status, receipt.proved_by], ['replaced', true, 'active', 'tls_handshake'])
  assert.is(proxy.certificate?.fingerprint_sha256, FIRST.fingerprint)
  assert.is(servedFingerprint(deps, DOMAIN), FIRST.fingerprint)
  assert.equal(copiesOf(deps, DOMAIN), [FIRST.fingerprint])
  assert.equal(ledgerText(deps, DOMAIN), { entries: [{ at: START_MS, result: 'issued', lifetime_ms: 90 * DAY_MS }] })
  const { ssl } = await deps.engine.readHealth()
  assert.equal([ssl.last_operation, ssl.last_operation_domain, ssl.last_operation_reason], ['success', DOMAIN, null])
  await deps.engine.idle()
  assertInvariant(deps)
})

test('the longest possible domain gets a certificate too, and its lineage can be moved aside and deleted', async () => {
  const domain = `${'a.'.repeat(123)}example`
  assert.is(domain.length, 253)
  const deps = await fakeDeps()
  await putSecure(deps, 'app', domain)
  const [first, second] = [certificateFor(domain), certificateFor(domain, { fromMs: START_MS - HOUR_MS / 2 })]
  const calls = certbotThatIssues(deps, first, second)
  assert.is((await issue(deps, 'app')).proxy.status, 'active')
  const lineage = lineageNameOf(domain)
  assert.equal(calls[0]?.slice(9, 12), [`--cert-name=${lineage}`, '--renew-with-new-domains', `--domain=${domain}`])
  writeAt(deps.disk, `${CONFIG}/renewal/${lineage}.conf`, '')
  assert.is((await issue(deps, 'app', true)).proxy.status, 'active')
  assert.ok(deps.disk.has(`${CONFIG}/broken-lineages/${lineage}.${deps.clock.nowMs()}/renewal.conf`))
  assert.is(servedFingerprint(deps, domain), second.fingerprint)
  certbotThat(deps, () => ({ exitCode: 1, output: '' }))
  const request = { dropletName: 'app', precondition: {}, deleteCertificate: true }
  assert.is((await deps.engine.deleteProxy(request)).certificateDeleted, true)
  await deps.engine.idle()
  assert.equal(copiesOf(deps, domain), [])
  assertInvariant(deps)
})

test("another CA, other directories and the caller's e-mail are passed on, with the time limits for certbot", async () => {
  const deps = await pending({
    ACME_DIRECTORY_URL: 'https://ca.example/dir',
    CERTBOT_WORK_DIR: '/srv/work',
    CERTBOT_LOGS_DIR: '/srv/log',
    ACME_WEBROOT: '/srv/acme',
  })
  const calls = certbotThatIssues(deps, FIRST)
  const held = holdCertbot(deps)
  held.release()
  await deps.engine.issueCertificate({ dropletName: 'app', email: 'ops@example.com', forceRenew: false })
  const options = ['webroot-path', 'email', 'server', 'work-dir', 'logs-dir'].map((name) =>
    calls[0]?.find((argument) => argument.startsWith(`--${name}=`)),
  )
  assert.equal(options, [
    '--webroot-path=/srv/acme',
    '--email=ops@example.com',
    '--server=https://ca.example/dir',
    '--work-dir=/srv/work',
    '--logs-dir=/srv/log',
  ])
  const [limits] = held.limits
  assert.equal([limits?.timeoutMs, limits?.graceMs], [180_000, 10_000])
})

test('a certificate that is served and not due causes no order, no preflight and no reload', async () => {
  const deps = await secured()
  const calls = certbotThatIssues(deps, SECOND)
  const { reloads } = deps.nginx
  const { ordered, preflight, receipt, outcome } = await issue(deps, 'app')
  assert.equal([outcome, ordered, preflight, receipt.reloaded], ['unchanged', false, [], false])
  assert.equal(calls, [])
  assert.is(deps.nginx.reloads, reloads)
  assert.is(ledgerText(deps, DOMAIN), undefined)
})

test('an existing certificate of a pending route is used without an order', async () => {
  const deps = await pending()
  putLineage(deps.disk, DOMAIN, FIRST)
  const calls = certbotThatIssues(deps, SECOND)
  const { ordered } = await issue(deps, 'app')
  assert.equal([ordered, calls.length, servedFingerprint(deps, DOMAIN)], [false, 0, FIRST.fingerprint])
})

test('with force_renew another one is ordered and served, and the previous copy is removed', async () => {
  const deps = await secured()
  certbotThatIssues(deps, SECOND)
  const { ordered, receipt } = await issue(deps, 'app', true)
  assert.equal([ordered, receipt.proved_by], [true, 'tls_handshake'])
  assert.is(servedFingerprint(deps, DOMAIN), SECOND.fingerprint)
  await deps.engine.idle()
  assert.equal(copiesOf(deps, DOMAIN), [SECOND.fingerprint])
})

test('a certificate with less than a third of its lifetime left is renewed without force_renew', async () => {
  const deps = await secured()
  const renewed = certificateFor(DOMAIN, { fromMs: START_MS + 60 * DAY_MS })
  const calls = certbotThatIssues(deps, renewed)
  await deps.clock.sleep(59 * DAY_MS)
  assert.is((await issue(deps, 'app')).ordered, false)
  await deps.clock.sleep(DAY_MS)
  assert.is((await issue(deps, 'app')).ordered, true)
  assert.is(calls.length, 1)
  assert.is(servedFingerprint(deps, DOMAIN), renewed.fingerprint)
})

test('nothing is ordered for an unknown droplet', async () => {
  const deps = await fakeDeps()
  const calls = certbotThatIssues(deps, FIRST)
  await refusal(issue(deps, 'app'), 'PROXY_NOT_FOUND')
  assert.equal(calls, [])
})

test('a route without HTTPS gets it when its certificate is requested', async () => {
  const deps = await fakeDeps()
  await put(deps, 'app', DOMAIN, 8001)
  certbotThatIssues(deps, FIRST)
  const { proxy } = await issue(deps, 'app')
  assert.equal([proxy.enable_ssl, proxy.ssl_enabled, proxy.status], [true, true, 'active'])
})

test('without certbot no failure is counted, and the answer says what to install', async () => {
  const deps = await pending()
  deps.disk.delete('/usr/bin/certbot')
  const error = await refusal(issue(deps, 'app'), 'SSL_UNAVAILABLE')
  assert.equal([error.details.reason, error.details.culprit], ['certbot_missing', 'host'])
  assert.match(String(error.details.remedy), /^Install certbot/)
  assert.is(ledgerText(deps, DOMAIN), undefined)
  await assertStillPending(deps)
})

test.run()

const together = suite('obtain: concurrent calls')

together('calls for one droplet share one order and one answer', async () => {
  const deps = await pending()
  const calls = certbotThatIssues(deps, FIRST, SECOND)
  const held = holdCertbot(deps)
  const answers = [issue(deps, 'app'), issue(deps, 'app'), issue(deps, 'app')]
  await held.started
  answers.push(issue(deps, 'app'))
  held.release()
  const issued = await Promise.all(answers)
  assert.is(calls.length, 1)
  assert.equal([...new Set(issued.map(({ receipt }) => receipt.generation))], [2])
  assert.is(servedFingerprint(deps, DOMAIN), FIRST.fingerprint)
})

together(
  'calls for several routes of a domain share one order, for the names of the one with the server blocks',
  async () => {
    const deps = await pending()
    await put(deps, 'api', DOMAIN, 8002, true, '/api')
    await put(deps, 'docs', DOMAIN, 8003, true, '/docs')
    const calls = certbotThatIssues(deps, FIRST, SECOND)
    const held = holdCertbot(deps)
    const answers = [issue(deps, 'api'), issue(deps, 'docs'), issue(deps, 'app')]
    await held.started
    assert.is((await deps.engine.getProxy('docs')).ssl_order?.state, 'running')
    held.release()
    const issued = await Promise.all(answers)
    assert.is(calls.length, 1)
    for (const { proxy, ordered } of issued) {
      assert.ok(ordered)
      assert.equal([proxy.domain, proxy.ssl_enabled], [DOMAIN, true])
      assert.is(proxy.certificate?.fingerprint_sha256, FIRST.fingerprint)
    }
    assert.is(servedFingerprint(deps, DOMAIN), FIRST.fingerprint)
    await deps.engine.idle()
    assertInvariant(deps)
    assert.is((await issue(deps, 'docs')).ordered, false)
  },
)

together('a failure is shared as well, and the next call makes another order', async () => {
  const deps = await pending({ SSL_PREFLIGHT: 'off' })
  const calls = certbotThat(deps, failing(deps, 'caa'), issuing(deps, FIRST))
  const failed = [issue(deps, 'app'), issue(deps, 'app')].map((answer) => refusal(answer, 'SSL_ISSUANCE_FAILED'))
  await Promise.all(failed)
  assert.is(calls.length, 1)
  assert.is((await issue(deps, 'app')).ordered, true)
  assert.is(calls.length, 2)
})

together('one certbot runs at a time, however the previous one ends', async () => {
  const deps = await fakeDeps()
  const names = ['a', 'b', 'c', 'd']
  for (const name of names) await putSecure(deps, name, `${name}.example.com`)
  deps.nginx.certbot = (args) => {
    const domain = args.find((argument) => argument.startsWith('--domain='))?.slice(9) ?? ''
    return domain.startsWith('b') ? failing(deps, 'caa')() : issuing(deps, certificateFor(domain))(args)
  }
  const held = holdCertbot(deps)
  const answers = names.map((name) => issue(deps, name))
  await held.started
  held.release()
  const results = await Promise.allSettled(answers)
  assert.is(held.most, 1)
  assert.equal(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
  )
})

together('a route shows that its order waits, and where, until it is served', async () => {
  const deps = await pending()
  await putSecure(deps, 'other', 'other.example.com')
  certbotThat(deps, (args) => issuing(deps, args.includes(`--domain=${DOMAIN}`) ? FIRST : OTHER)(args))
  const held = holdCertbot(deps)
  const orderOf = async (name: string) => (await deps.engine.getProxy(name)).ssl_order
  assert.is(await orderOf('app'), undefined)
  const answers = [issue(deps, 'app'), issue(deps, 'other')]
  await held.started
  await settled()
  assert.equal(await orderOf('app'), { state: 'running', position: 0 })
  assert.equal(await orderOf('other'), { state: 'waiting', position: 1 })
  assert.equal(
    (await deps.engine.listProxies()).map(({ ssl_order }) => ssl_order?.position),
    [0, 1],
  )
  assert.is((await deps.engine.readHealth()).ssl.orders_waiting, 1)
  held.release()
  for (const { proxy } of await Promise.all(answers))
    assert.equal([proxy.status, proxy.ssl_order], ['active', undefined])
  assert.equal([await orderOf('app'), (await deps.engine.readHealth()).ssl.orders_waiting], [undefined, 0])
})

together(
  'callers that have gone take an order with them that has not begun, unless another caller shares it',
  async () => {
    const deps = await pending()
    for (const name of ['left', 'shared']) await putSecure(deps, name, `${name}.example.com`)
    deps.nginx.certbot = (args) => {
      const domain = args.find((argument) => argument.startsWith('--domain='))?.slice(9) ?? ''
      return issuing(deps, domain === DOMAIN ? FIRST : certificateFor(domain))(args)
    }
    const held = holdCertbot(deps)
    const callers = new AbortController()
    const call = (dropletName: string) =>
      deps.engine.issueCertificate({ dropletName, forceRenew: false, signal: callers.signal })
    const running = call('app')
    await held.started
    const left = [call('left'), call('left')].map((answer) => refusal(answer, 'BUSY'))
    const shared = [call('shared'), issue(deps, 'shared')]
    await settled()
    callers.abort()
    held.release()
    assert.match((await Promise.all(left)).map(({ message }) => message).join(), /nothing was ordered/)
    for (const { proxy } of await Promise.all([running, ...shared])) assert.is(proxy.status, 'active')
    assert.is(countEffects(deps, RUNS), 2)
    assert.equal(
      [(await deps.engine.getProxy('left')).status, ledgerText(deps, 'left.example.com')],
      ['pending_ssl', undefined],
    )
  },
)

together('an order that its budget forbids is refused at once, without waiting for others', async () => {
  const deps = await pending({ SSL_PREFLIGHT: 'off' })
  await putSecure(deps, 'other', 'other.example.com')
  certbotThat(deps, failing(deps, 'caa'))
  for (let tries = 0; tries < 3; tries++) await refusal(issue(deps, 'app'), 'SSL_ISSUANCE_FAILED')
  const held = holdCertbot(deps)
  const other = refusal(issue(deps, 'other'), 'SSL_ISSUANCE_FAILED')
  await held.started
  await refusal(issue(deps, 'app'), 'SSL_RATE_LIMITED')
  held.release()
  await other
})

together('while an order runs, other changes are served', async () => {
  const deps = await pending()
  certbotThatIssues(deps, FIRST)
  const held = holdCertbot(deps)
  const answer = issue(deps, 'app')
  await held.started
  await put(deps, 'other', 'other.example.com', 8002)
  assert.is(servedPort(deps, 'other.example.com'), 8002)
  held.release()
  assert.is((await answer).proxy.status, 'active')
})

together(
  'a route that is deleted during an order stays deleted, and the answer says so, whether the order succeeds or fails',
  async () => {
    for (const end of [
      issuing,
      () => (): RunResult => ({ exitCode: 1, output: captured('challenge-not-found').output }),
    ]) {
      const deps = await pending()
      certbotThat(deps, end(deps, FIRST))
      const held = holdCertbot(deps)
      const answer = refusal(issue(deps, 'app'), 'PROXY_NOT_FOUND')
      await held.started
      await remove(deps, 'app')
      held.release()
      assert.match((await answer).message, /deleted/)
      await deps.engine.idle()
      assert.is(servedPort(deps, DOMAIN), undefined)
      assert.equal(copiesOf(deps, DOMAIN), [])
      assertInvariant(deps)
    }
  },
)

together(
  'a route that moves to another domain during an order does not get the certificate of the previous one',
  async () => {
    for (const end of [issuing, failing]) {
      const deps = await pending()
      certbotThat(deps, end === issuing ? issuing(deps, FIRST) : failing(deps, 'challenge-not-found'))
      const held = holdCertbot(deps)
      const answer = refusal(issue(deps, 'app'), 'PRECONDITION_FAILED')
      await held.started
      await putSecure(deps, 'app', 'moved.example.com')
      held.release()
      const { details } = await answer
      assert.equal([details.domain, details.certificate_for], ['moved.example.com', DOMAIN])
      assert.is((await deps.engine.getProxy('app')).status, 'pending_ssl')
      assert.is(servedFingerprint(deps, 'moved.example.com'), undefined)
    }
  },
)

together(
  'DELETE with its certificate waits for the order of another route, and does not delete what is in use again',
  async () => {
    const deps = await secured()
    await putSecure(deps, 'slow', 'slow.example.com')
    deps.nginx.certbot = (args) =>
      args[0] === 'delete' ? { exitCode: 1, output: '' } : issuing(deps, certificateFor('slow.example.com'))(args)
    const held = holdCertbot(deps)
    const slow = issue(deps, 'slow')
    await held.started
    const deleted = deps.engine.deleteProxy({ dropletName: 'app', precondition: {}, deleteCertificate: true })
    await deps.engine.idle()
    assert.is(servedPort(deps, DOMAIN), undefined)
    assert.is((await putSecure(deps, 'again', DOMAIN)).proxy.status, 'active')
    held.release()
    await slow
    assert.is((await deleted).certificateDeleted, false)
    assert.equal(copiesOf(deps, DOMAIN), [FIRST.fingerprint])
    assert.ok(deps.disk.has(`${CONFIG}/live/${DOMAIN}/privkey.pem`))
  },
)

together.run()

const passing = suite('obtain: transient failures')

passing("certbot's lock is waited for, and no failure is counted", async () => {
  const deps = await pending()
  const busy = failing(deps, 'busy')
  const calls = certbotThat(deps, busy, busy, issuing(deps, FIRST))
  assert.is((await issue(deps, 'app')).ordered, true)
  assert.is(calls.length, 3)
  assert.is(deps.clock.nowMs(), START_MS + 8000)
  assert.equal(ledgerText(deps, DOMAIN), {
    entries: [{ at: START_MS + 8000, result: 'issued', lifetime_ms: 90 * DAY_MS }],
  })
})

passing('a lock that stays is reported after half a minute, and is not counted', async () => {
  const deps = await pending()
  const calls = certbotThat(deps, failing(deps, 'busy'))
  for (let tries = 1; tries <= 4; tries++) {
    const { details } = await refusal(issue(deps, 'app'), 'SSL_ISSUANCE_FAILED')
    assert.equal([details.reason, details.culprit, details.retryable], ['busy', 'host', true])
    assert.is(calls.length, 8 * tries)
  }
  assert.is(deps.clock.nowMs(), START_MS + 4 * 28_000)
  assert.equal(failuresOf(deps, DOMAIN).counted, [])
  assert.ok(failuresOf(deps, DOMAIN).uncounted.length > 0)
  await assertStillPending(deps)
})

passing('a rejected nonce is tried again at once, as the protocol requires', async () => {
  const deps = await pending()
  const calls = certbotThat(
    deps,
    failing(deps, 'refused-nonce-account'),
    failing(deps, 'refused-nonce'),
    issuing(deps, FIRST),
  )
  assert.is((await issue(deps, 'app')).ordered, true)
  assert.equal([calls.length, deps.clock.nowMs()], [3, START_MS])
})

passing('a CA that rejects every nonce is reported as such, and is not counted', async () => {
  const deps = await pending()
  const calls = certbotThat(deps, failing(deps, 'refused-nonce'))
  const { details } = await refusal(issue(deps, 'app'), 'SSL_ISSUANCE_FAILED')
  assert.equal([details.reason, details.culprit, calls.length], ['bad_nonce', 'ca', 8])
  assert.equal(failuresOf(deps, DOMAIN).counted, [])
  assert.ok(failuresOf(deps, DOMAIN).uncounted.length > 0)
})

passing.run()

const closing = suite('obtain: once the engine is closed')

/** What an order leaves on disk: its entry, and what health tells of the last one. */
const notesOf = (deps: FakeDeps) => [ledgerText(deps, DOMAIN), textAt(deps.disk, `${STATE}/last-certificate.json`)]

closing('an order whose preflight is running is neither made nor recorded', async () => {
  for (const mode of ['warn', 'strict']) {
    const deps = await pending({ SSL_PREFLIGHT: mode })
    const calls = certbotThatIssues(deps, FIRST)
    deps.host.network.lookup = async () => {
      deps.engine.close()
      return []
    }
    await refusal(issue(deps, 'app'), 'BUSY')
    assert.equal([calls, notesOf(deps)], [[], [undefined, undefined]])
  }
})

closing('an order that waits for its turn has no preflight either', async () => {
  const deps = await pending()
  await putSecure(deps, 'other', 'other.example.com')
  certbotThat(deps, failing(deps, 'caa'))
  const held = holdCertbot(deps)
  const first = refusal(issue(deps, 'app'), 'BUSY')
  await held.started
  const second = refusal(issue(deps, 'other'), 'BUSY')
  deps.engine.close()
  const effects = deps.effects.journal.length
  held.release()
  await Promise.all([first, second])
  assert.equal(
    deps.effects.journal.slice(effects).map(({ verb, subject }) => `${verb} ${subject.slice(0, 16)}`),
    ['run /usr/bin/certbot'],
  )
})

closing("certbot's lock is not waited for any longer", async () => {
  const deps = await pending()
  const calls = certbotThat(deps, failing(deps, 'busy'))
  const { sleep } = deps.host.clock
  deps.host.clock.sleep = async (ms) => {
    deps.engine.close()
    await sleep(ms)
  }
  const { message, retryAfterS } = await refusal(issue(deps, 'app'), 'BUSY')
  assert.equal([calls.length, message, retryAfterS], [1, 'Proxy Manager is stopping', 2])
})

const ENDINGS: Readonly<Record<string, (deps: FakeDeps) => (args: readonly string[]) => RunResult>> = {
  'a certificate': (deps) => issuing(deps, FIRST),
  'a failure': (deps) => failing(deps, 'challenge-not-found'),
  'a lock that another process holds': (deps) => failing(deps, 'busy'),
}

for (const [what, end] of Object.entries(ENDINGS)) {
  closing(`${what} is left to the next process: nothing is recorded, and its challenges stay`, async () => {
    const deps = await pending()
    const calls = certbotThat(deps, end(deps))
    const held = holdCertbot(deps)
    const answer = refusal(issue(deps, 'app'), 'BUSY')
    await held.started
    deps.engine.close()
    const notes = notesOf(deps)
    writeAt(deps.disk, `${CHALLENGES}/of-the-next-process`, 'x')
    held.release()
    await answer
    assert.is(calls.length, 1)
    assert.equal(notesOf(deps), notes)
    assert.equal(notes, [{ entries: [{ at: START_MS, result: 'failed', reason: 'interrupted' }] }, undefined])
    assert.equal(deps.host.files.list(CHALLENGES), ['of-the-next-process'])
  })
}

closing.run()

const failures = suite('obtain: failures')

interface Failure {
  readonly reason: string
  readonly code?: ErrorCode
  readonly exitCode?: number
  readonly culprit?: string
  readonly counted: boolean
}

const FAILURES: Readonly<Record<string, Failure>> = {
  'challenge-not-found': { reason: 'unreachable', counted: true, culprit: 'caller' },
  'connection-refused': { reason: 'unreachable', counted: true, culprit: 'caller' },
  'dns-no-address': { reason: 'dns', counted: true, culprit: 'caller' },
  caa: { reason: 'caa', counted: true, culprit: 'caller' },
  'rejected-identifier': { reason: 'rejected', counted: true, culprit: 'caller' },
  'contact-refused': { reason: 'account', counted: false, culprit: 'caller' },
  'ca-down': { reason: 'ca_down', counted: false },
  'ca-overloaded': { reason: 'ca_down', counted: false },
  'disk-full': { reason: 'disk', counted: false, culprit: 'host' },
  killed: { reason: 'interrupted', exitCode: 137, counted: true, culprit: 'host' },
}

for (const [name, { reason, exitCode = 1, culprit = 'ca', counted }] of Object.entries(FAILURES)) {
  failures(
    `${name}: reported with its reason and remedy, HTTP continues, ${counted ? 'counted' : 'not counted'}`,
    async () => {
      const deps = await pending()
      certbotThat(deps, failing(deps, name, exitCode))
      const { message, details } = await refusal(issue(deps, 'app'), 'SSL_ISSUANCE_FAILED')
      assert.equal([details.domain, details.reason, details.culprit], [DOMAIN, reason, culprit])
      assert.equal([details.stage, details.state], ['issue', 'unchanged'])
      assert.is(message, `The certificate was not issued: ${details.said}`)
      assert.ok(String(details.remedy).length > 30)
      assert.not.match(JSON.stringify([message, details]), /\/srv\//)
      const entry = { at: START_MS, result: 'failed', reason, said: details.said }
      assert.equal(ledgerText(deps, DOMAIN), { entries: [counted ? entry : { ...entry, uncounted: true }] })
      const { ssl } = await deps.engine.readHealth()
      assert.equal([ssl.last_operation, ssl.last_operation_reason], ['failure', `${reason}: ${details.said}`])
      await assertStillPending(deps)
    },
  )
}

failures('a timeout of certbot is reported as such', async () => {
  const deps = await pending()
  certbotThat(deps, failing(deps, 'killed', 124))
  const { details } = await refusal(issue(deps, 'app'), 'SSL_ISSUANCE_FAILED')
  assert.equal([details.reason, details.culprit, details.said], ['timed_out', 'host', 'certbot did not end in time'])
  await assertStillPending(deps)
})

failures(
  'a failure is shown with the route, with the time of the next attempt, until there is a certificate',
  async () => {
    const deps = await pending({ SSL_PREFLIGHT: 'off' })
    certbotThat(deps, failing(deps, 'caa'), issuing(deps, FIRST))
    await refusal(issue(deps, 'app'), 'SSL_ISSUANCE_FAILED')
    assert.equal((await deps.engine.getProxy('app')).ssl_error, {
      reason: 'caa',
      message: 'CAA record for c.example.com prevents issuance',
      at: '2026-01-01T00:00:00.000Z',
      // Nothing tries by itself here, and a call may come at once.
      next_attempt_at: '2026-01-01T00:00:00.000Z',
    })
    assert.is((await issue(deps, 'app')).proxy.ssl_error, undefined)
  },
)

failures('challenges that a killed certbot leaves behind are removed; files of others stay', async () => {
  const deps = await pending()
  const challenge = (token: string) => writeAt(deps.disk, `${CHALLENGES}/${token}`, `${token}.${'t'.repeat(43)}`)
  challenge('of-the-timer')
  certbotThat(deps, () => {
    challenge('left-behind')
    writeAt(deps.disk, `${CHALLENGES}/dump.sql`, 'x')
    writeAt(deps.disk, `${CHALLENGES}/a-folder/b`, 'x')
    deps.disk.set(`${CHALLENGES}/a-folder`, { kind: 'folder' })
    return failing(deps, 'killed', 137)()
  })
  await refusal(issue(deps, 'app'), 'SSL_ISSUANCE_FAILED')
  assert.equal(deps.host.files.list(CHALLENGES).toSorted(), ['a-folder', 'dump.sql', 'of-the-timer'])
  assert.is(textAt(deps.disk, `${CHALLENGES}/a-folder/b`), 'x')
})

for (const SSL_PREFLIGHT of ['off', 'warn', 'certain', 'strict'])
  failures(
    `with SSL_PREFLIGHT=${SSL_PREFLIGHT}, certbot is not run on a webroot in which a symlink leads elsewhere`,
    async () => {
      const deps = await pending({ SSL_PREFLIGHT })
      deps.disk.set(CHALLENGES.slice(0, CHALLENGES.lastIndexOf('/')), { kind: 'link', target: '/root/closed' })
      certbotThat(deps, issuing(deps, FIRST))
      const { details, message } = await refusal(issue(deps, 'app'), 'SSL_ISSUANCE_FAILED')
      assert.equal([details.reason, details.culprit, details.state], ['webroot', 'host', 'unchanged'])
      assert.is(message, 'No certificate was ordered: .well-known in the webroot is a symlink')
      await assertStillPending(deps)
    },
  )

failures('a limit of yesterday in a log that is appended to does not explain a failure of today', async () => {
  const deps = await pending()
  const today = failing(deps, 'caa')
  certbotThat(deps, () => {
    const yesterday = failing(deps, 'rate-limited-failures')
    yesterday()
    const former = textAt(deps.disk, '/srv/log/letsencrypt.log') ?? ''
    const result = today()
    writeAt(deps.disk, '/srv/log/letsencrypt.log', former + (textAt(deps.disk, '/srv/log/letsencrypt.log') ?? ''))
    return result
  })
  const { details } = await refusal(issue(deps, 'app'), 'SSL_ISSUANCE_FAILED')
  assert.is(details.reason, 'caa')
})

const NO_CERTIFICATES: Readonly<Record<string, readonly [said: RegExp, run: (deps: FakeDeps) => RunResult]>> = {
  'without a certificate': [
    /there is no new certificate$/,
    () => ({ exitCode: 0, output: captured('not-yet-due').output }),
  ],
  'with a certificate for another name': [
    /for another name/,
    ({ disk }) => issued(() => putLineage(disk, DOMAIN, certificateFor('other.example.com'))),
  ],
  'with the key of another certificate': [
    /belongs to another certificate/,
    ({ disk }) =>
      issued(() => putLineage(disk, DOMAIN, { ...SECOND, privkey: certificateFor(DOMAIN, { number: 3 }).privkey })),
  ],
  'with a certificate that has expired': [
    /has expired/,
    ({ disk }) =>
      issued(() => putLineage(disk, DOMAIN, certificateFor(DOMAIN, { fromMs: START_MS - 7 * DAY_MS, days: 6 }))),
  ],
  'with a certificate without its chain': [
    /chain is not complete/,
    ({ disk }) => issued(() => putLineage(disk, DOMAIN, { ...SECOND, fullchain: SECOND.cert })),
  ],
  'in a lineage of another domain': [
    /there is no new certificate$/,
    ({ disk }) => issued(() => putLineage(disk, 'other.example.com', SECOND)),
  ],
}

function issued(effect: () => void): RunResult {
  effect()
  return { exitCode: 0, output: captured('issued').output }
}

for (const [what, [said, run]] of Object.entries(NO_CERTIFICATES)) {
  failures(`certbot that succeeds ${what} has failed: nothing is deployed, and the failure counts`, async () => {
    const deps = await pending()
    certbotThat(deps, () => run(deps))
    const error = await refusal(issue(deps, 'app'), 'SSL_ISSUANCE_FAILED')
    assert.is(error.details.reason, 'unknown')
    assert.match(String(error.details.said), said)
    assert.match(JSON.stringify(ledgerText(deps, DOMAIN)), /"result":"failed"/)
    await assertStillPending(deps)

    const before = await secured()
    certbotThat(before, () => run(before))
    await refusal(issue(before, 'app', true), 'SSL_ISSUANCE_FAILED')
    await before.engine.idle()
    assert.is(servedFingerprint(before, DOMAIN), FIRST.fingerprint)
    assert.equal(copiesOf(before, DOMAIN), [FIRST.fingerprint])
    assertInvariant(before)
  })
}

failures('a certificate that NGINX does not serve after the reload is rolled back: HTTP continues', async () => {
  for (const shown of [{ fingerprint: '0'.repeat(64) }, { failure: 'ECONNREFUSED' }]) {
    const deps = await pending()
    certbotThatIssues(deps, FIRST)
    deps.host.probe.handshake = async () => shown
    const { details } = await refusal(issue(deps, 'app'), 'NGINX_RELOAD_FAILED')
    assert.equal([details.reason, details.state], ['wrong_certificate', 'rolled_back'])
    await deps.engine.idle()
    assert.is(servedFingerprint(deps, DOMAIN), undefined)
    assert.is(servedPort(deps, DOMAIN), 8001)
    assert.is((await deps.engine.getProxy('app')).status, 'pending_ssl')
    assertInvariant(deps)
  }
})

failures('a renewal that NGINX does not serve is rolled back: the previous certificate is served', async () => {
  const deps = await secured()
  certbotThatIssues(deps, SECOND)
  deps.host.probe.handshake = async () => ({ fingerprint: FIRST.fingerprint })
  const { details } = await refusal(issue(deps, 'app', true), 'NGINX_RELOAD_FAILED')
  assert.equal([details.reason, details.state], ['wrong_certificate', 'rolled_back'])
  await deps.engine.idle()
  assert.is(servedFingerprint(deps, DOMAIN), FIRST.fingerprint)
  assert.ok(copiesOf(deps, DOMAIN).includes(FIRST.fingerprint))
  assertInvariant(deps)
})

failures('an order that cannot be recorded is not made', async () => {
  const deps = await pending({ SSL_PREFLIGHT: 'off' })
  const calls = certbotThatIssues(deps, FIRST)
  deps.effects.arrange({ at: 1, kind: 'error', code: 'ENOSPC' })
  const { details } = await refusal(issue(deps, 'app'), 'CONFIG_WRITE_FAILED')
  assert.equal([details.errno, details.stage, details.state], ['ENOSPC', 'issue', 'unchanged'])
  assert.equal(calls, [])
})

failures(
  'a certificate is deployed even if its order cannot be recorded as done; the order counts as a failure then',
  async () => {
    const deps = await pending({ SSL_PREFLIGHT: 'off' })
    certbotThat(deps, (args) => {
      deps.effects.arrange({ at: 1, kind: 'error', code: 'EIO' })
      return issuing(deps, FIRST)(args)
    })
    assert.is((await issue(deps, 'app')).proxy.status, 'active')
    assert.equal(ledgerText(deps, DOMAIN), { entries: [{ at: START_MS, result: 'failed', reason: 'interrupted' }] })
    assert.ok(deps.lines.some(({ action, result }) => action === 'end_order' && result === 'failure'))
  },
)

failures.run()

const limits = suite('obtain: limits')

limits(
  'after three failures within an hour nothing is ordered, the answer says until when, also after a restart',
  async () => {
    const deps = await pending()
    const calls = certbotThat(deps, failing(deps, 'challenge-not-found'))
    for (let tries = 0; tries < 3; tries++) {
      await refusal(issue(deps, 'app'), 'SSL_ISSUANCE_FAILED')
      await deps.clock.sleep(60_000)
    }
    const asked = countEffects(deps, RUNS)
    for (const force of [false, true]) {
      const error = await refusal(issue(deps, 'app', force), 'SSL_RATE_LIMITED')
      assert.is(error.retryAfterS, 57 * 60)
      assert.equal(
        [error.details.reason, error.details.retry_at, error.details.domain],
        ['rate_limited', '2026-01-01T01:00:00.000Z', DOMAIN],
      )
    }
    assert.is(countEffects(deps, RUNS), asked)
    const next = await restartedNow(deps)
    await refusal(issue(next, 'app'), 'SSL_RATE_LIMITED')
    assert.is(calls.length, 3)
    certbotThatIssues(next, FIRST)
    await next.clock.sleep(57 * 60_000)
    assert.is((await issue(next, 'app')).proxy.status, 'active')
  },
)

limits('after three certificates within a week no fourth is ordered, not even with force_renew', async () => {
  const deps = await secured()
  const calls = certbotThatIssues(
    deps,
    ...[1, 2, 3].map((n) => certificateFor(DOMAIN, { fromMs: START_MS - HOUR_MS / 2 + n * 1000 })),
  )
  for (let tries = 0; tries < 3; tries++) await issue(deps, 'app', true)
  const error = await refusal(issue(deps, 'app', true), 'SSL_RATE_LIMITED')
  assert.is(error.retryAfterS, (7 * DAY_MS) / 1000)
  assert.is(calls.length, 3)
  // What is there goes on being served, and being answered for.
  assert.is((await issue(deps, 'app')).ordered, false)
})

limits('the limit of one name does not affect another', async () => {
  const deps = await pending({ SSL_PREFLIGHT: 'off' })
  certbotThat(deps, failing(deps, 'caa'))
  for (let tries = 0; tries < 3; tries++) await refusal(issue(deps, 'app'), 'SSL_ISSUANCE_FAILED')
  await putSecure(deps, 'other', 'other.example.com')
  certbotThatIssues(deps, certificateFor('other.example.com'))
  assert.is((await issue(deps, 'other')).ordered, true)
  await refusal(issue(deps, 'app'), 'SSL_RATE_LIMITED')
})

limits("the CA's own limit is reported with its time and respected, also after a restart", async () => {
  const deps = await pending()
  await deps.clock.sleep(Date.parse('2026-12-01T09:20:30.000Z') - START_MS)
  const calls = certbotThat(deps, failing(deps, 'rate-limited-certificates'))
  const first = await refusal(issue(deps, 'app'), 'SSL_RATE_LIMITED')
  assert.is(first.retryAfterS, 3600)
  assert.is(first.details.retry_at, '2026-12-01T10:20:30.000Z')
  assert.match(String(first.details.said), /^too many certificates \(5\) already issued/)
  assert.equal(failuresOf(deps, DOMAIN), { counted: [], uncounted: ['rate_limited'] })
  await refusal(issue(deps, 'app', true), 'SSL_RATE_LIMITED')
  const next = await restartedNow(deps)
  await next.clock.sleep(3599_000)
  assert.is((await refusal(issue(next, 'app'), 'SSL_RATE_LIMITED')).retryAfterS, 1)
  assert.is(calls.length, 1)
  const later = certificateFor(DOMAIN, { fromMs: Date.parse('2026-12-01T09:00:00.000Z') })
  certbotThatIssues(next, later)
  await next.clock.sleep(1000)
  assert.is((await issue(next, 'app')).proxy.certificate?.fingerprint_sha256, later.fingerprint)
})

limits('a limit without a time is respected for an hour', async () => {
  const deps = await pending()
  const { output } = captured('rate-limited-certificates')
  const calls = certbotThat(deps, () => ({
    exitCode: 1,
    output: `${output}\nacme.messages.Error: urn:ietf:params:acme:error:rateLimited :: x :: too many`,
  }))
  assert.is((await refusal(issue(deps, 'app'), 'SSL_RATE_LIMITED')).retryAfterS, 3600)
  await deps.clock.sleep(HOUR_MS - 1)
  await refusal(issue(deps, 'app'), 'SSL_RATE_LIMITED')
  assert.is(calls.length, 1)
  await deps.clock.sleep(1)
  await refusal(issue(deps, 'app'), 'SSL_RATE_LIMITED')
  assert.is(calls.length, 2)
})

limits('an order during which the process ended counts as a failure after the restart', async () => {
  let deps = await pending()
  for (let tries = 1; tries <= 3; tries++) {
    const held = holdCertbot(deps)
    void issue(deps, 'app')
    await held.started
    // Nothing of the former process goes on: its certbot never ends.
    deps = await restartedNow(deps)
    const { ssl_error: sslError } = await deps.engine.getProxy('app')
    assert.equal([sslError?.reason, sslError?.at], ['interrupted', '2026-01-01T00:00:00.000Z'])
  }
  const calls = certbotThatIssues(deps, FIRST)
  await refusal(issue(deps, 'app'), 'SSL_RATE_LIMITED')
  assert.equal(calls, [])
  await assertStillPending(deps)
})

limits('a damaged ledger does not prevent an order', async () => {
  const deps = await pending()
  writeAt(deps.disk, `${STATE}/orders/${DOMAIN}.json`, '{"entries":')
  certbotThatIssues(deps, FIRST)
  assert.is((await issue(deps, 'app')).proxy.status, 'active')
  assert.equal(ledgerText(deps, DOMAIN), { entries: [{ at: START_MS, result: 'issued', lifetime_ms: 90 * DAY_MS }] })
})

limits.run()

const looking = suite('obtain: preflight')

const unreachable = { check: 'dns', domain: DOMAIN, ok: false, detail: `${DOMAIN} does not resolve` }
const noCaa = { check: 'caa', domain: DOMAIN, ok: true, detail: 'no CAA records' }

looking('strict rejects an order before it is made, and no failure is counted by the CA', async () => {
  const deps = await pending({ SSL_PREFLIGHT: 'strict' })
  const calls = certbotThatIssues(deps, FIRST)
  const { message, details } = await refusal(issue(deps, 'app'), 'SSL_ISSUANCE_FAILED')
  assert.is(message, `No certificate was ordered: ${DOMAIN} does not resolve`)
  assert.equal([details.reason, details.culprit, details.preflight], ['dns', 'caller', [unreachable, noCaa]])
  assert.match(String(details.remedy), /A \(or AAAA\) record/)
  assert.is(calls.length, 0)
  // Nothing of a budget, and a pause before the next try by itself.
  assert.equal(failuresOf(deps, DOMAIN), { counted: [], uncounted: ['dns'] })
  await assertStillPending(deps)
})

looking('strict permits an order if every check passes', async () => {
  const deps = await pending({ SSL_PREFLIGHT: 'strict' })
  deps.names.hosts.set(DOMAIN, ['192.0.2.10'])
  certbotThatIssues(deps, FIRST)
  const { preflight, proxy } = await issue(deps, 'app')
  assert.is(proxy.status, 'active')
  assert.equal(
    preflight.map(({ check, ok }) => [check, ok]),
    [
      ['dns', true],
      ['challenge', true],
      ['caa', true],
    ],
  )
})

looking(
  'by default, what DNS or CAA makes certain is refused: NXDOMAIN, SERVFAIL, records that do not allow the CA',
  async () => {
    const causes: Readonly<Record<string, (deps: FakeDeps) => unknown>> = {
      NXDOMAIN: ({ names }) => names.denied.set(DOMAIN, ['ENOTFOUND', 'ENOTFOUND']),
      SERVFAIL: ({ names }) => names.denied.set(DOMAIN, ['ESERVFAIL', 'ESERVFAIL']),
      'allow no CA': ({ host, names }) => {
        names.hosts.set(DOMAIN, ['192.0.2.10'])
        host.network.caaRecords = async () => [{ tag: 'issue', value: ';' }]
      },
    }
    for (const [word, cause] of Object.entries(causes)) {
      const deps = await pending()
      const calls = certbotThatIssues(deps, FIRST)
      cause(deps)
      const { status, message, details } = await refusal(issue(deps, 'app'), 'SSL_ISSUANCE_FAILED')
      const reason = word === 'allow no CA' ? 'caa' : 'dns'
      assert.equal([status, details.reason, details.culprit, calls.length], [422, reason, 'caller', 0])
      assert.match(message, new RegExp(`^No certificate was ordered: .*${word}$`))
      assert.match(String(details.remedy), /SSL_PREFLIGHT=warn$/)
      assert.equal(failuresOf(deps, DOMAIN), { counted: [], uncounted: [reason] })
      const request = { dropletName: 'app', forceRenew: false }
      await refusal(deps.engine.dryRunIssue(request), 'SSL_ISSUANCE_FAILED')
    }
  },
)

looking('by default, what may look different from outside is reported, and the order is made', async () => {
  const deps = await pending()
  deps.names.hosts.set(DOMAIN, ['203.0.113.7'])
  const { get } = deps.host.probe
  deps.host.probe.get = async (request) => (request.host === DOMAIN ? { failure: 'ETIMEDOUT' } : await get(request))
  certbotThatIssues(deps, FIRST)
  const { preflight, proxy } = await issue(deps, 'app')
  assert.equal(
    [proxy.status, preflight.map(({ check, ok }) => `${check} ${ok}`)],
    ['active', ['dns true', 'challenge false', 'caa true']],
  )
})

looking('warn orders even if the failure is certain', async () => {
  const deps = await pending({ SSL_PREFLIGHT: 'warn' })
  deps.names.denied.set(DOMAIN, ['ENOTFOUND', 'ENOTFOUND'])
  certbotThatIssues(deps, FIRST)
  const [found] = (await issue(deps, 'app')).preflight
  assert.equal([found?.ok, found?.certain], [false, true])
})

looking('warn reports the checks and orders nevertheless; a failure has them, too', async () => {
  const deps = await pending({ SSL_PREFLIGHT: 'warn' })
  certbotThat(deps, failing(deps, 'dns-no-address'), issuing(deps, FIRST))
  const { details } = await refusal(issue(deps, 'app'), 'SSL_ISSUANCE_FAILED')
  assert.equal(details.preflight, [unreachable, noCaa])
  await deps.clock.sleep(60_000)
  assert.equal((await issue(deps, 'app')).preflight, [unreachable, noCaa])
})

looking('off makes no checks', async () => {
  const deps = await pending({ SSL_PREFLIGHT: 'off' })
  certbotThatIssues(deps, FIRST)
  deps.names.hosts.set(DOMAIN, ['192.0.2.10'])
  const { preflight } = await issue(deps, 'app')
  assert.equal(preflight, [])
  assert.is(countEffects(deps, new RegExp(`^probe ${DOMAIN}`)), 0)
})

looking.run()

const ALIASES = ['app.example.net', 'www.app.example.com']
const NAMED = certificateFor(DOMAIN, { aliases: ALIASES })
const alike = suite('obtain: aliases')

alike('one certificate is ordered for all names, and proved for each of them', async () => {
  const deps = await fakeDeps()
  await putSecure(deps, 'app', DOMAIN, ALIASES)
  const calls = certbotThatIssues(deps, NAMED)
  const shaken: string[] = []
  const { handshake } = deps.host.probe
  deps.host.probe.handshake = async (request) => {
    shaken.push(request.serverName)
    return await handshake(request)
  }
  const { proxy, receipt } = await issue(deps, 'app')
  assert.equal(domainsOf(calls[0]), [DOMAIN, ...ALIASES])
  assert.equal([proxy.status, receipt.proved_by], ['active', 'tls_handshake'])
  assert.equal([...new Set(shaken)], [DOMAIN, ...ALIASES])
})

alike('an alias that the certificate does not cover is served over HTTP, while the others stay on HTTPS', async () => {
  const deps = await secured()
  const { proxy, outcome } = await putSecure(deps, 'app', DOMAIN, ALIASES)
  assert.equal([outcome, proxy.status, proxy.ssl_enabled], ['replaced', 'pending_ssl', true])
  assert.is(servedFingerprint(deps, DOMAIN), FIRST.fingerprint)
  const text = textAt(deps.disk, '/etc/nginx/sites-enabled/fpai-app.conf') ?? ''
  assert.match(text, `server_name ${ALIASES.join(' ')};`)
  assert.match(text, `return 308 https://${DOMAIN}$request_uri;`)

  const calls = certbotThatIssues(deps, NAMED)
  const issued = await issue(deps, 'app')
  assert.equal([issued.ordered, issued.proxy.status], [true, 'active'])
  assert.equal(domainsOf(calls[0]), [DOMAIN, ...ALIASES])
  assert.is(servedFingerprint(deps, DOMAIN), NAMED.fingerprint)
  assert.is((await issue(deps, 'app')).ordered, false)
})

alike('a certificate for more names than the route has is used', async () => {
  const deps = await fakeDeps()
  putLineage(deps.disk, DOMAIN, NAMED)
  const { proxy } = await putSecure(deps, 'app', DOMAIN, ALIASES.slice(1))
  assert.is(proxy.status, 'active')
  assert.is((await issue(deps, 'app')).ordered, false)
})

function domainsOf(args: readonly string[] | undefined): readonly string[] {
  return (args ?? []).flatMap((argument) => (argument.startsWith('--domain=') ? [argument.slice(9)] : []))
}

alike.run()

const taken = suite('obtain: a taken port')

taken(
  'if something else holds the HTTPS port, no order is made, and the route stays on HTTP and can be changed',
  async () => {
    const holders = [['0.0.0.0'], ['192.0.2.10'], ['0000:0000:0000:0000:0000:0000:0000:0000']]
    for (const holder of holders) {
      const deps = await pending()
      deps.host.network.listeners = (port) => (port === 443 ? holder : [])
      const calls = certbotThatIssues(deps, FIRST)
      const { reloads } = deps.nginx
      for (const call of [
        () => issue(deps, 'app'),
        () => deps.engine.dryRunIssue({ dropletName: 'app', forceRenew: false }),
      ]) {
        const error = await refusal(call(), 'SSL_UNAVAILABLE')
        assert.equal(
          [error.details.reason, error.details.culprit, error.details.state],
          ['port_taken', 'host', 'unchanged'],
        )
        assert.match(String(error.details.remedy), /port 443/)
      }
      // A lineage that is there is not switched to, neither by a change nor in the background.
      putLineage(deps.disk, DOMAIN, FIRST)
      await deps.engine.certificates.adoptRenewals()
      await deps.engine.certificates.issuePending()
      await deps.engine.certificates.renewDue()
      assert.equal([calls.length, deps.nginx.reloads], [0, reloads])
      assert.is((await putSecure(deps, 'app', DOMAIN)).proxy.status, 'pending_ssl')
      assert.is((await putSecure(deps, 'app', DOMAIN, ['www.example.net'])).outcome, 'replaced')
      deps.host.network.listeners = () => []
      await deps.host.clock.sleep(61_000)
      await deps.engine.certificates.adoptRenewals()
      assert.is(servedFingerprint(deps, DOMAIN), FIRST.fingerprint)
    }
  },
)

taken("NGINX's own sockets on the HTTPS port are no obstacle", async () => {
  const deps = await secured()
  deps.host.network.listeners = () => ['0.0.0.0', '0000:0000:0000:0000:0000:0000:0000:0000']
  putLineage(deps.disk, DOMAIN, SECOND)
  const { applied } = await issue(deps, 'app').then((issued) => ({ applied: issued.outcome }))
  assert.is(applied, 'replaced')
  assert.is(servedFingerprint(deps, DOMAIN), SECOND.fingerprint)
})

taken('nor are those that it still has while the change that closes them is being made', async () => {
  const deps = await secured()
  deps.host.network.listeners = () =>
    [...deps.nginx.loaded.values()].some((text) => text.includes('listen 443')) ? ['0.0.0.0'] : []
  await putSecure(deps, 'pending', 'pending.example.com')
  // The order begins after the swap, before NGINX is reloaded.
  const { append } = deps.host.files
  const ended = new Promise<string>((resolve) => {
    deps.nginx.certbot = () => {
      resolve('certbot was called')
      return { exitCode: 1, output: 'the CA says no' }
    }
    deps.host.files.append = async (path, text) => {
      if (path.endsWith('/journal')) {
        void issue(deps, 'pending').catch(({ details }) => resolve(details.reason))
        await ended
      }
      await append(path, text)
    }
  })
  await remove(deps, 'app')
  assert.is(await ended, 'certbot was called')
})

taken.run()
