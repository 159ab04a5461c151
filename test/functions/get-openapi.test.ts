import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import getOpenapi from '../../functions/get-openapi.ts'
import getProxy from '../../functions/get-proxy.ts'
import { createApp, endpoints } from '../../functions/index.ts'
import { answerOf, assertIssues, call, requestTo } from './wire.ts'

const test = suite('GET /openapi.json')

test('GET answers the description of all endpoints that are mounted, with the running version', async () => {
  const deps = await fakeDeps()
  const app = createApp(() => ({ ...deps, version: '1.2.3' }))
  const { status, body } = await answerOf(await app(requestTo('/openapi.json')))
  assert.equal([status, body.openapi, body.info.version], [200, '3.1.0', '1.2.3'])
  assert.is(body.paths['/proxies/{droplet_name}'].put.operationId, 'putProxy')
  const count = endpoints.reduce((sum, { operation }) => sum + 1 + (operation.aliases ?? []).length, 0)
  assert.is(Object.values<object>(body.paths).flatMap((methods) => Object.keys(methods)).length, count)
})

test('what is not mounted is not described, and the base is the server', async () => {
  const deps = await fakeDeps()
  const app = createApp(() => deps, { base: '/pm', mount: [getOpenapi, getProxy] })
  const { body } = await answerOf(await app(requestTo('/pm/openapi.json')))
  assert.equal(Object.keys(body.paths), ['/openapi.json', '/proxies/{droplet_name}'])
  assert.equal(body.servers, [{ url: '/pm' }])
})

test('two calls answer the same bytes', async () => {
  const deps = await fakeDeps()
  const app = createApp(() => deps)
  const texts = await Promise.all([1, 2].map(async () => await (await app(requestTo('/openapi.json'))).text()))
  assert.is(texts[0], texts[1])
})

test('each app has a description of its own', async () => {
  const deps = await fakeDeps()
  for (const base of ['', '/pm']) {
    const app = createApp(() => ({ ...deps, version: '1.2.3' }), { base })
    const { body } = await answerOf(await app(requestTo(`${base}/openapi.json`)))
    assert.equal([body.info.version, body.servers], ['1.2.3', [{ url: base === '' ? '/' : base }]])
  }
})

test('the description has no setting of this host', async () => {
  const deps = await fakeDeps({
    settings: { REGISTRY_URL: 'http://registry.secret:8000', SERVICE_NAME: 'secret-name' },
  })
  const { text } = await answerOf(await createApp(() => deps)(requestTo('/openapi.json')))
  assert.not.match(text, /registry\.secret|secret-name/)
})

test('a parameter answers 400', async () => {
  assertIssues(await call(getOpenapi, await fakeDeps(), '/openapi.json?x=1'), [['x', 'is not a known parameter']])
})

test.run()
