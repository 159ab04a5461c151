import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import putProxy from '../../functions/put-proxy.ts'
import {
  contentsOf,
  installLineage,
  makeLineage,
  PORT_TAKEN,
  refused,
  refuseNextReload,
  textAt,
} from '../helpers/arrange.ts'
import {
  APP,
  appProxy,
  assertError,
  assertIssues,
  type CallOptions,
  call,
  HEALTHY,
  NO_TIMES,
  ORIGIN,
  revisionAt,
  UNCHECKED,
} from './wire.ts'

const test = suite('PUT /proxies/:droplet_name')

const put = (deps: Awaited<ReturnType<typeof fakeDeps>>, body: unknown = APP, options: CallOptions = {}, query = '') =>
  call(putProxy, deps, `/proxies/app${query}`, { method: 'PUT', body, ...options })

test('PUT /proxies/:droplet_name answers 201, the route, its receipt, ETag, Location and Server-Timing', async () => {
  const deps = await fakeDeps()
  const answer = await put(deps)
  assert.is(answer.status, 201)
  const receipt = { generation: 1, reloaded: true, proved_by: 'generation_probe', proved_ms: 0, batch: 1, former: [] }
  assert.equal(answer.body, { ...appProxy(deps), receipt })
  assert.is(answer.headers.get('etag'), `"${revisionAt(deps, 'app')}"`)
  assert.is(answer.headers.get('location'), '/proxies/app')
  assert.is(answer.headers.get('server-timing'), NO_TIMES)
})

test('PUT again answers 200 and says that nothing was reloaded', async () => {
  const deps = await fakeDeps()
  const first = await put(deps)
  const answer = await put(deps)
  assert.is(answer.status, 200)
  assert.equal(answer.body, {
    ...appProxy(deps, { health: { ...HEALTHY, recent: '11' } }),
    receipt: { generation: 1, reloaded: false, proved_by: 'files_unchanged', proved_ms: 0, batch: 1, former: [] },
  })
  assert.is(answer.headers.get('etag'), first.headers.get('etag'))
  assert.is(answer.headers.get('location'), null)
  assert.is(deps.nginx.reloads, 1)
})

test('PUT of another configuration answers 200, keeps created_at and has a new ETag', async () => {
  const deps = await fakeDeps()
  const first = await put(deps)
  await deps.clock.sleep(1000)
  const answer = await put(deps, { ...APP, upstream_port: 8003 })
  assert.is(answer.status, 200)
  assert.equal([answer.body.upstream_port, answer.body.upstream], [8003, 'http://localhost:8003'])
  assert.is(answer.body.created_at, '2026-01-01T00:00:00.000Z')
  assert.is(answer.body.updated_at, '2026-01-01T00:00:01.000Z')
  assert.is.not(answer.headers.get('etag'), first.headers.get('etag'))
})

test('PUT with HTTPS but without a certificate answers 202 and the next step', async () => {
  const deps = await fakeDeps()
  for (const outcome of ['created', 'unchanged']) {
    const answer = await put(deps, { domain: 'app.example.com', upstream_port: 8002 })
    assert.is(answer.status, 202, outcome)
    assert.equal([answer.body.status, answer.body.enable_ssl, answer.body.ssl_enabled], ['pending_ssl', true, false])
    assert.equal(answer.body.next, {
      method: 'POST',
      path: '/proxies/app/ssl',
      reason: 'app.example.com is served over HTTP; HTTPS is wanted and there is no certificate yet',
    })
  }
})

test('PUT with HTTPS and a certificate answers 201 with the certificate, never its key', async () => {
  const deps = await fakeDeps()
  await installLineage(deps, 'app.example.com', makeLineage('app.example.com'))
  const answer = await put(deps, { domain: 'app.example.com', upstream_port: 8002 })
  assert.is(answer.status, 201)
  assert.equal([answer.body.status, answer.body.ssl_enabled], ['active', true])
  assert.equal(answer.body.certificate.domains, ['app.example.com'])
  assert.not.match(answer.text, 'PRIVATE KEY')
  assert.not.match(answer.text, 'BEGIN')
})

