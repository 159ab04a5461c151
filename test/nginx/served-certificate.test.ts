import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import { assertSettled, refusal, settled } from '../helpers/arrange.ts'
import { certificateFor, putLineage, putSecure } from '../helpers/certbot.ts'

const test = suite('wrong-certificate')

const DOMAIN = 'app.example.com'
const ALIASES = Array.from({ length: 99 }, (_, i) => `alias-${i + 100}.example.com`)
const CERTIFICATE = certificateFor(DOMAIN, { aliases: ALIASES })
/** Far fewer than the connections that an NGINX takes out of the box, 512 for each worker: visitors need the others. */
const FEW = 32

async function worldWithManyNames() {
  const deps = await fakeDeps()
  putLineage(deps.disk, DOMAIN, CERTIFICATE)
  return deps
}

test('each of many names is proved by its own handshake, a few of them at a time', async () => {
  const deps = await worldWithManyNames()
  const shaken: string[] = []
  let [underWay, most] = [0, 0]
  const { handshake } = deps.host.probe
  deps.host.probe.handshake = async (request) => {
    shaken.push(request.serverName)
    most = Math.max(most, ++underWay)
    await settled()
    underWay--
    return await handshake(request)
  }
  const { receipt } = await putSecure(deps, 'app', DOMAIN, ALIASES)
  assert.is(receipt.proved_by, 'tls_handshake')
  assert.equal(shaken, [DOMAIN, ...ALIASES])
  assert.is(most, FEW)
})

test('of many names the last one shows another certificate: the change is undone', async () => {
  const deps = await worldWithManyNames()
  const { handshake } = deps.host.probe
  deps.host.probe.handshake = async (request) =>
    request.serverName === ALIASES.at(-1) ? { fingerprint: '0'.repeat(64) } : await handshake(request)
  const error = await refusal(putSecure(deps, 'app', DOMAIN, ALIASES), 'NGINX_RELOAD_FAILED')
  assert.equal([error.details.state, error.details.reason], ['rolled_back', 'wrong_certificate'])
  await assertSettled(deps)
})

test('an NGINX that shakes no hands is not asked for each name in turn', async () => {
  const deps = await worldWithManyNames()
  let asked = 0
  deps.host.probe.handshake = async () => {
    asked++
    await settled()
    return { failure: 'TIMEOUT' }
  }
  const error = await refusal(putSecure(deps, 'app', DOMAIN, ALIASES), 'NGINX_RELOAD_FAILED')
  assert.is(error.details.nginx_output, `${DOMAIN}: no handshake (TIMEOUT)`)
  assert.is(asked, FEW)
  await assertSettled(deps)
})

test.run()
