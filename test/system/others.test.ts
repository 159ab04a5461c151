import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Answer, call, putRoute, type RealHost, startHost, through } from '../helpers/system/host.ts'
import { setUp } from '../helpers/system/set-up.ts'

const test = suite<{ host: RealHost }>('interference by others with the host and the API')

/** One host for all tests: each has its own route, and reverts what it does to the host; what cannot be reverted comes last. */
setUp(test, async (context, undo) => {
  context.host = await startHost({ daemon: true })
  undo(context.host.close)
})

test('a backup that was restored without a reload is served after the next PUT of the route', async ({ host }) => {
  const { nginx, manager } = host
  const [one, two] = [await host.droplet('one'), await host.droplet('two')]
  await putRoute(manager, 'restored', 'restored.example.com', one.port)
  const backup = join(nginx.root, 'backup')
  cpSync(nginx.sitesAvailable, backup, { recursive: true })
  await putRoute(manager, 'restored', 'restored.example.com', two.port)
  cpSync(backup, nginx.sitesAvailable, { recursive: true, force: true })
  assert.is(await through(nginx.httpPort, 'restored.example.com'), 'two')
  const again = await putRoute(manager, 'restored', 'restored.example.com', one.port)
  assert.is(again.status, 200, JSON.stringify(again.body))
  assert.is(again.body.receipt?.reloaded, true)
  assert.is(await through(nginx.httpPort, 'restored.example.com'), 'one')
})

test('concurrent reloads by others are not taken for ours', async ({ host }) => {
  const { nginx, manager } = host
  const droplets = [await host.droplet('even'), await host.droplet('odd')]
  // A configuration that is slow to load, so that two reloads overlap.
  const blocks = Array.from(
    { length: 1500 },
    (_, i) => `server { listen 127.0.0.1:${nginx.httpsPort}; server_name n${i}.test; return 204; }`,
  )
  const many = join(nginx.root, 'conf.d/many.conf')
  writeFileSync(many, blocks.join('\n'))
  await putRoute(manager, 'turned', 'turned.example.com', droplets[0]?.port ?? 0)
  for (let round = 1; round <= 8; round++) {
    const droplet = droplets[round % 2]
    const others = [20, 60, 90].map((afterMs) =>
      setTimeout(() => process.kill(nginx.masterPid ?? 0, 'SIGHUP'), afterMs),
    )
    const answer = await putRoute(manager, 'turned', 'turned.example.com', droplet?.port ?? 0)
    assert.is(answer.status, 200, JSON.stringify(answer.body))
    const seen = await Promise.all(Array.from({ length: 100 }, () => through(nginx.httpPort, 'turned.example.com')))
    assert.equal([...new Set(seen)], [droplet?.name], `round ${round}`)
    for (const other of others) clearTimeout(other)
  }
  rmSync(many)
})

test('during a binary upgrade of NGINX a 2xx still means that nobody is served the previous state', async ({
  host,
}) => {
  const { nginx, manager } = host
  const [one, two] = [await host.droplet('one'), await host.droplet('two')]
  await putRoute(manager, 'upgraded', 'upgraded.example.com', one.port)
  const upgrade = await nginx.beginUpgrade()
  const put = () => putRoute(manager, 'upgraded', 'upgraded.example.com', two.port)
  let early: Answer | undefined
  const answered = put().then((given) => {
    early = given
    return given
  })
  try {
    // Far longer than a change otherwise takes.
    for (let i = 0; i < 500; i++) await through(nginx.httpPort, 'upgraded.example.com')
    // On a busy machine, longer than a change waits for the end of the upgrade.
    if (early !== undefined) assert.is(early.body.error?.details.reason, 'upgrading', JSON.stringify(early.body))
  } finally {
    await upgrade.finish()
  }
  const first = await answered
  const answer = first.body.error?.details.reason === 'upgrading' ? await put() : first
  assert.is(answer.status, 200, JSON.stringify(answer.body))
  const seen = await Promise.all(Array.from({ length: 100 }, () => through(nginx.httpPort, 'upgraded.example.com')))
  assert.equal([...new Set(seen)], ['two'])
})

test('callers that reset a CONNECT request do not crash the process', async ({ host }) => {
  for (let i = 0; i < 300; i++) {
    await new Promise<void>((resolve) => {
      const socket = connect(host.manager.port, '127.0.0.1', () => {
        socket.write('CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n')
        socket.resetAndDestroy()
      })
      socket.on('error', () => undefined)
      socket.on('close', () => resolve())
    })
  }
  assert.is((await call(host.manager, 'GET', '/proxies')).status, 200)
})

test('thousands of unknown parameters or fields are refused with a short answer', async ({ host }) => {
  const query = Array.from({ length: 3000 }, (_, i) => i).join('&')
  const refused = await call(host.manager, 'GET', `/proxy-manager/health?${query}`)
  assert.is(refused.status, 400)
  const body = Object.fromEntries(Array.from({ length: 6000 }, (_, i) => [`k${i}`, 1]))
  const put = await call(host.manager, 'PUT', '/proxies/app', body)
  assert.is(put.status, 400)
  assert.ok(JSON.stringify(put.body).length < 4000)
})

test('while the main configuration is missing, changes are refused and nothing is written untested', async ({
  host,
}) => {
  const { nginx, manager } = host
  const droplet = await host.droplet('app')
  await putRoute(manager, 'app', 'app.example.com', droplet.port)
  const text = readFileSync(nginx.conf, 'utf8')
  rmSync(nginx.conf)
  const refused = await putRoute(manager, 'other', 'other.example.com', droplet.port)
  assert.is(refused.status, 500)
  assert.is(refused.body.error?.details.culprit, 'host')
  assert.is(refused.body.error?.details.state, 'unchanged')
  writeFileSync(nginx.conf, text)
  assert.is((await putRoute(manager, 'other', 'other.example.com', droplet.port)).status, 201)
})

test('a refused reload is reported even if NGINX logs to standard error, and only its emergencies to a file', async ({
  host,
}) => {
  const { nginx, manager } = host
  const droplet = await host.droplet('app')
  const logs = `error_log stderr; error_log ${nginx.root}/logs/emergencies.log emerg;`
  writeFileSync(nginx.conf, readFileSync(nginx.conf, 'utf8').replace(/^error_log .*$/m, logs))
  assert.is((await putRoute(manager, 'accepted', 'accepted.example.com', droplet.port)).status, 201)
  writeFileSync(join(nginx.root, 'conf.d/taken.conf'), `server { listen 127.0.0.1:${droplet.port}; return 204; }`)
  const refused = await putRoute(manager, 'refused', 'refused.example.com', droplet.port)
  const { reason, nginx_output } = refused.body.error?.details ?? {}
  assert.equal([refused.status, reason], [500, 'refused'])
  assert.match(String(nginx_output), /still could not bind/)
})

test.run()
