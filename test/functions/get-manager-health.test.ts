import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import getManagerHealth from '../../functions/get-manager-health.ts'
import { createApp } from '../../functions/index.ts'
import issueCertificate from '../../functions/issue-certificate.ts'
import putProxy from '../../functions/put-proxy.ts'
import { ManagerHealth } from '../../lib/health/health-schema.ts'
import { refused, textAt, writeAt } from '../helpers/arrange.ts'
import { answerOf, assertError, assertIssues, call, requestTo } from './wire.ts'

const test = suite('GET /proxy-manager/health')

test('GET /proxy-manager/health answers 200 on a healthy host, as described', async () => {
  const deps = await fakeDeps()
  const answer = await call(getManagerHealth, deps, '/proxy-manager/health')
  assert.equal([answer.status, answer.body.status, answer.body.reasons], [200, 'healthy', []])
  assert.equal(v.parse(ManagerHealth, answer.body), answer.body)
})

test('a degraded host answers 200: changes work', async () => {
  const deps = await fakeDeps({ mainConfiguration: 'events {}\nhttp {}\n' })
  const answer = await call(getManagerHealth, deps, '/proxy-manager/health')
  assert.equal([answer.status, answer.body.status], [200, 'degraded'])
})

test('an unhealthy host answers 503, with the same body and what to do', async () => {
  const deps = await fakeDeps()
  deps.nginx.running = false
  const answer = await call(getManagerHealth, deps, '/proxy-manager/health')
  assert.equal([answer.status, answer.body.status], [503, 'unhealthy'])
  assert.equal(answer.body.reasons, ['NGINX is not running: start it (systemctl start nginx)'])
  assert.equal(v.parse(ManagerHealth, answer.body), answer.body)
})

const TOKEN = 'a-token-of-many-characters'

/** A host that requires a token, with routes of these names: edited by hand, without a symlink, and with an upstream that is down. */
async function troubledHost() {
  const deps = await fakeDeps({ settings: { PROXY_MANAGER_API_TOKEN: TOKEN } })
  for (const [i, name] of ['secret-edited', 'secret-disabled'].entries()) {
    const body = { domain: `${name}.example.com`, upstream_port: 8001 + i, enable_ssl: true }
    await call(putProxy, deps, `/proxies/${name}`, { method: 'PUT', body })
  }
  await call(issueCertificate, deps, '/proxies/secret-edited/ssl', { method: 'POST' })
  const path = '/etc/nginx/sites-available/fpai-secret-edited.conf'
  writeAt(deps.disk, path, `${textAt(deps.disk, path)}# by hand\n`)
  deps.disk.delete('/etc/nginx/sites-enabled/fpai-secret-disabled.conf')
  await call(putProxy, deps, '/proxies/secret-down', {
    method: 'PUT',
    body: { domain: 'secret-down.example.com', upstream_port: 8003, enable_ssl: false },
  })
  deps.nginx.upstreams.set(8003, 503)
  for (let i = 0; i < 3; i++) await deps.engine.checkProxy('secret-down')
  deps.nginx.judge = () => refused('secret.conf', 1, 'unknown directive "x"')
  return { deps, read: readerOf(deps) }
}

function readerOf(deps: FakeDeps) {
  const app = createApp(() => deps)
  return async (headers: Readonly<Record<string, string>> = {}) =>
    await answerOf(await app(requestTo('/proxy-manager/health', { headers })))
}

test('if a token is required, health without a valid one has the same fields and counts, and no names, domains or files', async () => {
  const { read } = await troubledHost()
  const full = await read({ authorization: `Bearer ${TOKEN}` })
  assert.match(full.text, /secret-edited.*secret-disabled.*secret-down/)
  const { reasons, advice, ssl, routes, ...rest } = full.body
  for (const headers of [{}, { authorization: 'Bearer wrong-wrong-wrong' }]) {
    const { status, text, body } = await read(headers)
    assert.is(status, full.status)
    assert.not.match(text, /secret|example\.com|\.conf|\//)
    assert.equal(v.parse(ManagerHealth, body), body)
    const { last_operation_domain: _, ...operation } = ssl
    const { drifted: __, disabled: ___, unhealthy: ____, ...counts } = routes
    const said = [`${reasons.length} reasons: call with a token to read more`]
    assert.equal(body, { ...rest, reasons: said, advice: [], ssl: operation, routes: counts })
    const { drifted_count, disabled_count, unhealthy_count, total } = counts
    assert.equal([drifted_count, disabled_count, unhealthy_count, total], [1, 1, 1, 3])
  }
})

test('an error of health says nothing about the host to a stranger', async () => {
  // Nothing was read before: there is no earlier state of the host to show.
  const deps = await fakeDeps({ settings: { PROXY_MANAGER_API_TOKEN: TOKEN } })
  const read = readerOf(deps)
  deps.effects.arrangeRead({ at: 0, code: 'EIO', lasting: true })
  const details = assertError(await read({ authorization: `Bearer ${TOKEN}` }), 'CONFIG_READ_FAILED')
  assert.ok('file' in details && 'errno' in details)
  const shown = assertError(await read(), 'CONFIG_READ_FAILED')
  assert.equal(Object.keys(shown).sort(), ['correlation_id', 'culprit', 'retryable', 'stage', 'state'])
})

test('if no token is required, health has everything', async () => {
  const deps = await fakeDeps()
  const app = createApp(() => deps)
  const { body } = await answerOf(await app(requestTo('/proxy-manager/health')))
  assert.equal([body.routes.drifted, body.routes.disabled, body.ssl.last_operation_domain], [[], [], null])
  assert.ok(body.advice.length > 0)
})

test('a parameter answers 400', async () => {
  const deps = await fakeDeps()
  assertIssues(await call(getManagerHealth, deps, '/proxy-manager/health?full=1'), [
    ['full', 'is not a known parameter'],
  ])
})

test.run()
