import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { testNginx } from '../../fixtures/nginx-instance.ts'
import { call, putRoute, type RealHost, startHost, through } from './host.ts'

const test = suite('hard kills in a storm of changes')

const KILLS = 10
/** How many changes are answered before each kill, so that there is something to lose however slow the machine is. */
const ACKNOWLEDGED = 2
const NAMES = Array.from({ length: 12 }, (_, i) => `app-${i}`)

test('nothing acknowledged is lost, and the disk never holds what NGINX refuses', async () => {
  const host = await startHost()
  try {
    const droplets = [await host.droplet('one'), await host.droplet('two'), await host.droplet('three')]
    const stable = await host.droplet('stable')
    await putRoute(host.manager, 'stable', 'stable.example.com', stable.port)
    /** What each route may serve: what was acknowledged last and, while it has no answer, what was asked since. */
    const possible = new Map(NAMES.map((name) => [name, new Set<string>(['ECONNRESET'])]))

    for (let kill = 0; kill < KILLS; kill++) {
      let isStopped = false
      let acknowledged = 0
      const enough = Promise.withResolvers<void>()
      const write = async (name: string): Promise<void> => {
        while (!isStopped) {
          const droplet = droplets[Math.floor(Math.random() * 4)]
          possible.get(name)?.add(droplet?.name ?? 'ECONNRESET')
          const change =
            droplet === undefined
              ? call(host.manager, 'DELETE', `/proxies/${name}`)
              : putRoute(host.manager, name, `${name}.example.com`, droplet.port)
          const answer = await change.catch(() => undefined)
          if (answer === undefined) return
          assert.ok(answer.status < 300 || answer.status === 404, JSON.stringify(answer.body))
          if (answer.status < 300 && ++acknowledged === ACKNOWLEDGED) enough.resolve()
          possible.set(name, new Set([droplet?.name ?? 'ECONNRESET']))
        }
      }
      const writers = NAMES.map(write)
      await Promise.race([enough.promise, Promise.all(writers)])
      // A moment of the walk that differs each time; a batch takes about 130 ms.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 300))
      const ended = host.manager.end('SIGKILL')
      isStopped = true
      await ended
      const tested = testNginx(host.nginx)
      assert.ok(tested.ok, tested.output)
      assert.not.match(tested.output, /conflicting|duplicate/)
      assert.is(await through(host.nginx.httpPort, 'stable.example.com'), 'stable')
      await Promise.all(writers)
      assert.ok(acknowledged >= ACKNOWLEDGED, `only ${acknowledged} changes were acknowledged`)
      await host.restart('SIGKILL')
      await assertServed(host, possible)
    }
  } finally {
    await host.close()
  }
})

async function assertServed(host: RealHost, possible: Map<string, Set<string>>): Promise<void> {
  for (const [name, served] of possible) {
    const now = await through(host.nginx.httpPort, `${name}.example.com`)
    assert.ok(served.has(now), `${name} serves ${now}, may serve ${[...served]}`)
    const { status } = await call(host.manager, 'GET', `/proxies/${name}`)
    assert.is(status, now === 'ECONNRESET' ? 404 : 200, `${name}: the API and NGINX disagree`)
    possible.set(name, new Set([now]))
  }
}

test.run()
