import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps, MAIN_CONFIGURATION } from '../../fixtures/deps.ts'
import type { ManagerHealth } from '../../lib/health/health-schema.ts'
import {
  contentsOf,
  countEffects,
  PORT_TAKEN,
  refusal,
  refused,
  refuseNextReload,
  settled,
  textAt,
  writeAt,
} from '../helpers/arrange.ts'
import { certbotThat, failing, issue, putSecure } from '../helpers/certbot.ts'
import { put, remove, worldWithRoute } from '../helpers/world.ts'

const AVAILABLE = '/etc/nginx/sites-available'
const ENABLED = '/etc/nginx/sites-enabled'
const ROUTE = `${AVAILABLE}/fpai-old.conf`

const test = suite('health')

test('a host without faults is healthy, to the byte', async () => {
  const deps = await worldWithRoute()
  assert.equal(await deps.engine.readHealth(), {
    status: 'healthy',
    reasons: [],
    advice: [
      'set "worker_shutdown_timeout 1h;" at the top of nginx.conf, outside its http block: without it an open WebSocket keeps an old worker alive for ever',
    ],
    nginx: {
      present: true,
      version: '1.22.1',
      running: true,
      includes_sites_enabled: true,
      config_test_ok: true,
      config_test_timestamp: '2026-01-01T00:00:00.000Z',
      last_reload_timestamp: '2026-01-01T00:00:00.000Z',
      last_reload_result: 'success',
      generation: 1,
    },
    ssl: {
      certbot_present: true,
      last_operation: null,
      last_operation_timestamp: null,
      last_operation_domain: null,
      last_operation_reason: null,
      orders_waiting: 0,
    },
    folders: { sites_available_writable: true, sites_enabled_writable: true, state_writable: true },
    routes: {
      total: 1,
      active: 1,
      pending_ssl: 0,
      drifted: [],
      drifted_count: 0,
      disabled: [],
      disabled_count: 0,
      unhealthy: [],
      unhealthy_count: 0,
    },
  })
})

test('a new host is healthy, and unknown values are null', async () => {
  const deps = await fakeDeps()
  const { status, nginx } = await deps.engine.readHealth()
  assert.is(status, 'healthy')
  assert.equal([nginx.generation, nginx.last_reload_result, nginx.last_reload_timestamp], [null, null, null])
  assert.is(nginx.config_test_ok, true)
})

test('with worker_shutdown_timeout there is no advice', async () => {
  const deps = await fakeDeps({ mainConfiguration: `worker_shutdown_timeout 1h;\n${MAIN_CONFIGURATION}` })
  assert.equal((await deps.engine.readHealth()).advice, [])
})

interface Fault {
  readonly arrange: (deps: FakeDeps) => unknown
  readonly status: 'degraded' | 'unhealthy'
  readonly reason: string
}

