import { createServerAdapter } from '@whatwg-node/server'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../../fixtures/deps.ts'
import { startServer } from '../../../fixtures/loopback-server.ts'
import { createApp } from '../../../functions/index.ts'
import { APP, runCli, withApi } from '../../helpers/cli.ts'
import { put, remove } from '../../helpers/world.ts'

const test = suite('proxy-manager events')

test('it shows the last events, one a line, with who and what; --json has all of it', async () => {
  await withApi(async ({ cli }) => {
    assert.is((await cli('events')).out, 'No events found.\n')
    await cli('put', 'app', ...APP)
    const { status, out } = await cli('events')
    assert.is(status, 0)
    const [created = '', reloaded = ''] = out.split('\n')
    assert.match(
      created,
      /^2026-01-01T00:00:00\.000Z {2}route\.created {2}app {2}app\.example\.com {2}created {2}generation 1 {2}by local$/,
    )
    assert.match(reloaded, /nginx\.reloaded {2}generation 1 {2}by local$/)
    assert.is((await cli('events', '--type', 'route.created', '--droplet', 'app')).out.split('\n').length, 2)
    assert.is(JSON.parse((await cli('events', '--json', '--limit', '1')).out).events[0].type, 'nginx.reloaded')
    assert.is((await cli('events', '--limit', '0')).status, 1)
  })
})

test('--follow continues where it was when the API has restarted, says so once, and ends when it is refused', async () => {
  let deps = await fakeDeps()
  const app = createApp(() => deps)
  const server = await startServer(createServerAdapter(app))
  const environment = { PROXY_MANAGER_URL: server.url }
  const err: string[] = []
  const every = (_: number, act: () => void) => {
    setImmediate(act)
    return () => undefined
  }
  const argv = ['events', '--follow', '--json', '--type', 'route.deleted']
  const following = runCli(argv, environment, {}, { every, err: (text) => err.push(text) })
  await isStreaming(deps)
  await put(deps, 'app', 'app.example.com', 8001)
  await remove(deps, 'app')
  const stopped = deps
  const next = await fakeDeps({ disk: deps.disk, nginx: deps.nginx })
  stopped.engine.streams.close()
  while (err.length === 0) await new Promise((resolve) => setImmediate(resolve))
  await put(next, 'other', 'other.example.com', 8002)
  await remove(next, 'other')
  deps = next
  while (err.length === 1) await new Promise((resolve) => setImmediate(resolve))
  deps = await fakeDeps({ settings: { PROXY_MANAGER_API_TOKEN: 'a-token-of-many-characters' } })
  next.engine.streams.close()
  const { status, out } = await following
  server.close()
  assert.is(status, 1)
  assert.equal(err.slice(0, 3), [
    'proxy-manager: the API has ended the stream; connecting again\n',
    'proxy-manager: connected again\n',
    'proxy-manager: the API has ended the stream; connecting again\n',
  ])
  assert.match(err[3] ?? '', /^proxy-manager: UNAUTHORIZED: /)
  const shown = out.split('\n').filter((line) => line.startsWith('{"'))
  assert.equal(
    shown.map((line) => JSON.parse(line).droplet_name),
    ['app', 'other'],
  )
})

test('--follow shows the steps of calls only on request', async () => {
  const step = { type: 'progress', at: 'now', step: 'testing', droplet_name: 'app', actor: { kind: 'local' } }
  const event = { ...step, id: 8, type: 'route.created' }
  const frames = `event: progress\ndata: ${JSON.stringify(step)}\n\nid: 8\nevent: route.created\ndata: ${JSON.stringify(event)}\n\n`
  for (const [options, expected] of [
    [[], 'now  route.created  testing  app  by local\n'],
    [['--type', 'progress'], 'now  progress  testing  app  by local\n'],
  ] as const) {
    const asked: string[] = []
    const server = await startServer((request, response) => {
      asked.push(request.url ?? '')
      const isStream = request.headers.accept === 'text/event-stream'
      if (!isStream) response.writeHead(200).end(JSON.stringify({ events: [], next: 7 }))
      else if (asked.length > 2) response.writeHead(403).end('{}')
      else response.writeHead(200, { 'content-type': 'text/event-stream' }).end(frames)
    })
    const every = (_: number, act: () => void) => {
      setImmediate(act)
      return () => undefined
    }
    const { out } = await runCli(['events', '--follow', ...options], { PROXY_MANAGER_URL: server.url }, {}, { every })
    server.close()
    assert.ok(out.startsWith(expected), out)
    assert.equal([asked[1]?.includes('after=7'), asked[2]?.includes('after=8')], [true, true])
  }
})

/** Resolves once a stream is open. */
async function isStreaming({ metrics }: Pick<FakeDeps, 'metrics'>): Promise<void> {
  const pattern = /_count\{operation="getEvents",status="200"\} 2$/m
  while (!pattern.test(await metrics.text())) await new Promise((resolve) => setImmediate(resolve))
}

test.run()
