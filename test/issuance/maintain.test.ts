import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import { PORT_TAKEN, refuseNextReload, settled, textAt, writeAt } from '../helpers/arrange.ts'
import {
  certbotThat,
  certbotThatIssues,
  certificateFor,
  copiesOf,
  DAY_MS,
  failing,
  HOUR_MS,
  holdCertbot,
  issue,
  issuing,
  putLineage,
  putSecure,
  restartedNow,
  START_MS,
  STATE,
  servedFingerprint,
} from '../helpers/certbot.ts'
import { assertInvariant, put, remove } from '../helpers/world.ts'

const DOMAIN = 'app.example.com'
const FIRST = certificateFor(DOMAIN)
const SECOND = certificateFor(DOMAIN, { fromMs: START_MS - HOUR_MS / 2 })
const MARK = `${STATE}/renewed`
const MINUTE_MS = 60_000

/** A host whose route `app` serves its first certificate, and whose keeper has looked around once. */
async function secured(settings: Readonly<Record<string, string>> = {}): Promise<FakeDeps> {
  const deps = await fakeDeps({ settings })
  putLineage(deps.disk, DOMAIN, FIRST)
  await putSecure(deps, 'app', DOMAIN)
  await deps.engine.certificates.adoptRenewals()
  return deps
}

function linesOf({ lines }: FakeDeps, wanted: string): readonly (readonly unknown[])[] {
  return lines
    .filter(({ action }) => action === wanted)
    .map(({ level, result, error_code, droplet_name }) => [level, error_code ?? result, droplet_name])
}

const renewal = suite('maintenance: a renewal')

renewal('of a domain with several routes is one order, and is served for all of them', async () => {
  const deps = await secured()
  await put(deps, 'api', DOMAIN, 8002, true, '/api')
  await put(deps, 'app', DOMAIN, 8001)
  assert.is(servedFingerprint(deps, DOMAIN), undefined)
  const spec = { domain: DOMAIN, path: '/api', upstream_host: 'localhost', upstream_port: 8002, require_healthy: false }
  const changed = {
    dropletName: 'api',
    spec: { ...spec, enable_ssl: true },
    mode: 'replace',
    precondition: {},
  } as const
  assert.is((await deps.engine.putProxy(changed)).proxy.ssl_enabled, true)
  putLineage(deps.disk, DOMAIN, SECOND, 2)
  writeAt(deps.disk, MARK, '')
  await deps.engine.certificates.adoptRenewals()
  assert.is(servedFingerprint(deps, DOMAIN), SECOND.fingerprint)
  const [api, app] = await deps.engine.listProxies()
  const why = 'it is that of route app, which has the server blocks of the domain'
  assert.equal([api?.certificate, api?.served_by], [{ ...app?.certificate, why }, 'app'])
  assert.equal([app?.enable_ssl, api?.enable_ssl], [false, true])
  await deps.engine.idle()
  assert.equal(copiesOf(deps, DOMAIN), [SECOND.fingerprint])
  assertInvariant(deps)
})

renewal("is served as soon as certbot's hook has touched its mark", async () => {
  const deps = await secured()
  putLineage(deps.disk, DOMAIN, SECOND, 2)
  await deps.engine.certificates.adoptRenewals()
  assert.is(servedFingerprint(deps, DOMAIN), FIRST.fingerprint)
  writeAt(deps.disk, MARK, '')
  await deps.engine.certificates.adoptRenewals()
  assert.is(servedFingerprint(deps, DOMAIN), SECOND.fingerprint)
  assert.is((await deps.engine.getProxy('app')).certificate?.fingerprint_sha256, SECOND.fingerprint)
  await deps.engine.idle()
  assert.equal(copiesOf(deps, DOMAIN), [SECOND.fingerprint])
  assert.equal(linesOf(deps, 'adopt_renewal'), [['info', 'success', 'app']])
  assertInvariant(deps)
})

renewal('is served within a minute without the mark', async () => {
  const deps = await secured()
  putLineage(deps.disk, DOMAIN, SECOND, 2)
  await deps.clock.sleep(MINUTE_MS - 1)
  await deps.engine.certificates.adoptRenewals()
  assert.is(servedFingerprint(deps, DOMAIN), FIRST.fingerprint)
  await deps.clock.sleep(1)
  await deps.engine.certificates.adoptRenewals()
  assert.is(servedFingerprint(deps, DOMAIN), SECOND.fingerprint)
})

