import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { eventually, fingerprintOf, secure } from '../helpers/system/certificate.ts'
import { call, putRoute } from '../helpers/system/host.ts'
import { type HostWithCa, startHostWithCa } from '../helpers/system/host-with-ca.ts'
import { setUp } from '../helpers/system/set-up.ts'

const test = suite<HostWithCa>('concurrent orders and calls')

setUp(test, async (context, undo) => {
  Object.assign(context, await startHostWithCa())
  undo(context.close)
})

test('concurrent calls for one droplet share one order; concurrent calls for several droplets all get their certificates', async (context) => {
  const { host, port, root } = context
  const names = ['shared', 'shared', 'shared', 'one', 'two', 'three']
  await Promise.all(
    [...new Set(names)].map((name) => putRoute(host.manager, name, `${name}.example.com`, port, { enable_ssl: true })),
  )
  const issued = await Promise.all(names.map((name) => call(host.manager, 'POST', `/proxies/${name}/ssl`)))
  assert.equal([...new Set(issued.map(({ status }) => status))], [200])
  assert.is(new Set(issued.map(fingerprintOf)).size, 4)
  for (const [i, name] of names.entries()) {
    const shown = await secure(host.nginx.httpsPort, `${name}.example.com`, root)
    assert.is(shown.fingerprint, fingerprintOf(issued[i]))
  }
})

test('a route that is deleted while its certificate is being issued stays deleted, and the caller is informed', async (context) => {
  const { host } = context
  await putRoute(host.manager, 'fleeting', 'fleeting.example.com', context.port, { enable_ssl: true })
  const issuing = call(host.manager, 'POST', '/proxies/fleeting/ssl')
  await eventually(async () => existsSync(join(host.nginx.root, 'state/orders/fleeting.example.com.json')) || undefined)
  assert.is((await call(host.manager, 'DELETE', '/proxies/fleeting')).status, 200)
  const answer = await issuing
  assert.is(answer.status, 404)
  assert.is(answer.body.error?.code, 'PROXY_NOT_FOUND')
  assert.is((await call(host.manager, 'GET', '/proxies/fleeting')).status, 404)
})

test('a pending route gets its certificate in the background, without a call', async () => {
  const { host, port, root, close } = await startHostWithCa({ SSL_AUTO_ISSUE: 'true' })
  try {
    assert.is((await putRoute(host.manager, 'auto', 'auto.example.com', port, { enable_ssl: true })).status, 202)
    await eventually(async () =>
      (await call(host.manager, 'GET', '/proxies/auto')).body.status === 'active' ? true : undefined,
    )
    assert.is((await secure(host.nginx.httpsPort, 'auto.example.com', root)).body, 'app')
  } finally {
    await close()
  }
})

test.run()
