import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { fakeDeps } from '../../fixtures/deps.ts'
import getProxy from '../../functions/get-proxy.ts'
import putProxy from '../../functions/put-proxy.ts'
import { ChangedProxy, PendingProxy } from '../../lib/http/answer-schemas.ts'
import { PutBody } from '../../lib/route/put-body.ts'
import { ProxyDetails } from '../../lib/route/state.ts'
import { APP, assertError, assertIssues, call } from '../functions/wire.ts'
import { contentsOf } from '../helpers/arrange.ts'

const test = suite('a GET that is PUT back')

const BODIES = {
  app: { ...APP, options: { maintenance: true, aliases: ['www.example.com'] } },
  secure: {
    ...APP,
    domain: 'secure.example.com',
    enable_ssl: true,
    upstream: 'https://[::1]:8443',
    upstream_port: 8443,
    upstream_host: '::1',
  },
  several: {
    domain: 'several.example.com',
    enable_ssl: false,
    upstreams: [
      { host: '10.0.0.1', port: 1, backup: true },
      { host: '10.0.0.2', port: 2 },
    ],
  },
  redirect: { domain: 'old.example.com', enable_ssl: false, options: { redirect_to: 'new.example.com' } },
  chosen: { ...APP, domain: 'chosen.example.com', enable_ssl: false, certificate: { lineage: 'corp.example.com' } },
}

test('the answer of a GET, and that of a PUT, changes nothing', async () => {
  const deps = await fakeDeps()
  for (const [name, body] of Object.entries(BODIES)) {
    const path = `/proxies/${name}`
    const created = await call(putProxy, deps, path, { method: 'PUT', body })
    assert.ok([201, 202].includes(created.status), created.text)
    const before = contentsOf(deps.disk)
    for (const answer of [(await call(getProxy, deps, path)).body, created.body]) {
      const again = await call(putProxy, deps, path, { method: 'PUT', body: answer })
      assert.equal([again.body.receipt?.reloaded, again.body.revision], [false, created.body.revision], again.text)
    }
    assert.equal(contentsOf(deps.disk), before)
  }
})

test('a field that is changed in it is the change', async () => {
  const deps = await fakeDeps()
  await call(putProxy, deps, '/proxies/app', { method: 'PUT', body: APP })
  const { body } = await call(getProxy, deps, '/proxies/app')
  const changed = { ...body, status: 'drifted', options: { ...body.options, hsts: true } }
  const answer = await call(putProxy, deps, '/proxies/app', { method: 'PUT', body: changed })
  assert.equal([answer.status, answer.body.options.hsts, answer.body.status], [200, true, 'active'])
})

test('its revision counts like If-Match, which a header replaces; its droplet_name must be that of the path', async () => {
  const deps = await fakeDeps()
  await call(putProxy, deps, '/proxies/app', { method: 'PUT', body: APP })
  const { body } = await call(getProxy, deps, '/proxies/app')
  await call(putProxy, deps, '/proxies/app', { method: 'PUT', body: { ...APP, options: { hsts: true } } })
  assertError(await call(putProxy, deps, '/proxies/app', { method: 'PUT', body }), 'PRECONDITION_FAILED')
  const forced = await call(putProxy, deps, '/proxies/app', { method: 'PUT', body, headers: { 'if-match': '*' } })
  assert.is(forced.status, 200)
  const { revision: _, ...unbound } = body
  assertIssues(await call(putProxy, deps, '/proxies/other', { method: 'PUT', body: unbound }), [
    ['droplet_name', 'must be the one of the path; a rename is a call of its own'],
  ])
})

test('forms of the upstream that differ are refused', async () => {
  const deps = await fakeDeps()
  await call(putProxy, deps, '/proxies/app', { method: 'PUT', body: APP })
  const { body } = await call(getProxy, deps, '/proxies/app')
  const answer = await call(putProxy, deps, '/proxies/app', { method: 'PUT', body: { ...body, upstream_port: 9999 } })
  assertIssues(answer, [['', 'upstream, upstream_host and upstream_port, and upstreams, must be the same upstream']])
})

test('every field that an answer can have is known', () => {
  const known = Object.keys(PutBody.entries)
  const answered = [ProxyDetails, ChangedProxy, PendingProxy].flatMap(({ entries }) => Object.keys(entries))
  // The plan of a dry run is no state of a route.
  assert.equal(
    [...new Set(answered)].filter((name) => !known.includes(name)),
    ['plan'],
  )
  assert.not.ok(v.is(PutBody, { ...APP, surprise: 1 }))
})

test.run()
