import { EventEmitter, once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { startServer } from '../../fixtures/loopback-server.ts'
import { testNginx } from '../../fixtures/nginx-instance.ts'
import { lint } from '../helpers/lint-openapi.ts'
import { call, putRoute, type RealHost, startHost, through } from '../helpers/system/host.ts'
import { setUp } from '../helpers/system/set-up.ts'
import { makeSigner, pemOf, tokenOf } from '../helpers/tokens.ts'

interface Context {
  host: RealHost
  /** What the Registry does with a request for its droplets. */
  answer: (response: ServerResponse) => void
}

const test = suite<Context>('the mesh, on a real NGINX')

setUp(test, async (context, undo) => {
  context.answer = (response) => response.end('[]')
  const registry = await startServer((request, response) => {
    if (request.url === '/api/droplets') context.answer(response)
    else response.writeHead(404).end()
  })
  undo(registry.close)
  context.host = await startHost(
    {},
    {
      REGISTRY_URL: `${registry.url}/api`,
      // A port on which nothing listens: the test sends no request to the outside.
      ACME_DIRECTORY_URL: 'https://127.0.0.1:1/directory',
    },
  )
  undo(context.host.close)
})

const Summary = v.looseObject({
  created: v.array(v.string()),
  updated: v.array(v.string()),
  unchanged: v.array(v.string()),
  deleted: v.array(v.string()),
  skipped: v.array(v.object({ name: v.string(), reason: v.string() })),
  orphaned: v.array(v.string()),
})

function answerWith(context: Context, droplets: unknown): void {
  context.answer = (response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(droplets))
  }
}

async function sync({ host }: Context, query = '') {
  const response = await fetch(`${host.manager.url}/proxy-manager/sync-from-registry${query}`, { method: 'POST' })
  const body: unknown = await response.json()
  assert.is(response.status, 200, JSON.stringify(body))
  return v.parse(Summary, body)
}

/** The samples of a scrape, by name and labels. */
async function samples({ host }: Context): Promise<Map<string, number>> {
  const text = await (await fetch(`${host.manager.url}/proxy-manager/metrics`)).text()
  return new Map(
    [...text.matchAll(/^proxy_manager_(\S+(?:\{.*\})?) (\S+)$/gm)].map(([, name = '', value]) => [name, Number(value)]),
  )
}

const CROWD = 500
const RELOADS = 'nginx_reload_duration_seconds_count{result="success"}'

test('a Registry is read in each of its shapes, and what it names is served', async (context) => {
  const { host } = context
  const { port } = await host.droplet('shaped')
  const shapes = [
    [{ name: 'Bare List', host: '127.0.0.1', port, domain: 'bare.example.com', status: 'active' }],
    { droplets: [{ name: 'wrapped', internal_port: String(port), domain: 'wrapped.example.com' }], total: 1 },
    [{ name: 'meta', endpoint: `http://127.0.0.1:${port}`, metadata: { domain: 'meta.example.com' } }],
  ]
  const names = ['bare', 'wrapped', 'meta']
  for (const [i, shape] of shapes.entries()) {
    answerWith(context, shape)
    const { created, skipped } = await sync(context)
    assert.equal([created.length, skipped], [1, []])
    assert.is(await through(host.nginx.httpPort, `${names[i]}.example.com`), 'shaped')
  }
  assert.is((await call(host.manager, 'GET', '/proxies/bare-list')).body.domain, 'bare.example.com')
})

test('two droplets that exchange their domains in the Registry are served on their new domains after one sync', async (context) => {
  const { host } = context
  const [blue, green] = [await host.droplet('blue'), await host.droplet('green')]
  const domains = ['current.example.com', 'next.example.com']
  const records = ([first, second]: readonly string[]) => [
    { name: 'blue', domain: first, host: '127.0.0.1', port: blue.port },
    { name: 'green', domain: second, host: '127.0.0.1', port: green.port },
  ]
  const served = () => Promise.all(domains.map((domain) => through(host.nginx.httpPort, domain)))
  answerWith(context, records(domains))
  await sync(context)
  assert.equal(await served(), ['blue', 'green'])
  answerWith(context, records(domains.toReversed()))
  const { updated, skipped } = await sync(context)
  assert.equal([updated, skipped], [['blue', 'green'], []])
  assert.equal(await served(), ['green', 'blue'])
  assert.ok(testNginx(host.nginx).ok)
})

