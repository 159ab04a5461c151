import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import type { HttpAnswer } from '../../lib/adapters/http-client.ts'
import type { ProbeRequest } from '../../lib/adapters/probe.ts'
import { upstreamChecks } from '../../lib/health/upstream-checks.ts'
import type { UpstreamTurn } from '../../lib/health/watched-upstreams.ts'
import { DEFAULT_OPTIONS } from '../../lib/route/options.ts'
import type { RouteRecord } from '../../lib/route/record.ts'
import type { SnapshotRoute } from '../../lib/route/stored-route.ts'
import { refusal } from '../helpers/arrange.ts'
import { routeRecord } from '../helpers/samples.ts'

const test = suite('upstream checks')

const OK: HttpAnswer = { status: 200, body: '' }
const DOWN: HttpAnswer = { failure: 'ECONNREFUSED' }

function route(name: string, own: Partial<RouteRecord> = {}, enabled = true): SnapshotRoute {
  const record = routeRecord({ droplet_name: name, upstream_addresses: ['127.0.0.1'], ...own })
  return { record, text: '', revision: '', digest: '', drifted: false, enabled }
}

/** Everything that a check may wait for, except an upstream, happens within one turn of the event loop. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Checks on a fake host whose probes answer as `answer` says; while `held`, they wait. */
async function world() {
  const deps = await fakeDeps()
  const asked: ProbeRequest[] = []
  const turns: UpstreamTurn[] = []
  const waiting: (() => void)[] = []
  const script = { answer: OK, held: false, running: 0 }
  const probe = {
    ...deps.host.probe,
    get: async (request: ProbeRequest) => {
      asked.push(request)
      script.running++
      if (script.held) await new Promise<void>((resolve) => waiting.push(resolve))
      script.running--
      return script.answer
    },
  }
  const checks = upstreamChecks({ ...deps.host, probe }, (turn) => turns.push(turn))
  return {
    ...deps,
    asked,
    turns,
    script,
    checks,
    answerOne: async () => {
      waiting.shift()?.()
      await settled()
    },
    /** The seconds from now on in which a check was started, ticking each second. */
    run: async (routes: readonly SnapshotRoute[], seconds: number) => {
      const startedAt: number[] = []
      for (let second = 0; second < seconds; second++) {
        const before = asked.length
        checks.startDue(routes)
        await settled()
        for (let i = before; i < asked.length; i++) startedAt.push(second)
        await deps.clock.sleep(1000)
      }
      return startedAt
    },
  }
}

test('every enabled route with an upstream is asked, except one in maintenance', async () => {
  const { run, asked } = await world()
  const options = (own: object) => ({ options: { ...DEFAULT_OPTIONS, ...own } })
  await run(
    [
      route('served', { upstream_port: 1 }),
      route('edited', { upstream_port: 2, ...options({ health_check_path: '/ready', upstream_scheme: 'https' }) }),
      route('disabled', { upstream_port: 3 }, false),
      route('maintenance', { upstream_port: 4, ...options({ maintenance: true }) }),
      route('redirect', { upstream_port: 5, ...options({ redirect_to: 'new.example.com' }) }),
      route('no-upstream', { upstream_host: null, upstream_port: null, upstream_addresses: [] }),
    ],
    15,
  )
  const paths = asked.map(({ scheme, address, port, host, path }) => `${scheme} ${address} ${port} ${host}${path}`)
  assert.equal(paths, ['http 127.0.0.1 1 localhost:1/health', 'https 127.0.0.1 2 localhost:2/ready'])
})

test('the checks of many routes are spread over the interval, and each is repeated after about one', async () => {
  const { run } = await world()
  const routes = Array.from({ length: 150 }, (_, i) => route(`r${i}`))
  const startedAt = await run(routes, 30)
  const perSecond = Array.from({ length: 30 }, (_, second) => startedAt.filter((at) => at === second).length)
  assert.ok(
    perSecond.slice(1, 15).every((count) => count >= 8 && count <= 12),
    String(perSecond),
  )
  assert.ok(Math.max(...perSecond) <= 20, String(perSecond))
  assert.ok(startedAt.length >= 290 && startedAt.length <= 310, String(startedAt.length))
  const one = await (await world()).run([route('app')], 60)
  const gaps = one.slice(1).map((at, i) => at - (one[i] ?? 0))
  assert.is(one[0], 0)
  assert.ok(gaps.length >= 3 && gaps.every((gap) => gap >= 13 && gap <= 18), String(gaps))
})

test('at most 16 are asked at once, no upstream twice at a time, and a caller comes before those that wait', async () => {
  const { checks, script, run, asked, answerOne } = await world()
  script.held = true
  const routes = Array.from({ length: 40 }, (_, i) => route(`r${i}`, { upstream_port: i + 1 }))
  await run(routes, 40)
  assert.equal([asked.length, script.running], [16, 16])
  const called = checks.check(route('r39', { upstream_port: 40 }))
  await answerOne()
  assert.equal([asked.length, asked.at(-1)?.port, script.running], [17, 40, 16])
  script.held = false
  for (let i = 0; i < 16; i++) await answerOne()
  assert.is((await called).failure, null)
  assert.is(asked.length, 41)
})

test('the addresses in the route are asked, without DNS; a name that NGINX resolves is resolved by its resolvers', async () => {
  const { checks, asked, host, names } = await world()
  const queried: unknown[] = []
  const { query } = host.network
  Object.assign(host.network, {
    query: (...given: Parameters<typeof query>) => {
      queried.push(given.slice(0, 2))
      return query(...given)
    },
  })
  await checks.check(route('pinned', { upstream_host: 'db.example', upstream_addresses: ['10.0.0.1'] }))
  assert.equal([asked.map(({ address }) => address), queried], [['10.0.0.1'], []])
  names.dns.set('app.example', ['10.0.0.2'])
  const named = { upstream_host: 'app.example', upstream_addresses: null, resolvers: ['192.0.2.53'] }
  await checks.check(route('named', named))
  assert.equal([asked.at(-1)?.address, queried], ['10.0.0.2', [['app.example', ['192.0.2.53']]]])
})