const FAULTS: Readonly<Record<string, Fault>> = {
  'no NGINX binary': {
    arrange: ({ disk }) => disk.delete('/usr/sbin/nginx'),
    status: 'unhealthy',
    reason: 'NGINX cannot be run at NGINX_BIN (nginx): install it, or correct NGINX_BIN',
  },
  'no directory sites-available': {
    arrange: ({ host }) => {
      host.files.isWritable = (folder) => folder !== AVAILABLE
    },
    status: 'unhealthy',
    reason: 'sites-available cannot be written: create the directory, or grant this user write access',
  },
  'no directory sites-enabled': {
    arrange: ({ host }) => {
      host.files.isWritable = (folder) => folder !== ENABLED
    },
    status: 'unhealthy',
    reason: 'sites-enabled cannot be written: create the directory, or grant this user write access',
  },
  'a state directory that cannot be written': {
    arrange: ({ host }) => {
      host.files.isWritable = (folder) => folder !== '/var/lib/proxy-manager'
    },
    status: 'unhealthy',
    reason: 'the state directory cannot be written: grant this user write access, or correct PROXY_MANAGER_STATE_DIR',
  },
  'no write access to the directory of nginx.conf': {
    arrange: ({ host }) => {
      host.files.isWritable = (folder) => folder !== '/etc/nginx'
    },
    status: 'unhealthy',
    reason: 'the directory of nginx.conf cannot be written: create the directory, or grant this user write access',
  },
  'an NGINX that does not run': {
    arrange: ({ nginx }) => {
      nginx.running = false
    },
    status: 'unhealthy',
    reason: 'NGINX is not running: start it (systemctl start nginx)',
  },
  'a configuration that fails its test': {
    arrange: async ({ nginx, clock, engine }) => {
      nginx.judge = () => refused('shop.conf', 4, 'unknown directive "listn"')
      await clock.sleep(61_000)
      await engine.readHealth()
      await settled()
    },
    status: 'unhealthy',
    reason:
      'the configuration fails nginx -t: 2026/01/01 00:00:00 [emerg] 4242#4242: unknown directive "listn" in shop.conf:4',
  },
  'a reload that failed and was undone': {
    arrange: async (deps) => {
      refuseNextReload(deps, PORT_TAKEN)
      await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
    },
    status: 'degraded',
    reason: 'the last reload failed (refused) and was undone: see the log, then repeat the change',
  },
  'a change that could not be undone': {
    arrange: async (deps) => {
      deps.nginx.refuseReload = PORT_TAKEN
      await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
    },
    status: 'unhealthy',
    reason: 'a change failed and could not be undone; it is tried again every 10 s, by the next call and by a restart',
  },
  'a route that was edited by hand': {
    arrange: ({ disk }) => writeAt(disk, ROUTE, `${textAt(disk, ROUTE)}# mine\n`),
    status: 'degraded',
    reason: 'route old was edited by hand: repeat PUT /proxies/old to replace the edit (it is kept in the backups)',
  },
  'a file of a route that someone else wrote': {
    arrange: ({ disk }) => writeAt(disk, `${AVAILABLE}/fpai-hand.conf`, 'server { listen 8080; }\n'),
    status: 'degraded',
    reason: 'fpai-hand.conf was not written by Proxy Manager: move it away to manage hand',
  },
  'an empty file of a route': {
    arrange: ({ disk }) => writeAt(disk, ROUTE, ''),
    status: 'degraded',
    reason: 'fpai-old.conf is damaged: repeat PUT /proxies/old',
  },
  'no certbot, and a route with HTTPS': {
    arrange: async ({ disk, engine }) => {
      disk.delete('/usr/bin/certbot')
      const spec = { domain: 's.example.com', upstream_host: 'localhost', upstream_port: 8003 }
      await engine.putProxy({
        dropletName: 's',
        spec: { ...spec, require_healthy: true, enable_ssl: true },
        mode: 'replace',
        precondition: {},
      })
    },
    status: 'degraded',
    reason: 'certbot is missing (CERTBOT_BIN): install it to get certificates',
  },
}

for (const [what, { arrange, status, reason }] of Object.entries(FAULTS)) {
  test(`${what}: ${status}, with what to do`, async () => {
    const deps = await worldWithRoute()
    await arrange(deps)
    const health = await deps.engine.readHealth()
    assert.ok(health.reasons.includes(reason), health.reasons.join('\n'))
    assert.is(health.status, status)
  })
}

test('a main configuration without the include: degraded, with the missing line', async () => {
  const deps = await fakeDeps({ mainConfiguration: 'events {}\nhttp {}\n' })
  const health = await deps.engine.readHealth()
  assert.is(health.status, 'degraded')
  assert.is(health.nginx.includes_sites_enabled, false)
  assert.equal(health.reasons, [
    `Add "include /etc/nginx/sites-enabled/*;" to the http block of NGINX's main configuration`,
  ])
})

test('a missing certbot is no fault if no route wants HTTPS', async () => {
  const deps = await worldWithRoute()
  deps.disk.delete('/usr/bin/certbot')
  const health = await deps.engine.readHealth()
  assert.equal([health.status, health.ssl.certbot_present], ['healthy', false])
})

