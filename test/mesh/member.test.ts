import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import type { HttpAnswer } from '../../lib/adapters/http-client.ts'
import { type MeshMember, meshMember } from '../../lib/mesh/member.ts'
import { settled } from '../helpers/arrange.ts'

const test = suite('mesh member')
const MESH = {
  REGISTRY_URL: 'http://registry.example:8000/api/',
  REGISTRY_REGISTER: 'true',
  REGISTRY_TOKEN: 'a-token-for-the-registry',
  ORCHESTRATOR_URL: 'http://orchestrator.example/',
  DROPLET_ID: 'edge-7',
}

interface World {
  readonly deps: FakeDeps
  readonly member: MeshMember
  /** What was posted: address, the token beside it, and the body. */
  readonly received: () => readonly (readonly [string, string | undefined, unknown])[]
  /** Lines of the log about this. */
  readonly lines: () => readonly string[]
}

async function world(settings: Readonly<Record<string, string>> = MESH): Promise<World> {
  const deps = await fakeDeps({ settings })
  deps.nginx.registry = { status: 200, body: '[]' }
  const { readHealth } = deps.engine
  const member = meshMember(deps.host, { version: '1.2.3', readHealth, uptimeSeconds: () => 61 })
  return {
    deps,
    member,
    received: () => deps.nginx.received.map(({ url, token, json }) => [url, token, json]),
    lines: () =>
      deps.lines
        .filter(({ action }) => ['register', 'heartbeat'].includes(action))
        .map(({ level, action, result, cause }) => [level, action, result, cause].filter(Boolean).join(' ')),
  }
}

test('the droplet is registered with the token for the Registry, and its record looked for each minute', async () => {
  const { deps, member, received, lines } = await world()
  await member.register()
  const [url, token, json] = received()[0] ?? []
  assert.equal([url, token], ['http://registry.example:8000/api/droplets', 'a-token-for-the-registry'])
  const { name, metadata } = JSON.parse(JSON.stringify(json))
  assert.equal([name, metadata.droplet_id, metadata.version], ['proxy-manager', 'edge-7', '1.2.3'])
  deps.nginx.registry = { status: 200, body: JSON.stringify([json]) }
  for (let second = 0; second < 120; second++) {
    await deps.clock.sleep(1000)
    await member.register()
  }
  assert.is(received().length, 1)
  deps.nginx.registry = { status: 200, body: '[]' }
  await deps.clock.sleep(60_000)
  await member.register()
  assert.is(received().length, 2)
  assert.equal(lines(), ['info register success', 'info register success'])
})

test('200, 201, any other 2xx and 409 count as registered, and nothing else does', async () => {
  for (const [answer, isGood] of [
    [{ status: 200, body: '' }, true],
    [{ status: 201, body: '{}' }, true],
    [{ status: 204, body: '' }, true],
    [{ status: 409, body: '' }, true],
    [{ status: 302, body: '' }, false],
    [{ status: 401, body: '' }, false],
    [{ status: 404, body: '' }, false],
    [{ status: 422, body: '' }, false],
    [{ status: 500, body: '' }, false],
    [{ failure: 'ECONNREFUSED' }, false],
    [{ failure: 'TOO_LARGE' }, false],
  ] as const) {
    const { deps, member, received, lines } = await world()
    deps.nginx.mesh = answer
    await member.register()
    await deps.clock.sleep(5000)
    await member.register()
    assert.is(received().length, isGood ? 1 : 2, JSON.stringify(answer))
    const why = 'failure' in answer ? answer.failure : `status ${answer.status}`
    assert.equal(lines(), [isGood ? 'info register success' : `warn register failure ${why}`])
  }
})

test('a failed registration is tried again after 5 s, 30 s, and then every 5 minutes', async () => {
  const { deps, member, received } = await world()
  deps.nginx.mesh = { failure: 'ECONNREFUSED' }
  const seconds: number[] = []
  for (let second = 0; second < 1000; second++) {
    const before = received().length
    await member.register()
    if (received().length > before) seconds.push(second)
    await deps.clock.sleep(1000)
  }
  assert.equal(seconds, [0, 5, 35, 335, 635, 935])
})

test("each change of a registration's outcome is logged once", async () => {
  const { deps, member, lines } = await world()
  const answers: readonly HttpAnswer[] = [
    { failure: 'ECONNREFUSED' },
    { failure: 'ECONNREFUSED' },
    { status: 401, body: '' },
    { status: 401, body: '' },
    { status: 201, body: '' },
  ]
  for (const answer of answers) {
    deps.nginx.mesh = answer
    await member.register()
    await deps.clock.sleep(300_000)
  }
  assert.equal(lines(), [
    'warn register failure ECONNREFUSED',
    'warn register failure status 401',
    'info register success',
  ])
})

