import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import { healthWaits } from '../../lib/engine/health-waits.ts'
import { ProxyManagerError } from '../../lib/errors.ts'
import { refusal, settled } from '../helpers/arrange.ts'
import { put, remove, servedPort } from '../helpers/world.ts'

const test = suite('health waits')

const spec = (upstream_port: number) => ({
  domain: 'app.example.com',
  upstream_host: 'localhost',
  upstream_port,
  require_healthy: true,
  enable_ssl: false,
})

function deploy(deps: FakeDeps, port: number, healthWaitS: number, others: { readonly signal?: AbortSignal } = {}) {
  const request = { dropletName: 'app', spec: spec(port), mode: 'replace', precondition: {} } as const
  return deps.engine.putProxy({ ...request, healthWaitS, ...others })
}

/** Makes a wait for its next second last until the returned function is called. */
function holdSeconds(deps: FakeDeps): () => Promise<void> {
  const held: (() => void)[] = []
  const { sleep } = deps.clock
  deps.clock.sleep = (ms) =>
    ms === 1000 ? sleep(ms).then(() => new Promise<void>((resolve) => held.push(resolve))) : sleep(ms)
  return async () => {
    await settled()
    for (const go of held.splice(0)) go()
    await settled()
  }
}

test('a droplet that becomes healthy later is deployed then, and the caller is answered what is served', async () => {
  const deps = await fakeDeps()
  deps.nginx.upstreams.set(8001, 'ECONNREFUSED')
  const pass = holdSeconds(deps)
  const deployed = deploy(deps, 8001, 60)
  for (let second = 0; second < 5; second++) await pass()
  assert.is(servedPort(deps, 'app.example.com'), undefined)
  deps.nginx.upstreams.set(8001, 200)
  await pass()
  assert.is((await deployed).outcome, 'created')
  assert.is(servedPort(deps, 'app.example.com'), 8001)
})

test('after the time the error has the first answer, each other one and the last, with their seconds', async () => {
  const deps = await fakeDeps()
  deps.nginx.upstreams.set(8001, 'ECONNREFUSED')
  const { sleep } = deps.clock
  const startMs = deps.clock.monotonicMs()
  deps.clock.sleep = async (ms) => {
    await sleep(ms)
    if (deps.clock.monotonicMs() === startMs + 4000) deps.nginx.upstreams.set(8001, 503)
  }
  const { details } = await refusal(deploy(deps, 8001, 10), 'UPSTREAM_UNHEALTHY')
  assert.is(details.waited_s, 10)
  const attempts = details.attempts as readonly { at_s: number; address: string; failure?: string; status?: number }[]
  assert.equal(
    attempts
      .filter(({ address }) => address === '127.0.0.1')
      .map(({ at_s, failure, status }) => [at_s, failure ?? status]),
    [
      [0, 'ECONNREFUSED'],
      [4, 503],
      [10, 503],
    ],
  )
})

test('a name that does not resolve yet is waited for as well', async () => {
  const deps = await fakeDeps()
  const waits = healthWaits(deps.host)
  let tries = 0
  const value = await waits.wait({ dropletName: 'app', seconds: 5 }, async () => {
    if (tries++ < 3) throw new ProxyManagerError('UPSTREAM_UNRESOLVABLE')
    return 'resolved'
  })
  assert.equal([value, tries], ['resolved', 4])
})

test('any other failure ends the wait at once', async () => {
  const deps = await fakeDeps()
  let tries = 0
  const attempt = async () => {
    tries++
    throw new ProxyManagerError('UPSTREAM_FORBIDDEN')
  }
  await refusal(healthWaits(deps.host).wait({ dropletName: 'app', seconds: 600 }, attempt), 'UPSTREAM_FORBIDDEN')
  assert.is(tries, 1)
})

test('a later put or delete of the droplet ends the wait with SUPERSEDED, and its own result stays', async () => {
  for (const later of [
    (deps: FakeDeps) => put(deps, 'app', 'app.example.com', 8002),
    (deps: FakeDeps) => deploy(deps, 8002, 30),
  ]) {
    const deps = await fakeDeps()
    deps.nginx.upstreams.set(8001, 'ECONNREFUSED')
    const pass = holdSeconds(deps)
    const waiting = refusal(deploy(deps, 8001, 60), 'SUPERSEDED')
    await pass()
    await later(deps)
    await waiting
    deps.nginx.upstreams.set(8001, 200)
    await pass()
    assert.is(servedPort(deps, 'app.example.com'), 8002)
  }
  const deps = await fakeDeps()
  await put(deps, 'app', 'app.example.com', 8002)
  deps.nginx.upstreams.set(8001, 'ECONNREFUSED')
  const pass = holdSeconds(deps)
  const waiting = refusal(deploy(deps, 8001, 60), 'SUPERSEDED')
  await pass()
  await remove(deps, 'app')
  await waiting
})

