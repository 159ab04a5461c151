import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import { createApp } from '../../functions/index.ts'
import { ProgressEvent, progressOfCalls, type Work } from '../../lib/events/progress.ts'
import { APP, type CallOptions, requestTo } from '../functions/wire.ts'
import { certbotThatIssues, certificateFor } from '../helpers/certbot.ts'
import { eventsOf } from '../helpers/world.ts'

const test = suite('progress')

const STREAM = { accept: 'text/event-stream' }

function world(deps: FakeDeps) {
  const app = createApp(() => deps)
  /** Opens a stream; its pieces are what has been sent since the last one. */
  const open = async (query = '?type=progress') => {
    const response = await app(requestTo(`/events${query}`, { headers: STREAM }))
    const reader = response.body?.getReader()
    const read = async () => new TextDecoder().decode((await reader?.read())?.value)
    assert.is(await read(), 'retry: 3000\n\n')
    return read
  }
  const send = async (path: string, id: string, options: CallOptions) => {
    const { status } = await app(requestTo(path, { ...options, headers: { 'x-correlation-id': id } }))
    await deps.engine.idle()
    return status
  }
  return { app, open, send }
}

function stepsIn(text: string): readonly ProgressEvent[] {
  const frames = text.split('\n\n').filter((frame) => frame.startsWith('event: progress\n'))
  return frames.map((frame) => v.parse(ProgressEvent, JSON.parse(frame.slice(frame.indexOf('\ndata: ') + 7))))
}

const namesOf = (steps: readonly ProgressEvent[]) => steps.map(({ step }) => step)

test('a deploy that waits is seen at each of its steps, by its correlation ID, with what it waits for', async () => {
  const deps = await fakeDeps()
  const { open, send } = world(deps)
  assert.is(await send('/proxies/app', 'first', { method: 'PUT', body: APP }), 201)
  deps.nginx.upstreams.set(8003, 503)
  const [client, former] = [
    { localPort: 80, remotePort: 50000 },
    { localPort: 40000, remotePort: APP.upstream_port },
  ]
  const socket = { localAddress: '127.0.0.1', remoteAddress: '127.0.0.1', isListening: false, uid: 33 }
  const sockets = [client, former].map((ports, i) => ({ ...socket, ...ports, inode: String(i) }))
  deps.nginx.oldWorkers.set(900, sockets)
  const { sleep } = deps.clock
  deps.clock.sleep = async (ms) => {
    await sleep(ms)
    if (deps.nginx.upstreams.get(8003) === 503) deps.nginx.upstreams.set(8003, 200)
    else if (ms >= 20) deps.nginx.oldWorkers.clear()
  }
  const read = await open()
  const body = { ...APP, upstream_port: 8003 }
  assert.is(await send('/proxies/app?health_wait_s=60&drain_wait_s=30', 'deploy-7', { method: 'PUT', body }), 200)
  const steps = stepsIn(await read())
  assert.equal(namesOf(steps), ['waiting_for_health', 'queued', 'testing', 'installing', 'proving', 'draining'])
  const [waiting, queued] = steps
  assert.equal(waiting?.details, { at_s: 0, address: '127.0.0.1', path: '/health', status: 503 })
  assert.equal(queued, {
    type: 'progress',
    at: '2026-01-01T00:00:01.000Z',
    step: 'queued',
    droplet_name: 'app',
    changes: 1,
    actor: { kind: 'local' },
    correlation_id: 'deploy-7',
    details: {},
  })
  assert.equal(steps.at(-1)?.details, { upstream: `http://localhost:${APP.upstream_port}`, connections: 1 })
})

test('an order for a certificate is seen before the CA, at the CA and after it', async () => {
  const deps = await fakeDeps({ settings: { SSL_PREFLIGHT: 'off' } })
  const { open, send } = world(deps)
  assert.is(await send('/proxies/app', 'put', { method: 'PUT', body: { ...APP, enable_ssl: true } }), 202)
  certbotThatIssues(deps, certificateFor(APP.domain))
  const read = await open('?correlation_id=order-1')
  assert.is(await send('/proxies/app/ssl', 'order-1', { method: 'POST', body: {} }), 200)
  const text = await read()
  const steps = namesOf(stepsIn(text))
  assert.equal(steps, ['queued', 'preflight', 'ordering', 'queued', 'testing', 'installing', 'proving'])
  assert.match(text, /^event: certificate\.ordered$/m)
})