test("a heartbeat has the droplet's status, and is sent without a token", async () => {
  const { deps, member, received } = await world()
  await member.sendHeartbeat()
  deps.nginx.running = false
  await deps.clock.sleep(60_000)
  await member.sendHeartbeat()
  const beat = {
    id: 'edge-7',
    droplet_id: 'edge-7',
    service: 'proxy-manager',
    version: '1.2.3',
    uptime_seconds: 61,
    endpoint: 'http://127.0.0.1:8100',
  }
  assert.equal(received(), [
    [
      'http://orchestrator.example/heartbeat',
      undefined,
      { ...beat, status: 'active', health: 'healthy', timestamp: '2026-01-01T00:00:00.000Z' },
    ],
    [
      'http://orchestrator.example/heartbeat',
      undefined,
      { ...beat, status: 'error', health: 'unhealthy', timestamp: '2026-01-01T00:01:00.000Z' },
    ],
  ])
})

test('heartbeats go to a whole URL with a token, if they are configured, and a 404 says what to set, once', async () => {
  const { deps, member, received, lines } = await world({
    HEARTBEAT_URL: 'https://registry.example/droplets/7/heartbeat',
    HEARTBEAT_TOKEN: 'a-token-for-heartbeats-only',
    PROXY_MANAGER_PUBLIC_URL: 'https://edge.example.com',
  })
  deps.nginx.mesh = { status: 404, body: '' }
  for (let i = 0; i < 3; i++) await member.sendHeartbeat()
  const [url, token] = received()[0] ?? []
  assert.equal([url, token], ['https://registry.example/droplets/7/heartbeat', 'a-token-for-heartbeats-only'])
  assert.equal(lines(), ['warn heartbeat failure status 404: set HEARTBEAT_URL to where heartbeats are posted'])
})

test('a failing Orchestrator is logged once when that begins and once when it ends, however it fails', async () => {
  const { deps, member, lines } = await world()
  const down: readonly HttpAnswer[] = [{ failure: 'TIMEOUT' }, { status: 500, body: '' }, { failure: 'ECONNREFUSED' }]
  const up: HttpAnswer = { status: 200, body: '' }
  for (const answer of [up, ...down, up, up, ...down]) {
    deps.nginx.mesh = answer
    await member.sendHeartbeat()
  }
  assert.equal(lines(), ['warn heartbeat failure TIMEOUT', 'info heartbeat success', 'warn heartbeat failure TIMEOUT'])
})

test('requests are short, their answers bounded, and heartbeats never overlap', async () => {
  const { deps, member } = await world()
  const answers: ((answer: HttpAnswer) => void)[] = []
  deps.host.http.request = ({ timeoutMs, limitBytes }) => {
    assert.ok(timeoutMs <= 3000 && limitBytes <= 65_536)
    return new Promise((resolve) => answers.push(resolve))
  }
  const beats = [member.sendHeartbeat(), member.sendHeartbeat(), member.sendHeartbeat()]
  await settled()
  assert.is(answers.length, 1)
  let isIdle = false
  const idle = member.idle().then(() => {
    isIdle = true
  })
  await settled()
  assert.is(isIdle, false)
  answers[0]?.({ status: 200, body: '' })
  await Promise.all([...beats, idle])
  void member.sendHeartbeat()
  await settled()
  assert.is(answers.length, 2)
})

test('a health that cannot be read is reported as unhealthy', async () => {
  const deps = await fakeDeps({ settings: MESH })
  const readHealth = async () => {
    throw new Error('no host')
  }
  await meshMember(deps.host, { version: '1', readHealth, uptimeSeconds: () => 0 }).sendHeartbeat()
  assert.match(JSON.stringify(deps.nginx.received[0]?.json), '"status":"error","health":"unhealthy"')
})

test('without its settings nothing is announced', async () => {
  const { member, received } = await world({ REGISTRY_URL: 'http://registry.example' })
  await member.register()
  await member.sendHeartbeat()
  assert.equal(received(), [])
})

test('the token for the Registry is sent with a sync, a check and the request of its key, and never logged', async () => {
  const deps = await fakeDeps({ settings: { ...MESH, AUTH_REGISTRY_JWT: 'true' } })
  const sent: (readonly [string, string | undefined])[] = []
  deps.host.http.request = async ({ url, token }) => {
    sent.push([new URL(url).pathname, token])
    return { status: 500, body: '' }
  }
  const summary = deps.engine.syncFromRegistry({
    dryRun: false,
    prune: false,
    confirm: undefined,
    requireHealthy: false,
    enableSsl: undefined,
  })
  await summary.catch(() => undefined)
  await deps.engine.verifyToken('eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl')
  await deps.engine.readDependencies()
  await settled()
  const keyPaths = ['/api/auth/public-key', '/api/auth/public_key', '/api/.well-known/jwks.json']
  const isOfRegistry = (path: string) => path.startsWith('/api/')
  assert.equal(
    sent.filter(([path]) => isOfRegistry(path)).map(([path]) => path),
    ['/api/droplets', ...keyPaths, '/api/droplets'],
  )
  assert.ok(sent.length > keyPaths.length + 2)
  for (const [path, token] of sent) assert.is(token, isOfRegistry(path) ? MESH.REGISTRY_TOKEN : undefined, path)
  assert.not.match(JSON.stringify(deps.lines), MESH.REGISTRY_TOKEN)
})

test.run()