renewal('while the API was down is served at its start', async () => {
  const deps = await secured()
  putLineage(deps.disk, DOMAIN, SECOND, 2)
  const next = await restartedNow(deps)
  await next.engine.certificates.adoptRenewals()
  assert.is(servedFingerprint(next, DOMAIN), SECOND.fingerprint)
})

renewal('of several routes at once is one reload', async () => {
  const deps = await fakeDeps()
  const names = ['a', 'b', 'c']
  for (const name of names) {
    putLineage(deps.disk, `${name}.example.com`, certificateFor(`${name}.example.com`))
    await putSecure(deps, name, `${name}.example.com`)
  }
  await deps.engine.idle()
  const { reloads } = deps.nginx
  for (const name of names)
    putLineage(
      deps.disk,
      `${name}.example.com`,
      certificateFor(`${name}.example.com`, { fromMs: START_MS - HOUR_MS / 2 }),
      2,
    )
  await deps.engine.certificates.adoptRenewals()
  assert.is(deps.nginx.reloads, reloads + 1)
})

renewal('that is damaged is not installed until it is intact', async () => {
  const deps = await secured()
  putLineage(deps.disk, DOMAIN, { ...SECOND, privkey: FIRST.privkey }, 2)
  writeAt(deps.disk, MARK, '')
  await deps.engine.certificates.adoptRenewals()
  assert.is(servedFingerprint(deps, DOMAIN), FIRST.fingerprint)
  assert.equal(linesOf(deps, 'adopt_renewal'), [])
  putLineage(deps.disk, DOMAIN, SECOND, 3)
  await deps.clock.sleep(MINUTE_MS)
  await deps.engine.certificates.adoptRenewals()
  assert.is(servedFingerprint(deps, DOMAIN), SECOND.fingerprint)
})

renewal(
  'that NGINX does not load is logged, the previous certificate is served, and it is tried again a minute later',
  async () => {
    const deps = await secured()
    putLineage(deps.disk, DOMAIN, SECOND, 2)
    refuseNextReload(deps, PORT_TAKEN)
    writeAt(deps.disk, MARK, '')
    await deps.engine.certificates.adoptRenewals()
    assert.is(servedFingerprint(deps, DOMAIN), FIRST.fingerprint)
    assert.equal(linesOf(deps, 'adopt_renewal'), [['error', 'NGINX_RELOAD_FAILED', 'app']])
    await deps.engine.idle()
    assertInvariant(deps)
    const { reloads } = deps.nginx
    await deps.engine.certificates.adoptRenewals()
    assert.is(deps.nginx.reloads, reloads)
    await deps.clock.sleep(MINUTE_MS)
    await deps.engine.certificates.adoptRenewals()
    assert.is(servedFingerprint(deps, DOMAIN), SECOND.fingerprint)
  },
)

renewal('that NGINX does not serve is rolled back', async () => {
  const deps = await secured()
  putLineage(deps.disk, DOMAIN, SECOND, 2)
  deps.host.probe.handshake = async () => ({ fingerprint: FIRST.fingerprint })
  writeAt(deps.disk, MARK, '')
  await deps.engine.certificates.adoptRenewals()
  assert.is(servedFingerprint(deps, DOMAIN), FIRST.fingerprint)
  assert.equal(linesOf(deps, 'adopt_renewal'), [['error', 'NGINX_RELOAD_FAILED', 'app']])
})

renewal('made by hand for a pending route switches it to HTTPS', async () => {
  const deps = await fakeDeps()
  await putSecure(deps, 'app', DOMAIN)
  putLineage(deps.disk, DOMAIN, FIRST)
  await deps.engine.certificates.adoptRenewals()
  assert.is((await deps.engine.getProxy('app')).status, 'active')
})

