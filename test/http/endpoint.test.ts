import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import { ProxyManagerError } from '../../lib/errors.ts'
import { endpoint } from '../../lib/http/endpoint.ts'
import { ErrorBody } from '../../lib/http/openapi/error-schema.ts'
import type { Answer, Call, Endpoint } from '../../lib/http/operation.ts'
import { DryRun, NoParams, NoQuery } from '../../lib/http/parameters.ts'
import type { Precondition } from '../../lib/plan/change.ts'
import { DropletName } from '../../lib/route/droplet-name.ts'
import { DEFAULT_OPTIONS } from '../../lib/route/options.ts'
import { PutProxyBody } from '../../lib/route/spec.ts'

const test = suite('endpoint')

/** `PUT /things/:droplet_name`, with a query and a body; the test supplies the handler. */
function put(
  handle: (call: Call<{ droplet_name: string }, { dry_run: boolean }, unknown>) => Promise<Answer>,
): Endpoint {
  return endpoint(
    {
      operationId: 'putThing',
      summary: 'Put a thing',
      description: 'The same twice is one thing.',
      method: 'PUT',
      path: '/things/:droplet_name',
      params: v.strictObject({ droplet_name: DropletName }),
      query: DryRun,
      body: PutProxyBody,
      responses: {},
      errors: [],
    },
    handle,
  )
}

function get(handle: (call: Call<unknown, unknown, unknown>) => Promise<Answer>): Endpoint {
  return endpoint(
    {
      operationId: 'getThings',
      summary: 'Get things',
      description: 'All of them.',
      method: 'GET',
      path: '/things',
      params: NoParams,
      query: NoQuery,
      body: undefined,
      responses: {},
      errors: [],
    },
    handle,
  )
}

const ok = async (): Promise<Answer> => ({ status: 200, body: { ok: true } })
const throwing = (thrown: unknown) => async (): Promise<Answer> => {
  throw thrown
}

function request(path: string, init: RequestInit = {}): Request {
  return new Request(`http://localhost${path}`, init)
}

