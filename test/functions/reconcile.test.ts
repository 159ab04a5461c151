import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import putProxy from '../../functions/put-proxy.ts'
import reconcile from '../../functions/reconcile.ts'
import { addPanel, servedOnPanel } from '../helpers/sweeps.ts'
import { APP, assertError, assertIssues, call } from './wire.ts'

const test = suite('POST /proxy-manager/reconcile')
const PATH = '/proxy-manager/reconcile'

async function depsWithStaleApp() {
  const deps = await fakeDeps()
  await call(putProxy, deps, '/proxies/app', { method: 'PUT', body: APP })
  addPanel(deps)
  return deps
}

test('POST answers 200, what was rendered again and the receipt', async () => {
  const deps = await depsWithStaleApp()
  const answer = await call(reconcile, deps, PATH, { method: 'POST' })
  assert.is(answer.status, 200)
  const { receipt, ...body } = answer.body
  assert.equal(body, { rendered: ['app'], shared_file: true, drifted: [] })
  assert.equal([receipt.reloaded, receipt.proved_by, receipt.generation], [true, 'generation_probe', 2])
  assert.ok(servedOnPanel(deps))
  const again = await call(reconcile, deps, PATH, { method: 'POST' })
  assert.equal(again.body, { rendered: [], shared_file: false, drifted: [] })
})

test('a dry run answers the plan, and changes nothing', async () => {
  const deps = await depsWithStaleApp()
  const answer = await call(reconcile, deps, `${PATH}?dry_run=true`, { method: 'POST' })
  assert.is(answer.status, 200)
  assert.equal(answer.body.rendered, ['app'])
  assert.ok(answer.body.plan.nginx_test.ok)
  assert.match(JSON.stringify(answer.body.plan.changes), 'listen 192.0.2.10:80;')
  assert.not.ok(servedOnPanel(deps))
})

test('an unknown parameter is 400', async () => {
  assertIssues(await call(reconcile, await fakeDeps(), `${PATH}?force=true`, { method: 'POST' }), [
    ['force', 'is not a known parameter'],
  ])
})

test('NGINX refuses: the error says so, and that nothing has changed', async () => {
  const deps = await depsWithStaleApp()
  deps.nginx.judge = () => ({
    exitCode: 1,
    output: 'nginx: [emerg] unknown directive "x" in /etc/nginx/conf.d/x.conf:1',
  })
  const details = assertError(await call(reconcile, deps, PATH, { method: 'POST' }), 'NGINX_ALREADY_BROKEN')
  assert.is(details.state, 'unchanged')
})

test.run()