renewal('does not touch a route without HTTPS, edited by hand, or disabled', async () => {
  const deps = await fakeDeps()
  await put(deps, 'plain', 'plain.example.com', 8001)
  for (const name of ['edited', 'disabled']) {
    putLineage(deps.disk, `${name}.example.com`, certificateFor(`${name}.example.com`))
    await putSecure(deps, name, `${name}.example.com`)
  }
  await deps.engine.idle()
  const edited = '/etc/nginx/sites-available/fpai-edited.conf'
  writeAt(deps.disk, edited, `${textAt(deps.disk, edited)}# by hand\n`)
  deps.disk.delete('/etc/nginx/sites-enabled/fpai-disabled.conf')
  const { reloads } = deps.nginx
  for (const name of ['plain', 'edited', 'disabled'])
    putLineage(
      deps.disk,
      `${name}.example.com`,
      certificateFor(`${name}.example.com`, { fromMs: START_MS - HOUR_MS / 2 }),
      2,
    )
  await deps.engine.certificates.adoptRenewals()
  assert.is(deps.nginx.reloads, reloads)
  assert.match(textAt(deps.disk, edited) ?? '', '# by hand')
})

renewal('that changes nothing has no effect at all', async () => {
  const deps = await secured()
  await deps.engine.idle()
  await deps.clock.sleep(MINUTE_MS)
  const effects = deps.effects.journal.length
  await deps.engine.certificates.adoptRenewals()
  await deps.engine.certificates.adoptRenewals()
  assert.is(deps.effects.journal.length, effects)
})

renewal.run()

const background = suite('maintenance: orders in the background')

background('a pending route gets its certificate', async () => {
  const deps = await fakeDeps()
  await putSecure(deps, 'app', DOMAIN)
  certbotThatIssues(deps, FIRST)
  await deps.engine.certificates.issuePending()
  assert.is(servedFingerprint(deps, DOMAIN), FIRST.fingerprint)
  assert.equal(linesOf(deps, 'issue_in_background'), [['info', 'success', 'app']])
})

background('with SSL_AUTO_ISSUE, right after the PUT that answers 202', async () => {
  const deps = await fakeDeps({ settings: { SSL_AUTO_ISSUE: 'true' } })
  certbotThatIssues(deps, FIRST)
  const held = holdCertbot(deps)
  assert.is((await putSecure(deps, 'app', DOMAIN)).proxy.status, 'pending_ssl')
  await held.started
  held.release()
  while (servedFingerprint(deps, DOMAIN) === undefined) await settled()
  await deps.engine.idle()
  assert.is((await deps.engine.getProxy('app')).status, 'active')
})

background('not without SSL_AUTO_ISSUE', async () => {
  const deps = await fakeDeps()
  const calls = certbotThatIssues(deps, FIRST)
  await putSecure(deps, 'app', DOMAIN)
  await deps.engine.idle()
  await settled()
  assert.equal(calls, [])
})

background('the pauses after failures grow, across restarts: 1, 10, 100 minutes, a day', async () => {
  let deps = await fakeDeps()
  await putSecure(deps, 'app', DOMAIN)
  const calls = certbotThat(deps, failing(deps, 'challenge-not-found'))
  const attempts: number[] = []
  // Every minute somebody looks, for five days.
  for (let minute = 0; minute < 5 * 24 * 60; minute++) {
    if (minute % 700 === 350) deps = await restartedNow(deps)
    const before = calls.length
    await deps.engine.certificates.issuePending()
    if (calls.length > before) attempts.push(minute)
    await deps.clock.sleep(MINUTE_MS)
  }
  const day = 24 * 60
  assert.equal(attempts, [0, 1, 11, 111, 111 + day, 111 + 2 * day, 111 + 3 * day, 111 + 4 * day])
})

background('after a success nothing more is ordered', async () => {
  const deps = await fakeDeps()
  await putSecure(deps, 'app', DOMAIN)
  const calls = certbotThat(deps, failing(deps, 'caa'), issuing(deps, FIRST))
  await deps.engine.certificates.issuePending()
  assert.equal(linesOf(deps, 'issue_in_background'), [['warn', 'SSL_ISSUANCE_FAILED', 'app']])
  await deps.clock.sleep(MINUTE_MS)
  await deps.engine.certificates.issuePending()
  assert.is(servedFingerprint(deps, DOMAIN), FIRST.fingerprint)
  await deps.clock.sleep(HOUR_MS)
  await deps.engine.certificates.issuePending()
  assert.is(calls.length, 2)
})

