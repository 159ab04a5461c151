import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import { createApp } from '../../functions/index.ts'
import { textAt, writeAt } from '../helpers/arrange.ts'
import { certificateFor, DAY_MS, HOUR_MS, issue, putLineage, putSecure, START_MS } from '../helpers/certbot.ts'
import { addPanel, SWEEP_SETTINGS } from '../helpers/sweeps.ts'
import {
  assertEventsMatch,
  eventsOf,
  put,
  remove,
  restarted,
  routeFilesOf,
  servedPort,
  worldWithRoute,
} from '../helpers/world.ts'

const test = suite('events of the engine')

test('a change is in the log before it is answered, with its caller, its generation and what it changed', async () => {
  const deps = await fakeDeps({ settings: { PROXY_MANAGER_API_TOKEN: 't'.repeat(20) } })
  const app = createApp(() => deps)
  const headers = { authorization: `Bearer ${'t'.repeat(20)}`, 'x-correlation-id': 'deploy-7' }
  const context = { req: { socket: { remoteAddress: '192.0.2.9' } } }
  const putRoute = (port: number) =>
    app(
      new Request('http://localhost/proxies/app', {
        method: 'PUT',
        headers: { ...headers, 'content-type': 'application/json' },
        body: JSON.stringify({ domain: 'app.example.com', upstream_port: port, enable_ssl: false }),
      }),
      context,
    )
  assert.is((await putRoute(8001)).status, 201)
  assert.is((await putRoute(8002)).status, 200)
  assert.is((await putRoute(8002)).status, 200)
  const removed = await app(new Request('http://localhost/proxies/app', { method: 'DELETE', headers }), context)
  assert.is(removed.status, 200)
  const by = {
    at: '2026-01-01T00:00:00.000Z',
    actor: { kind: 'token', name: 'api' },
    address: '192.0.2.9',
    correlation_id: 'deploy-7',
  }
  const route = { droplet_name: 'app', domain: 'app.example.com', ...by }
  const reloaded = { type: 'nginx.reloaded', ...by, details: { batch: 1 } }
  const drained = (port: number) => ({
    type: 'route.drained',
    droplet_name: 'app',
    at: by.at,
    actor: { kind: 'timer' },
    details: { upstream: `http://localhost:${port}`, took_ms: 0 },
  })
  const served = (port: number) => ({ upstream: `http://localhost:${port}`, ssl_enabled: false })
  assert.equal(
    eventsOf(deps).map(({ generation: _, ...event }) => event),
    [
      { id: 1, type: 'route.created', ...route, outcome: 'created', details: served(8001) },
      { id: 2, ...reloaded },
      {
        id: 3,
        type: 'route.replaced',
        ...route,
        outcome: 'replaced',
        details: { ...served(8002), changed: ['upstream_port'] },
      },
      { id: 4, ...reloaded },
      { id: 5, ...drained(8001) },
      { id: 6, type: 'route.deleted', ...route, outcome: 'deleted', details: served(8002) },
      { id: 7, ...reloaded },
      { id: 8, ...drained(8002) },
    ],
  )
  assert.equal(
    eventsOf(deps).map(({ generation }) => generation),
    [1, 1, 2, 2, undefined, 3, 3, undefined],
  )
})

test('a batch is one append, however many changes it has', async () => {
  const deps = await worldWithRoute()
  const before = deps.effects.journal.length
  await Promise.all(['a', 'b', 'c'].map((name) => put(deps, name, `${name}.example.com`, 8002)))
  const appends = deps.effects.journal.slice(before).filter(({ verb }) => verb === 'append')
  assert.equal(
    appends.map(({ subject }) => subject.replace(/^.*\//, '')),
    ['journal', '0000000000000001.jsonl'],
  )
})

test('a refused call is an event with its code, also if its upstream was at fault; a dry run is none', async () => {
  const deps = await worldWithRoute()
  const before = eventsOf(deps).length
  deps.nginx.upstreams.set(8003, 503)
  const request = (dropletName: string, domain: string, port: number) => ({
    dropletName,
    spec: { domain, upstream_host: 'localhost', upstream_port: port, require_healthy: true, enable_ssl: false },
    mode: 'replace' as const,
    precondition: {},
    origin: { actor: { kind: 'token', name: 'ci' } } as const,
  })
  await deps.engine.dryRunPut(request('new', 'old.example.com', 8002)).catch(() => undefined)
  await deps.engine.putProxy(request('new', 'old.example.com', 8002)).catch(() => undefined)
  await deps.engine.putProxy(request('sick', 'sick.example.com', 8003)).catch(() => undefined)
  await remove(deps, 'none').catch(() => undefined)
  const refused = eventsOf(deps).slice(before)
  assert.equal(
    refused.map(({ type, droplet_name, error_code, actor }) => [type, droplet_name, error_code, actor.kind]),
    [
      ['route.refused', 'new', 'DOMAIN_CONFLICT', 'token'],
      ['route.refused', 'sick', 'UPSTREAM_UNHEALTHY', 'token'],
      ['route.refused', 'none', 'PROXY_NOT_FOUND', 'local'],
    ],
  )
})

/** Does this instead of appending to the log of events. */
function insteadOfLogging({ host }: FakeDeps, effect: (append: () => Promise<void>) => Promise<void>): void {
  const append = host.files.append
  Object.assign(host.files, {
    append: (path: string, text: string) =>
      path.includes('/events/') ? effect(() => append(path, text)) : append(path, text),
  })
}

test('a change whose event cannot be written is undone, and its answer says why', async () => {
  const deps = await worldWithRoute()
  const files = routeFilesOf(deps)
  insteadOfLogging(deps, () => Promise.reject(Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })))
  const failure = await put(deps, 'app', 'app.example.com', 8002).catch((error) => [error.code, error.details.state])
  assert.equal(failure, ['CONFIG_WRITE_FAILED', 'rolled_back'])
  assert.equal(routeFilesOf(deps), files)
  assert.is(servedPort(deps, 'app.example.com'), undefined)
  assertEventsMatch(deps)
})

