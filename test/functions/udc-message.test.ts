import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import MESSAGES from '../../fixtures/mesh/messages.json' with { type: 'json' }
import { createApp } from '../../functions/index.ts'
import udcMessage from '../../functions/udc-message.ts'
import { contentsOf } from '../helpers/arrange.ts'
import { servedPort } from '../helpers/world.ts'
import { type Answer, APP, answerOf, appDetails, appProxy, assertError, assertIssues, call, requestTo } from './wire.ts'

const test = suite('POST /message')

const MESSAGE = { trace_id: 't-1', source: 'orchestrator', target: 'proxy-manager' }

interface Mesh {
  readonly deps: FakeDeps
  readonly send: (
    message_type: string,
    payload?: unknown,
    headers?: Readonly<Record<string, string>>,
  ) => Promise<Answer>
}

async function mesh(settings: Readonly<Record<string, string>> = {}, base = ''): Promise<Mesh> {
  const deps = await fakeDeps({ settings })
  const app = createApp(() => deps, { base })
  const send: Mesh['send'] = async (message_type, payload, headers = {}) => {
    const body = { ...MESSAGE, message_type, ...(payload === undefined ? {} : { payload }) }
    const answer = await answerOf(await app(requestTo(`${base}/message`, { method: 'POST', body, headers })))
    await deps.engine.idle()
    return answer
  }
  return { deps, send }
}

const UPSERT = { command: 'upsert', droplet_name: 'app', proxy: APP }

for (const type of ['status', 'event']) {
  test(`a ${type} is taken note of, and nothing is done`, async () => {
    const { deps, send } = await mesh()
    const before = contentsOf(deps.disk)
    const { status, body } = await send(type, { command: 'delete', droplet_name: 'app', anything: [1] })
    assert.is(status, 200)
    assert.match(body.message_id, /^id-\d+$/)
    const { message_id: _, ...others } = body
    assert.equal(others, {
      received: true,
      trace_id: 't-1',
      processed_at: '2026-01-01T00:00:00.000Z',
      status: 'noted',
      success: true,
      result: {},
    })
    assert.equal(contentsOf(deps.disk), before)
  })
}

test('the command upsert creates a route as PUT does, with its receipt', async () => {
  const { deps, send } = await mesh()
  const { status, body } = await send('command', UPSERT)
  assert.equal([status, body.status, body.received], [200, 'processed', true])
  const { receipt, ...proxy } = body.result
  assert.equal(proxy, appProxy(deps))
  assert.equal([receipt.reloaded, receipt.generation], [true, 1])
  assert.is(servedPort(deps, 'app.example.com'), 8002)
})

test('a query answers what the API answers', async () => {
  const { deps, send } = await mesh()
  await send('command', UPSERT)
  assert.equal((await send('query', { query: 'routes' })).body.result, { items: [appProxy(deps)] })
  assert.equal((await send('query', { query: 'route', droplet_name: 'app' })).body.result, appDetails(deps))
  for (const query of ['health', 'status']) assert.is((await send('query', { query })).body.result.status, 'healthy')
})

test('the command delete removes the route', async () => {
  const { deps, send } = await mesh()
  await send('command', UPSERT)
  const { body } = await send('command', { command: 'delete', droplet_name: 'app' })
  assert.equal([body.status, body.result.status], ['processed', 'deleted'])
  assert.is(servedPort(deps, 'app.example.com'), undefined)
})

test('the commands rename and rollback are those calls, dry runs included', async () => {
  const { deps, send } = await mesh()
  await send('command', UPSERT)
  await send('command', { ...UPSERT, proxy: { ...APP, upstream_port: 8009 } })
  const back = { command: 'rollback', droplet_name: 'app' }
  assert.is((await send('command', { ...back, to: 1, dry_run: true })).body.result.upstream_port, 8002)
  assert.is(servedPort(deps, 'app.example.com'), 8009)
  assert.is((await send('command', back)).body.result.upstream_port, 8002)
  assert.is((await send('command', { ...back, to: 99 })).body.result.error.code, 'VERSION_NOT_FOUND')
  assert.is((await send('command', { ...back, to: 'x' })).body.result.error.code, 'INVALID_REQUEST')
  const rename = { command: 'rename', droplet_name: 'app', new_name: 'web' }
  assert.is((await send('command', { ...rename, dry_run: true })).body.result.droplet_name, 'web')
  const { body } = await send('command', rename)
  assert.equal([body.status, body.result.droplet_name], ['processed', 'web'])
  assert.is((await send('command', rename)).body.result.error.code, 'PROXY_NOT_FOUND')
  assert.is(servedPort(deps, 'app.example.com'), 8002)
})

