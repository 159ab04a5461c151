import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import type { HttpAnswer } from '../../lib/adapters/http-client.ts'
import { settled } from '../helpers/arrange.ts'

const test = suite('dependencies')
const REGISTRY = { REGISTRY_URL: 'http://registry.example:8000/' }
const CA = 'https://acme-v02.api.letsencrypt.org/directory'

/** Answers by address, and what was asked. */
function answering({ host }: FakeDeps, answers: Readonly<Record<string, HttpAnswer>>): string[] {
  const asked: string[] = []
  host.http.request = async ({ url, token }) => {
    asked.push(token === undefined ? url : `${url} with ${token}`)
    return answers[url] ?? { failure: 'ECONNREFUSED' }
  }
  return asked
}

const statuses = async ({ engine }: FakeDeps) =>
  Object.fromEntries((await engine.readDependencies()).map(({ name, status }) => [name, status]))

/** What the look that the first call starts has found. */
async function looked(deps: FakeDeps): Promise<Record<string, string>> {
  await deps.engine.readDependencies()
  await settled()
  return await statuses(deps)
}

test('only NGINX is required; it and certbot are known at once, and what was not checked yet is unknown', async () => {
  const deps = await fakeDeps({ settings: REGISTRY })
  deps.host.http.request = () => new Promise(() => undefined)
  const checked_at = '2026-01-01T00:00:00.000Z'
  assert.equal(await deps.engine.readDependencies(), [
    { name: 'nginx', required: true, status: 'available', checked_at },
    { name: 'certbot', required: false, status: 'available', checked_at },
    { name: 'registry', required: false, status: 'unknown', checked_at: null },
    { name: 'acme_ca', required: false, status: 'unknown', checked_at: null },
  ])
})

test('what this host has is as of the call, however short ago the last one was', async () => {
  const deps = await fakeDeps()
  answering(deps, {})
  assert.is((await looked(deps)).nginx, 'available')
  deps.nginx.running = false
  deps.disk.delete('/usr/bin/certbot')
  const { nginx, certbot } = await statuses(deps)
  assert.equal([nginx, certbot], ['unavailable', 'unavailable'])
})

test('nobody waits for a check that hangs, and it is not started twice', async () => {
  const deps = await fakeDeps({ settings: REGISTRY })
  let looks = 0
  deps.host.http.request = () => {
    looks++
    return new Promise(() => undefined)
  }
  for (let i = 0; i < 5; i++) {
    assert.is((await statuses(deps)).registry, 'unknown')
    await deps.clock.sleep(120_000)
  }
  assert.is(looks, 2)
})

