import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import getProxy from '../../functions/get-proxy.ts'
import { createApp, endpoints } from '../../functions/index.ts'
import udcCapabilities from '../../functions/udc-capabilities.ts'
import { answerOf, assertIssues, call, requestTo } from './wire.ts'

const test = suite('GET /capabilities')

test('GET answers exactly what this droplet can do', async () => {
  const settings = { SERVICE_NAME: 'edge', DROPLET_ID: '7', ENVIRONMENT: 'staging' }
  const deps = await fakeDeps({ settings })
  const { status, body } = await call(udcCapabilities, { ...deps, operations: [getProxy.operation] }, '/capabilities')
  const features = [
    'reverse_proxy',
    'tls_certificates',
    'dry_run',
    'group_commit',
    'proved_reload',
    'rollback',
    'registry_sync',
  ]
  assert.is(status, 200)
  assert.equal(body, {
    service_name: 'edge',
    droplet_id: '7',
    version: '0.0.0',
    udc_version: '1.0',
    features,
    capabilities: features,
    dependencies: ['nginx', 'certbot', 'registry', 'acme_ca'],
    supported_operations: ['getProxy'],
    integration_endpoints: { getProxy: 'GET /proxies/{droplet_name}' },
    metadata: { environment: 'staging', single_host: true },
  })
})

for (const base of ['', '/pm']) {
  test(`through an app under "${base}" every endpoint is listed with its address`, async () => {
    const deps = await fakeDeps()
    const app = createApp(() => deps, { base })
    for (const path of ['/capabilities', '/proxy-manager/capabilities']) {
      const { body } = await answerOf(await app(requestTo(base + path)))
      assert.equal(
        body.supported_operations,
        endpoints.map(({ operation }) => operation.operationId),
      )
      assert.is(body.integration_endpoints.putProxy, `PUT ${base}/proxies/{droplet_name}`)
      assert.is(body.integration_endpoints.udcMessage, `POST ${base}/message`)
    }
  })
}

test('without other endpoints mounted, none are listed', async () => {
  const { body } = await call(udcCapabilities, await fakeDeps(), '/capabilities')
  assert.equal([body.supported_operations, body.integration_endpoints], [[], {}])
})

test('a parameter answers 400', async () => {
  assertIssues(await call(udcCapabilities, await fakeDeps(), '/capabilities?x=1'), [['x', 'is not a known parameter']])
})

test.run()
