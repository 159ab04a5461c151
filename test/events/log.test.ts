import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import { hostFiles } from '../../lib/adapters/files.ts'
import { datedEvent, type EventDraft, type EventType } from '../../lib/events/event.ts'
import { type EventLog, eventLog } from '../../lib/events/log.ts'
import { statePaths } from '../../lib/host/state-folder.ts'
import { writeAt } from '../helpers/arrange.ts'

const test = suite('log of events')

const FOLDER = '/var/lib/proxy-manager/events'
const DAY_MS = 24 * 3_600_000

function draft(type: EventType, droplet_name?: string, details = {}): EventDraft {
  return {
    type,
    origin: { actor: { kind: 'local' } },
    ...(droplet_name === undefined ? {} : { droplet_name }),
    details,
  }
}

async function opened() {
  const deps = await fakeDeps()
  return { ...deps, log: deps.engine.events, reopen: () => eventLog(deps.host) }
}

/** Adds this many events, in appends of 100. */
async function fill(log: EventLog, count: number, atMs: number, details = {}): Promise<void> {
  for (let left = count; left > 0; left -= 100)
    await log.append(
      Array.from({ length: Math.min(100, left) }, () => datedEvent(draft('health.changed', 'app', details), atMs)),
    )
}

async function idsFrom(log: EventLog, after: number, limit = 100): Promise<readonly number[]> {
  return (await log.read({ after }, limit)).events.map(({ id }) => id)
}

test('events are read in the order in which they were added, page after page, also by the next process', async () => {
  const { log, reopen } = await opened()
  for (const name of ['a', 'b', 'c', 'd', 'e']) await log.add(draft('upstream.up', name))
  const first = await log.read({ after: 0 }, 2)
  assert.equal(
    first.events.map(({ id, droplet_name }) => [id, droplet_name]),
    [
      [1, 'a'],
      [2, 'b'],
    ],
  )
  const second = await log.read(first.next, 2)
  assert.equal(
    second.events.map(({ id }) => id),
    [3, 4],
  )
  assert.equal(await idsFrom(reopen(), 4), [5])
  await log.add(draft('manager.stopped'))
  assert.equal(
    (await log.read(second.next, 10)).events.map(({ id }) => id),
    [5, 6],
  )
  assert.equal(
    (await log.readLast(2)).map(({ id }) => id),
    [5, 6],
  )
  const next = reopen()
  await next.add(draft('manager.started'))
  assert.equal(await idsFrom(next, 5), [6, 7])
})

test('a filter finds the events of one type and one droplet, whatever their details contain', async () => {
  const { log } = await opened()
  await log.add(draft('route.deleted', 'app'))
  await log.add(draft('route.created', 'other', { note: 'app', type: 'route.deleted' }))
  await log.add(draft('route.created', 'app'))
  const found = async (filter: object) => (await log.read({ after: 0 }, 10, filter)).events.map(({ id }) => id)
  assert.equal(await found({ type: 'route.deleted' }), [1])
  assert.equal(await found({ dropletName: 'app' }), [1, 3])
  assert.equal(await found({ type: 'route.created', dropletName: 'app' }), [3])
  assert.equal(
    (await log.readLast(1, { type: 'route.deleted' })).map(({ id }) => id),
    [1],
  )
})

test('appends at the same time are one write, and each resolves once its events are on the medium', async () => {
  const { log, effects } = await opened()
  await log.add(draft('manager.started'))
  const before = effects.journal.length
  const first = log.append([datedEvent(draft('health.changed'), 0)])
  await Promise.all([
    first,
    ...['a', 'b', 'c'].map((name) => log.append([datedEvent(draft('route.created', name), 0)])),
  ])
  assert.equal(
    effects.journal.slice(before).map(({ verb }) => verb),
    ['append'],
  )
  assert.equal(await idsFrom(log, 0), [1, 2, 3, 4, 5])
})

test('if an append fails, its caller gets the error, none of its events is there, and the next one works', async () => {
  const { log, effects, reopen } = await opened()
  await log.add(draft('manager.started'))
  effects.arrange({ at: 0, kind: 'error', code: 'ENOSPC' })
  const failure = await log.append([datedEvent(draft('route.created', 'a'), 0)]).catch((error) => error.code)
  assert.is(failure, 'ENOSPC')
  await log.add(draft('route.created', 'b'))
  for (const reader of [log, reopen()])
    assert.equal(
      (await reader.read({ after: 0 }, 10)).events.map(({ droplet_name }) => droplet_name),
      [undefined, 'b'],
    )
})

for (const [what, tear, kept] of [
  ['in its middle', (text: string) => text.slice(0, -20), ['a']],
  ['before its line feed', (text: string) => text.slice(0, -1), ['a', 'b']],
  ['to garbage', (text: string) => `${text.slice(0, -20)}\0\0\0`, ['a']],
] as const)
  test(`a last line that a power cut has torn ${what} harms no other event, and no id is used twice`, async () => {
    const { log, disk, reopen } = await opened()
    await log.add(draft('route.created', 'a'))
    await log.add(draft('route.created', 'b'))
    const path = `${FOLDER}/0000000000000001.jsonl`
    const entry = disk.get(path)
    writeAt(disk, path, tear(entry?.kind === 'file' ? entry.file.text : ''))
    const next = reopen()
    await next.add(draft('route.created', 'c'))
    for (const reader of [next, reopen()]) {
      const { events } = await reader.read({ after: 0 }, 10)
      assert.equal(
        events.map(({ droplet_name }) => droplet_name),
        [...kept, 'c'],
      )
      assert.is(new Set(events.map(({ id }) => id)).size, events.length)
    }
  })