test('a rename ends the waits of both names', async () => {
  for (const [from, to] of [
    ['app', 'fresh'],
    ['old', 'app'],
  ] as const) {
    const deps = await fakeDeps()
    await put(deps, from, `${from}.example.com`, 8002)
    deps.nginx.upstreams.set(8001, 'ECONNREFUSED')
    const pass = holdSeconds(deps)
    const waiting = refusal(deploy(deps, 8001, 60), 'SUPERSEDED')
    await pass()
    await deps.engine.renameProxy({ dropletName: from, newName: to, precondition: {} })
    await waiting
  }
})

test('a later call that fails its precondition, and one of another droplet, end no wait', async () => {
  const deps = await fakeDeps()
  deps.nginx.upstreams.set(8001, 'ECONNREFUSED')
  const pass = holdSeconds(deps)
  const waiting = deploy(deps, 8001, 60)
  await pass()
  const request = { dropletName: 'app', spec: spec(8002), mode: 'replace', precondition: { ifMatch: ['x'] } } as const
  await refusal(deps.engine.putProxy(request), 'PRECONDITION_FAILED')
  await put(deps, 'other', 'other.example.com', 8003)
  deps.nginx.upstreams.set(8001, 200)
  await pass()
  assert.is((await waiting).outcome, 'created')
})

test('a call whose precondition fails does not wait', async () => {
  const deps = await fakeDeps()
  const startMs = deps.clock.monotonicMs()
  deps.nginx.upstreams.set(8001, 'ECONNREFUSED')
  const request = { dropletName: 'app', spec: spec(8001), mode: 'replace', precondition: { ifMatch: ['x'] } } as const
  await refusal(deps.engine.putProxy({ ...request, healthWaitS: 600 }), 'PRECONDITION_FAILED')
  assert.is(deps.clock.monotonicMs(), startMs)
})

test('nobody else waits: a change of another droplet is made meanwhile', async () => {
  const deps = await fakeDeps()
  deps.nginx.upstreams.set(8001, 'ECONNREFUSED')
  const pass = holdSeconds(deps)
  const waiting = deploy(deps, 8001, 60)
  await pass()
  assert.is((await put(deps, 'other', 'other.example.com', 8003)).outcome, 'created')
  deps.nginx.upstreams.set(8001, 200)
  await pass()
  await waiting
})

test('once the caller has gone the wait ends, and nothing is changed even if the droplet becomes healthy', async () => {
  const deps = await fakeDeps()
  deps.nginx.upstreams.set(8001, 'ECONNREFUSED')
  const pass = holdSeconds(deps)
  const caller = new AbortController()
  const waiting = refusal(deploy(deps, 8001, 60, { signal: caller.signal }), 'BUSY')
  await pass()
  caller.abort()
  await waiting
  deps.nginx.upstreams.set(8001, 200)
  await pass()
  assert.is(servedPort(deps, 'app.example.com'), undefined)
  await refusal(deploy(deps, 8001, 60, { signal: AbortSignal.abort() }), 'BUSY')
})

test('a process that stops ends every wait with BUSY', async () => {
  const deps = await fakeDeps()
  deps.nginx.upstreams.set(8001, 'ECONNREFUSED')
  const pass = holdSeconds(deps)
  const waiting = refusal(deploy(deps, 8001, 60), 'BUSY')
  await pass()
  deps.engine.endWaits()
  assert.match((await waiting).message, 'stopping')
})

test('at most 256 calls wait at a time; the next one is answered BUSY', async () => {
  const deps = await fakeDeps()
  const waits = healthWaits(deps.host)
  const never = () => new Promise<never>(() => undefined)
  const waiting = Array.from({ length: 256 }, (_, i) => waits.wait({ dropletName: `a${i}`, seconds: 60 }, never))
  await refusal(waits.wait({ dropletName: 'next', seconds: 60 }, never), 'BUSY')
  waits.end()
  await Promise.allSettled(waiting)
  assert.not.ok(waits.isWaiting('a0'))
  assert.is(await waits.wait({ dropletName: 'next', seconds: 60 }, async () => 1), 1)
})

test.run()