test('every form of the upstream makes the same route', async () => {
  const deps = await fakeDeps()
  await put(deps)
  for (const upstream of [
    { upstream: 'http://localhost:8002' },
    { upstream: 'http://LOCALHOST:8002/' },
    { upstream_host: 'localhost', upstream_port: 8002 },
  ]) {
    const { receipt } = (await put(deps, { domain: 'APP.example.com.', enable_ssl: false, ...upstream })).body
    assert.is(receipt.reloaded, false, JSON.stringify(upstream))
  }
})

test('every fault of a request is reported at once, and nothing is written, tested or reloaded', async () => {
  const deps = await fakeDeps()
  const before = contentsOf(deps.disk)
  const body = { domain: '*.example.com', upstream_port: 0, enable_ssl: 'yes', nginx_bin: '/bin/sh' }
  const answer = await put(deps, body, {}, '?dry_run=maybe&force=1')
  assertIssues(answer, [
    ['dry_run', 'must be true or false'],
    ['force', 'is not a known parameter'],
    [
      'domain',
      'must be a DNS name: labels of 1 to 63 letters, digits and inner hyphens; no wildcard, port, scheme or path',
    ],
    ['upstream_port', 'must be an integer from 1 to 65535'],
    ['enable_ssl', 'must be true or false'],
    ['nginx_bin', 'is not a known field'],
  ])
  assert.equal(contentsOf(deps.disk), before)
  assert.equal(
    deps.effects.journal.filter(({ verb }) => verb === 'run' || verb === 'probe'),
    [],
  )
})

const REFUSED_FIELDS: Readonly<Record<string, readonly unknown[]>> = {
  domain: [
    ...['$hostname', '~^.*$', '_', '*', '*.x.com', '.x.com', '', '10.0.0.1', '[::1]', 'http://x.com', 'x.com:80'],
    ...['a.test\nserver{}', 'a.test\r', 'a.test;#', 'a.test }', 'ⓔxample.com', 'a。b.com', 'xn--a.com', 'localhost'],
    ...[`${'a'.repeat(64)}.com`, `${'a.'.repeat(126)}com`, 'a..b.com', '-a.com', 7, null, ['a.com']],
  ],
  upstream_host: [
    ...['2130706433', '0x7f000001', '0177.0.0.1', '127.1', 'unix:/var/run/docker.sock', 'user@h', 'h:80', '$host'],
    ...['[fe80::1%lo]', 'a b', 'a;', 'a\n', '', 1],
  ],
  upstream_port: [0, 65536, -1, 80.5, '80', true, null],
  upstream: ['javascript:alert(1)', 'ftp://h:1', 'http://h', 'http://u@h:1', 'http://h:1/x', 'http://h:0', 'h:1'],
}
for (const [field, values] of Object.entries(REFUSED_FIELDS)) {
  test(`PUT with a ${field} that does not fit answers 400 and touches nothing`, async () => {
    const deps = await fakeDeps()
    const before = contentsOf(deps.disk)
    const base = field === 'upstream' ? { domain: APP.domain } : APP
    for (const value of values) {
      const answer = await put(deps, { ...base, [field]: value })
      const { issues } = assertError(answer, 'INVALID_REQUEST')
      assert.ok(Array.isArray(issues))
      assert.equal(
        issues.map(({ path }) => path),
        [field],
        JSON.stringify(value),
      )
    }
    assert.equal(contentsOf(deps.disk), before)
    assert.is(deps.effects.journal.filter(({ verb }) => verb === 'run').length, 0)
  })
}

test('PUT with an invalid name answers 400 and changes nothing', async () => {
  const deps = await fakeDeps()
  const before = contentsOf(deps.disk)
  const encoded = ['%2e%2e%2fnginx.conf', '..%252F', '%00', '%c0%af', 'a%2fb', 'a%5cb', 'a%20b', 'a%0a', '%61']
  for (const name of [...encoded, ';x=1', '-rf', '.hidden', 'A', 'a'.repeat(64), 'default', '000-default', 'a.b']) {
    const answer = await call(putProxy, deps, `/proxies/${name}`, { method: 'PUT', body: APP })
    const details = assertError(answer, 'INVALID_REQUEST')
    assert.equal(
      (details.issues as { path: string }[]).map(({ path }) => path),
      ['droplet_name'],
      name,
    )
  }
  assert.equal(contentsOf(deps.disk), before)
})

