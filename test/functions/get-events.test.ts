import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import getEvents from '../../functions/get-events.ts'
import { createApp } from '../../functions/index.ts'
import { put, worldWithRoute } from '../helpers/world.ts'
import { answerOf, assertError, assertIssues, call, requestTo } from './wire.ts'

const test = suite('GET /events')

const get = (deps: FakeDeps, query = '') => call(getEvents, deps, `/events${query}`)
const STREAM = { accept: 'text/event-stream' }

async function world(): Promise<FakeDeps> {
  const deps = await worldWithRoute()
  await put(deps, 'app', 'app.example.com', 8002)
  return deps
}

/** Opens a stream; `read` resolves to its next piece, or `undefined` at its end. */
async function open(deps: FakeDeps, query = '', headers: Readonly<Record<string, string>> = {}) {
  const response = await getEvents(requestTo(`/events${query}`, { headers: { ...STREAM, ...headers } }), deps)
  const reader = response.body?.getReader()
  const read = async () => {
    const piece = await reader?.read()
    return piece?.value === undefined ? undefined : new TextDecoder().decode(piece.value)
  }
  return { response, read, cancel: async () => reader?.cancel() }
}

test('it answers the last events, the oldest of them first, and where to read on', async () => {
  const deps = await world()
  const { body } = await get(deps, '?limit=2')
  assert.equal(
    body.events.map(({ id, type, droplet_name }: { id: number; type: string; droplet_name?: string }) => [
      id,
      type,
      droplet_name,
    ]),
    [
      [3, 'route.created', 'app'],
      [4, 'nginx.reloaded', undefined],
    ],
  )
  assert.equal([body.next, body.oldest_id, body.last_id, body.reset], [4, 1, 4, false])
  assert.equal((await get(deps, '?after=4')).body.events, [])
})

test('from an id on it is read page after page, by type and by droplet', async () => {
  const deps = await world()
  const ids = async (query: string) => (await get(deps, query)).body.events.map(({ id }: { id: number }) => id)
  const first = (await get(deps, '?after=0&limit=3')).body
  assert.equal([first.events.length, first.next], [3, 3])
  assert.equal(await ids('?after=3&limit=3'), [4])
  assert.equal(await ids('?type=route.created'), [1, 3])
  assert.equal(await ids('?after=0&droplet_name=app'), [3])
})

test('an id that is gone, or that never was, begins at the oldest event and says so', async () => {
  const { body } = await get(await world(), '?after=900')
  assert.equal([body.reset, body.events[0].id], [true, 1])
})

test('invalid parameters answer 400', async () => {
  const answer = await get(await fakeDeps(), '?after=-1&limit=1001&type=none&droplet_name=..&x=1')
  assertIssues(answer, [
    ['x', 'is not a known parameter'],
    ['after', 'must be the id of an event'],
    ['limit', 'must be a number from 1 to 1000'],
    ['type', 'must be a type of events'],
    ['droplet_name', answer.body.error.details.issues[4]?.message],
  ])
})

test('a token for reading is enough', async () => {
  const [all, read] = ['a'.repeat(20), 'b'.repeat(20)]
  const deps = await fakeDeps({ settings: { PROXY_MANAGER_API_TOKEN: all, PROXY_MANAGER_READ_TOKEN: read } })
  const app = createApp(() => deps)
  const withToken = (token: string) => app(requestTo('/events', { headers: { authorization: `Bearer ${token}` } }))
  assert.is((await withToken(read)).status, 200)
  assertError(await answerOf(await withToken('c'.repeat(20))), 'UNAUTHORIZED')
})

test('a stream sends each event once it happens, and resumes after the last id that its reader has', async () => {
  const deps = await world()
  const stream = await open(deps)
  assert.equal(
    ['content-type', 'cache-control', 'x-accel-buffering'].map((name) => stream.response.headers.get(name)),
    ['text/event-stream; charset=utf-8', 'no-store', 'no'],
  )
  assert.is(await stream.read(), 'retry: 3000\n\n')
  const next = stream.read()
  await put(deps, 'next', 'next.example.com', 8003)
  const text = (await next) ?? ''
  const [event] = (await get(deps, '?type=route.created&droplet_name=next')).body.events
  assert.ok(
    text.startsWith(`id: 5\nevent: route.created\ndata: ${JSON.stringify(event)}\n\nid: 6\nevent: nginx.reloaded\n`),
  )
  for (const resumed of [await open(deps, '?after=1', { 'last-event-id': '4' }), await open(deps, '?after=4')])
    assert.equal(
      [...((await resumed.read()) ?? '').matchAll(/^id: (\d+)$/gm)].map(([, id]) => id),
      ['5', '6'],
    )
  const filtered = await open(deps, '?after=0&type=route.created&droplet_name=app')
  assert.equal(
    [...((await filtered.read()) ?? '').matchAll(/^id: (\d+)$/gm)].map(([, id]) => id),
    ['3'],
  )
  await deps.engine.idle()
})

test('a stream that resumes after an id that is gone begins with an event named reset', async () => {
  const stream = await open(await world(), '', { 'last-event-id': '900' })
  assert.match(
    (await stream.read()) ?? '',
    /^retry: 3000\n\nevent: reset\ndata: \{"oldest_id":1,"last_id":4\}\n\nid: 1\n/,
  )
})

test('a quiet stream sends comments; all end when the service stops, and none is opened any more', async () => {
  const deps = await world()
  const { streams } = deps.engine
  const stream = await open(deps)
  await stream.read()
  const next = stream.read()
  streams.keepAlive()
  assert.is(await next, ':\n\n')
  const last = stream.read()
  streams.close()
  assert.is(await last, undefined)
  assertError(await answerOf(await getEvents(requestTo('/events', { headers: STREAM }), deps)), 'BUSY')
})

test('at most 32 streams are open, and one that ends makes room', async () => {
  const deps = await world()
  const streams = []
  for (let i = 0; i < 32; i++) streams.push(await open(deps))
  const answer = await answerOf(await getEvents(requestTo('/events', { headers: STREAM }), deps))
  assertError(answer, 'TOO_MANY_STREAMS')
  assert.is(answer.headers.get('retry-after'), '5')
  await streams[0]?.cancel()
  assert.is((await open(deps)).response.status, 200)
})

test('HEAD opens no stream', async () => {
  const deps = await world()
  const app = createApp(() => deps)
  for (let i = 0; i < 40; i++)
    assert.is((await app(requestTo('/events', { method: 'HEAD', headers: STREAM }))).status, 200)
})

test.run()