test('routes are counted by status, and those that need attention are named', async () => {
  const deps = await worldWithRoute()
  await put(deps, 'off', 'off.example.com', 8002)
  await put(deps, 'mine', 'mine.example.com', 8003)
  deps.disk.delete(`${ENABLED}/fpai-off.conf`)
  writeAt(deps.disk, `${AVAILABLE}/fpai-mine.conf`, `${textAt(deps.disk, `${AVAILABLE}/fpai-mine.conf`)}#\n`)
  assert.equal((await deps.engine.readHealth()).routes, {
    total: 3,
    active: 1,
    pending_ssl: 0,
    drifted: ['mine'],
    drifted_count: 1,
    disabled: ['off'],
    disabled_count: 1,
    unhealthy: [],
    unhealthy_count: 0,
  })
})

test('upstreams that fail their health checks are named and advised about, and the status stays healthy', async () => {
  const deps = await worldWithRoute()
  for (const [name, port] of [
    ['b', 8003],
    ['a', 8002],
  ] as const) {
    await put(deps, name, `${name}.example.com`, port)
    deps.nginx.upstreams.set(port, 'TIMEOUT')
    for (let i = 0; i < 3; i++) await deps.engine.checkProxy(name)
  }
  const { status, advice, routes } = await deps.engine.readHealth()
  assert.equal([status, routes.unhealthy, routes.unhealthy_count], ['healthy', ['a', 'b'], 2])
  assert.ok(advice.includes('2 of the upstreams fail their health checks: see GET /proxies?health=unhealthy'))
  await remove(deps, 'a')
  assert.equal((await deps.engine.readHealth()).routes.unhealthy, ['b'])
})

/** What health says right after each effect of a change on files that NGINX reads. */
async function healthDuring(deps: FakeDeps, change: () => Promise<unknown>): Promise<readonly ManagerHealth[]> {
  const { files } = deps.host
  const { rename, remove } = files
  const said: ManagerHealth[] = []
  const look = async (path: string) => {
    if (path.startsWith('/etc/nginx/sites-')) said.push(await deps.engine.readHealth())
  }
  files.rename = (from, to) => rename(from, to).then(() => look(to))
  files.remove = (path) => remove(path).then(() => look(path))
  await change()
  Object.assign(files, { rename, remove })
  return said
}

for (const [what, change] of Object.entries({
  created: (deps: FakeDeps) => put(deps, 'app', 'app.example.com', 8002),
  deleted: (deps: FakeDeps) => remove(deps, 'old'),
})) {
  test(`a route that is being ${what} is no fault at any moment of the change`, async () => {
    const deps = await worldWithRoute()
    const before = await deps.engine.readHealth()
    const said = await healthDuring(deps, () => change(deps))
    assert.ok(said.length > 1)
    for (const { reasons, routes } of said) assert.equal([reasons, routes], [[], before.routes])
  })
}

const NO_LONGER_WANTED: Readonly<Record<string, (deps: FakeDeps) => Promise<unknown>>> = {
  'its route is deleted': (deps) => remove(deps, 's'),
  'its route has no HTTPS any more': (deps) => put(deps, 's', 's.example.com', 8001, false),
  'its route has another domain': (deps) => putSecure(deps, 's', 'other.example.com'),
}

for (const [what, change] of Object.entries(NO_LONGER_WANTED)) {
  test(`a failed order is a fault until ${what}; its result is still shown`, async () => {
    const deps = await fakeDeps()
    await putSecure(deps, 's', 's.example.com')
    certbotThat(deps, failing(deps, 'caa'))
    await refusal(issue(deps, 's'), 'SSL_ISSUANCE_FAILED')
    const said = 'caa: CAA record for c.example.com prevents issuance'
    assert.equal((await deps.engine.readHealth()).reasons, [
      `the last certificate order, for s.example.com, failed: ${said}`,
    ])
    await change(deps)
    const { status, ssl } = await deps.engine.readHealth()
    assert.equal([status, ssl.last_operation, ssl.last_operation_reason], ['healthy', 'failure', said])
  })
}