for (const [what, init, code] of [
  ['text that is JSON', { 'content-type': 'text/plain' }, 'UNSUPPORTED_MEDIA_TYPE'],
  ['a form', { 'content-type': 'application/x-www-form-urlencoded' }, 'UNSUPPORTED_MEDIA_TYPE'],
  ['compressed JSON', { 'content-type': 'application/json', 'content-encoding': 'gzip' }, 'UNSUPPORTED_MEDIA_TYPE'],
] as const) {
  test(`PUT of ${what} answers 415`, async () => {
    const deps = await fakeDeps()
    assertError(await put(deps, APP, { headers: init }), code)
  })
}

test('PUT of more than 64 KiB answers 413 and closes the connection', async () => {
  const deps = await fakeDeps()
  const answer = await put(deps, { ...APP, domain: 'x'.repeat(70_000) })
  assertError(answer, 'PAYLOAD_TOO_LARGE')
  assert.is(answer.headers.get('connection'), 'close')
})

for (const [what, text] of Object.entries({
  'half of JSON': '{"domain":',
  'a list': '[]',
  'a number': '1',
  'a key twice': '{"domain":"a.example.com","domain":"b.example.com","upstream_port":8002}',
  'a key that is a prototype': '{"__proto__":{"x":1},"domain":"a.example.com","upstream_port":8002}',
})) {
  test(`PUT of ${what} answers 400`, async () => {
    const deps = await fakeDeps()
    const request = new Request(`${ORIGIN}/proxies/app`, {
      method: 'PUT',
      body: text,
      headers: { 'content-type': 'application/json' },
    })
    const response = await putProxy(request, deps)
    assert.is(response.status, 400)
    assert.is((await response.json()).error.code, 'INVALID_REQUEST')
  })
}

test('PUT without a body answers what is missing', async () => {
  const deps = await fakeDeps()
  const answer = await call(putProxy, deps, '/proxies/app', { method: 'PUT' })
  assertIssues(answer, [
    ['domain', 'is required'],
    ['upstream_port', 'is required (or upstream as http://host:port)'],
  ])
})

test('If-Match with the current revision replaces the route; any other answers 412 and writes nothing', async () => {
  const deps = await fakeDeps()
  const { headers } = await put(deps)
  const etag = headers.get('etag') ?? ''
  const wanted = { ...APP, upstream_port: 8003 }
  const before = contentsOf(deps.disk)
  for (const tag of ['"0000000000000000"', `W/${etag}`, 'nonsense', '']) {
    const details = assertError(await put(deps, wanted, { headers: { 'if-match': tag } }), 'PRECONDITION_FAILED')
    assert.is(`"${details.revision}"`, etag, tag)
  }
  assert.equal(contentsOf(deps.disk), before)
  const answer = await put(deps, wanted, { headers: { 'if-match': `"abc", ${etag}` } })
  assert.is(answer.status, 200)
  assertError(await put(deps, APP, { headers: { 'if-match': etag } }), 'PRECONDITION_FAILED')
})

test('If-Match: * requires an existing route, If-None-Match: * that there is none', async () => {
  const deps = await fakeDeps()
  const missing = assertError(await put(deps, APP, { headers: { 'if-match': '*' } }), 'PRECONDITION_FAILED')
  assert.is(missing.revision, null)
  assert.is((await put(deps, APP, { headers: { 'if-none-match': '*' } })).status, 201)
  assertError(await put(deps, APP, { headers: { 'if-none-match': '*' } }), 'PRECONDITION_FAILED')
  assert.is((await put(deps, APP, { headers: { 'if-match': '*' } })).status, 200)
})

