import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { withAnswer, withApi } from '../../../helpers/cli.ts'

const test = suite('proxy-manager health')

const HEALTH = {
  status: 'degraded',
  reasons: ['one thing', 'another'],
  advice: [],
  nginx: { version: '1.22.1', running: true, generation: 3 },
  routes: { total: 3, active: 1, pending_ssl: 1, drifted: ['b'], disabled: [] },
}

test('exit status 0 if it is healthy', async () => {
  await withApi(async ({ cli }) => {
    const { status, out } = await cli('health')
    assert.is(status, 0, out)
    assert.match(out, /^status {2}healthy\nnginx {3}1\.\d+\.\d+, running, generation -\nroutes {2}0 \(0 active,/)
  })
})

test('exit status 4 if it is degraded, with the reasons', async () => {
  await withAnswer({ body: HEALTH }, async ({ cli }) => {
    const { status, out } = await cli('health')
    assert.is(status, 4)
    assert.match(
      out,
      /^routes {3}3 \(1 active, 1 pending_ssl, 1 drifted, 0 disabled\)\nreasons {2}one thing\n {9}another$/m,
    )
  })
})

test('an answer for strangers, without names, is shown with its counts', async () => {
  const { drifted: _, disabled: __, ...routes } = HEALTH.routes
  const body = { ...HEALTH, reasons: ['2 reasons'], routes: { ...routes, drifted_count: 1, disabled_count: 0 } }
  await withAnswer({ body }, async ({ cli }) => {
    assert.match((await cli('health')).out, /^routes {3}3 \(1 active, 1 pending_ssl, 1 drifted, 0 disabled\)\n/m)
  })
})

test('exit status 1 if it is unhealthy, although the API answers 503', async () => {
  await withApi(
    async ({ cli }, deps) => {
      deps.disk.delete('/usr/sbin/nginx')
      const { status, out } = await cli('health', '--json')
      assert.is(status, 1)
      assert.is(JSON.parse(out).status, 'unhealthy')
    },
    { mainConfiguration: null },
  )
})

test.run()