test('a dry run of a command changes nothing and answers the plan', async () => {
  const { deps, send } = await mesh({ REGISTRY_URL: 'http://registry.example:8000' })
  await send('command', UPSERT)
  deps.nginx.registry = {
    status: 200,
    body: JSON.stringify([{ name: 'other', domain: 'other.example.com', port: 8001 }]),
  }
  const before = contentsOf(deps.disk)
  for (const payload of [
    { ...UPSERT, proxy: { ...APP, upstream_port: 8009 } },
    { command: 'delete', droplet_name: 'app' },
    { command: 'sync' },
  ])
    for (const dry_run of [true, 'true']) {
      const { body, text } = await send('command', { ...payload, dry_run })
      assert.is(body.status, 'processed', text)
      assert.ok(body.result.plan.changes.length > 0, text)
      assert.equal(contentsOf(deps.disk), before)
    }
  assert.is(servedPort(deps, 'app.example.com'), 8002)
  const { body } = await send('command', { command: 'ssl', droplet_name: 'app', dry_run: true })
  assert.is(body.result.would_order, true)
  assert.equal(contentsOf(deps.disk), before)
  const wet = await send('command', { command: 'delete', droplet_name: 'app', dry_run: false })
  assert.is(wet.body.result.status, 'deleted')
  assert.is(servedPort(deps, 'app.example.com'), undefined)
})

test('a command accepts the parameters of its call, and a query those of the list', async () => {
  const { deps, send } = await mesh({ REGISTRY_URL: 'http://registry.example:8000' })
  const droplets = Array.from({ length: 6 }, (_, i) => ({ name: `a${i}`, domain: `a${i}.example.com`, port: 8001 }))
  deps.nginx.registry = { status: 200, body: JSON.stringify(droplets) }
  await send('command', { command: 'sync' })
  deps.nginx.registry = { status: 200, body: JSON.stringify(droplets.slice(3)) }
  deps.nginx.upstreams.set(8001, 'ECONNREFUSED')
  const blast = await send('command', { command: 'sync', prune: true })
  assert.is(blast.body.result.error.code, 'BLAST_RADIUS')
  const { body } = await send('command', {
    command: 'sync',
    prune: true,
    confirm: 3,
    require_healthy: true,
    enable_ssl: false,
  })
  assert.equal([body.result.deleted.length, body.result.skipped_count], [3, 3])
  const domains = async (query: unknown) =>
    (await send('query', query)).body.result.items.map(({ domain }: { readonly domain: string }) => domain)
  assert.equal(await domains({ query: 'routes', domain: 'a4.example.com' }), ['a4.example.com'])
  assert.equal(await domains({ query: 'routes', status: 'pending_ssl' }), [])
  const gone = await send('command', { command: 'delete', droplet_name: 'a4', delete_certificate: true })
  assert.type(gone.body.result.certificate_deleted, 'boolean')
  const unfit = await send('command', { command: 'delete', droplet_name: 'a5', dry_run: 'yes' })
  assert.equal([unfit.body.status, unfit.body.result.error.code], ['failed', 'INVALID_REQUEST'])
})

test('the command sync brings routes in line with the Registry', async () => {
  const { deps, send } = await mesh({ REGISTRY_URL: 'http://registry.example:8000' })
  const droplets = [{ name: 'a', domain: 'a.example.com', port: 8001 }]
  deps.nginx.registry = { status: 200, body: JSON.stringify(droplets) }
  const { body } = await send('command', { command: 'sync' })
  assert.equal([body.status, body.result.created], ['processed', ['a']])
})

test('the command ssl orders a certificate, with the options of the endpoint', async () => {
  const { deps, send } = await mesh()
  await send('command', UPSERT)
  const { body } = await send('command', { command: 'ssl', droplet_name: 'app', options: { email: 'x' } })
  assert.equal([body.status, body.result.error.code], ['failed', 'INVALID_REQUEST'])
  deps.disk.delete('/usr/bin/certbot')
  const other = await send('command', { command: 'ssl', droplet_name: 'app' })
  assert.equal([other.body.status, other.body.result.error.code], ['failed', 'SSL_UNAVAILABLE'])
})