test('every fault is reported at once', async () => {
  const deps = await worldWithRoute()
  deps.nginx.running = false
  deps.host.files.isWritable = () => false
  const { reasons, folders } = await deps.engine.readHealth()
  assert.is(reasons.length, 5)
  assert.equal(Object.values(folders), [false, false, false])
})

/** Files can be created neither in this folder, as on a full disk, nor by the change that comes next. */
function fill({ host }: FakeDeps, folder: string): { free: () => void } {
  const { write, writeUnsynced } = host.files
  const refuse = async (path: string) => {
    if (path.startsWith(`${folder}/`)) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', path })
  }
  host.files.write = (path, text, mode) => refuse(path).then(() => write(path, text, mode))
  host.files.writeUnsynced = (path, text, mode) => refuse(path).then(() => writeUnsynced(path, text, mode))
  return { free: () => Object.assign(host.files, { write, writeUnsynced }) }
}

for (const [name, folder] of [
  ['sites-available', AVAILABLE],
  ['the state directory', '/var/lib/proxy-manager'],
  ['the directory of nginx.conf', '/etc/nginx'],
] as const) {
  test(`a full disk under ${name} is reported from the change that failed on it until a file can be written again`, async () => {
    const deps = await worldWithRoute()
    assert.is((await deps.engine.readHealth()).status, 'healthy')
    const disk = fill(deps, folder)
    await refusal(put(deps, 'app', 'app.example.com', 8002), 'CONFIG_WRITE_FAILED')
    const { status, reasons, nginx } = await deps.engine.readHealth()
    assert.is(status, 'unhealthy')
    assert.ok(
      reasons.includes(`${name} cannot be written (ENOSPC): The disk is full: free some space, then call again`),
      reasons.join('; '),
    )
    assert.is(nginx.config_test_ok, true)
    assert.equal((await deps.engine.readHealth()).reasons, reasons)
    disk.free()
    assert.is((await deps.engine.readHealth()).status, 'healthy')
    assert.is((await put(deps, 'app', 'app.example.com', 8002)).outcome, 'created')
  })
}

test('a disk that fills without a change is reported within a minute, and is no fault of the configuration', async () => {
  const deps = await worldWithRoute()
  await deps.engine.readHealth()
  fill(deps, '/etc/nginx')
  await deps.clock.sleep(61_000)
  const { reasons, nginx } = await deps.engine.readHealth()
  await settled()
  assert.is(reasons.length, 3)
  assert.is(nginx.config_test_ok, true)
  assert.is((await deps.engine.readHealth()).nginx.config_test_ok, true)
})

test('as long as nothing fails, health writes at most once a minute, and leaves nothing', async () => {
  const deps = await worldWithRoute()
  await deps.engine.readHealth()
  const before = contentsOf(deps.disk)
  for (let i = 0; i < 50; i++) await deps.engine.readHealth()
  assert.is(countEffects(deps, /^writeUnsynced \/etc\/nginx\/sites-enabled/), 1)
  assert.equal(contentsOf(deps.disk), before)
})

test('a hundred calls cost one test of the configuration, at once or one after another', async () => {
  const deps = await fakeDeps()
  await Promise.all(Array.from({ length: 50 }, () => deps.engine.readHealth()))
  for (let i = 0; i < 50; i++) await deps.engine.readHealth()
  assert.is(countEffects(deps, /^run .* -t /), 1)
  assert.is(countEffects(deps, /^run .* -V/), 1)
})