test('500 droplets in one sync take one reload, and all of them are served', async (context) => {
  const { host } = context
  const droplet = await host.droplet('crowd')
  const domains = Array.from({ length: CROWD }, (_, i) => `crowd-${i}.example.com`)
  const records = domains.map((domain, i) => ({ name: `crowd-${i}`, domain, host: '127.0.0.1', port: droplet.port }))
  answerWith(context, records)
  const before = await samples(context)
  assert.is((await sync(context)).created.length, CROWD)
  const after = await samples(context)
  assert.is((after.get(RELOADS) ?? 0) - (before.get(RELOADS) ?? 0), 1)
  assert.is((after.get('generation') ?? 0) - (before.get('generation') ?? 0), 1)
  const strays: string[] = []
  for (let from = 0; from < CROWD; from += 50) {
    const answers = domains.slice(from, from + 50).map((domain) => through(host.nginx.httpPort, domain))
    strays.push(...(await Promise.all(answers)).filter((text) => text !== 'crowd'))
  }
  assert.equal(strays, [])
  const requested = new Set(droplet.requests.map(({ headers }) => headers['x-forwarded-host']))
  assert.is(requested.size, CROWD)
  assert.is((await sync(context)).unchanged.length, CROWD)
  assert.is((await samples(context)).get(RELOADS), after.get(RELOADS))
  assert.ok(testNginx(host.nginx).ok)
})

test('a route that the API owns, and one bad record, do not affect the others', async (context) => {
  const { host } = context
  const [own, fresh] = [await host.droplet('own'), await host.droplet('fresh')]
  await putRoute(host.manager, 'own', 'own.example.com', own.port)
  answerWith(context, [
    { name: 'own', domain: 'own.example.com', host: '127.0.0.1', port: fresh.port },
    { name: 'evil', domain: 'x; } server { listen 81; ', port: 1 },
    { name: 'fresh', domain: 'fresh.example.com', host: '127.0.0.1', port: fresh.port },
  ])
  const { created, skipped } = await sync(context)
  assert.equal([created, skipped.map(({ name }) => name).sort()], [['fresh'], ['evil', 'own']])
  assert.is(await through(host.nginx.httpPort, 'own.example.com'), 'own')
  assert.is(await through(host.nginx.httpPort, 'fresh.example.com'), 'fresh')
})

test('a Registry that is down, huge, slow, or not speaking JSON is a 503, and all routes stay', async (context) => {
  const { host } = context
  const { port } = await host.droplet('stays')
  await putRoute(host.manager, 'stays', 'stays.example.com', port)
  const revisions = async () => await (await fetch(`${host.manager.url}/proxies`)).text()
  const before = await revisions()
  for (const answer of [
    (response) => response.destroy(),
    (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html>'),
    (response) => response.end('[{"name":'),
    (response) => response.writeHead(500).end('[]'),
    (response) => {
      const pour = () => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
      }
      response.on('drain', pour)
      pour()
    },
    (response) => {
      const drops = setInterval(() => response.write(' '), 100)
      response.on('close', () => clearInterval(drops))
    },
  ] satisfies Context['answer'][]) {
    context.answer = answer
    const { status, body } = await call(host.manager, 'POST', '/proxy-manager/sync-from-registry?prune=true&confirm=1')
    assert.equal([status, body.error?.code], [503, 'REGISTRY_UNAVAILABLE'], String(answer))
  }
  assert.is(await revisions(), before)
  assert.is(await through(host.nginx.httpPort, 'stays.example.com'), 'stays')
})

test('a message with the command upsert creates a route that is served, and delete removes it', async ({ host }) => {
  const { port } = await host.droplet('message')
  const message = { trace_id: 't-1', source: 'orchestrator', target: 'proxy-manager', message_type: 'command' }
  const proxy = { domain: 'message.example.com', upstream: `http://127.0.0.1:${port}`, enable_ssl: false }
  const send = (payload: unknown) => call(host.manager, 'POST', '/message', { ...message, payload })
  assert.is((await send({ command: 'upsert', droplet_name: 'message', proxy })).body.status, 'processed')
  assert.is(await through(host.nginx.httpPort, 'message.example.com'), 'message')
  assert.is((await send({ command: 'delete', droplet_name: 'message' })).body.status, 'processed')
  assert.not.equal(await through(host.nginx.httpPort, 'message.example.com'), 'message')
})

