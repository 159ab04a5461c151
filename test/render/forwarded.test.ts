import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { printNginx } from '../../lib/nginx/config/print.ts'
import { forwardedHeaders, forwardedVariables, untestableNetworks } from '../../lib/render/forwarded.ts'
import { context } from '../helpers/samples.ts'

const test = suite('forwarded')

const trusting = { ...context, trustedProxies: ['192.0.2.0/24', '192.0.2.7'] }
const without = (...missingModules: readonly ('geo' | 'realip')[]) => ({ ...trusting, missingModules })

test('without trusted proxies a location names no variable of the shared file, which defines none', () => {
  assert.equal(forwardedVariables(context), [])
  assert.not.match(printNginx(forwardedHeaders(context, 80, { variable: 'host' })), /proxy_manager/)
})

test('every variable that a location names is defined by the shared file', () => {
  const named = printNginx(forwardedHeaders(trusting, 80, { variable: 'host' })).matchAll(/\$(proxy_manager_\w+)/g)
  const defined = printNginx(forwardedVariables(trusting))
  const names = [...named].map(([, name]) => name)
  assert.is(names.length, 4)
  for (const name of names) assert.ok(defined.includes(` $${name} {`), name)
})

test('the peer of the connection is compared, not an address that it has sent', () => {
  const peer = (host: Parameters<typeof forwardedVariables>[0]) =>
    /^(?:geo|map) (\S+) \$proxy_manager_trusts/.exec(printNginx(forwardedVariables(host)))?.[1]
  assert.is(peer(trusting), '$realip_remote_addr')
  // Without the module nothing replaces it.
  assert.is(peer(without('realip')), '$remote_addr')
})

test('without the geo module addresses are trusted, and networks are a fault', () => {
  const text = printNginx(forwardedVariables(without('geo')))
  assert.match(text, '192.0.2.7 1;')
  assert.not.match(text, '192.0.2.0/24')
  assert.is(untestableNetworks(trusting.trustedProxies, trusting), undefined)
  assert.is(untestableNetworks(['192.0.2.7', '::1'], without('geo')), undefined)
  assert.match(
    untestableNetworks(trusting.trustedProxies, without('geo')) ?? '',
    /^TRUSTED_PROXIES: .*192\.0\.2\.0\/24$/,
  )
})

test('spellings with underscores are removed if the host lets them through', () => {
  const headers = (value: string) => {
    const setByHost = new Map([['underscores_in_headers', [value]]])
    return printNginx(forwardedHeaders({ ...context, setByHost }, 80, { variable: 'host' }))
  }
  for (const name of ['X_Forwarded_Proto', 'X-Forwarded_Proto', 'X_Forwarded-For', 'X_Real_IP'])
    assert.match(headers('on'), `proxy_set_header ${name} "";\n`)
  assert.not.match(headers('off'), '_For')
})

test.run()
