import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { call, putRoute, type RealHost, startHost, through } from '../helpers/system/host.ts'
import { setUp } from '../helpers/system/set-up.ts'

const test = suite<{ host: RealHost; port: number }>('a rename, while clients ask for the route')

setUp(test, async (context, undo) => {
  context.host = await startHost()
  undo(context.host.close)
  context.port = (await context.host.droplet('app')).port
})

test('no request is lost, and each receipt is of a generation of its own', async ({ host, port }) => {
  assert.is((await putRoute(host.manager, 'a0', 'app.example.com', port)).status, 201)
  let isDone = false
  const answers = new Map<string, number>()
  const clients = Array.from({ length: 8 }, async () => {
    while (!isDone) {
      const answer = await through(host.nginx.httpPort, 'app.example.com')
      answers.set(answer, (answers.get(answer) ?? 0) + 1)
    }
  })
  for (let i = 0; i < 5; i++) {
    const { status, body } = await call(host.manager, 'POST', `/proxies/a${i}/rename`, { droplet_name: `a${i + 1}` })
    assert.equal([status, body.domain, body.receipt?.proved_by], [200, 'app.example.com', 'generation_probe'])
    assert.is(body.receipt?.generation, i + 2)
  }
  isDone = true
  await Promise.all(clients)
  assert.equal([...answers.keys()], ['app'])
  assert.ok((answers.get('app') ?? 0) > 20, 'no clients')
  assert.is((await call(host.manager, 'GET', '/proxies/a0')).status, 404)
  assert.is((await call(host.manager, 'GET', '/proxies/a5')).body.status, 'active')
})

test.run()
