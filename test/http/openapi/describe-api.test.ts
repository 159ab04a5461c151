import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { type FakeDeps, fakeDeps } from '../../../fixtures/deps.ts'
import { createApp, endpoints } from '../../../functions/index.ts'
import { ERRORS, type ErrorCode, statusesOf } from '../../../lib/errors.ts'
import { describeApi } from '../../../lib/http/openapi/describe-api.ts'
import { type Answer, APP, answerOf, type CallOptions, requestTo } from '../../functions/wire.ts'
import { refused, writeAt } from '../../helpers/arrange.ts'
import { certbotThatIssues, certificateFor } from '../../helpers/certbot.ts'
import {
  ajv,
  assertDescribed,
  description,
  inlined,
  operationFor,
  operations,
  validatorOf,
} from '../../helpers/described.ts'
import { lint } from '../../helpers/lint-openapi.ts'
import { putSite } from '../../helpers/sweeps.ts'

const test = suite('openapi')

/** Names of all properties that have a description. */
function describedProperties(schema: unknown): string[] {
  if (typeof schema !== 'object' || schema === null) return []
  const properties = 'properties' in schema ? Object.entries(schema.properties ?? {}) : []
  const isDescribed = (value: unknown) => typeof value === 'object' && value !== null && 'description' in value
  const own = properties.flatMap(([name, value]) => (isDescribed(value) ? [name] : []))
  return [...own, ...Object.values(schema).flatMap(describedProperties)]
}

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** Whether an endpoint needs no token. */
const isOpen = ({ path }: { readonly path: string }) => ['/health', '/proxy-manager/health'].includes(path)

const namesIn = (details: object) => Object.keys(details).sort().join(' ')

/** The example of each of these errors has the details of one of its answers. */
function assertExamples(answered: World['details']): void {
  const Example = v.object({ error: v.object({ details: v.record(v.string(), v.unknown()) }) })
  const examples = operations.flatMap(({ operation }) =>
    Object.values(operation.responses).flatMap(({ content }) =>
      Object.entries(content['application/json']?.examples ?? {}),
    ),
  )
  for (const [code, answers] of answered) {
    const example = v.parse(Example, examples.find(([name]) => name === code)?.[1].value)
    const names = namesIn(example.error.details)
    assert.ok(answers.has(names), `${code}: the example has ${names}; answered were ${[...answers].join(' | ')}`)
  }
}

interface World {
  readonly deps: FakeDeps
  /** Calls the app, and asserts that its answer is described. */
  readonly send: (method: string, path: string, options?: CallOptions) => Promise<Answer>
  readonly seen: Set<string>
  /** The names of the details of each error that was answered. */
  readonly details: Map<string, Set<string>>
}

async function world(settings: Readonly<Record<string, string>> = {}): Promise<World> {
  const deps = await fakeDeps({ settings })
  const app = createApp(() => deps)
  const seen = new Set<string>()
  const details: World['details'] = new Map()
  const send: World['send'] = async (method, path, options = {}) => {
    const answer = await answerOf(await app(requestTo(path, { ...options, method })))
    await deps.engine.idle()
    assertDescribed(method, path, answer)
    seen.add(`${operationFor(method, path).operationId} ${answer.body?.error?.code ?? answer.status}`)
    const { code, details: received } = answer.body?.error ?? {}
    if (code !== undefined) details.set(code, (details.get(code) ?? new Set()).add(namesIn(received)))
    return answer
  }
  return { deps, send, seen, details }
}

test('a public linter accepts the description, and that of a part of the API', async () => {
  assert.equal(await lint(description), [])
  const some = endpoints
    .map(({ operation }) => operation)
    .filter(({ operationId }) => /^(put|get)Proxy$/.test(operationId))
  assert.is(some.length, 2)
  assert.equal(await lint(describeApi(some, '1.2.3', '/pm')), [])
})

