import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import { webhook } from '../../lib/mesh/webhook.ts'

const test = suite('webhook')

const SETTINGS = { EVENTS_URL: 'https://hooks.example/message', EVENTS_TOKEN: 't'.repeat(20), DROPLET_ID: 'edge-7' }

async function world() {
  const deps = await fakeDeps({ settings: SETTINGS })
  await add(deps)
  return { ...deps, deps, hook: webhook(deps.host, deps.engine.events) }
}

async function add({ engine }: Pick<FakeDeps, 'engine'>, correlationId?: string): Promise<void> {
  await engine.events.add({ type: 'health.changed', origin: { actor: { kind: 'timer' }, correlationId } })
}

/** The ids of the events that were posted. */
function idsOf({ received }: FakeDeps['nginx']): readonly unknown[] {
  return received.map(({ json }) => (json as { payload: { id: number } }).payload.id)
}

test('each event after the first start is posted in order, as a message of the mesh with the token', async () => {
  const { deps, hook, nginx } = await world()
  await hook.deliver()
  assert.equal(nginx.received, [])
  await add(deps, 'deploy-7')
  await add(deps)
  await hook.deliver()
  assert.equal(idsOf(nginx), [2, 3])
  const [first] = nginx.received
  const [event] = (await deps.engine.events.read({ after: 1 }, 1)).events
  assert.equal([first?.url, first?.token], [SETTINGS.EVENTS_URL, SETTINGS.EVENTS_TOKEN])
  assert.equal(first?.json, {
    udc_version: '1.0',
    trace_id: 'deploy-7',
    source: 'edge-7',
    target: '*',
    message_type: 'event',
    payload: event,
    timestamp: '2026-01-01T00:00:00.000Z',
  })
})

test('what was not delivered is sent again, after a pause that doubles, and one line says that it fails', async () => {
  const { deps, hook, nginx, clock, lines } = await world()
  await add(deps)
  await hook.deliver()
  nginx.mesh = { failure: 'ECONNREFUSED' }
  await add(deps)
  await add(deps)
  const tries: number[] = []
  for (let second = 0; second < 16; second++) {
    const before = nginx.received.length
    await hook.deliver()
    if (nginx.received.length > before) tries.push(second)
    await clock.sleep(1000)
  }
  assert.equal(tries, [0, 1, 3, 7, 15])
  assert.is(lines.filter(({ action, result }) => action === 'send_events' && result === 'failure').length, 1)
  nginx.mesh = { status: 204, body: '' }
  nginx.received.length = 0
  await clock.sleep(60_000)
  await hook.deliver()
  assert.equal(idsOf(nginx), [3, 4])
})

test('a restart continues with what was not delivered', async () => {
  const { deps, hook, nginx, host } = await world()
  await hook.deliver()
  nginx.mesh = { status: 503, body: '' }
  await add(deps)
  await hook.deliver()
  await hook.stop()
  nginx.mesh = { status: 200, body: '' }
  nginx.received.length = 0
  const next = await fakeDeps({ disk: deps.disk, nginx, settings: SETTINGS })
  await add(next)
  await webhook(next.host, next.engine.events).deliver()
  assert.equal(idsOf(nginx), [2, 3])
  await webhook(host, deps.engine.events).deliver()
})

test('a receiver that is down for an hour gets every event, in order, from this process or the next one, and is asked a few times only', async () => {
  const { deps, hook, nginx, lines, metrics } = await world()
  await hook.deliver()
  nginx.mesh = { failure: 'ECONNREFUSED' }
  let [process, sender] = [deps, hook]
  const { readFrom } = deps.host.files
  let reads = 0
  deps.host.files.readFrom = (path, offset) => {
    reads++
    return readFrom(path, offset)
  }
  for (let second = 0; second < 3600; second++) {
    if (second % 10 === 0) await add(process)
    await sender.deliver()
    await process.host.clock.sleep(1000)
    if (second === 1800) {
      await sender.stop()
      process = await fakeDeps({ disk: deps.disk, nginx, settings: SETTINGS })
      sender = webhook(process.host, process.engine.events)
    }
  }
  // 1, 2, 4 … 256 s, then every 300 s: the pauses begin again with the next process.
  assert.is(nginx.received.length, 28)
  assert.equal([...new Set(idsOf(nginx))], [2])
  assert.ok(reads < 100, `${reads} reads of the log while nothing can be sent`)
  const failures = [...lines, ...process.lines].filter(({ action }) => action === 'send_events')
  assert.equal(
    failures.map(({ result, cause }) => [result, cause]),
    Array(2).fill(['failure', 'ECONNREFUSED']),
  )
  nginx.mesh = { status: 200, body: '' }
  nginx.received.length = 0
  await process.host.clock.sleep(300_000)
  await sender.deliver()
  assert.equal(
    idsOf(nginx),
    Array.from({ length: 360 }, (_, i) => i + 2),
  )
  assert.is(process.lines.findLast(({ action }) => action === 'send_events')?.result, 'success')
  assert.match(await metrics.text(), 'proxy_manager_events_dropped_total 0')
})

test('an event that the receiver rejects for good is dropped, counted and logged; those after it are sent', async () => {
  const { deps, hook, nginx, lines, metrics } = await world()
  await hook.deliver()
  nginx.mesh = { status: 422, body: '' }
  await add(deps)
  await add(deps)
  await hook.deliver()
  assert.equal(idsOf(nginx), [2, 3])
  assert.is(lines.filter(({ action }) => action === 'drop_events').length, 2)
  assert.match(await metrics.text(), 'proxy_manager_events_dropped_total 2')
})

test('events that are gone from the log before they were sent are counted and logged', async () => {
  const { deps, hook, nginx, lines } = await world()
  await hook.deliver()
  const details = { text: 'x'.repeat(3_900) }
  const { events } = deps.engine
  const origin = { actor: { kind: 'timer' } } as const
  for (let i = 0; i < 200; i++)
    await Promise.all(Array.from({ length: 100 }, () => events.add({ type: 'health.changed', origin, details })))
  nginx.mesh = { failure: 'ECONNREFUSED' }
  await hook.deliver()
  const { oldest } = events.ids()
  assert.ok(oldest > 2)
  assert.is(lines.find(({ action }) => action === 'drop_events')?.count, oldest - 2)
  assert.equal(idsOf(nginx), [oldest])
})

test.run()
