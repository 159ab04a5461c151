import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import { assertSettled, refusal, settled } from '../helpers/arrange.ts'
import { certificateFor, putLineage, putSecure } from '../helpers/certbot.ts'

const test = suite('served-certificate')

const DOMAIN = 'app.example.com'
const ALIASES = Array.from({ length: 99 }, (_, i) => `alias-${i + 100}.example.com`)
const CERTIFICATE = certificateFor(DOMAIN, { aliases: ALIASES })
/** Far fewer than NGINX's default of 512 connections per worker: visitors need the others. */
const FEW = 32

async function worldWithManyNames() {
  const deps = await fakeDeps()
  putLineage(deps.disk, DOMAIN, CERTIFICATE)
  return deps
}

test('each of many names is proved by its own handshakes, one per address, at most 32 at a time', async () => {
  const deps = await worldWithManyNames()
  const handshakes: string[] = []
  let [underWay, most] = [0, 0]
  const { handshake } = deps.host.probe
  deps.host.probe.handshake = async (request) => {
    handshakes.push(`${request.serverName} ${request.address}`)
    most = Math.max(most, ++underWay)
    await settled()
    underWay--
    return await handshake(request)
  }
  const { receipt } = await putSecure(deps, 'app', DOMAIN, ALIASES)
  assert.is(receipt.proved_by, 'tls_handshake')
  const expected = [DOMAIN, ...ALIASES].flatMap((name) => [`${name} 127.0.0.1`, `${name} ::1`])
  assert.equal(handshakes.toSorted(), expected.toSorted())
  assert.is(most, FEW)
})

test('if the last of many names presents another certificate, the change is rolled back', async () => {
  const deps = await worldWithManyNames()
  const { handshake } = deps.host.probe
  deps.host.probe.handshake = async (request) =>
    request.serverName === ALIASES.at(-1) ? { fingerprint: '0'.repeat(64) } : await handshake(request)
  const error = await refusal(putSecure(deps, 'app', DOMAIN, ALIASES), 'NGINX_RELOAD_FAILED')
  assert.equal([error.details.state, error.details.reason], ['rolled_back', 'wrong_certificate'])
  await assertSettled(deps)
})

test('if handshakes time out, not every name is tried', async () => {
  const deps = await worldWithManyNames()
  let tried = 0
  deps.host.probe.handshake = async () => {
    tried++
    await settled()
    return { failure: 'TIMEOUT' }
  }
  const error = await refusal(putSecure(deps, 'app', DOMAIN, ALIASES), 'NGINX_RELOAD_FAILED')
  assert.is(error.details.nginx_output, `${DOMAIN}: no handshake (TIMEOUT)`)
  assert.is(tried, FEW)
  await assertSettled(deps)
})

test.run()