test('if the API answers an error, the message has failed, with the whole error in its result', async () => {
  const { send } = await mesh()
  for (const [type, payload, code] of [
    ['query', { query: 'route', droplet_name: 'none' }, 'PROXY_NOT_FOUND'],
    ['command', { command: 'delete', droplet_name: 'none' }, 'PROXY_NOT_FOUND'],
    ['command', { ...UPSERT, proxy: { ...APP, domain: '*' } }, 'INVALID_REQUEST'],
    ['command', { ...UPSERT, proxy: { ...APP, nginx: 'return 200;' } }, 'INVALID_REQUEST'],
    ['command', { command: 'sync' }, 'REGISTRY_NOT_CONFIGURED'],
  ] as const) {
    const { status, body, headers } = await send(type, payload, { 'x-correlation-id': 'c-1' })
    assert.equal([status, body.status, body.success, body.result.error.code], [200, 'failed', false, code])
    assert.is(body.result.error.details.correlation_id, 'c-1')
    assert.is(headers.get('x-correlation-id'), 'c-1')
  }
})

test('a query or a command of this droplet in any other form answers 400', async () => {
  const { deps, send } = await mesh()
  const before = contentsOf(deps.disk)
  for (const [type, payload] of [
    ['query', { query: 'route' }],
    ['query', { query: 'route', droplet_name: '../../etc/passwd' }],
    ['query', { query: 'route', droplet_name: 'a?dry_run=true' }],
    ['command', { command: 'upsert', droplet_name: 'app' }],
    ['command', { command: 'delete', droplet_name: 'a/../b' }],
    ['command', { command: 'delete', droplet_name: 'a/ssl' }],
    ['command', { command: 'ssl', droplet_name: 7 }],
    ['command', { command: 'delete', droplet_name: 'app', dry_run: null }],
    ['command', { command: 'delete', droplet_name: 'app', dryrun: true }],
    ['command', { command: 'delete', droplet_name: 'app', prune: true }],
    ['command', { command: 'sync', force: true }],
    ['command', { command: 'rename', droplet_name: 'app' }],
    ['command', { command: 'rename', droplet_name: 'app', new_name: 'a/ssl' }],
    ['command', { command: 'rollback', droplet_name: 'app', version: 1 }],
    ['query', { query: 'health', dry_run: true }],
  ] as const)
    assertError(await send(type, payload), 'INVALID_REQUEST')
  assert.equal(contentsOf(deps.disk), before)
})

test('a fault of a payload is reported with its field', async () => {
  const { send } = await mesh()
  for (const [type, payload, path, message] of [
    ['query', { query: 'route' }, 'payload.droplet_name', 'is required'],
    ['command', { command: 'delete' }, 'payload.droplet_name', 'is required'],
    ['command', { command: 'upsert', droplet_name: 'app' }, 'payload.proxy', 'is required'],
    ['command', { command: 'upsert', droplet_name: 'app', proxy: 7 }, 'payload.proxy', 'must be a JSON object'],
    ['command', { command: 'sync', force: true }, 'payload.force', 'is not a known field'],
    ['command', { command: 'sync', prune: [] }, 'payload.prune', 'must be true, false, a number or a string'],
  ] as const)
    assertIssues(await send(type, payload), [[path, message]])
})

test('an envelope that cannot be read answers 400 with every fault', async () => {
  const { deps } = await mesh()
  const sent = (body: unknown) => call(udcMessage, deps, '/message', { method: 'POST', body })
  assertIssues(await sent({ source: {}, target: [], message_type: 'order', extra: 1 }), [
    ['source', 'must be a string or a number'],
    ['target', 'must be a string or a number'],
    ['message_type', 'must be status, event, command, query or response'],
  ])
  assertIssues(await sent({ ...MESSAGE, trace_id: 'x'.repeat(257), message_type: 'event' }), [
    ['trace_id', 'must be at most 256 characters long'],
  ])
  assertIssues(await sent({ trace_id: 't-1' }), [['message_type', 'is required']])
  assertIssues(await sent([]), [['', 'must be a JSON object']])
})

for (const { what, message, status } of MESSAGES)
  test(`a message of the mesh with ${what} is ${status}, and changes nothing`, async () => {
    const { deps } = await mesh()
    const before = contentsOf(deps.disk)
    const app = createApp(() => deps)
    const answer = await answerOf(await app(requestTo('/message', { method: 'POST', body: message })))
    const { received, trace_id, success, result } = answer.body
    assert.equal([answer.status, answer.body.status, received], [200, status, true])
    assert.equal([typeof trace_id, success], ['string', status !== 'ignored'])
    assert.ok(typeof result === 'object' && result !== null && !Array.isArray(result))
    if ('trace_id' in message) assert.is(trace_id, message.trace_id)
    if (status === 'ignored')
      assert.equal(result.known.commands, ['upsert', 'delete', 'ssl', 'rename', 'rollback', 'sync'])
    assert.equal(contentsOf(deps.disk), before)
  })