test('PUT with dry_run answers the route as it would be and the plan, and changes nothing', async () => {
  const deps = await fakeDeps()
  const before = contentsOf(deps.disk)
  const answer = await put(deps, APP, {}, '?dry_run=true')
  assert.is(answer.status, 200)
  const { plan, ...proxy } = answer.body
  assert.equal({ ...proxy, revision: '' }, appProxy(deps, { revision: '', health: UNCHECKED, updated_by: null }))
  assert.equal(
    plan.changes.map(({ path, action }: { path: string; action: string }) => [path, action]),
    [
      ['/etc/nginx/sites-available/000-proxy-manager.conf', 'create'],
      ['/etc/nginx/sites-enabled/000-proxy-manager.conf', 'create'],
      ['/etc/nginx/sites-available/fpai-app.conf', 'create'],
      ['/etc/nginx/sites-enabled/fpai-app.conf', 'create'],
    ],
  )
  assert.match(plan.changes[2].diff, '--- /dev/null')
  assert.match(plan.changes[2].diff, '+    server_name app.example.com;')
  assert.match(plan.changes[3].diff, '+symlink to /etc/nginx/sites-available/fpai-app.conf')
  assert.is(plan.nginx_test.ok, true)
  assert.equal(
    [answer.body.receipt, answer.headers.get('etag'), answer.headers.get('location')],
    [undefined, null, null],
  )
  assert.equal(contentsOf(deps.disk), before)
  assert.is(deps.nginx.reloads, 0)
})

test('PUT with dry_run of a configuration that NGINX rejects answers 200 with its message', async () => {
  const deps = await fakeDeps()
  deps.nginx.judge = () => refused('fpai-app.conf', 4, 'invalid parameter "x"')
  const answer = await put(deps, APP, {}, '?dry_run=true')
  assert.is(answer.status, 200)
  assert.equal(answer.body.plan.nginx_test, {
    ok: false,
    output:
      '2026/01/01 00:00:00 [emerg] 4242#4242: invalid parameter "x" in fpai-app.conf:4\nnginx: configuration file nginx.conf test failed',
  })
})

test('PUT with dry_run fails if the PUT would fail', async () => {
  const deps = await fakeDeps()
  await put(deps)
  const other = { ...APP, upstream_port: 8003 }
  const conflict = await call(putProxy, deps, '/proxies/b?dry_run=true', { method: 'PUT', body: other })
  assert.equal(assertError(conflict, 'DOMAIN_CONFLICT').owner, { droplet_name: 'app' })
  deps.nginx.upstreams.set(8003, 500)
  assertError(await put(deps, other, {}, '?dry_run=true'), 'UPSTREAM_UNHEALTHY')
})

test('the same domain in three spellings is one domain: the second droplet gets 409 and the owner', async () => {
  const deps = await fakeDeps()
  const spellings = ['Ex.COM', 'ex.com.', 'ex.com']
  const answers = []
  for (const [i, domain] of spellings.entries())
    answers.push(await call(putProxy, deps, `/proxies/d${i}`, { method: 'PUT', body: { ...APP, domain } }))
  assert.equal(
    answers.map(({ status }) => status),
    [201, 409, 409],
  )
  for (const answer of answers.slice(1))
    assert.equal(assertError(answer, 'DOMAIN_CONFLICT').owner, { droplet_name: 'd0' })
})

test('an internationalized domain is served under its A-label', async () => {
  const deps = await fakeDeps()
  const answer = await put(deps, { ...APP, domain: 'Bücher.example' })
  assert.equal([answer.status, answer.body.domain], [201, 'xn--bcher-kva.example'])
})

test('an unhealthy upstream answers 422 and what was tried; with require_healthy false, 201', async () => {
  const deps = await fakeDeps()
  deps.nginx.upstreams.set(8002, 'ECONNREFUSED')
  const details = assertError(await put(deps), 'UPSTREAM_UNHEALTHY')
  assert.equal([details.upstream, details.health_status], ['http://localhost:8002', 'unhealthy'])
  const answer = await put(deps, { ...APP, require_healthy: false })
  assert.equal([answer.status, answer.body.last_health_status], [201, 'unknown'])
})

test('an upstream that is not allowed answers 422, and so does one that does not resolve', async () => {
  const deps = await fakeDeps()
  assertError(await put(deps, { ...APP, upstream_host: '169.254.169.254' }), 'UPSTREAM_FORBIDDEN')
  assertError(await put(deps, { ...APP, upstream_host: '[::ffff:a9fe:a9fe]' }), 'UPSTREAM_FORBIDDEN')
  assertError(await put(deps, { ...APP, upstream_port: 8100 }), 'UPSTREAM_FORBIDDEN')
  assertError(await put(deps, { ...APP, upstream_host: 'no-such.example' }), 'UPSTREAM_UNRESOLVABLE')
})