test('the test is repeated a minute later, and callers do not wait for it', async () => {
  const deps = await fakeDeps()
  await deps.engine.readHealth()
  deps.nginx.judge = () => refused('shop.conf', 4, 'unknown directive "listn"')
  await deps.clock.sleep(59_000)
  assert.is((await deps.engine.readHealth()).nginx.config_test_ok, true)
  assert.is(countEffects(deps, /^run .* -t /), 1)
  await deps.clock.sleep(2_000)
  assert.is((await deps.engine.readHealth()).nginx.config_test_ok, true)
  await settled()
  assert.is((await deps.engine.readHealth()).nginx.config_test_ok, false)
  assert.is(countEffects(deps, /^run .* -t /), 2)
})

test('a failed configuration is tested again at the next look, at most every 2 s, and the fix shows at that look', async () => {
  const deps = await fakeDeps()
  const { judge } = deps.nginx
  deps.nginx.judge = () => refused('shop.conf', 4, 'unknown directive "listn"')
  assert.is((await deps.engine.readHealth()).nginx.config_test_ok, false)
  for (let i = 0; i < 20; i++) await deps.engine.readHealth()
  await deps.clock.sleep(2_001)
  assert.is((await deps.engine.readHealth()).nginx.config_test_ok, false)
  assert.is(countEffects(deps, /^run .* -t /), 2)
  deps.nginx.judge = judge
  await deps.clock.sleep(2_001)
  const looks = await Promise.all(Array.from({ length: 20 }, () => deps.engine.readHealth()))
  assert.ok(looks.every(({ nginx }) => nginx.config_test_ok === true))
  assert.is(countEffects(deps, /^run .* -t /), 3)
})

test('a change that succeeds clears the failure at once', async () => {
  const deps = await worldWithRoute()
  const { judge } = deps.nginx
  deps.nginx.judge = () => refused('shop.conf', 4, 'unknown directive "listn"')
  await deps.clock.sleep(61_000)
  await deps.engine.readHealth()
  await settled()
  assert.is((await deps.engine.readHealth()).nginx.config_test_ok, false)
  deps.nginx.judge = judge
  await put(deps, 'b', 'b.example.com', 8002)
  assert.is((await deps.engine.readHealth()).nginx.config_test_ok, true)
})

test('a change that was proved counts as a test of the configuration', async () => {
  const deps = await worldWithRoute()
  const before = countEffects(deps, /^run .* -t /)
  const { nginx } = await deps.engine.readHealth()
  assert.is(nginx.config_test_ok, true)
  assert.is(countEffects(deps, /^run .* -t /), before)
})

test('the last reload is still known after a restart', async () => {
  const deps = await worldWithRoute()
  const again = await fakeDeps({ disk: deps.disk, nginx: deps.nginx })
  const { nginx } = await again.engine.readHealth()
  assert.equal([nginx.last_reload_result, nginx.last_reload_timestamp], ['success', '2026-01-01T00:00:00.000Z'])
})

test('a record of the last reload that cannot be read counts as missing', async () => {
  const deps = await worldWithRoute()
  writeAt(deps.disk, '/var/lib/proxy-manager/last-reload.json', '{"timestamp":')
  assert.is((await deps.engine.readHealth()).nginx.last_reload_result, null)
})

test('the version of a new binary at the same path is read again', async () => {
  const deps = await fakeDeps()
  await deps.engine.readHealth()
  deps.nginx.version = deps.nginx.version.replace('1.22.1', '1.30.4')
  writeAt(deps.disk, '/usr/sbin/nginx', 'a newer binary')
  assert.is((await deps.engine.readHealth()).nginx.version, '1.30.4')
})

test('health shows no directory of the host', async () => {
  const deps = await worldWithRoute()
  deps.nginx.judge = () => refused('shop.conf', 4, 'open() "/etc/secret/x.conf" failed')
  await deps.clock.sleep(61_000)
  await deps.engine.readHealth()
  await settled()
  const text = JSON.stringify(await deps.engine.readHealth())
  assert.match(text, 'open() \\"x.conf\\" failed')
  assert.not.match(text, '/etc/secret')
  assert.not.match(text, '/var/lib')
})

test.run()
