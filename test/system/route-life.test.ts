import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startManager } from '../../fixtures/manager.ts'
import { testNginx } from '../../fixtures/nginx-instance.ts'
import { eventually } from '../helpers/system/certificate.ts'
import { call, putRoute, type RealHost, startHost, through } from '../helpers/system/host.ts'
import { setUp } from '../helpers/system/set-up.ts'
import { workersOf } from '../helpers/system/workers.ts'

const test = suite<{ host: RealHost }>('the life cycle of a route on a real NGINX')

/** One host for all tests: each has its own routes, and reverts what it does to the host. */
setUp(test, async (context, undo) => {
  context.host = await startHost()
  undo(context.host.close)
})

test('create, repeat, move and delete: each answer is true at once', async ({ host }) => {
  const { nginx, manager } = host
  const [one, two] = [await host.droplet('one'), await host.droplet('two')]
  const created = await putRoute(manager, 'app', 'app.example.com', one.port)
  assert.is(created.status, 201)
  assert.is(created.body.receipt?.proved_by, 'generation_probe')
  assert.is(await through(nginx.httpPort, 'app.example.com'), 'one')

  const before = statSync(join(nginx.sitesAvailable, 'fpai-app.conf')).mtimeMs
  const unchanged = await putRoute(manager, 'app', 'app.example.com', one.port)
  assert.is(unchanged.status, 200)
  assert.equal(unchanged.body.receipt, {
    generation: created.body.receipt?.generation,
    reloaded: false,
    proved_by: 'files_unchanged',
    proved_ms: 0,
    batch: 1,
  })
  assert.is(statSync(join(nginx.sitesAvailable, 'fpai-app.conf')).mtimeMs, before)

  assert.is((await putRoute(manager, 'app', 'app.example.com', two.port)).status, 200)
  assert.is(await through(nginx.httpPort, 'app.example.com'), 'two')
  const deleted = await call(manager, 'DELETE', '/proxies/app')
  assert.is(deleted.status, 200)
  assert.is(deleted.body.status, 'deleted')
  assert.is(await through(nginx.httpPort, 'app.example.com'), 'ECONNRESET')
  // Queued, so it runs after the cleanup of the first one.
  assert.is((await call(manager, 'DELETE', '/proxies/app')).status, 404)
  assert.equal(readdirSync(nginx.sitesEnabled), ['000-proxy-manager.conf'])
  // What a change has staged is removed after its answer.
  await eventually(async () => readdirSync(nginx.sitesAvailable).join() === '000-proxy-manager.conf' || undefined)
  assert.ok(testNginx(nginx).ok)
})

test('200 fresh connections right after each of 20 answers all see the new state', async ({ host }) => {
  const { nginx, manager } = host
  const droplets = [await host.droplet('even'), await host.droplet('odd')]
  for (let round = 0; round < 20; round++) {
    const isDelete = round % 4 === 3
    const droplet = droplets[round % 2]
    const answer = isDelete
      ? await call(manager, 'DELETE', '/proxies/turned')
      : await putRoute(manager, 'turned', 'turned.example.com', droplet?.port ?? 0)
    assert.ok(answer.status < 300, JSON.stringify(answer.body))
    const expected = isDelete ? 'ECONNRESET' : droplet?.name
    const seen = await Promise.all(Array.from({ length: 200 }, () => through(nginx.httpPort, 'turned.example.com')))
    assert.equal([...new Set(seen)], [expected], `round ${round}`)
  }
})

test('an unhealthy upstream is refused with nothing written, and the previous route stays', async ({ host }) => {
  const { nginx, manager } = host
  const droplet = await host.droplet('well')
  await putRoute(manager, 'well', 'well.example.com', droplet.port)
  const files = readFileSync(join(nginx.sitesAvailable, 'fpai-well.conf'), 'utf8')
  const dead = await host.droplet('dead')
  await dead.close()
  const refused = await putRoute(manager, 'well', 'well.example.com', dead.port)
  assert.is(refused.status, 422)
  assert.is(refused.body.error?.code, 'UPSTREAM_UNHEALTHY')
  droplet.setHealth(503)
  assert.is((await putRoute(manager, 'ill', 'ill.example.com', droplet.port)).status, 422)
  assert.not.ok(existsSync(join(nginx.sitesAvailable, 'fpai-ill.conf')))
  assert.is(readFileSync(join(nginx.sitesAvailable, 'fpai-well.conf'), 'utf8'), files)
  assert.is(await through(nginx.httpPort, 'well.example.com'), 'well')
})