test("metrics include NGINX's connections and the generation that it serves", async (context) => {
  const { host } = context
  const { port } = await host.droplet('measured')
  const { body } = await putRoute(host.manager, 'measured', 'measured.example.com', port)
  const headers = { 'x-large': 'x'.repeat(20_000) }
  assert.is((await fetch(`${host.manager.url}/proxies`, { headers })).status, 431)
  const found = await samples(context)
  assert.is(found.get('http_request_duration_seconds_count{operation="none",status="431"}'), 1)
  assert.is(found.get('generation'), body.receipt?.generation)
  assert.ok((found.get('nginx_connections{state="active"}') ?? 0) >= 1)
  for (const state of ['reading', 'writing', 'waiting']) assert.ok(found.has(`nginx_connections{state="${state}"}`))
  assert.is(found.get('health{status="healthy"}'), 1)
  assert.ok((found.get('process_resident_memory_bytes') ?? 0) > 1_000_000)
})

test('the Universal Droplet Contract is answered, and dependencies are checked', async (context) => {
  const { host } = context
  answerWith(context, [])
  for (const path of ['/health', '/capabilities', '/state'])
    assert.is((await call(host.manager, 'GET', path)).status, 200)
  const Dependencies = v.looseObject({
    missing: v.array(v.string()),
    external_apis: v.array(v.looseObject({ status: v.string() })),
  })
  const read = async () => v.parse(Dependencies, await (await fetch(`${host.manager.url}/dependencies`)).json())
  let found = await read()
  for (let tries = 0; found.external_apis[0]?.status === 'unknown' && tries < 200; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    found = await read()
  }
  assert.equal(found.missing, ['acme_ca'])
})

test("the process describes itself in OpenAPI without a linter's complaint", async ({ host }) => {
  const response = await fetch(`${host.manager.url}/openapi.json`)
  assert.is(response.headers.get('content-type'), 'application/json; charset=utf-8')
  assert.equal(await lint(await response.json()), [])
})

test.run()

interface Member {
  host: RealHost
  /** The answer of the mesh (Registry and Orchestrator in one) about its key; `undefined` while it is down. */
  key: string | undefined
  /** The POST requests that it received. */
  posted: { readonly url: string; readonly token: string | undefined; readonly body: unknown }[]
  /** Emits the path of each request that arrives. */
  seen: EventEmitter
}

const member = suite<Member>('a member of the mesh, on a real NGINX')
const signer = makeSigner()
const TOKEN = 'a-token-for-the-registry'

setUp(member, async (context, undo) => {
  context.key = JSON.stringify({ public_key: pemOf(signer) })
  context.posted = []
  context.seen = new EventEmitter()
  const mesh = await startServer(async (request, response) => {
    const { method, url = '', headers } = request
    if (context.key === undefined) response.destroy()
    else if (method === 'POST') {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk)
      const body: unknown = JSON.parse(Buffer.concat(chunks).toString())
      context.posted.push({ url, token: headers.authorization, body })
      response.writeHead(url === '/droplets' ? 409 : 200).end('{}')
    } else if (url === '/auth/public-key' && headers.authorization === `Bearer ${TOKEN}`) response.end(context.key)
    else response.writeHead(404).end()
    context.seen.emit(url)
  })
  undo(mesh.close)
  const url = `${mesh.url}/`
  context.host = await startHost(
    {},
    {
      REGISTRY_URL: url,
      AUTH_REGISTRY_JWT: 'true',
      REGISTRY_REGISTER: 'true',
      REGISTRY_TOKEN: TOKEN,
      ORCHESTRATOR_URL: url,
      DROPLET_ID: 'edge-7',
    },
  )
  undo(context.host.close)
})

member('after its start the API registers as a droplet, and sends the Orchestrator a heartbeat', async (context) => {
  const { manager } = context.host
  const postedTo = async (url: string) => {
    const find = () => context.posted.find((request) => request.url === url)
    // The list of droplets is read at the same path first.
    while (find() === undefined) await once(context.seen, url)
    return find()
  }
  const registered = await postedTo('/droplets')
  const Record = v.looseObject({ name: v.string(), endpoint: v.string(), port: v.number(), status: v.string() })
  const { name, endpoint, port, status } = v.parse(Record, registered?.body)
  assert.equal([name, endpoint, port, status], ['proxy-manager', manager.url, manager.port, 'active'])
  assert.is(registered?.token, `Bearer ${TOKEN}`)
  const beat = await postedTo('/heartbeat')
  const Beat = v.looseObject({ droplet_id: v.string(), health: v.string(), endpoint: v.string() })
  const { droplet_id, ...how } = v.parse(Beat, beat?.body)
  assert.equal([droplet_id, how.health, how.endpoint, beat?.token], ['edge-7', 'healthy', manager.url, undefined])
  // Whoever receives the endpoint can call it.
  assert.is((await fetch(`${endpoint}/health`)).status, 200)
})

