import { once } from 'node:events'
import { appendFileSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { call, putRoute, type RealHost, startHost, through } from '../helpers/system/host.ts'
import { setUp } from '../helpers/system/set-up.ts'

const test = suite<{ host: RealHost }>('routes follow their host')
const DOMAIN = 'app.example.com'
const PANEL = '127.0.0.9'

/** One host for all of them: each test takes back what it does to it. */
setUp(test, async (context, undo) => {
  context.host = await startHost({ daemon: true })
  undo(context.host.close)
  const { port } = await context.host.droplet('droplet')
  assert.is((await putRoute(context.host.manager, 'app', DOMAIN, port)).status, 201)
})

/** What a visitor gets who comes by one address of the host. */
async function visit(address: string, port: number): Promise<string> {
  const request = get({ host: address, port, headers: { host: DOMAIN }, agent: false })
  const [response] = await once(request, 'response')
  return await text(response)
}

async function untilAnswers(address: string, port: number, expected: string): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if ((await visit(address, port).catch(() => '')) === expected) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`${address} does not answer ${expected}`)
}

test('an address that another package adds, and reloads, gets the routes as well', async ({ host }) => {
  const { nginx, manager } = host
  const panel = join(nginx.root, 'conf.d/panel.conf')
  writeFileSync(
    panel,
    `server { listen ${PANEL}:${nginx.httpPort}; server_name panel.example.org; return 200 panel; }\n`,
  )
  process.kill(nginx.masterPid ?? 0, 'SIGHUP')
  await untilAnswers(PANEL, nginx.httpPort, 'panel')
  const { status, body } = await call(manager, 'POST', '/proxy-manager/reconcile')
  assert.equal([status, body.rendered, body.receipt?.proved_by], [200, ['app'], 'generation_probe'])
  assert.is(await visit(PANEL, nginx.httpPort), 'droplet')
  rmSync(panel)
  assert.equal((await call(manager, 'POST', '/proxy-manager/reconcile')).body.rendered, ['app'])
})

for (const [what, file, content] of [
  ['hash sizes', 'hash.conf', () => 'server_names_hash_bucket_size 256;\nserver_names_hash_max_size 4096;\n'],
  [
    'a default server',
    'default.conf',
    ({ nginx }: RealHost) => `server { listen ${nginx.httpPort} default_server; server_name _; return 403; }\n`,
  ],
] as const) {
  test(`${what} of another package are no reason to refuse a change, and NGINX accepts what is on disk`, async ({
    host,
  }) => {
    const { nginx, manager } = host
    const path = join(nginx.root, 'conf.d', file)
    writeFileSync(path, content(host))
    const { port } = await host.droplet('other')
    const put = await putRoute(manager, 'other', 'other.example.com', port)
    assert.is(put.status, 201, JSON.stringify(put.body))
    assert.equal((await call(manager, 'GET', '/proxy-manager/health')).body.reasons, [])
    assert.is(await through(nginx.httpPort, DOMAIN), 'droplet')
    rmSync(path)
    assert.is((await call(manager, 'DELETE', '/proxies/other')).status, 200)
    assert.is(await through(nginx.httpPort, DOMAIN), 'droplet')
  })
}

test('edits of several routes that NGINX rejects need no editor: DELETE one after another, and PUT them again', async ({
  host,
}) => {
  const { nginx, manager } = host
  const { port } = await host.droplet('edited')
  const names = ['edited-1', 'edited-2', 'edited-3']
  for (const name of names) assert.is((await putRoute(manager, name, `${name}.example.com`, port)).status, 201)
  for (const name of names) appendFileSync(join(nginx.sitesAvailable, `fpai-${name}.conf`), `nonsense ${name};\n`)
  assert.is(
    (await putRoute(manager, 'edited-1', 'edited-1.example.com', port)).body.error?.code,
    'NGINX_ALREADY_BROKEN',
  )
  for (const name of names.slice(0, 2)) {
    const { status, body } = await call(manager, 'DELETE', `/proxies/${name}`)
    assert.equal([status, body.receipt?.proved_by], [200, 'config_test'])
    assert.is(await through(nginx.httpPort, `${name}.example.com`), 'edited')
  }
  for (const name of names.toReversed()) {
    const { status, body } = await putRoute(manager, name, `${name}.example.com`, port)
    assert.is(status < 300, true, JSON.stringify(body))
  }
  for (const name of names) {
    assert.is(await through(nginx.httpPort, `${name}.example.com`), 'edited')
    assert.is((await call(manager, 'DELETE', `/proxies/${name}`)).body.receipt?.proved_by, 'generation_probe')
  }
  assert.is(await through(nginx.httpPort, DOMAIN), 'droplet')
})

test('what would keep NGINX from starting is rendered again at a start, while NGINX is stopped', async ({ host }) => {
  const { nginx } = host
  await nginx.stop()
  const path = join(nginx.root, 'conf.d/default.conf')
  writeFileSync(path, `server { listen ${nginx.httpPort} default_server; server_name _; return 403; }\n`)
  await host.restart('SIGTERM')
  await nginx.start()
  assert.is(await through(nginx.httpPort, DOMAIN), 'droplet')
  rmSync(path)
})

test.run()