test('a port that is in use passes the test, fails the reload, and the change is rolled back', async ({ host }) => {
  const { nginx, manager } = host
  const droplet = await host.droplet('app')
  await putRoute(manager, 'app', 'app.example.com', droplet.port)
  const blocker: Server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => blocker.once('listening', resolve))
  const address = blocker.address()
  const port = typeof address === 'object' ? address?.port : undefined
  // A hand-written site that is not loaded yet: the next reload is ours.
  const byHand = join(nginx.root, 'conf.d/by-hand.conf')
  writeFileSync(byHand, `server { listen 127.0.0.1:${port}; server_name by-hand.example.com; return 200 hand; }\n`)
  assert.ok(testNginx(nginx).ok)
  const failed = await putRoute(manager, 'held', 'held.example.com', droplet.port)
  assert.is(failed.status, 500)
  assert.is(failed.body.error?.code, 'NGINX_RELOAD_FAILED')
  assert.match(String(failed.body.error?.details.nginx_output), /bind\(\) to 127\.0\.0\.1/)
  assert.not.ok(existsSync(join(nginx.sitesAvailable, 'fpai-held.conf')))
  assert.is(await through(nginx.httpPort, 'app.example.com'), 'app')
  blocker.close()
  rmSync(byHand)
  assert.is((await putRoute(manager, 'held', 'held.example.com', droplet.port)).status, 201)
})

test('a host that fails nginx -t by itself is reported with the file, and nothing of ours is touched', async ({
  host,
}) => {
  const { nginx, manager } = host
  const droplet = await host.droplet('app')
  // Hidden files are those that the previous change is still removing.
  const texts = () => {
    const names = readdirSync(nginx.sitesAvailable).filter((name) => !name.startsWith('.'))
    return names.map((name) => [name, readFileSync(join(nginx.sitesAvailable, name), 'utf8')])
  }
  const before = texts()
  const broken = join(nginx.root, 'conf.d/broken.conf')
  writeFileSync(broken, 'server { listen 127.0.0.1:1; nonsense; }\n')
  const refused = await putRoute(manager, 'broken', 'broken.example.com', droplet.port)
  rmSync(broken)
  assert.is(refused.status, 503)
  assert.is(refused.body.error?.code, 'NGINX_ALREADY_BROKEN')
  assert.match(String(refused.body.error?.details.remedy), /broken\.conf/)
  assert.not.match(JSON.stringify(refused.body), nginx.root)
  assert.equal(texts(), before)
})

test('while NGINX is stopped a change is refused, no empty pid file is left, and NGINX can start again', async ({
  host,
}) => {
  const { nginx, manager } = host
  const droplet = await host.droplet('app')
  await putRoute(manager, 'app', 'app.example.com', droplet.port)
  await nginx.stop()
  const refused = await putRoute(manager, 'stopped', 'stopped.example.com', droplet.port)
  assert.is(refused.status, 500)
  assert.is(refused.body.error?.code, 'NGINX_RELOAD_FAILED')
  assert.is(refused.body.error?.details.state, 'unchanged')
  assert.match(refused.body.error?.message ?? '', /not running/)
  assert.not.ok(existsSync(nginx.pidFile))
  const health = await call(manager, 'GET', '/proxy-manager/health')
  assert.is(health.status, 503)
  assert.not.ok(existsSync(nginx.pidFile))
  await nginx.start()
  assert.is(await through(nginx.httpPort, 'app.example.com'), 'app')
  assert.is((await putRoute(manager, 'stopped', 'stopped.example.com', droplet.port)).status, 201)
})

test('of two droplets that request one domain at once exactly one gets it', async ({ host }) => {
  const droplet = await host.droplet('app')
  for (let round = 0; round < 5; round++) {
    const both = await Promise.all(
      ['a', 'b'].map((name) => putRoute(host.manager, `${name}${round}`, `shared-${round}.example.com`, droplet.port)),
    )
    assert.equal(both.map((answer) => answer.status).sort(), [201, 409])
  }
})