test('a configuration that NGINX rejects answers 500 with its message, without directories', async () => {
  const deps = await fakeDeps()
  deps.nginx.judge = (texts) =>
    texts.some((text) => text.includes('app.example.com'))
      ? refused('fpai-app.conf', 4, 'open() "/etc/nginx/secret/x" failed')
      : { exitCode: 0, output: '' }
  const details = assertError(await put(deps), 'PROXY_CONFIG_FAILED')
  assert.match(String(details.nginx_output), '[emerg] 4242#4242: open() "x" failed in fpai-app.conf:4')
})

test('a reload that NGINX rejects answers 500, rolled back', async () => {
  const deps = await fakeDeps()
  refuseNextReload(deps, PORT_TAKEN)
  const details = assertError(await put(deps), 'NGINX_RELOAD_FAILED')
  assert.equal([details.state, details.reason], ['rolled_back', 'refused'])
})

test("a caller's correlation id is on the answer, in the error and on the log line; a malformed one is replaced", async () => {
  const deps = await fakeDeps()
  const good = await put(deps, APP, { headers: { 'x-correlation-id': 'order-7.A_b' } })
  assert.is(good.headers.get('x-correlation-id'), 'order-7.A_b')
  const bad = await put(deps, {}, { headers: { 'x-correlation-id': 'order-8' } })
  assert.is(assertError(bad, 'INVALID_REQUEST').correlation_id, 'order-8')
  assert.equal(
    deps.lines.map((line) => [line.level, line.action, line.result, line.correlation_id, line.status, line.error_code]),
    [
      ['info', 'putProxy', 'success', 'order-7.A_b', 201, undefined],
      ['warn', 'putProxy', 'failure', 'order-8', 400, 'INVALID_REQUEST'],
    ],
  )
  for (const id of ['a b', '', 'x'.repeat(129), '<script>', '../..']) {
    const answer = await put(deps, APP, { headers: { 'x-correlation-id': id } })
    assert.match(answer.headers.get('x-correlation-id') ?? '', /^id-\d+$/)
  }
})

test('an unexpected failure answers 500 INTERNAL without its message, and the next call works', async () => {
  const deps = await fakeDeps()
  const list = deps.host.files.list
  deps.host.files.list = () => {
    throw new Error('secret words at /etc/secret')
  }
  const answer = await put(deps)
  const details = assertError(answer, 'INTERNAL')
  assert.not.match(answer.text, 'secret')
  const line = deps.lines.find(({ correlation_id }) => correlation_id === details.correlation_id)
  assert.match(String(line?.cause), 'secret words')
  deps.host.files.list = list
  assert.is((await put(deps)).status, 201)
})

const SEVERAL = {
  domain: APP.domain,
  enable_ssl: false,
  upstreams: [
    { host: '10.0.0.9', port: 8009, backup: true },
    { host: '10.0.0.1', port: 8001 },
    { host: '10.0.0.2', port: 8002 },
  ],
}

test('of several upstreams each that is not a backup must be healthy, or with "any" one', async () => {
  const deps = await fakeDeps()
  deps.nginx.upstreams.set(8009, 503)
  const created = await put(deps, SEVERAL)
  assert.equal([created.status, created.body.upstream], [201, 'http://10.0.0.1:8001'])
  assert.equal(
    created.body.upstreams,
    SEVERAL.upstreams.map(({ backup = false, ...one }) => ({ ...one, backup })),
  )
  deps.nginx.upstreams.set(8002, 'ECONNREFUSED')
  const before = contentsOf(deps.disk)
  const wanted = { ...SEVERAL, options: { balance: 'least_conn' } }
  const details = assertError(await put(deps, wanted), 'UPSTREAM_UNHEALTHY')
  assert.equal(
    [details.upstream, details.attempts],
    [
      'http://10.0.0.2:8002',
      [
        { address: '10.0.0.1', path: '/health', status: 200, upstream: 'http://10.0.0.1:8001' },
        { address: '10.0.0.2', path: '/health', failure: 'ECONNREFUSED', upstream: 'http://10.0.0.2:8002' },
      ],
    ],
  )
  assert.equal(
    contentsOf(deps.disk).filter(([path]) => path.includes('/sites-')),
    before.filter(([path]) => path.includes('/sites-')),
  )
  assert.is((await put(deps, { ...wanted, require_healthy: 'any' })).status, 200)
  deps.nginx.upstreams.set(8001, 500)
  assertError(await put(deps, { ...SEVERAL, require_healthy: 'any' }), 'UPSTREAM_UNHEALTHY')
})