test('a CA or an Orchestrator that answers with less than 500 is available', async () => {
  for (const [answer, status] of [
    [{ status: 200, body: '{}' }, 'available'],
    [{ status: 301, body: '' }, 'available'],
    [{ status: 401, body: '' }, 'available'],
    [{ status: 404, body: '' }, 'available'],
    [{ status: 500, body: '' }, 'unavailable'],
    [{ status: 503, body: '' }, 'unavailable'],
    [{ failure: 'ECONNREFUSED' }, 'unavailable'],
    [{ failure: 'ENOTFOUND' }, 'unavailable'],
    [{ failure: 'TIMEOUT' }, 'unavailable'],
    [{ failure: 'BROKEN' }, 'unavailable'],
    // Somebody answers whom certbot may trust, and this process does not.
    [{ failure: 'DEPTH_ZERO_SELF_SIGNED_CERT' }, 'available'],
    [{ failure: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' }, 'available'],
  ] as const) {
    const deps = await fakeDeps({ settings: { ORCHESTRATOR_URL: 'http://orchestrator.example' } })
    answering(deps, { [CA]: answer, 'http://orchestrator.example/health': answer })
    const { orchestrator, acme_ca } = await looked(deps)
    assert.equal([orchestrator, acme_ca], [status, status], JSON.stringify(answer))
  }
})

test('a Registry is available if a sync would get its list of droplets', async () => {
  for (const [answer, status] of [
    [{ status: 200, body: '[]' }, 'available'],
    [{ status: 200, body: '{"droplets":[]}' }, 'available'],
    [{ status: 200, body: '{"error":"no"}' }, 'unavailable'],
    [{ status: 200, body: '<html>' }, 'unavailable'],
    [{ status: 301, body: '' }, 'unavailable'],
    [{ status: 401, body: '' }, 'unavailable'],
    [{ status: 403, body: '' }, 'unavailable'],
    [{ status: 404, body: '' }, 'unavailable'],
    [{ status: 503, body: '' }, 'unavailable'],
    [{ failure: 'ECONNREFUSED' }, 'unavailable'],
    [{ failure: 'DEPTH_ZERO_SELF_SIGNED_CERT' }, 'unavailable'],
  ] as const) {
    const deps = await fakeDeps({ settings: REGISTRY })
    answering(deps, { 'http://registry.example:8000/droplets': answer })
    assert.is((await looked(deps)).registry, status, JSON.stringify(answer))
  }
})

test('the token is sent to the Registry, and to nobody else', async () => {
  const deps = await fakeDeps({ settings: { ...REGISTRY, REGISTRY_TOKEN: 'a-token-of-many-characters' } })
  const asked = answering(deps, {})
  await looked(deps)
  assert.equal(asked, ['http://registry.example:8000/droplets with a-token-of-many-characters', CA])
})

test('NGINX that does not run is unavailable, even if its binary exists', async () => {
  const deps = await fakeDeps()
  deps.nginx.running = false
  assert.is((await looked(deps)).nginx, 'unavailable')
})

test('of a host that cannot be read it is not known whether NGINX runs and certbot is there', async () => {
  const deps = await fakeDeps()
  deps.effects.arrangeRead({ at: 0, code: 'EMFILE', lasting: true })
  const { nginx, certbot } = await looked(deps)
  assert.equal([nginx, certbot], ['unknown', 'unknown'])
})

test('each is checked at the configured address', async () => {
  const settings = { ...REGISTRY, ACME_DIRECTORY_URL: 'https://localhost:14000/dir' }
  for (const [settled, wanted] of [
    [{}, [CA]],
    [settings, ['http://registry.example:8000/droplets', 'https://localhost:14000/dir']],
  ] as const) {
    const deps = await fakeDeps({ settings: settled })
    const asked = answering(deps, {})
    await looked(deps)
    assert.equal(asked, wanted)
  }
})

test('a Registry that is not configured is not unavailable', async () => {
  const deps = await fakeDeps()
  answering(deps, {})
  assert.is((await looked(deps)).registry, 'not_configured')
})

test('a missing binary is unavailable', async () => {
  const deps = await fakeDeps()
  deps.disk.delete('/usr/sbin/nginx')
  deps.disk.delete('/usr/bin/certbot')
  const { nginx, certbot } = await looked(deps)
  assert.equal([nginx, certbot], ['unavailable', 'unavailable'])
})

test('a check is valid for a minute; the first call after it starts the next, and gets the old result', async () => {
  const deps = await fakeDeps({ settings: REGISTRY })
  const answers: Record<string, HttpAnswer> = { [CA]: { status: 200, body: '' } }
  const asked = answering(deps, answers)
  assert.is((await looked(deps)).acme_ca, 'available')
  delete answers[CA]
  await deps.clock.sleep(60_000)
  assert.is((await looked(deps)).acme_ca, 'available')
  assert.is(asked.length, 2)
  await deps.clock.sleep(1)
  assert.is((await statuses(deps)).acme_ca, 'available')
  await settled()
  assert.is(asked.length, 4)
  assert.is((await statuses(deps)).acme_ca, 'unavailable')
  assert.is((await deps.engine.readDependencies()).at(-1)?.checked_at, '2026-01-01T00:01:00.001Z')
})

test('a wall clock that is set back does not make a check last forever', async () => {
  const deps = await fakeDeps()
  const asked = answering(deps, {})
  await looked(deps)
  await deps.clock.sleep(61_000)
  deps.host.clock.nowMs = () => 0
  await looked(deps)
  assert.is(asked.length, 2)
})

test('an Orchestrator is checked if one is configured, and not listed otherwise', async () => {
  assert.equal(Object.keys(await statuses(await fakeDeps())), ['nginx', 'certbot', 'registry', 'acme_ca'])
  const deps = await fakeDeps({ settings: { ORCHESTRATOR_URL: 'http://orchestrator.example/' } })
  const answers: Record<string, HttpAnswer> = { 'http://orchestrator.example/health': { status: 200, body: '' } }
  answering(deps, answers)
  assert.equal(Object.entries(await statuses(deps)).slice(3), [
    ['orchestrator', 'unknown'],
    ['acme_ca', 'unknown'],
  ])
  await settled()
  assert.is((await statuses(deps)).orchestrator, 'available')
  const [, , , orchestrator] = await deps.engine.readDependencies()
  assert.equal([orchestrator?.name, orchestrator?.required], ['orchestrator', false])
})

test.run()
