import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fingerprintOf, secure } from '../helpers/system/certificate.ts'
import { call, putRoute, through } from '../helpers/system/host.ts'
import { type HostWithCa, startHostWithCa } from '../helpers/system/host-with-ca.ts'
import { setUp } from '../helpers/system/set-up.ts'

const test = suite<HostWithCa>('the largest routes that the options allow')

setUp(test, async (context, undo) => {
  Object.assign(context, await startHostWithCa())
  undo(context.close)
})

/** A name of this many characters, at most 253. */
function nameOf(length: number, i: number): string {
  const labels = `${String(i).padStart(9, '0')}.${`${'x'.repeat(60)}.`.repeat(4)}`
  return `${labels.slice(0, length - '.example'.length)}.example`
}

test('99 aliases of the greatest length are served, only to 200 IPv6 networks', async ({ host, port }) => {
  const aliases = Array.from({ length: 99 }, (_, i) => nameOf(253, i))
  const networks = Array.from({ length: 199 }, (_, i) => `2001:0db8:0000:0000:0000:0000:0000:${i + 1000}/128`)
  const put = (last: string) =>
    putRoute(host.manager, 'fenced', 'fenced.example.com', port, {
      options: { aliases, allow: [...networks, last] },
    })
  const created = await put('2001:0db8:0000:0000:0000:0000:0001:0000/112')
  assert.is(created.status, 201, JSON.stringify(created.body))
  assert.is(await through(host.nginx.httpPort, 'fenced.example.com'), 'status 403')
  assert.is((await put('127.0.0.1')).status, 200)
  for (const name of ['fenced.example.com', ...aliases])
    assert.is(await through(host.nginx.httpPort, name), 'app', name)
  assert.is((await put('127.0.0.1')).body.receipt?.reloaded, false)
})

test('a domain and 99 aliases, all of them long names, get one certificate and are served with it', async (context) => {
  const { host, port, root } = context
  // The test CA cannot resolve names that are much longer.
  const [domain = '', ...aliases] = Array.from({ length: 100 }, (_, i) => nameOf(139, i))
  const options = { aliases, allow: Array.from({ length: 200 }, (_, i) => `127.0.0.${i + 1}/32`) }
  const put = () => putRoute(host.manager, 'many', domain, port, { enable_ssl: true, options })
  const pending = await put()
  assert.is(pending.status, 202, JSON.stringify(pending.body))
  assert.is(await through(host.nginx.httpPort, aliases.at(-1) ?? ''), 'app')

  const issued = await call(host.manager, 'POST', '/proxies/many/ssl')
  assert.is(issued.status, 200, JSON.stringify(issued.body))
  assert.equal([issued.body.status, issued.body.receipt?.proved_by], ['active', 'tls_handshake'])
  for (const name of [domain, ...aliases]) {
    const shown = await secure(host.nginx.httpsPort, name, root)
    assert.equal([shown.body, shown.fingerprint], ['app', fingerprintOf(issued)], name)
  }
  assert.is((await put()).body.receipt?.reloaded, false)

  await host.restart('SIGTERM')
  const found = await call(host.manager, 'GET', '/proxies/many')
  assert.equal([found.status, found.body.status], [200, 'active'])
  assert.is(fingerprintOf(found), fingerprintOf(issued))
  assert.is((await call(host.manager, 'DELETE', '/proxies/many')).status, 200)
})

test.run()
