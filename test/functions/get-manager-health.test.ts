import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { fakeDeps } from '../../fixtures/deps.ts'
import getManagerHealth from '../../functions/get-manager-health.ts'
import { ManagerHealth } from '../../lib/health/health-schema.ts'
import { assertIssues, call } from './wire.ts'

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

test('a parameter answers 400', async () => {
  const deps = await fakeDeps()
  assertIssues(await call(getManagerHealth, deps, '/proxy-manager/health?full=1'), [
    ['full', 'is not a known parameter'],
  ])
})

test.run()