test('a change whose events a hard stop has torn is final, since it was proved; the others are added', async () => {
  const deps = await worldWithRoute()
  const never = new Promise<never>(() => undefined)
  await new Promise<void>((stop) => {
    insteadOfLogging(deps, (append) =>
      append()
        .then(stop)
        .then(() => never),
    )
    void put(deps, 'app', 'app.example.com', 8002)
  })
  const path = '/var/lib/proxy-manager/events/0000000000000001.jsonl'
  writeAt(deps.disk, path, (textAt(deps.disk, path) ?? '').slice(0, -30))
  // NGINX rejects everything at the next start.
  deps.nginx.judge = () => ({ exitCode: 1, output: 'nginx: [emerg] other in /etc/nginx/nginx.conf:1' })
  const next = await restarted(deps)
  assert.equal(
    (await next.engine.listProxies()).map(({ droplet_name }) => droplet_name),
    ['app', 'old'],
  )
  const { events } = await next.engine.events.read({ after: 0 }, 100)
  assert.equal(
    events.map(({ type }) => type),
    ['route.created', 'nginx.reloaded', 'route.created', 'nginx.reloaded'],
  )
})

test('orders, renewals, reconciles, syncs and the state of this host are events', async () => {
  const deps = await worldWithRoute({ settings: SWEEP_SETTINGS })
  const { engine, nginx } = deps
  const before = eventsOf(deps).length
  const domain = 'app.example.com'
  await putSecure(deps, 'app', domain)
  await issue(deps, 'app').catch(() => undefined)
  putLineage(deps.disk, domain, certificateFor(domain))
  await engine.certificates.adoptRenewals()
  await deps.clock.sleep(61_000)
  putLineage(deps.disk, domain, certificateFor(domain, { fromMs: START_MS - HOUR_MS / 2 }), 2)
  await engine.certificates.adoptRenewals()
  addPanel(deps)
  await engine.keepReconciled()
  nginx.registry = {
    status: 200,
    body: JSON.stringify([{ name: 'moved', domain: 'moved.example.com', host: 'localhost', port: 8002 }]),
  }
  const sync = { dryRun: false, prune: false, confirm: undefined, requireHealthy: false, enableSsl: undefined }
  await engine.syncFromRegistry(sync)
  await engine.syncFromRegistry(sync)
  await engine.readHealth()
  nginx.running = false
  await engine.readHealth()
  await engine.readHealth()
  writeAt(
    deps.disk,
    '/etc/nginx/sites-available/fpai-old.conf',
    `${textAt(deps.disk, '/etc/nginx/sites-available/fpai-old.conf')}# edited\n`,
  )
  await engine.readHealth()
  await engine.readHealth()
  await deps.clock.sleep(80 * DAY_MS)
  await engine.readHealth()
  await engine.idle()
  const seen = eventsOf(deps)
    .slice(before)
    .filter(({ type }) => type !== 'nginx.reloaded')
  assert.equal(
    seen.map(({ type, actor, droplet_name, outcome, error_code }) => [
      type,
      actor.kind,
      droplet_name ?? '',
      outcome ?? error_code ?? '',
    ]),
    [
      ['route.created', 'local', 'app', 'created'],
      ['certificate.failed', 'renewal', 'app', 'SSL_ISSUANCE_FAILED'],
      ['route.replaced', 'renewal', 'app', 'replaced'],
      ['certificate.renewed', 'renewal', 'app', 'replaced'],
      ['host.reconciled', 'reconcile', '', ''],
      ['route.created', 'sync', 'moved', 'created'],
      ['sync.finished', 'timer', '', 'success'],
      ['health.changed', 'timer', '', 'degraded'],
      ['health.changed', 'timer', '', 'unhealthy'],
      ['route.drifted', 'timer', 'old', ''],
      ['certificate.expiring', 'timer', 'app', ''],
    ],
  )
})

test('an upstream that becomes unhealthy, and healthy again later, is an event each', async () => {
  const deps = await worldWithRoute()
  const check = async (answer: number, times: number) => {
    deps.nginx.upstreams.set(8001, answer)
    for (let i = 0; i < times; i++) await deps.engine.checkProxy('old')
  }
  await check(503, 4)
  await deps.clock.sleep(120_000)
  await check(200, 3)
  await deps.engine.idle()
  const turns = eventsOf(deps).filter(({ type }) => type.startsWith('upstream.'))
  const upstream = 'http://localhost:8001'
  assert.equal(
    turns.map(({ type, droplet_name, actor, details }) => [type, droplet_name, actor, details]),
    [
      ['upstream.down', 'old', { kind: 'timer' }, { upstream, failure: 'HTTP 503' }],
      ['upstream.up', 'old', { kind: 'timer' }, { upstream }],
    ],
  )
})

test.run()
