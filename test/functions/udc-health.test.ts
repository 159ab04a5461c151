import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import udcHealth from '../../functions/udc-health.ts'
import { assertIssues, call } from './wire.ts'

const test = suite('GET /health')

test('GET answers exactly service, version and status', async () => {
  const deps = await fakeDeps()
  const { status, body } = await call(udcHealth, deps, '/health')
  assert.equal(
    [status, body],
    [
      200,
      {
        status: 'healthy',
        udc_status: 'active',
        service: 'proxy-manager',
        version: '0.0.0',
        timestamp: '2026-01-01T00:00:00.000Z',
        uptime_seconds: 0,
      },
    ],
  )
})

test('uptime counts from the start of the process, and the name is the configured one', async () => {
  const deps = await fakeDeps({ settings: { SERVICE_NAME: 'proxy-manager-7' } })
  await deps.clock.sleep(90_500)
  const { body } = await call(udcHealth, deps, '/health')
  assert.equal([body.service, body.uptime_seconds, body.timestamp], ['proxy-manager-7', 90, '2026-01-01T00:01:30.500Z'])
})

test('an unhealthy host answers 200: this is the health check of the process, and a restart would not help', async () => {
  const deps = await fakeDeps()
  deps.nginx.running = false
  const { status, body } = await call(udcHealth, deps, '/health')
  assert.equal([status, body.status], [200, 'unhealthy'])
})

test('a parameter answers 400', async () => {
  assertIssues(await call(udcHealth, await fakeDeps(), '/health?x=1'), [['x', 'is not a known parameter']])
})

test.run()