test('an upstream that does not resolve, or resolves to a forbidden address, has failed, and is not asked', async () => {
  const { checks, asked, names } = await world()
  const named = route('named', { upstream_host: 'app.example', upstream_addresses: null, resolvers: ['192.0.2.53'] })
  assert.is((await checks.check(named)).failure, 'UPSTREAM_UNRESOLVABLE')
  names.dns.set('app.example', ['169.254.169.254'])
  assert.is((await checks.check(named)).failure, 'UPSTREAM_FORBIDDEN')
  assert.equal(asked, [])
  assert.is(checks.historyOf(named).recent, '00')
})

test('the third failure in a row is a turn down, the second success after it a turn up, each once', async () => {
  const { checks, script, turns } = await world()
  const app = route('app')
  const check = async (...answers: readonly HttpAnswer[]) => {
    for (const answer of answers) {
      script.answer = answer
      await checks.check(app)
    }
  }
  await check(OK, DOWN, DOWN)
  assert.equal(turns, [])
  await check(DOWN, DOWN)
  const turn = { dropletName: 'app', upstream: 'http://localhost:8001' }
  assert.equal(turns, [{ type: 'upstream.down', ...turn, failure: 'ECONNREFUSED' }])
  await check(OK)
  assert.is(turns.length, 1)
  await check(OK, OK)
  assert.equal(turns.slice(1), [{ type: 'upstream.up', ...turn, failure: null }])
})

test('a failure of this process, such as too many open files, shows nothing about an upstream', async () => {
  const { checks, script } = await world()
  const app = route('app')
  script.answer = { failure: 'EMFILE' }
  assert.is((await checks.check(app)).failure, 'EMFILE')
  assert.is(checks.historyOf(app).recent, '')
})

test('a route with another upstream, path or name has no check of the former one, even if that answers later', async () => {
  const { checks, script, run, answerOne } = await world()
  const [before, after] = [route('app'), route('app', { upstream_port: 8002 })]
  script.held = true
  await run([before], 1)
  checks.noteChange(after, [{ upstream: 'http://localhost:8002', atMs: 0, ms: 1, failure: null, attempts: [] }])
  script.answer = DOWN
  await answerOne()
  assert.equal([checks.historyOf(before).recent, checks.historyOf(after).recent], ['', '1'])
  const otherPath = route('app', { upstream_port: 8002, options: { ...DEFAULT_OPTIONS, health_check_path: '/ready' } })
  assert.is(checks.historyOf(otherPath).recent, '')
  checks.move('app', 'new')
  assert.is(checks.historyOf(after).recent, '')
  assert.is(checks.historyOf(route('new', { upstream_port: 8002 })).recent, '1')
})

test('a history is the same object until there is another check, and is forgotten with its route', async () => {
  const { checks, run } = await world()
  const app = route('app')
  await run([app], 1)
  const history = checks.historyOf(app)
  assert.is(history.recent, '1')
  assert.is(checks.historyOf(app), history)
  await run([app], 20)
  assert.is.not(checks.historyOf(app), history)
  checks.startDue([])
  assert.is(checks.historyOf(app).recent, '')
})

test('once the process stops, no check begins, those that run are aborted, and callers get BUSY', async () => {
  const { checks, script, run, asked, answerOne } = await world()
  script.held = true
  const routes = Array.from({ length: 20 }, (_, i) => route(`r${i}`))
  await run(routes, 20)
  const called = refusal(checks.check(route('r0')), 'BUSY')
  checks.end()
  assert.ok(asked.length === 16 && asked.every(({ signal }) => signal?.aborted === true))
  for (let i = 0; i < 16; i++) await answerOne()
  await run(routes, 20)
  assert.is(asked.length, 16)
  await called
})

test('each of several upstreams is asked and turns by itself; the route is as the worst that is not a backup', async () => {
  const { checks, script, turns, run, asked } = await world()
  const entries = [1, 2, 3].map((port) => ({ host: 'localhost', port, backup: port === 3, addresses: ['127.0.0.1'] }))
  const all = route('app', { upstream_port: 1, upstreams: entries })
  await run([all], 15)
  assert.equal(asked.map(({ port }) => port).sort(), [1, 2, 3])
  const statuses = () => checks.historiesOf(all).map(({ history }) => history.status)
  assert.equal([statuses(), checks.historyOf(all).status], [['healthy', 'healthy', 'healthy'], 'healthy'])
  const only = (port: number) =>
    route('app', { upstream_port: 1, upstreams: entries.filter((one) => one.port !== port) })
  script.answer = DOWN
  for (let i = 0; i < 3; i++) await checks.check(all)
  assert.equal([statuses(), checks.historyOf(all).status], [['unhealthy', 'unhealthy', 'unhealthy'], 'unhealthy'])
  assert.equal(
    turns.map(({ type, upstream }) => [type, upstream]),
    [1, 2, 3].map((port) => ['upstream.down', `http://localhost:${port}`]),
  )
  checks.noteChange(
    only(2),
    [1, 3].map((port) => ({ upstream: `http://localhost:${port}`, atMs: 0, ms: 1, failure: null, attempts: [] })),
  )
  assert.equal([checks.historyOf(only(2)).status, statuses()], ['healthy', ['healthy', 'unknown', 'healthy']])
})

test.run()