background("the pause in the background does not delay a caller's order", async () => {
  const deps = await fakeDeps()
  await putSecure(deps, 'app', DOMAIN)
  certbotThat(deps, failing(deps, 'caa'), issuing(deps, FIRST))
  await deps.engine.certificates.issuePending()
  assert.is((await issue(deps, 'app')).proxy.status, 'active')
})

background(
  'several routes are handled one after another, and the failure of one does not affect the others',
  async () => {
    const deps = await fakeDeps()
    const names = ['a', 'b', 'c']
    for (const name of names) await putSecure(deps, name, `${name}.example.com`)
    deps.nginx.certbot = (args) => {
      const domain = args.find((argument) => argument.startsWith('--domain='))?.slice(9) ?? ''
      return domain.startsWith('a') ? failing(deps, 'caa')() : issuing(deps, certificateFor(domain))(args)
    }
    const held = holdCertbot(deps)
    const [done, again] = [deps.engine.certificates.issuePending(), deps.engine.certificates.issuePending()]
    await held.started
    // A caller does not wait for all that the background still has to do.
    const called = issue(deps, 'c')
    held.release()
    await Promise.all([done, again, called])
    assert.is(held.most, 1)
    assert.is(held.limits.length, 3)
    const statuses = (await deps.engine.listProxies()).map(({ droplet_name, status }) => `${droplet_name} ${status}`)
    assert.equal(statuses, ['a pending_ssl', 'b active', 'c active'])
  },
)

background('nothing is ordered for a route that was deleted before its turn', async () => {
  const deps = await fakeDeps()
  for (const name of ['a', 'b']) await putSecure(deps, name, `${name}.example.com`)
  const calls = certbotThatIssues(deps, certificateFor('a.example.com'))
  const held = holdCertbot(deps)
  const done = deps.engine.certificates.issuePending()
  await held.started
  await remove(deps, 'b')
  held.release()
  await done
  assert.is(calls.length, 1)
  assert.equal(linesOf(deps, 'issue_in_background').at(-1), ['warn', 'PROXY_NOT_FOUND', 'b'])
})

background('once the engine is closed, nothing is ordered for the remaining routes', async () => {
  const deps = await fakeDeps()
  for (const name of ['a', 'b', 'c']) await putSecure(deps, name, `${name}.example.com`)
  const calls = certbotThatIssues(deps, certificateFor('a.example.com'))
  const held = holdCertbot(deps)
  const done = deps.engine.certificates.issuePending()
  await held.started
  deps.engine.close()
  held.release()
  await done
  assert.is(calls.length, 1)
  assert.equal(linesOf(deps, 'issue_in_background'), [['warn', 'BUSY', 'a']])
})

for (const days of [90, 45, 6]) {
  background(
    `a certificate of ${days} days that was not renewed is reported from the last quarter of its life on`,
    async () => {
      const deps = await fakeDeps()
      putLineage(deps.disk, DOMAIN, certificateFor(DOMAIN, { fromMs: START_MS, days }))
      await putSecure(deps, 'app', DOMAIN)
      await deps.clock.sleep((days * DAY_MS * 3) / 4)
      assert.equal((await deps.engine.readHealth()).reasons, [])
      await deps.clock.sleep(1)
      assert.match((await deps.engine.readHealth()).reasons.join(), /^the certificate of app expires on /)
      await deps.clock.sleep((days * DAY_MS) / 4)
      assert.match((await deps.engine.readHealth()).reasons.join(), /^the certificate of app has expired/)
    },
  )

  background(
    `a certificate of ${days} days is renewed once a third of its lifetime is left, and not on every check`,
    async () => {
      const deps = await fakeDeps()
      const first = certificateFor(DOMAIN, { fromMs: START_MS, days })
      const second = certificateFor(DOMAIN, { fromMs: START_MS + (days * DAY_MS * 2) / 3, days })
      putLineage(deps.disk, DOMAIN, first)
      await putSecure(deps, 'app', DOMAIN)
      const calls = certbotThatIssues(deps, second)
      await deps.clock.sleep((days * DAY_MS * 2) / 3)
      await deps.engine.certificates.renewDue()
      assert.is(calls.length, 0)
      assert.equal((await deps.engine.readHealth()).reasons, [])
      await deps.clock.sleep(1)
      for (let looks = 0; looks < 3; looks++) await deps.engine.certificates.renewDue()
      assert.is(calls.length, 1)
      assert.is(servedFingerprint(deps, DOMAIN), second.fingerprint)
      assert.equal((await deps.engine.readHealth()).reasons, [])
      await deps.clock.sleep((days * DAY_MS) / 3)
      await deps.engine.certificates.renewDue()
      assert.is(calls.length, 1)
    },
  )
}