const bearer = (claims: Readonly<Record<string, unknown>> = {}, by = signer) => ({
  authorization: `Bearer ${tokenOf(by, { sub: 'orchestrator', exp: Math.floor(Date.now() / 1000) + 60, ...claims })}`,
})

member('a token signed by the Registry authorises a call and a message', async ({ host }) => {
  const { port } = await host.droplet('signed')
  const proxy = { domain: 'signed.example.com', upstream_port: port, enable_ssl: false }
  const put = await call(host.manager, 'PUT', '/proxies/signed', proxy, bearer({ aud: ['edge-7'] }))
  assert.is(put.status, 201)
  assert.is(await through(host.nginx.httpPort, 'signed.example.com'), 'signed')
  const message = { trace_id: 't', source: 'orchestrator', target: 'edge-7', message_type: 'command' }
  const payload = { command: 'delete', droplet_name: 'signed' }
  const answer = await call(host.manager, 'POST', '/message', { ...message, payload }, bearer())
  assert.is(answer.body.status, 'processed')
  assert.not.equal(await through(host.nginx.httpPort, 'signed.example.com'), 'signed')
})

member('a read-only, expired, misdirected or wrongly signed token is refused with the reason', async ({ host }) => {
  const { port } = await host.droplet('refused')
  const proxy = { domain: 'refused.example.com', upstream_port: port, enable_ssl: false }
  const put = async (headers: Record<string, string>) => {
    const { status, body } = await call(host.manager, 'PUT', '/proxies/refused', proxy, headers)
    return [status, body.error?.code, body.error?.details.reason]
  }
  assert.equal(await put(bearer({ scope: 'read' })), [403, 'FORBIDDEN', undefined])
  assert.equal(await put({}), [401, 'UNAUTHORIZED', undefined])
  assert.equal(await put(bearer({ exp: 1 })), [401, 'UNAUTHORIZED', 'expired'])
  assert.equal(await put(bearer({ aud: 'orders' })), [401, 'UNAUTHORIZED', 'audience'])
  assert.equal(await put(bearer({}, makeSigner())), [401, 'UNAUTHORIZED', 'signature'])
  assert.is((await call(host.manager, 'GET', '/proxies', undefined, bearer({ scope: 'read' }))).status, 200)
  assert.is((await call(host.manager, 'GET', '/proxy-manager/health')).status, 200)
})

member('while the Registry is down a known key stays in use; a process without one refuses', async (context) => {
  const { host, key } = context
  context.key = undefined
  assert.is((await call(host.manager, 'GET', '/proxies', undefined, bearer())).status, 200)
  await host.restart('SIGTERM')
  const { status, headers, body } = await call(host.manager, 'GET', '/proxies', undefined, bearer())
  assert.equal([status, body.error?.details.reason, headers.get('retry-after')], [401, 'key_unavailable', '5'])
  context.key = key
})

member(
  'a mesh that does not answer is logged once per action, and does not delay the end of the process',
  async (context) => {
    const { host, key, seen } = context
    context.key = undefined
    const requested = Promise.all([once(seen, '/droplets'), once(seen, '/heartbeat')])
    await host.restart('SIGTERM')
    await requested
    assert.is(await host.manager.end('SIGTERM'), 0)
    const lines = host.manager.log.map((line): Record<string, unknown> => JSON.parse(line))
    assert.equal([lines.at(-1)?.action, lines.at(-1)?.result], ['stop', 'success'])
    for (const action of ['register', 'heartbeat'])
      assert.equal(
        lines.filter((line) => line.action === action).map(({ result }) => result),
        ['failure'],
      )
    context.key = key
  },
)

member('no token is in the log', ({ host }) => {
  assert.ok(host.manager.log.length > 0)
  assert.not.match(host.manager.log.join('\n'), new RegExp(`eyJ|Bearer|${TOKEN}`))
})

member.run()
