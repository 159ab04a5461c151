import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import { countEffects, refusal } from '../helpers/arrange.ts'
import {
  certbotThat,
  certificateFor,
  failing,
  failuresOf,
  issue,
  issuing,
  putSecure,
  restartedNow,
  STATE,
} from '../helpers/certbot.ts'

const test = suite('recent failures')

const DOMAIN = 'app.example.com'
const LOOKUPS = /^probe app\.example\.com/

/** A host with the route `app`, whose name leads here, and a CA that fails to reach it. */
async function failed(settings: Readonly<Record<string, string>> = {}) {
  const deps = await fakeDeps({ settings })
  await putSecure(deps, 'app', DOMAIN)
  deps.names.hosts.set(DOMAIN, ['192.0.2.10', '192.0.2.11'])
  const orders = certbotThat(deps, failing(deps, 'connection-refused'))
  const first = await refusal(issue(deps, 'app'), 'SSL_ISSUANCE_FAILED')
  assert.equal([first.status, first.retryAfterS, orders.length], [422, undefined, 1])
  return { deps, orders, first }
}

const again = (deps: FakeDeps, forceRenew = false) => refusal(issue(deps, 'app', forceRenew), 'SSL_ISSUANCE_FAILED')

test('calls that are repeated within a minute get the failure again, with Retry-After, and spend no order', async () => {
  const { deps, orders, first } = await failed()
  const probes = countEffects(deps, LOOKUPS)
  for (const [waitMs, retryAfterS] of [
    [1000, 59],
    [3000, 56],
    [7500, 49],
    [48_499, 1],
  ] as const) {
    await deps.clock.sleep(waitMs)
    const repeated = await again(deps)
    assert.equal([repeated.status, repeated.retryAfterS, orders.length], [422, retryAfterS, 1])
    assert.equal([repeated.message, repeated.details], [first.message, first.details])
  }
  assert.is(countEffects(deps, LOOKUPS) - probes, 8, 'the preflight was not made again')
  assert.equal(failuresOf(deps, DOMAIN), { counted: ['unreachable'], uncounted: [] })
  await deps.clock.sleep(1)
  assert.is((await again(deps)).retryAfterS, undefined)
  assert.is(orders.length, 2)
})

test('a preflight that finds something else permits an order at once; the order of addresses is nothing else', async () => {
  const { deps, orders } = await failed()
  deps.names.hosts.set(DOMAIN, ['192.0.2.11', '192.0.2.10'])
  await again(deps)
  assert.is(orders.length, 1)
  deps.names.hosts.set(DOMAIN, ['192.0.2.10'])
  await again(deps)
  assert.is(orders.length, 2)
})

test('once the preflight passes, the certificate is ordered at once, after a failed order and after a refused one', async () => {
  for (const SSL_PREFLIGHT of ['warn', 'certain', 'strict']) {
    const deps = await fakeDeps({ settings: { SSL_PREFLIGHT } })
    await putSecure(deps, 'app', DOMAIN)
    deps.names.denied.set(DOMAIN, ['ENOTFOUND', 'ENOTFOUND'])
    const fails = SSL_PREFLIGHT === 'warn' ? [failing(deps, 'dns-no-address')] : []
    const orders = certbotThat(deps, ...fails, issuing(deps, certificateFor(DOMAIN)))
    assert.equal([(await again(deps)).retryAfterS, (await again(deps)).retryAfterS], [undefined, 60])
    assert.is(orders.length, fails.length)
    deps.names.hosts.set(DOMAIN, ['192.0.2.10'])
    assert.is((await issue(deps, 'app')).proxy.status, 'active')
  }
})

test('a refused order that is repeated leaves one entry in the ledger', async () => {
  const deps = await fakeDeps()
  await putSecure(deps, 'app', DOMAIN)
  deps.names.denied.set(DOMAIN, ['ENOTFOUND', 'ENOTFOUND'])
  for (let calls = 0; calls < 4; calls++) await again(deps)
  assert.equal(failuresOf(deps, DOMAIN), { counted: [], uncounted: ['dns'] })
})

test('a dry run of the call fails like it, with Retry-After', async () => {
  const { deps } = await failed()
  const dry = deps.engine.dryRunIssue({ dropletName: 'app', forceRenew: false })
  assert.is((await refusal(dry, 'SSL_ISSUANCE_FAILED')).retryAfterS, 60)
})

test('another call may order: a forced one, another route, the same route with other names', async () => {
  const { deps, orders } = await failed()
  await again(deps, true)
  assert.is(orders.length, 2)
  await putSecure(deps, 'other', 'other.example.com')
  await refusal(issue(deps, 'other'), 'SSL_ISSUANCE_FAILED')
  assert.is(orders.length, 3)
  await putSecure(deps, 'app', DOMAIN, ['www.example.com'])
  await again(deps)
  assert.is(orders.length, 4)
})

test('a failure that does not count is not repeated: the CA may be up again', async () => {
  for (const output of ['ca-down', 'busy', 'refused-nonce', 'contact-refused', 'disk-full']) {
    const deps = await fakeDeps()
    await putSecure(deps, 'app', DOMAIN)
    certbotThat(deps, failing(deps, output))
    await again(deps)
    certbotThat(deps, issuing(deps, certificateFor(DOMAIN)))
    assert.is((await issue(deps, 'app')).ordered, true, output)
  }
})

test('an order that the host refuses is made once the host is repaired, whatever the preflight finds', async () => {
  const deps = await fakeDeps()
  await putSecure(deps, 'app', DOMAIN)
  deps.disk.set(`${STATE}/acme/.well-known`, { kind: 'link', target: '/etc' })
  assert.is((await again(deps)).details.reason, 'webroot')
  deps.disk.delete(`${STATE}/acme/.well-known`)
  certbotThat(deps, issuing(deps, certificateFor(DOMAIN)))
  assert.is((await issue(deps, 'app')).ordered, true)
})

test('without a preflight every call orders, as the budget permits, and so does a new process', async () => {
  const { deps, orders } = await failed({ SSL_PREFLIGHT: 'off' })
  await again(deps)
  assert.is(orders.length, 2)
  const next = await restartedNow((await failed()).deps)
  next.names.hosts.set(DOMAIN, ['192.0.2.10', '192.0.2.11'])
  assert.is((await again(next)).retryAfterS, undefined)
})

test.run()