test('ids grow on after the newest segment, or all of them, were lost', async () => {
  for (const isLost of [(_name: string, i: number) => i > 0, () => true]) {
    const { log, disk, reopen } = await opened()
    await fill(log, 8_000, 0, { text: 'x'.repeat(200) })
    const { last } = log.ids()
    const names = [...disk.keys()].filter((path) => path.startsWith(`${FOLDER}/`)).sort()
    assert.ok(names.length > 1)
    for (const path of names.filter(isLost)) disk.delete(path)
    const next = reopen()
    await next.add(draft('manager.started'))
    assert.ok(next.ids().last > last)
    assert.equal(await idsFrom(next, last), [next.ids().last])
  }
})

test('the log has at most 64 MiB, and never fewer than the last 10,000 events', async () => {
  const { log, disk } = await opened()
  const size = () =>
    [...disk].reduce(
      (sum, [path, entry]) => (path.startsWith(FOLDER) && entry.kind === 'file' ? sum + entry.file.text.length : sum),
      0,
    )
  for (let i = 0; i < 20; i++) {
    await fill(log, 1_000, 0, { text: 'x'.repeat(3_800) })
    assert.ok(size() <= 64 * 1024 * 1024)
  }
  const { oldest, last } = log.ids()
  assert.is(last, 20_000)
  assert.ok(oldest > 1)
  assert.ok(last - oldest >= 10_000)
  assert.equal(await idsFrom(log, 0, 1), [oldest])
})

test('events older than 30 days go, except for the last 10,000', async () => {
  const { log, clock } = await opened()
  await fill(log, 20_000, clock.nowMs(), { text: 'x'.repeat(300) })
  assert.is(log.ids().oldest, 1)
  await clock.sleep(31 * DAY_MS)
  await fill(log, 100, clock.nowMs())
  const { oldest, last } = log.ids()
  assert.ok(oldest > 1)
  assert.ok(last - oldest + 1 >= 10_000 && last - oldest < 14_000, String(last - oldest))
})

test('an event has at most 4 KiB: details that do not fit are left out', async () => {
  const { log, disk } = await opened()
  await log.add(draft('health.changed', 'app', { reasons: ['ä'.repeat(4_000)] }))
  const [event] = await log.readLast(1)
  assert.equal(event?.details, { truncated: true })
  assert.is(event?.droplet_name, 'app')
  for (const [path, entry] of disk)
    if (path.startsWith(FOLDER) && entry.kind === 'file') assert.ok(Buffer.byteLength(entry.file.text) <= 4096)
})

test('a flapping droplet, and a call that is refused again and again, is one event a minute', async () => {
  const { log, clock } = await opened()
  const types = async () => (await log.read({ after: 0 }, 100)).events.map(({ type }) => type)
  for (const type of ['upstream.down', 'upstream.up', 'upstream.down', 'route.refused', 'route.refused'] as const)
    await log.add(draft(type, 'app'))
  assert.equal(await types(), ['upstream.down', 'route.refused'])
  await clock.sleep(60_000)
  await log.add(draft('upstream.up', 'app'))
  await log.add({ ...draft('route.refused', 'app'), error_code: 'DOMAIN_CONFLICT' })
  assert.equal(await types(), ['upstream.down', 'route.refused', 'upstream.up', 'route.refused'])
})

test('of several upstreams of a droplet each has an event a minute', async () => {
  const { log } = await opened()
  for (const upstream of ['http://a:1', 'http://b:1', 'http://a:1'])
    await log.add({ ...draft('upstream.down', 'app'), details: { upstream } })
  const { events } = await log.read({ after: 0 }, 100)
  assert.equal(
    events.map(({ details }) => details.upstream),
    ['http://a:1', 'http://b:1'],
  )
})

test('a failure to add an event is logged once until one is added again', async () => {
  const { log, effects, lines } = await opened()
  await log.add(draft('manager.started'))
  effects.arrange({ at: 0, kind: 'error', code: 'ENOSPC', lasting: ['append'] })
  for (let i = 0; i < 3; i++) await log.add(draft('health.changed'))
  effects.arrange(undefined)
  await log.add(draft('health.changed'))
  const own = lines.filter(({ action }) => action === 'append_event').map(({ result, cause }) => [result, cause])
  assert.equal(own, [
    ['failure', 'ENOSPC: append'],
    ['success', undefined],
  ])
})

test('10,000 events on a real disk are read as they were written', async () => {
  const root = mkdtempSync(join(tmpdir(), 'events-'))
  try {
    const { host } = await opened()
    const files = hostFiles()
    const paths = statePaths({ ...host.settings, PROXY_MANAGER_STATE_DIR: root })
    await files.makeFolder(paths.events, 0o700)
    const log = eventLog({ ...host, files, paths })
    await fill(log, 10_000, 0, { upstream: 'http://localhost:8001', changed: ['upstream_port'], ssl_enabled: true })
    const { events } = await log.read({ after: 0 }, 10_000)
    assert.equal(
      events.map(({ id }) => id),
      Array.from({ length: 10_000 }, (_, i) => i + 1),
    )
  } finally {
    rmSync(root, { recursive: true })
  }
})

test.run()