test('each of several upstreams must be one that a route may lead to, also a backup', async () => {
  const deps = await fakeDeps()
  const withOther = (other: object) => put(deps, { ...SEVERAL, upstreams: [...SEVERAL.upstreams, other] })
  assertError(await withOther({ host: '169.254.169.254', port: 80, backup: true }), 'UPSTREAM_FORBIDDEN')
  assertError(await withOther({ host: 'localhost', port: 8100 }), 'UPSTREAM_FORBIDDEN')
  assertError(await withOther({ host: '127.0.0.1', port: 80, backup: true }), 'UPSTREAM_FORBIDDEN')
  assertError(await withOther({ host: 'missing.internal', port: 80 }), 'UPSTREAM_UNRESOLVABLE')
})

test('a name among several needs an NGINX that resolves it; one of the hosts file is written out', async () => {
  const deps = await fakeDeps()
  deps.names.dns.set('app.internal', ['10.0.0.3'])
  deps.host.network.hostsFile = (name) => (name === 'listed' ? ['10.0.0.4', '10.0.0.5'] : [])
  const named = (host: string) => put(deps, { ...SEVERAL, upstreams: [...SEVERAL.upstreams, { host, port: 8003 }] })
  const details = assertError(await named('app.internal'), 'NGINX_UNSUPPORTED')
  assert.match(String(details.remedy), /^Install an NGINX that has it, .*, or pass the addresses of the droplets$/)
  assert.is((await named('listed')).status, 201)
  const text = textAt(deps.disk, '/etc/nginx/sites-available/fpai-app.conf') ?? ''
  assert.match(text, /server 10\.0\.0\.4:8003 max_fails=3 fail_timeout=10s;\n {4}server 10\.0\.0\.5:8003 /)
})

test('one that is taken out is the only former upstream; the rest and the order make another revision', async () => {
  const deps = await fakeDeps()
  const [, one, two] = SEVERAL.upstreams
  const first = await put(deps, SEVERAL)
  assert.is((await put(deps, SEVERAL)).body.receipt.reloaded, false)
  const without = await put(deps, { ...SEVERAL, upstreams: [one] })
  assert.equal(
    without.body.receipt.former.map(({ upstream }: { upstream: string }) => upstream),
    ['http://10.0.0.9:8009', 'http://10.0.0.2:8002'],
  )
  assert.equal([without.body.upstreams.length, without.body.upstream], [1, 'http://10.0.0.1:8001'])
  const single = await put(deps, { ...APP, upstream_host: '10.0.0.1', upstream_port: 8001 })
  assert.is(single.headers.get('etag'), without.headers.get('etag'))
  const swapped = await put(deps, { ...SEVERAL, upstreams: [two, one] })
  assert.equal(swapped.body.receipt.former, [])
  assert.is(new Set([first, without, swapped].map(({ headers }) => headers.get('etag'))).size, 3)
})

test('upstream_tls_verify needs a file of trusted CAs', async () => {
  const deps = await fakeDeps()
  const body = { ...APP, options: { upstream_scheme: 'https', upstream_tls_verify: true } }
  assert.is((await put(deps, body)).status, 201)
  deps.disk.delete('/etc/ssl/certs/ca-certificates.crt')
  const details = assertError(
    await put(deps, { ...body, options: { ...body.options, hsts: true } }),
    'NGINX_UNSUPPORTED',
  )
  assert.match(String(details.remedy), /ca-certificates/)
})

test.run()