background(
  "a renewal that the host's own timer has missed is ordered once less than a quarter of the lifetime is left, whatever the settings",
  async () => {
    const deps = await secured()
    const renewed = certificateFor(DOMAIN, { fromMs: START_MS + 67 * DAY_MS })
    const calls = certbotThatIssues(deps, renewed)
    await deps.clock.sleep(67 * DAY_MS)
    await deps.engine.certificates.renewOverdue()
    assert.is(calls.length, 0)
    await deps.clock.sleep(DAY_MS)
    await deps.engine.certificates.renewOverdue()
    await deps.engine.certificates.renewOverdue()
    assert.equal([calls.length, servedFingerprint(deps, DOMAIN)], [1, renewed.fingerprint])
  },
)

background('a certificate of two days is renewed for two weeks, and never runs out', async () => {
  const deps = await fakeDeps()
  const chain = Array.from({ length: 12 }, (_, i) =>
    certificateFor(DOMAIN, { fromMs: START_MS + i * 30 * HOUR_MS, days: 2 }),
  )
  const [first, ...renewals] = chain
  putLineage(deps.disk, DOMAIN, first ?? FIRST)
  await putSecure(deps, 'app', DOMAIN)
  const calls = certbotThatIssues(deps, ...renewals)
  for (let hours = 0; hours < 14 * 24; hours++) {
    await deps.clock.sleep(HOUR_MS)
    await deps.engine.certificates.renewDue()
    const left = Date.parse((await deps.engine.getProxy('app')).certificate?.expiry ?? '') - deps.clock.nowMs()
    assert.ok(left > 12 * HOUR_MS, `${hours} h: ${left / HOUR_MS} h are left`)
  }
  assert.ok(calls.length > 8)
})

background(
  'after a failed renewal the present certificate is served, and the renewal is tried again after the pause',
  async () => {
    const deps = await secured()
    const renewed = certificateFor(DOMAIN, { fromMs: START_MS + 60 * DAY_MS })
    const calls = certbotThat(deps, failing(deps, 'challenge-not-found'), issuing(deps, renewed))
    await deps.clock.sleep(61 * DAY_MS)
    await deps.engine.certificates.renewDue()
    await deps.engine.certificates.renewDue()
    assert.equal([calls.length, servedFingerprint(deps, DOMAIN)], [1, FIRST.fingerprint])
    await deps.clock.sleep(MINUTE_MS)
    await deps.engine.certificates.renewDue()
    assert.equal([calls.length, servedFingerprint(deps, DOMAIN)], [2, renewed.fingerprint])
  },
)

background('a pending route is not renewed, and a certificate that is served is not ordered again', async () => {
  const deps = await secured()
  await putSecure(deps, 'waiting', 'waiting.example.com')
  const calls = certbotThatIssues(deps, certificateFor('waiting.example.com'))
  await deps.engine.certificates.renewDue()
  assert.equal(calls, [])
  await deps.engine.certificates.issuePending()
  assert.equal(
    calls.map((args) => args.find((argument) => argument.startsWith('--domain='))),
    ['--domain=waiting.example.com'],
  )
})

background('nothing is ordered at the start of the API', async () => {
  const deps = await secured({ SSL_AUTO_ISSUE: 'true' })
  await deps.clock.sleep(80 * DAY_MS)
  const calls = certbotThatIssues(deps, SECOND)
  await restartedNow(deps, { SSL_AUTO_ISSUE: 'true' })
  assert.equal(calls, [])
})

background.run()