test('a target may be a number, as the identity of this droplet is', async () => {
  const deps = await fakeDeps({ settings: { DROPLET_ID: '7' } })
  const app = createApp(() => deps)
  const sent = async (target: number) => {
    const body = { ...MESSAGE, target, message_type: 'query', payload: { query: 'routes' } }
    return await answerOf(await app(requestTo('/message', { method: 'POST', body })))
  }
  assert.is((await sent(7)).body.status, 'processed')
  assertIssues(await sent(8), [['target', 'does not match this droplet ("proxy-manager" or "7", "*" or "broadcast")']])
})

test('a command needs the same access as the call that it stands for', async () => {
  const settings = {
    PROXY_MANAGER_API_TOKEN: 'a-token-of-many-characters',
    PROXY_MANAGER_READ_TOKEN: 'another-token-that-only-reads',
  }
  const { deps, send } = await mesh(settings)
  const before = contentsOf(deps.disk)
  assertError(await send('command', UPSERT), 'UNAUTHORIZED')
  const reading = { authorization: `Bearer ${settings.PROXY_MANAGER_READ_TOKEN}` }
  assertError(await send('command', UPSERT, reading), 'FORBIDDEN')
  assert.equal(contentsOf(deps.disk), before)
  for (const headers of [
    { authorization: `Bearer ${settings.PROXY_MANAGER_API_TOKEN}` },
    { 'x-api-token': settings.PROXY_MANAGER_API_TOKEN },
  ]) {
    const { body, text } = await send('command', UPSERT, headers)
    assert.is(body.status, 'processed', text)
    assert.not.match(text, settings.PROXY_MANAGER_API_TOKEN)
  }
  assert.not.match(JSON.stringify(deps.lines), settings.PROXY_MANAGER_API_TOKEN)
})

test('a command or query for another droplet is rejected, with the names of this one', async () => {
  const settings = { SERVICE_NAME: 'edge', DROPLET_ID: 'edge-7' }
  const deps = await fakeDeps({ settings })
  const app = createApp(() => deps)
  const before = contentsOf(deps.disk)
  const send = async (target: string, message_type: string, payload: unknown) => {
    const body = { ...MESSAGE, target, message_type, payload }
    return await answerOf(await app(requestTo('/message', { method: 'POST', body })))
  }
  for (const target of ['proxy-manager', 'orders', 'edge-8', 'edge ', '**', 'all'])
    for (const [type, payload] of [
      ['command', UPSERT],
      ['query', { query: 'routes' }],
    ] as const)
      assertIssues(await send(target, type, payload), [
        ['target', 'does not match this droplet ("edge" or "edge-7", "*" or "broadcast")'],
      ])
  assert.equal(contentsOf(deps.disk), before)
  for (const type of ['status', 'event']) assert.is((await send('orders', type, {})).body.status, 'noted')
  for (const target of ['edge', 'EDGE', 'edge-7', 'Edge-7', '*', 'broadcast', 'Broadcast'])
    assert.is((await send(target, 'query', { query: 'routes' })).body.status, 'processed', target)
  assert.is((await send('edge-7', 'command', UPSERT)).body.status, 'processed')
  await deps.engine.idle()
})

test('under a base, a command finds its endpoint there', async () => {
  const { deps, send } = await mesh({}, '/pm')
  assert.is((await send('command', UPSERT)).body.status, 'processed')
  assert.is(servedPort(deps, 'app.example.com'), 8002)
})

test('without the app, a query or command fails and says what is missing', async () => {
  for (const [message_type, payload] of [
    ['command', UPSERT],
    ['query', { query: 'routes' }],
  ] as const) {
    const body = { ...MESSAGE, message_type, payload }
    const answer = await call(udcMessage, await fakeDeps(), '/message', { method: 'POST', body })
    assert.equal([answer.status, answer.body.status], [200, 'failed'])
    const { code, details } = answer.body.result.error
    assert.equal([code, details.culprit], ['NOT_FOUND', 'host'])
    assert.match(details.remedy, 'createApp()')
    assert.is(details.correlation_id, answer.headers.get('x-correlation-id'))
  }
})

test('the payload is on no line of the log', async () => {
  const { deps, send } = await mesh()
  await send('event', { password: 'secret-of-another' })
  assert.not.match(JSON.stringify(deps.lines), 'secret-of-another')
  assert.ok(deps.lines.some(({ trace_id, message_type }) => trace_id === 't-1' && message_type === 'event'))
})

test.run()