function putRequest(path: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Request {
  const init = {
    method: 'PUT',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  }
  return request(path, init)
}

const GOOD = { domain: 'a.example.com', upstream_port: 80 }

async function errorOf(response: Response) {
  return v.parse(ErrorBody, await response.json()).error
}

/** The one line that a call has logged. */
function logged({ lines }: FakeDeps) {
  const [line, ...more] = lines
  assert.is(more.length, 0)
  if (line === undefined) throw new Error('nothing was logged')
  return line
}

test('a call is parsed, answered as JSON, and logged with its droplet and domain', async () => {
  const deps = await fakeDeps()
  const calls: unknown[] = []
  const handler = put(async (call) => {
    const { header, request: _, ...parsed } = call
    calls.push({ ...parsed, id: header('X-Correlation-ID') })
    return {
      status: 201,
      body: { name: call.params.droplet_name, text: 'ü' },
      headers: { etag: '"x"' },
      logFields: { more: 1 },
    }
  })
  const response = await handler(putRequest('/things/app?dry_run=true', GOOD, { 'x-correlation-id': 'abc' }), deps)
  assert.is(response.status, 201)
  assert.is(await response.text(), '{"name":"app","text":"ü"}')
  assert.equal(Object.fromEntries(response.headers), {
    'cache-control': 'no-store',
    'content-length': '26',
    'content-type': 'application/json; charset=utf-8',
    etag: '"x"',
    'x-content-type-options': 'nosniff',
    'x-correlation-id': 'abc',
  })
  const body = {
    domain: 'a.example.com',
    upstream_host: 'localhost',
    upstream_port: 80,
    require_healthy: true,
    enable_ssl: true,
    options: DEFAULT_OPTIONS,
  }
  assert.equal(calls, [
    { method: 'PUT', params: { droplet_name: 'app' }, query: { dry_run: true }, body, precondition: {}, id: 'abc' },
  ])
  assert.equal(logged(deps), {
    level: 'info',
    action: 'putThing',
    correlation_id: 'abc',
    duration_ms: 0,
    result: 'success',
    status: 201,
    droplet_name: 'app',
    domain: 'a.example.com',
    more: 1,
  })
})

test('faults of path, query and body are reported at once, and the handler is not called', async () => {
  const deps = await fakeDeps()
  let called = 0
  const handler = put(async () => {
    called++
    return await ok()
  })
  const path = '/things/-Secret?dry_run=secret&dry_run=secret&secre=1'
  const response = await handler(
    putRequest(path, { domain: 'secret_', nginx_bin: 'secret', reload_cmd: 'secret' }),
    deps,
  )
  assert.is(response.status, 400)
  const { code, details } = await errorOf(response)
  assert.is(code, 'INVALID_REQUEST')
  assert.equal(details.issues, [
    {
      path: 'droplet_name',
      message: 'must be 1 to 63 of a-z, 0-9, "_" and "-", beginning and ending with a letter or digit',
    },
    { path: 'dry_run', message: 'duplicate parameter' },
    { path: 'secre', message: 'is not a known parameter' },
    { path: 'dry_run', message: 'must be true or false' },
    { path: 'nginx_bin', message: 'is not a known field' },
    { path: 'reload_cmd', message: 'is not a known field' },
    { path: 'domain', message: 'must have at least two labels, such as app.example.com' },
    { path: 'upstream_port', message: 'is required (or upstream as http://host:port)' },
  ])
  assert.is(details.stage, 'request')
  assert.is(details.retryable, false)
  assert.is(called, 0)
})

test('a name in the path is used as it is: nothing is percent-decoded', async () => {
  const deps = await fakeDeps()
  for (const name of [
    '%2e%2e%2fnginx.conf',
    '..%252F',
    '%00',
    '%c0%af',
    'a%2fb',
    'a;x=1',
    '%61',
    'a%0a',
    '',
    '-rf',
    'A',
  ])
    assert.is((await put(ok)(putRequest(`/things/${name}`, GOOD), deps)).status, 400, name)
  assert.is((await put(ok)(putRequest('/things/../things/app', GOOD), deps)).status, 200)
  assert.is((await put(ok)(putRequest('/pm/things/app', GOOD), deps)).status, 200, 'under a base')
})

test('an unknown query parameter is rejected, even one that every object inherits', async () => {
  const deps = await fakeDeps()
  for (const name of ['dry-run', 'DRY_RUN', '__proto__', 'constructor', 'toString', '']) {
    const response = await put(ok)(putRequest(`/things/app?${name}=1`, GOOD), deps)
    assert.is(response.status, 400, name)
    assert.equal((await errorOf(response)).details.issues, [{ path: name, message: 'is not a known parameter' }], name)
  }
  assert.is((await get(ok)(request('/things?x=1'), deps)).status, 400)
  assert.is((await get(ok)(request('/things?'), deps)).status, 200)
})

test('a body that is missing, null, not an object, or of another content type is rejected', async () => {
  const deps = await fakeDeps()
  for (const body of [undefined, null, [], 'x', 1]) {
    const response = await put(ok)(putRequest('/things/app', body), deps)
    assert.is(response.status, 400, JSON.stringify(body))
  }
  const plain = await put(ok)(putRequest('/things/app', GOOD, { 'content-type': 'text/plain' }), deps)
  assert.is(plain.status, 415)
  assert.is((await errorOf(plain)).code, 'UNSUPPORTED_MEDIA_TYPE')
  const large = await put(ok)(putRequest('/things/app', { domain: 'x'.repeat(70_000) }), deps)
  assert.is(large.status, 413)
  assert.is(large.headers.get('connection'), 'close')
})

test('a body with a duplicate key, or with __proto__, is rejected', async () => {
  const deps = await fakeDeps()
  const json = { 'content-type': 'application/json' }
  for (const text of [
    '{"domain":"a.example.com","upstream_port":80,"upstream_port":81}',
    '{"domain":"a.example.com","upstream_port":80,"__proto__":{"enable_ssl":false}}',
  ]) {
    const response = await put(ok)(request('/things/app', { method: 'PUT', body: text, headers: json }), deps)
    assert.is(response.status, 400, text)
  }
})

test('an operation without a body does not read one', async () => {
  const sent = new Request('http://localhost/things', { method: 'POST', body: '{', headers: { 'content-type': 'x' } })
  assert.is((await get(ok)(sent, await fakeDeps())).status, 200)
  assert.is(sent.bodyUsed, false)
})

test('a well-formed correlation id is returned in answers and errors and logged; any other is replaced', async () => {
  for (const id of ['a', 'A-z_0.9', 'x'.repeat(128)]) {
    const deps = await fakeDeps()
    const response = await get(throwing(new ProxyManagerError('BUSY')))(
      request('/things', { headers: { 'x-correlation-id': id } }),
      deps,
    )
    assert.is(response.headers.get('x-correlation-id'), id)
    assert.is((await errorOf(response)).details.correlation_id, id)
    assert.is(logged(deps).correlation_id, id)
  }
  for (const id of ['', 'a b', 'a,b', 'x'.repeat(129), 'ä', '{"a":1}', '\x1b[31m']) {
    const deps = await fakeDeps()
    const headers = { 'x-correlation-id': id }
    const response = await get(ok)(request('/things', { headers }), deps)
    assert.is(response.headers.get('x-correlation-id'), 'id-1', id)
    assert.is(logged(deps).correlation_id, 'id-1')
  }
})

test('a correlation id in the dependencies overrides that of the request', async () => {
  const deps = await fakeDeps()
  const headers = { 'x-correlation-id': 'theirs' }
  const response = await get(ok)(request('/things', { headers }), { ...deps, correlationId: 'ours' })
  assert.is(response.headers.get('x-correlation-id'), 'ours')
})

test('an error of the catalogue is answered only with its public message, and logged with its cause', async () => {
  const deps = await fakeDeps()
  const error = new ProxyManagerError('SSL_RATE_LIMITED', {
    message: 'Not before tomorrow',
    details: { nginx_output: 'said' },
    headers: { allow: 'GET' },
    retryAfterS: 60,
    cause: new Error('private words'),
  })
  const response = await get(throwing(error))(request('/things'), deps)
  assert.is(response.status, 429)
  assert.is(response.headers.get('retry-after'), '60')
  assert.is(response.headers.get('allow'), 'GET')
  const text = await response.text()
  assert.equal(JSON.parse(text), {
    error: {
      code: 'SSL_RATE_LIMITED',
      message: 'Not before tomorrow',
      details: {
        stage: 'issue',
        state: 'unchanged',
        culprit: 'ca',
        retryable: true,
        nginx_output: 'said',
        correlation_id: 'id-1',
      },
    },
  })
  const line = logged(deps)
  assert.is(line.level, 'warn')
  assert.is(line.error_code, 'SSL_RATE_LIMITED')
  assert.is(line.nginx_output, 'said')
  assert.match(String(line.cause), 'private words')
})

test('anything else that is thrown is INTERNAL: none of its text is in the answer, all of it in the log', async () => {
  const secret = new Error('secret /etc/shadow')
  const childProcess = Object.assign(new Error('secret'), { status: 1, code: 'INVALID_REQUEST', headers: { a: 'b\n' } })
  for (const thrown of [secret, childProcess, 'secret', null, undefined, { secret: 1 }, 0]) {
    const deps = await fakeDeps()
    const response = await get(throwing(thrown))(request('/things'), deps)
    assert.is(response.status, 500)
    const text = await response.text()
    assert.not.match(text, /secret|shadow|at .*\.ts|stack/)
    const { code, message, details } = v.parse(ErrorBody, JSON.parse(text)).error
    assert.is(code, 'INTERNAL')
    assert.is(message, 'Internal error; see the log for this correlation ID')
    assert.is(details.correlation_id, 'id-1')
    const line = logged(deps)
    assert.is(line.level, 'error')
    assert.is(line.error_code, 'INTERNAL')
    assert.is(typeof line.cause, 'string')
  }
})

test('an answer that cannot be serialized or sent is INTERNAL as well', async () => {
  for (const answer of [
    { status: 200, body: {}, headers: { etag: 'a\nb' } },
    { status: 200, body: { a: 1n } },
    { status: 999, body: {} },
    { status: 200, body: undefined },
  ]) {
    const response = await get(async () => answer)(request('/things'), await fakeDeps())
    assert.is(response.status, 500)
    assert.is((await errorOf(response)).code, 'INTERNAL')
  }
})

test('the log line of a failed call has its droplet and its domain', async () => {
  const deps = await fakeDeps()
  const failing = put(throwing(new ProxyManagerError('UPSTREAM_UNHEALTHY')))
  const body = JSON.stringify({ domain: 'App.Example.com', upstream_port: 1 })
  const headers = { 'content-type': 'application/json' }
  await failing(new Request('http://127.0.0.1/things/app', { method: 'PUT', body, headers }), deps)
  const { droplet_name, domain } = logged(deps)
  assert.equal([droplet_name, domain], ['app', 'app.example.com'])
})

test('a name from the path is one field of the log line, and cut to 253 characters', async () => {
  const deps = await fakeDeps()
  await put(ok)(putRequest(`/things/%0a%1b[31m${'x'.repeat(500)}`, GOOD), deps)
  const line = logged(deps)
  assert.is(line.error_code, 'INVALID_REQUEST')
  assert.is(String(line.droplet_name).length, 253)
  assert.not.match(JSON.stringify(line), '\n')
})

test('If-Match and If-None-Match are parsed as RFC 9110 defines them', async () => {
  const deps = await fakeDeps()
  const table: readonly (readonly [Readonly<Record<string, string>>, Precondition])[] = [
    [{}, {}],
    [{ 'if-match': '"a"' }, { ifMatch: ['a'] }],
    [{ 'if-match': '"a", "b" ,"c"' }, { ifMatch: ['a', 'b', 'c'] }],
    [{ 'if-match': '*' }, { ifMatch: '*' }],
    [{ 'if-match': ' * ' }, { ifMatch: '*' }],
    [{ 'if-match': 'W/"a"' }, { ifMatch: [] }],
    [{ 'if-match': 'W/"a", "b"' }, { ifMatch: ['b'] }],
    [{ 'if-match': '"a,b"' }, { ifMatch: ['a,b'] }],
    [{ 'if-match': '""' }, { ifMatch: [''] }],
    [{ 'if-match': 'a' }, { ifMatch: [] }],
    [{ 'if-match': '' }, { ifMatch: [] }],
    [{ 'if-none-match': '*' }, { ifNoneMatchAny: true }],
    [{ 'if-none-match': '"a"' }, {}],
    [
      { 'if-match': '"a"', 'if-none-match': '*' },
      { ifMatch: ['a'], ifNoneMatchAny: true },
    ],
  ]
  for (const [headers, precondition] of table) {
    let found: Precondition | undefined
    const handler = get(async (call) => {
      found = call.precondition
      return await ok()
    })
    await handler(request('/things', { headers: { ...headers } }), deps)
    assert.equal(found, precondition, JSON.stringify(headers))
  }
})

test('an endpoint carries its own operation', () => {
  assert.is(get(ok).operation.operationId, 'getThings')
  assert.is(get(ok).operation.path, '/things')
})

test.run()
