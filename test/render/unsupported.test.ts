import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import type { ModuleName } from '../../lib/nginx/config/build.ts'
import type { Version } from '../../lib/nginx/config/version.ts'
import { unsupported } from '../../lib/render/unsupported.ts'
import { countEffects, installLineage, makeLineage, refusal, textAt } from '../helpers/arrange.ts'
import { context } from '../helpers/samples.ts'
import { put, putRequest } from '../helpers/world.ts'

const test = suite('unsupported')

const without =
  (...modules: readonly string[]) =>
  async () => {
    const deps = await fakeDeps()
    for (const name of modules)
      deps.nginx.version = deps.nginx.version.includes(`--with-http_${name}_module`)
        ? deps.nginx.version.replace(` --with-http_${name}_module`, '')
        : `${deps.nginx.version} --without-http_${name}_module`
    return deps
  }

for (const name of ['ssl', 'v2'])
  test(`without ngx_http_${name}_module HTTPS is refused before anything is ordered, and HTTP is served`, async () => {
    const deps = await without(name)()
    const error = await refusal(
      deps.engine.putProxy(putRequest('app', 'app.example.com', 8002, true)),
      'NGINX_UNSUPPORTED',
    )
    assert.is(error.status, 422)
    assert.is(error.details.culprit, 'host')
    assert.match(error.message, `ngx_http_${name}_module`)
    assert.is(error.details.remedy, 'Install an NGINX that has it, such as Debian\'s, or pass "enable_ssl": false')
    await put(deps, 'app', 'app.example.com', 8002)
    const call = { dropletName: 'app', forceRenew: false }
    await refusal(deps.engine.issueCertificate(call), 'NGINX_UNSUPPORTED')
    await refusal(deps.engine.dryRunIssue(call), 'NGINX_UNSUPPORTED')
    assert.is(countEffects(deps, /^run .*certbot/), 0)
    const health = await deps.engine.readHealth()
    assert.is(health.status, 'healthy')
    assert.match(health.advice.join(), `built without ngx_http_${name}_module, which HTTPS needs: install`)
  })

test('a route that wants HTTPS already makes health degraded, and nothing is ordered for it in the background', async () => {
  const deps = await fakeDeps()
  await deps.engine.putProxy(putRequest('app', 'app.example.com', 8002, true))
  deps.nginx.version = deps.nginx.version.replace(' --with-http_ssl_module', '')
  deps.disk.set('/usr/sbin/nginx', { kind: 'file', file: { text: 'another binary' }, mode: 0o755 })
  const { status, reasons } = await deps.engine.readHealth()
  assert.is(status, 'degraded')
  assert.match(reasons.join(), 'ngx_http_ssl_module, which HTTPS needs')
  await deps.engine.certificates.issuePending()
  assert.is(countEffects(deps, /^run .*certbot/), 0)
})

test('without a module of every route no route is made, and health is unhealthy', async () => {
  const deps = await without('map', 'rewrite')()
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_UNSUPPORTED')
  assert.is(
    error.message,
    'This NGINX was built without ngx_http_map_module, ngx_http_rewrite_module, which every route needs',
  )
  assert.is((await deps.engine.readHealth()).status, 'unhealthy')
})

test('directives of other missing modules are left out', async () => {
  const deps = await without('access', 'auth_basic', 'upstream_keepalive')()
  await put(deps, 'app', 'app.example.com', 8002)
  const text = textAt(deps.disk, '/etc/nginx/sites-available/fpai-app.conf') ?? ''
  assert.not.match(text, /^ *(allow|auth_basic|keepalive)/m)
})

test('the option allow needs ngx_http_access_module', () => {
  const lacking = { ...context, missingModules: ['access'] as const }
  assert.is(unsupported({ enable_ssl: false, options: { allow: [] } }, lacking), undefined)
  const error = unsupported({ enable_ssl: false, options: { allow: ['10.0.0.0/8'] } }, lacking)
  assert.match(String(error?.details.remedy), /, or leave out options\.allow$/)
})

test('a name among several upstreams needs NGINX 1.27.3 and shared memory; least_conn its module, if there are several', () => {
  const upstreams = [null, ['10.0.0.1']].map((addresses, i) => ({ host: `a${i}`, port: 1, backup: false, addresses }))
  const on = (nginxVersion: Version, ...missingModules: ModuleName[]) =>
    unsupported({ enable_ssl: false, upstreams }, { nginxVersion, missingModules })?.message
  assert.match(on([1, 27, 2]) ?? '', /older than 1\.27\.3, which a name among several upstreams needs/)
  assert.match(on([1, 28, 0], 'upstream_zone') ?? '', /without ngx_http_upstream_zone_module/)
  assert.is(on([1, 27, 3]), undefined)
  const options = { balance: 'least_conn' } as const
  const lacking = { nginxVersion: [1, 28, 0], missingModules: ['upstream_least_conn'] } as const
  assert.is(unsupported({ enable_ssl: false, options }, lacking), undefined)
  const error = unsupported({ enable_ssl: false, options, upstreams }, lacking)
  assert.match(String(error?.details.remedy), /or leave out options\.balance$/)
})

test('a certificate that is there is used if everything is there', async () => {
  const deps = await fakeDeps()
  await installLineage(deps, 'app.example.com', makeLineage('app.example.com'))
  await deps.engine.putProxy(putRequest('app', 'app.example.com', 8002, true))
  assert.match(textAt(deps.disk, '/etc/nginx/sites-available/fpai-app.conf') ?? '', /ssl_certificate /)
})

test.run()