test('a domain of 253 characters works, and a hand-written server block keeps its name', async ({ host }) => {
  const { nginx, manager } = host
  const droplet = await host.droplet('app')
  const long = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(57)}.com`
  assert.is(long.length, 253)
  assert.is((await putRoute(manager, 'long', long, droplet.port)).status, 201)
  assert.is(await through(nginx.httpPort, long), 'app')
  const [folder, include] = [join(nginx.root, 'more'), join(nginx.root, 'conf.d/include.conf')]
  mkdirSync(folder)
  writeFileSync(
    join(folder, 'hand.conf'),
    `server { listen ${nginx.httpPort}; server_name "hand.example.com"; return 200 hand; }\n`,
  )
  writeFileSync(include, 'include more/*.conf;\n')
  const refused = await putRoute(manager, 'hand', 'hand.example.com', droplet.port)
  for (const path of [include, folder]) rmSync(path, { recursive: true })
  assert.is(refused.status, 409)
  assert.equal(refused.body.error?.details.owner, { file: 'hand.conf', line: 1 })
})

test('unknown names get no answer, and only loopback can query the generation', async ({ host }) => {
  const { nginx, manager } = host
  const droplet = await host.droplet('app')
  const { body } = await putRoute(manager, 'app', 'app.example.com', droplet.port)
  assert.is(await through(nginx.httpPort, 'unknown.example.com'), 'ECONNRESET')
  assert.is(await through(nginx.httpPort, 'generation.proxy-manager.invalid'), String(body.receipt?.generation))
})

test('a second process on the same state directory refuses to start; after a hard kill of the first it starts at once', async ({
  host,
}) => {
  await startManager(host.nginx.environment).then(
    () => assert.unreachable('it started'),
    (error: Error) => assert.match(error.message, /in use by process \d+/),
  )
  await host.restart('SIGKILL')
  assert.is((await call(host.manager, 'GET', '/proxies')).status, 200)
})

test('an emptied route file is restored at the start, and a hand edit is shown as drifted', async ({ host }) => {
  const { nginx } = host
  const droplet = await host.droplet('app')
  await putRoute(host.manager, 'app', 'app.example.com', droplet.port)
  await putRoute(host.manager, 'edited', 'edited.example.com', droplet.port)
  truncateSync(join(nginx.sitesAvailable, 'fpai-app.conf'))
  const path = join(nginx.sitesAvailable, 'fpai-edited.conf')
  writeFileSync(path, readFileSync(path, 'utf8').replace('64m', '65m'))
  await host.restart('SIGTERM')
  assert.is((await call(host.manager, 'GET', '/proxies/app')).body.status, 'active')
  assert.is((await call(host.manager, 'GET', '/proxies/edited')).body.status, 'drifted')
  assert.is((await putRoute(host.manager, 'edited', 'edited.example.com', droplet.port)).body.status, 'active')
  assert.ok(readdirSync(join(nginx.root, 'state/backups')).some((name) => name.startsWith('fpai-edited.conf.')))
})

test('SIGTERM, even twice, lets a running change finish, then the process ends with 0', async ({ host }) => {
  const { nginx, manager } = host
  const droplet = await host.droplet('app')
  const answer = putRoute(manager, 'late', 'late.example.com', droplet.port)
  await droplet.checked()
  const ended = manager.end('SIGTERM')
  process.kill(manager.pid, 'SIGTERM')
  assert.is(await ended, 0)
  assert.is((await answer).status, 201)
  assert.is(await through(nginx.httpPort, 'late.example.com'), 'app')
  await host.restart('SIGTERM')
})

test('150 concurrent creations take at most 5 reloads, and every one is served', async ({ host }) => {
  const { nginx, manager } = host
  const droplet = await host.droplet('app')
  const names = Array.from({ length: 150 }, (_, i) => `crowd-${i}`)
  const answers = await Promise.all(names.map((name) => putRoute(manager, name, `${name}.example.com`, droplet.port)))
  assert.equal([...new Set(answers.map((answer) => answer.status))], [201])
  const generations = new Set(answers.map((answer) => answer.body.receipt?.generation))
  assert.ok(generations.size <= 5, `${generations.size} reloads`)
  const seen = await Promise.all(names.map((name) => through(nginx.httpPort, `${name}.example.com`)))
  assert.equal([...new Set(seen)], ['app'])
})

test('a dead master whose workers still serve is detected', async ({ host }) => {
  const { nginx, manager } = host
  const droplet = await host.droplet('app')
  await putRoute(manager, 'app', 'app.example.com', droplet.port)
  const workers = workersOf(nginx)
  await nginx.killMaster()
  const refused = await putRoute(manager, 'headless', 'headless.example.com', droplet.port)
  assert.is(refused.body.error?.code, 'NGINX_RELOAD_FAILED')
  assert.is(refused.body.error?.details.state, 'unchanged')
  for (const pid of workers) process.kill(pid, 'SIGKILL')
})

test.run()