test('the changes of one sync are one event for each step, and so are those of a reconcile', async () => {
  const deps = await fakeDeps({ settings: { REGISTRY_URL: 'http://registry.example:8000' } })
  const droplets = ['a', 'b'].map((name, i) => ({ name, domain: `${name}.example.com`, port: 8001 + i }))
  deps.nginx.registry = { status: 200, body: JSON.stringify(droplets) }
  const { open, send } = world(deps)
  const read = await open()
  assert.is(await send('/proxy-manager/sync-from-registry', 'sync-1', { method: 'POST' }), 200)
  const shownOf = ({ step, changes, droplet_name }: ProgressEvent) => [step, changes, droplet_name]
  assert.equal(
    stepsIn(await read()).map(shownOf),
    ['queued', 'testing', 'installing', 'proving'].map((step) => [step, 2, undefined]),
  )
  deps.disk.set('/etc/nginx/conf.d/panel.conf', {
    kind: 'file',
    file: { text: 'server { listen 192.0.2.10:80; server_name panel.example.org; }\n' },
    mode: 0o644,
  })
  assert.is(await send('/proxy-manager/reconcile', 'reconcile-1', { method: 'POST' }), 200)
  assert.equal(
    stepsIn(await read()).map(shownOf),
    ['testing', 'installing', 'proving'].map((step) => [step, 2, undefined]),
  )
  const [reconciled] = eventsOf(deps).filter(({ type }) => type === 'host.reconciled')
  assert.equal([reconciled?.actor, reconciled?.correlation_id], [{ kind: 'local' }, 'reconcile-1'])
})

test('a stream that is opened later begins with the present step of each call; a call that was answered has none', async () => {
  const deps = await fakeDeps()
  deps.nginx.upstreams.set(APP.upstream_port, 'ECONNREFUSED')
  const { sleep } = deps.clock
  let pass: () => void = () => undefined
  let waits = 0
  deps.clock.sleep = async (ms) => {
    await sleep(ms)
    if (ms === 1000 && waits++ === 0)
      await new Promise<void>((resolve) => {
        pass = resolve
      })
  }
  const { app, send } = world(deps)
  const deploying = send('/proxies/app?health_wait_s=60', 'deploy-7', { method: 'PUT', body: APP })
  while (waits === 0) await new Promise((resolve) => setImmediate(resolve))
  const first = async () => {
    const response = await app(requestTo('/events?type=progress', { headers: STREAM }))
    return new TextDecoder().decode((await response.body?.getReader().read())?.value)
  }
  assert.equal(namesOf(stepsIn(await first())), ['waiting_for_health'])
  deps.nginx.upstreams.set(APP.upstream_port, 200)
  pass()
  assert.is(await deploying, 201)
  assert.is(await first(), 'retry: 3000\n\n')
})

test('steps have no id, are not in the log, and obey the filters of a stream', async () => {
  const deps = await fakeDeps()
  const { app, open, send } = world(deps)
  const [all, others, own] = [await open(''), await open('?droplet_name=other'), await open('?correlation_id=put-1')]
  assert.is(await send('/proxies/app', 'put-1', { method: 'PUT', body: APP }), 201)
  const other = { ...APP, domain: 'other.example.com' }
  assert.is(await send('/proxies/other', 'put-2', { method: 'PUT', body: other }), 201)
  const text = await all()
  assert.is(stepsIn(text).length, 8)
  for (const frame of text.split('\n\n')) assert.is(/^id: /m.test(frame), !/^event: progress$|^$/m.test(frame), frame)
  assert.equal(
    stepsIn(await others()).map(({ droplet_name }) => droplet_name),
    Array.from({ length: 4 }, () => 'other'),
  )
  const sent = await own()
  assert.ok(stepsIn(sent).every(({ correlation_id }) => correlation_id === 'put-1'))
  assert.match(sent, /^event: route\.created$/m)
  const kept = await (await app(requestTo('/events?correlation_id=put-1'))).json()
  assert.equal(
    kept.events.map(({ type }: { type: string }) => type),
    ['route.created', 'nginx.reloaded'],
  )
  assert.equal((await (await app(requestTo('/events?type=progress'))).json()).events, [])
})

test('a reader that is stuck gets the last hundred steps, and takes no more memory than these', async () => {
  const deps = await fakeDeps()
  const { open, send } = world(deps)
  const read = await open()
  for (let i = 0; i < 30; i++) {
    const body = { ...APP, upstream_port: 8001 + (i % 2) }
    await send('/proxies/app', `put-${i}`, { method: 'PUT', body })
  }
  const steps = stepsIn(await read())
  assert.is(steps.length, 100)
  assert.equal([steps[0]?.correlation_id, steps.at(-1)?.correlation_id], ['put-5', 'put-29'])
})

test('work that no call has started is not reported, and nothing is kept once a subscriber has gone', () => {
  const progress = progressOfCalls({ nowMs: () => 0 })
  const seen: string[] = []
  const stop = progress.subscribe(({ correlation_id }) => seen.push(correlation_id))
  const work = (correlationId?: string): Work => ({
    dropletName: 'app',
    origin: { actor: { kind: 'timer' }, correlationId },
  })
  progress.report('testing', [{ dropletName: 'app' }, work(), work('a'), work('b')])
  stop()
  progress.report('proving', [work('c')])
  assert.equal(seen, ['a', 'b'])
})

test.run()
