import { connect } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import type { Manager } from '../../fixtures/manager.ts'
import { call, putRoute, type RealHost, startHost } from '../helpers/system/host.ts'
import { setUp } from '../helpers/system/set-up.ts'

const test = suite<{ host: RealHost }>('events on a real NGINX')

setUp(test, async (context, undo) => {
  context.host = await startHost()
  undo(context.host.close)
})

const Events = v.object({
  events: v.array(
    v.looseObject({
      id: v.number(),
      type: v.string(),
      droplet_name: v.optional(v.string()),
      details: v.looseObject({}),
    }),
  ),
})

async function eventsOf(manager: Manager, query: string) {
  return v.parse(Events, (await call(manager, 'GET', `/events?after=0&limit=1000${query}`)).body).events
}

test('kill -9 at any moment: what was answered is in the log, and the log says what is served', async ({ host }) => {
  const droplet = await host.droplet('one')
  const answered = new Set<string>()
  for (let round = 0; round < 6; round++) {
    const { manager } = host
    const puts = Array.from({ length: 4 }, async (_, i) => {
      const name = `r${round}-${i}`
      const { status } = await putRoute(manager, name, `${name}.example.com`, droplet.port)
      if (status === 201) answered.add(name)
    })
    // A batch takes about 150 ms: each round is killed at another moment of it.
    const killed = new Promise((resolve) => setTimeout(resolve, 40 * (round + 1))).then(() => host.restart('SIGKILL'))
    await Promise.allSettled([...puts, killed])
    await killed
  }
  const created = await eventsOf(host.manager, '&type=route.created')
  const names = created.map(({ droplet_name = '' }) => droplet_name)
  assert.is(new Set(names).size, names.length, 'an event is there twice')
  for (const name of answered) assert.ok(names.includes(name), `${name} was answered and has no event`)
  const served = v.parse(
    v.object({ list: v.array(v.object({ droplet_name: v.string() })) }),
    (await call(host.manager, 'GET', '/proxies')).body,
  )
  assert.equal(
    [...names].sort(),
    served.list.map(({ droplet_name }) => droplet_name),
  )
  const all = await eventsOf(host.manager, '')
  for (const [i, { id }] of all.entries()) assert.ok(id > (all[i - 1]?.id ?? 0), 'ids do not grow')
})

test('a stream gets each step of a change, the change before its caller is answered, and ends first when the service stops', async ({
  host,
}) => {
  const droplet = await host.droplet('two')
  const socket = connect(host.manager.port, '127.0.0.1')
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  const ended = new Promise((resolve) => socket.once('close', resolve))
  socket.write('GET /events HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n')
  while (!text.includes('retry: 3000')) await new Promise((resolve) => socket.once('data', resolve))
  await putRoute(host.manager, 'app', 'app.example.com', droplet.port)
  while (!text.includes('nginx.reloaded')) await new Promise((resolve) => socket.once('data', resolve))
  assert.match(text, /"queued".*"testing".*"installing".*"proving".*\nevent: route\.created\n/s)
  const started = performance.now()
  await host.restart('SIGTERM')
  await ended
  // A stream that is waited for ends with the 20 s that calls have.
  assert.ok(performance.now() - started < 20_000)
  const [stopped] = await eventsOf(host.manager, '&type=manager.stopped')
  assert.ok(stopped)
})

test('a route goes back to its version before, and its history is there after a restart', async ({ host }) => {
  const [one, two] = [await host.droplet('three'), await host.droplet('four')]
  for (const { port } of [one, two]) await putRoute(host.manager, 'back', 'back.example.com', port)
  await host.restart('SIGKILL')
  const { status, body } = await call(host.manager, 'POST', '/proxies/back/rollback', {})
  assert.equal([status, body.upstream_port], [200, one.port])
})

test.run()