test('the linter finds faults of structure, references, examples and descriptions', async () => {
  const [some] = endpoints
  if (some === undefined) throw new Error('no endpoint')
  const parameter = { name: 'X-Thing', in: 'header', schema: { type: 'string' } }
  const faults: Readonly<Record<string, (text: string) => string>> = {
    struct: (text) => text.replace('"openapi":"3.1.0",', '"openapi":"3.1.0","jsonSchema":1,'),
    'no-unresolved-refs': (text) => text.replace('#/components/schemas/ErrorBody', '#/components/schemas/Mistake'),
    'no-invalid-media-type-examples': (text) => text.replace('"code":"INVALID_REQUEST",', ''),
    'operation-description': (text) => text.replace(JSON.stringify(some.operation.description), '""'),
    'tag-description': (text) => text.replace(/("tags":\[\{"name":"\w+"),"description":"[^"]+"/, '$1'),
    'security-defined': (text) => text.replace('{"bearer":[]}', '{"badge":[]}'),
    'parameter-description': (text) => text.replace('"parameters":[', `"parameters":[${JSON.stringify(parameter)},`),
    'response-contains-header': (text) => text.replaceAll('"X-Correlation-ID":', '"X-Id":'),
  }
  for (const [rule, spoil] of Object.entries(faults)) {
    const found = await lint(JSON.parse(spoil(JSON.stringify(describeApi([some.operation], '1.2.3')))))
    assert.ok(
      found.some((line) => line.startsWith(`${rule}: `)),
      `${rule} is not among ${JSON.stringify(found)}`,
    )
  }
})

test('every schema in it is valid JSON Schema 2020-12', () => {
  for (const { operation } of operations) {
    const contents = [
      operation.requestBody?.content,
      ...Object.values(operation.responses).map(({ content }) => content),
    ]
    for (const content of contents)
      for (const { schema } of Object.values(content ?? {}))
        assert.ok(ajv.validateSchema(schema), operation.operationId)
  }
})

test('exactly the endpoints are described, under each of their addresses', () => {
  const mounted = endpoints.flatMap(({ operation }) =>
    [operation, ...(operation.aliases ?? [])].map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`),
  )
  assert.equal(operations.map(({ method, path }) => `${method} ${path}`).sort(), mounted.sort())
  const names = operations.map(({ operation }) => operation.operationId)
  assert.is(new Set(names).size, names.length)
})

test('every error that an endpoint may answer is described, with its status and a valid example', () => {
  for (const { operation } of endpoints) {
    const { responses } = operations.find((one) => one.operation.operationId === operation.operationId)?.operation ?? {}
    const withToken: readonly ErrorCode[] = isOpen(operation) ? [] : ['UNAUTHORIZED']
    // Without a token, none can be wrong.
    for (const status of ['401', '429'])
      assert.is(responses?.[status] === undefined, isOpen(operation), operation.operationId)
    for (const code of new Set<ErrorCode>([...operation.errors, ...withToken, 'FORBIDDEN', 'INTERNAL'])) {
      for (const status of statusesOf(code)) {
        const response = responses?.[String(status)]
        const content = response?.content['application/json']
        const example = content?.examples[code]?.value
        assert.ok(
          response?.description.includes(`${code}: ${ERRORS[code].message}`),
          `${operation.operationId} ${code}`,
        )
        const validate = validatorOf({ $ref: '#/components/schemas/ErrorBody' })
        assert.ok(validate(example), `${code}: ${ajv.errorsText(validate.errors)}`)
      }
    }
  }
})

test('every error of the catalogue is described, except those of paths and methods that do not exist', () => {
  const described = new Set(
    operations.flatMap(({ operation }) =>
      Object.values(operation.responses).flatMap(({ content }) =>
        Object.values(content).flatMap(({ examples }) => Object.keys(examples)),
      ),
    ),
  )
  assert.equal(
    Object.keys(ERRORS).filter((code) => !described.has(code)),
    ['NOT_FOUND', 'METHOD_NOT_ALLOWED'],
  )
})

test('path parameters are those of the path, and every operation accepts a correlation id', () => {
  for (const { path, operation } of operations) {
    const inPath = operation.parameters.filter((parameter) => parameter.in === 'path')
    assert.equal(
      inPath.map(({ name }) => `{${name}}`),
      path.match(/\{\w+\}/g) ?? [],
    )
    assert.ok(inPath.every(({ required }) => required))
    assert.ok(operation.parameters.some(({ name }) => name === 'X-Correlation-ID'))
  }
})

test('If-Match and If-None-Match are described for exactly the operations that honour them', () => {
  const conditional = operations.filter(({ operation }) => operation.parameters.some(({ name }) => name === 'If-Match'))
  assert.equal(conditional.map(({ operation }) => operation.operationId).sort(), [
    'createProxy',
    'deleteProxy',
    'putProxy',
    'renameProxy',
    'rollbackProxy',
  ])
})

test('what callers meet more than once is a named schema, so that generated clients have types for it', () => {
  const { schemas } = v.parse(
    v.looseObject({ components: v.looseObject({ schemas: v.record(v.string(), v.unknown()) }) }),
    description,
  ).components
  const names = [
    'Certificate',
    'CertificateRequest',
    'ChangedRoute',
    'DeletedCertificate',
    'DeletedRoute',
    'ErrorBody',
    'Event',
    'ManagerHealth',
    'NewRouteRequest',
    'PendingRoute',
    'Plan',
    'ProgressEvent',
  ]
  assert.equal(Object.keys(schemas).sort(), [
    ...names,
    'Receipt',
    'Route',
    'RouteDetails',
    'RouteRequest',
    'StoredCertificate',
  ])
  assert.match(JSON.stringify(description), '"items":{"$ref":"#/components/schemas/Route"}')
})

test('a body is required if an empty one is invalid', () => {
  const required = operations.filter(({ operation }) => operation.requestBody?.required === true)
  assert.equal(required.map(({ operation }) => operation.operationId).sort(), [
    'adoptSite',
    'createProxy',
    'importRoutes',
    'putCertificate',
    'putProxy',
    'renameProxy',
    'udcMessage',
    'udcMessage2',
  ])
})

test('what a newcomer needs to know has a description', () => {
  const described = new Set(describedProperties(inlined(description)))
  for (const name of [
    ...['domain', 'upstream', 'upstream_host', 'upstream_port', 'require_healthy', 'enable_ssl', 'droplet_name'],
    ...['status', 'ssl_enabled', 'revision', 'receipt', 'generation', 'proved_by', 'plan', 'next', 'maintenance'],
    ...['stage', 'state', 'culprit', 'retryable', 'correlation_id', 'remedy', 'issues'],
  ])
    assert.ok(described.has(name), name)
})

test('a domain name is described by its purpose in each place', () => {
  const Options = v.looseObject({
    redirect_to: v.looseObject({ anyOf: v.array(v.looseObject({ description: v.optional(v.string()) })) }),
  })
  const Body = v.looseObject({
    properties: v.looseObject({
      domain: v.looseObject({ description: v.string() }),
      options: v.looseObject({ properties: Options }),
    }),
  })
  const { requestBody } = operationFor('PUT', '/proxies/app')
  const { domain, options } = v.parse(Body, requestBody?.content['application/json']?.schema).properties
  assert.match(domain.description, 'name that the route serves')
  assert.match(options.properties.redirect_to.anyOf[0]?.description ?? '', 'Redirect every request to this domain')
  const filter = operationFor('GET', '/proxies').parameters.find(({ name }) => name === 'domain')
  assert.match(String(filter?.description), 'Only routes that serve this domain')
})

test('the server is the one that served the description, including its base', () => {
  for (const [base, url] of [
    ['', '/'],
    ['/pm', '/pm'],
  ] as const)
    assert.equal(describeApi([], '1.2.3', base).servers, [{ url }])
})

test('the operations on routes answer as described', async () => {
  const { deps, send, seen, details } = await world({ SSL_PREFLIGHT: 'off' })
  const ssl = { domain: 'ssl.example.com', upstream_port: 8003 }
  await send('PUT', '/proxies/app?dry_run=true', { body: APP })
  await send('PUT', '/proxies/app', { body: APP })
  await send('PUT', '/proxies/app', { body: APP })
  await send('PUT', '/proxies/ssl', { body: ssl })
  await send('POST', '/proxies', { body: APP })
  await send('POST', '/proxies?dry_run=true', { body: { ...APP, domain: 'new.example.com' } })
  await send('POST', '/proxies', { body: { ...APP, domain: 'new.example.com' } })
  await send('POST', '/proxies', { body: { ...ssl, domain: 'pending.example.com' } })
  await send('POST', '/proxies', { body: { ...APP, droplet_name: 'app', upstream_port: 9 } })
  await send('PUT', '/proxies/other', { body: APP })
  await send('POST', '/proxies/ssl/ssl', { body: {} })
  await send('GET', '/proxies')
  certbotThatIssues(deps, certificateFor('ssl.example.com'))
  await deps.clock.sleep(7_200_000)
  await send('POST', '/proxies/ssl/ssl', { body: {} })
  await send('GET', '/proxies')
  await send('GET', '/proxies/ssl')
  await send('GET', '/proxies/none')
  await send('GET', '/proxies?status=x')
  await send('PUT', '/proxies/app', { body: { domain: '*', upstream_port: 0, x: 1 } })
  await send('PUT', '/proxies/app', { body: APP, headers: { 'if-none-match': '*' } })
  await send('PUT', '/proxies/app', { body: { ...APP, upstream_host: '169.254.169.254' } })
  await send('PUT', '/proxies/app', { body: { ...APP, upstream_host: 'nowhere.internal' } })
  await send('PUT', '/proxies/app', { body: 'x'.repeat(70_000) })
  await send('PUT', '/proxies/app', { body: APP, headers: { 'content-type': 'text/plain' } })
  deps.nginx.upstreams.set(8004, 'ECONNREFUSED')
  await send('PUT', '/proxies/app', { body: { ...APP, upstream_port: 8004 } })
  await send('DELETE', '/proxies/app?dry_run=true')
  await send('DELETE', '/proxies/app')
  await send('DELETE', '/proxies/new-example-com?delete_certificate=true')
  await send('DELETE', '/proxies/app')
  await send('POST', '/proxies/app/ssl')
  for (const outcome of [
    'putProxy 200',
    'putProxy 201',
    'putProxy 202',
    'putProxy INVALID_REQUEST',
    'putProxy DOMAIN_CONFLICT',
    'putProxy PRECONDITION_FAILED',
    'putProxy PAYLOAD_TOO_LARGE',
    'putProxy UNSUPPORTED_MEDIA_TYPE',
    'putProxy UPSTREAM_FORBIDDEN',
    'putProxy UPSTREAM_UNRESOLVABLE',
    'putProxy UPSTREAM_UNHEALTHY',
    'createProxy 200',
    'createProxy 201',
    'createProxy 202',
    'createProxy DROPLET_EXISTS',
    'listProxies 200',
    'listProxies INVALID_REQUEST',
    'getProxy 200',
    'getProxy PROXY_NOT_FOUND',
    'deleteProxy 200',
    'deleteProxy PROXY_NOT_FOUND',
    'issueCertificate 200',
    'issueCertificate SSL_ISSUANCE_FAILED',
    'issueCertificate PROXY_NOT_FOUND',
  ])
    assert.ok(seen.has(outcome), `${outcome} was not seen: ${[...seen].join(', ')}`)
  assertExamples(details)
})

test('a broken host answers as described', async () => {
  const { deps, send, seen, details } = await world({ REGISTRY_URL: 'http://registry.example:8000' })
  await send('PUT', '/proxies/app', { body: APP })
  const other = { ...APP, domain: 'other.example.com' }
  deps.nginx.judge = (texts) =>
    texts.some((text) => text.includes('other.example.com'))
      ? refused('fpai-other.conf', 3, 'invalid parameter "x"')
      : { exitCode: 0, output: '' }
  await send('PUT', '/proxies/other?dry_run=true', { body: other })
  await send('PUT', '/proxies/other', { body: other })
  deps.nginx.judge = () => refused('vhost.conf', 3, 'unknown directive "x"')
  await send('PUT', '/proxies/other', { body: other })
  writeAt(deps.disk, '/etc/nginx/sites-available/fpai-app.conf', '# torn')
  await send('GET', '/proxy-manager/health')
  deps.nginx.running = false
  for (const path of ['/proxy-manager/health', '/health', '/state', '/proxy-manager/metrics']) await send('GET', path)
  deps.disk.delete('/usr/bin/certbot')
  await send('POST', '/proxies/app/ssl')
  await send('POST', '/proxy-manager/sync-from-registry')
  for (const outcome of [
    'putProxy PROXY_CONFIG_FAILED',
    'putProxy NGINX_ALREADY_BROKEN',
    'getManagerHealth 503',
    'syncFromRegistry REGISTRY_UNAVAILABLE',
  ])
    assert.ok(seen.has(outcome), `${outcome} was not seen: ${[...seen].join(', ')}`)
  assertExamples(details)
})

test('the operations for the mesh answer as described', async () => {
  const { deps, send, seen, details } = await world({ REGISTRY_URL: 'http://registry.example:8000' })
  const droplets = Array.from({ length: 6 }, (_, i) => ({ name: `a${i}`, domain: `a${i}.example.com`, port: 8001 }))
  deps.nginx.registry = { status: 200, body: JSON.stringify([...droplets, { name: 'bad' }]) }
  for (const { method, path } of operations.filter((one) => one.method === 'GET' && !one.path.includes('{')))
    await send(method, path)
  await send('POST', '/proxy-manager/sync-from-registry?dry_run=true&prune=true')
  deps.nginx.registry = { status: 200, body: JSON.stringify(droplets.slice(5)) }
  await send('POST', '/proxy-manager/sync-from-registry?prune=true')
  await send('POST', '/import', { body: { version: 1, routes: [] } })
  await send('POST', '/import?dry_run=true&prune=true', { body: { version: 1, routes: [] } })
  await send('POST', '/import?prune=true', { body: { version: 1, routes: [] } })
  putSite(deps, { isLinked: true })
  for (const query of ['?dry_run=true', ''])
    await send('POST', `/host/sites/adopt${query}`, { body: { file: 'sites-enabled/shop', accept_differences: true } })
  await send('POST', '/host/sites/adopt', { body: { file: 'sites-enabled/shop' } })
  await send('POST', '/import', { body: { version: 2 } })
  const { fullchain: certificate, privkey: private_key } = certificateFor('corp.example.com')
  for (const query of ['?dry_run=true', '', ''])
    await send('PUT', `/certificates/corp${query}`, { body: { certificate, private_key } })
  await send('PUT', '/certificates/corp', { body: { certificate, private_key: certificate } })
  await send('GET', '/certificates')
  for (const query of ['?dry_run=true', '', '']) await send('DELETE', `/certificates/corp${query}`)
  await send('POST', '/proxy-manager/reconcile?dry_run=true')
  await send('POST', '/proxy-manager/reconcile')
  const message = { trace_id: 't', source: 's', target: 'proxy-manager' }
  for (const path of ['/message', '/proxy-manager/message']) {
    await send('POST', path, { body: { ...message, message_type: 'event', payload: { x: [1] } } })
    await send('POST', path, { body: { ...message, message_type: 'query', payload: { query: 'routes' } } })
    await send('POST', path, { body: { ...message, message_type: 'query', payload: { query: 'route' } } })
  }
  await send('POST', '/session')
  await send('DELETE', '/session')
  for (const { operation } of operations.filter(({ path }) => !path.startsWith('/proxies/')))
    assert.ok(
      [...seen].some((outcome) => outcome.startsWith(`${operation.operationId} `)) ||
        operation.operationId === 'createProxy',
      operation.operationId,
    )
  for (const outcome of [
    'syncFromRegistry BLAST_RADIUS',
    'importRoutes INVALID_REQUEST',
    'udcMessage INVALID_REQUEST',
    'putCertificate 201',
    'putCertificate CERTIFICATE_INVALID',
    'deleteCertificate CERTIFICATE_NOT_FOUND',
  ])
    assert.ok(seen.has(outcome), outcome)
  assertExamples(details)
})

test('every response of an operation has a valid example', () => {
  for (const { operation } of endpoints)
    for (const { method, path } of [operation, ...(operation.aliases ?? [])]) {
      const { operationId, responses } = operationFor(method, path.replace(/:\w+/, 'app'))
      for (const status of Object.keys(operation.responses)) {
        const content = responses[status]?.content[operation.contentType ?? 'application/json']
        const values = Object.values(content?.examples ?? {})
        assert.is(values.length, 1, `${operationId} ${status}`)
        const validate = validatorOf(content?.schema ?? {})
        assert.ok(validate(values[0]?.value), `${operationId} ${status}: ${ajv.errorsText(validate.errors)}`)
      }
    }
})

test('every response of an operation says what its status means, not what the operation is for', () => {
  for (const { operation } of endpoints) {
    const { responses } = operationFor(operation.method, operation.path.replace(/:\w+/, 'app'))
    const words = Object.keys(operation.responses).map((status) => responses[status]?.description)
    assert.is(
      new Set([operation.summary, ...words]).size,
      words.length + 1,
      `${operation.operationId}: ${words.join(' | ')}`,
    )
  }
})

test('the metrics of the example are exported, with the same help texts', async () => {
  const { deps, send } = await world({ SSL_PREFLIGHT: 'off' })
  certbotThatIssues(deps, certificateFor(APP.domain))
  await send('PUT', '/proxies/app', { body: APP })
  await send('POST', '/proxies/app/ssl')
  const exported = (await send('GET', '/metrics')).text.split('\n')
  const { examples } = operationFor('GET', '/metrics').responses['200']?.content[METRICS_TYPE] ?? {}
  const lines = v.parse(v.string(), examples?.sample?.value).trim().split('\n')
  assert.ok(lines.length > 5)
  for (const line of lines) {
    const name = line.startsWith('#') ? line : line.replace(/\{.*| .*/, '')
    assert.ok(
      exported.some((other) => other.startsWith(name)),
      line,
    )
  }
})

test('exactly the headers that are sent are described, as required only if always sent', () => {
  const named = (header: string, isRequired: boolean) =>
    operations.flatMap(({ operation: { operationId, responses } }) =>
      Object.entries(responses).flatMap(([status, { headers }]) =>
        headers[header]?.required === isRequired && (status.startsWith('2') || operationId === 'putProxy')
          ? [`${operationId} ${status}`]
          : [],
      ),
    )
  assert.equal(named('Location', true).sort(), ['createProxy 201', 'putProxy 201', 'rollbackProxy 201'])
  assert.equal(named('Location', false).sort(), ['createProxy 202', 'putProxy 202', 'rollbackProxy 202'])
  const put = ['createProxy', 'putProxy', 'rollbackProxy'].flatMap((name) => [`${name} 201`, `${name} 202`])
  assert.equal(named('ETag', true).sort(), ['getProxy 200', ...put].sort())
  assert.equal(named('Server-Timing', true).sort(), put)
  assert.equal(named('WWW-Authenticate', true), ['putProxy 401'])
  assert.equal(named('Retry-After', true), ['putProxy 429'])
  assert.equal(named('Retry-After', false).sort(), ['putProxy 401', 'putProxy 503'])
  for (const { operation } of operations)
    for (const [status, { headers }] of Object.entries(operation.responses))
      assert.ok(headers['X-Correlation-ID']?.required, `${operation.operationId} ${status}`)
})

test("a message's payload is described as each query and command, or anything", () => {
  const body = operationFor('POST', '/message').requestBody?.content['application/json']?.schema
  const text = JSON.stringify(body)
  for (const word of ['routes', 'route', 'health', 'status', 'upsert', 'delete', 'ssl', 'sync'])
    assert.match(text, `"const":"${word}"`)
})

test('callers without access are answered as described', async () => {
  const { send, seen } = await world({ PROXY_MANAGER_API_TOKEN: 'a-token-of-many-characters' })
  for (const { method, path } of operations) {
    // Those that need no token accept a wrong one, too.
    const headers = { authorization: 'Bearer another-one-of-many-characters' }
    for (const options of [{}, { headers }]) {
      const { status } = await send(method, path.replace(/\{\w+\}/, 'app'), options)
      assert.is(status === 401, !isOpen({ path }), path)
    }
    await send(method, path.replace(/\{\w+\}/, 'app'), { headers: { origin: 'http://evil.example' } })
  }
  for (const { operation } of operations) assert.ok(seen.has(`${operation.operationId} FORBIDDEN`))
})

test('a handler accepts the bodies that are described, and rejects the others', async () => {
  const bodySchema = operationFor('PUT', '/proxies/app').requestBody?.content['application/json']?.schema ?? {}
  const validate = validatorOf(bodySchema)
  for (const body of [
    APP,
    { domain: 'BÜCHER.example.', upstream: 'http://localhost:8001' },
    {
      domain: 'a.example.com',
      upstream_host: '::1',
      upstream_port: 1,
      require_healthy: false,
      options: { hsts: true },
    },
  ]) {
    const { send } = await world()
    assert.ok(validate(body), ajv.errorsText(validate.errors))
    assert.ok((await send('PUT', '/proxies/app', { body })).status < 300, JSON.stringify(body))
  }
  const { send } = await world()
  for (const body of [
    {},
    { ...APP, domain: 7 },
    { ...APP, upstream_port: '8001' },
    { ...APP, upstream_port: 0 },
    { ...APP, enable_ssl: 'yes' },
    { ...APP, nginx: 'x' },
    { ...APP, options: { x: 1 } },
  ]) {
    assert.not.ok(validate(body), JSON.stringify(body))
    assert.is((await send('PUT', '/proxies/app', { body })).status, 400)
  }
})

test.run()
