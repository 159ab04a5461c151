import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { COMPILE_CACHE, startManager } from '../../../fixtures/manager.ts'
import { hostLock } from '../../../lib/adapters/lock.ts'
import { parseSettings } from '../../../lib/settings/parse-settings.ts'
import { type Ended, runCli } from '../../helpers/cli.ts'

interface Context {
  root: string
  environment: Record<string, string>
}

const test = suite<Context>('proxy-manager serve, recover, systemd-unit')

const ENTRY = new URL('../../../lib/cli/main.ts', import.meta.url).pathname

test.before.each((context) => {
  const root = mkdtempSync(join(tmpdir(), 'proxy-manager-cli-'))
  for (const folder of ['state', 'sites-available', 'sites-enabled', 'letsencrypt']) mkdirSync(join(root, folder))
  context.root = root
  context.environment = {
    PROXY_MANAGER_STATE_DIR: join(root, 'state'),
    NGINX_SITES_AVAILABLE: join(root, 'sites-available'),
    NGINX_SITES_ENABLED: join(root, 'sites-enabled'),
    NGINX_BIN: join(root, 'no-nginx'),
    NGINX_CONF: join(root, 'nginx.conf'),
    CERTBOT_CONFIG_DIR: join(root, 'letsencrypt'),
  }
  writeFileSync(join(root, 'nginx.conf'), `events {}\nhttp { include ${root}/sites-enabled/*; }\n`)
})
test.after.each(({ root }) => rmSync(root, { recursive: true, force: true }))

/** Runs the entry as a process of its own. */
async function runProcess(words: readonly string[], environment: Record<string, string>): Promise<Ended> {
  const child = spawn(process.execPath, [ENTRY, ...words], {
    env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: COMPILE_CACHE, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString()
  })
  const [status] = await once(child, 'close')
  return { status, out, err }
}

test('serve with a wrong setting ends with 78, in one line that names it', async ({ environment }) => {
  const { status, out, err } = await runProcess(['serve'], { ...environment, PROXY_MANAGER_PORT: '0' })
  assert.is(status, 78)
  assert.is(out, '')
  assert.match(err, /^proxy-manager: PROXY_MANAGER_PORT: got "0", takes .*\n$/)
})

test('serve says in the line of its start where it listens, and which state folder it has', async ({
  root,
  environment,
}) => {
  const manager = await startManager(environment)
  await manager.end()
  const { timestamp, ...line } = JSON.parse(manager.log.find((line) => line.includes('"action":"start"')) ?? '')
  assert.equal(line, {
    level: 'info',
    action: 'start',
    result: 'success',
    host: '127.0.0.1',
    port: manager.port,
    state_folder: join(root, 'state'),
  })
})

test('serve, recover with a state folder where none can be made end with 78, and say so', async ({ environment }) => {
  for (const command of ['serve', 'recover']) {
    const { status, err } = await runProcess([command], { ...environment, PROXY_MANAGER_STATE_DIR: '/proc/state' })
    assert.is(status, 78)
    assert.match(err, /^proxy-manager: PROXY_MANAGER_STATE_DIR: \/proc\/state cannot be used \(ENOENT: .+\)\n$/)
  }
})

test('serve on a port that is taken ends with 78, says so, and lets go of the state folder', async (context) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const environment = { ...context.environment, PROXY_MANAGER_PORT: String(address.port) }
  const { status, err } = await runProcess(['serve'], environment)
  server.close()
  assert.is(status, 78)
  assert.is(
    err,
    `proxy-manager: PROXY_MANAGER_PORT: port ${address.port} of 127.0.0.1 cannot be listened on (EADDRINUSE): another process has it\n`,
  )
})

test('serve on an address that this host does not have yet ends with 75, and names the setting', async (context) => {
  const environment = { ...context.environment, PROXY_MANAGER_HOST: '192.0.2.77', PROXY_MANAGER_INSECURE: 'true' }
  const { status, err } = await runProcess(['serve'], environment)
  assert.is(status, 75)
  assert.match(
    err,
    /^proxy-manager: PROXY_MANAGER_HOST: port 8100 of 192\.0\.2\.77 cannot be listened on \(EADDRNOTAVAIL\): .+\n$/,
  )
})

test('recover removes what a crash left, and ends with 0 where NGINX has not started yet', async ({
  root,
  environment,
}) => {
  writeFileSync(join(root, 'state', 'journal'), 'torn')
  const { status, out } = await runProcess(['recover'], environment)
  assert.equal([status, out], [0, 'Nothing is left undone.\n'])
  assert.equal((await runProcess(['recover', '--json'], environment)).out, '{\n  "undone": []\n}\n')
})

test('recover ends with 1 and names the step where something is left undone', async ({ root, environment }) => {
  const file = { path: join(root, 'a-missing-folder', 'fpai-app.conf'), before: { text: 'former' }, after: null }
  writeFileSync(join(root, 'state', 'journal'), `${JSON.stringify({ generation: 1, files: [file] })}\n`)
  const { status, out, err } = await runProcess(['recover'], environment)
  assert.is(status, 1, out + err)
  assert.is(out, 'Left undone: recover_journal.\n')
  assert.match(err, /"result":"failure"/)
})

test('recover leaves it to the API where that runs, once no change is under way', async ({ root, environment }) => {
  const lock = await hostLock().take(join(root, 'state', 'lock'))
  assert.ok('release' in lock)
  writeFileSync(join(root, 'state', 'journal'), 'a change')
  const ended = runProcess(['recover'], environment)
  const change = setTimeout(() => rmSync(join(root, 'state', 'journal')), 400)
  const { status, out } = await ended
  clearTimeout(change)
  await lock.release()
  assert.equal([status, out], [0, `Nothing is left undone (the API runs as process ${process.pid}).\n`])
})

test('recover with a wrong setting ends with 78', async () => {
  const { status, err } = await runCli(['recover'], { NGINX_HTTP_PORT: 'x' })
  assert.is(status, 78)
  assert.match(err, /NGINX_HTTP_PORT/)
})

test('a reader that goes away is no failure', async () => {
  const child = spawn(process.execPath, [ENTRY, 'serve', '--help'], { stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.destroy()
  assert.equal((await once(child, 'close'))[0], 0)
})

const lines = (text: string, name: string) =>
  text.split('\n').flatMap((line) => (line.startsWith(`${name}=`) ? [line.slice(name.length + 1)] : []))

test('systemd-unit lets the service write to its folders, and to nothing else', async ({ root, environment }) => {
  const { status, out } = await runCli(['systemd-unit'], { ...environment, ACME_WEBROOT: '/srv/acme' })
  assert.is(status, 0)
  assert.equal(lines(out, 'ProtectSystem'), ['strict'])
  assert.equal(lines(out, 'ReadWritePaths'), [
    join(root, 'sites-available'),
    join(root, 'sites-enabled'),
    root,
    join(root, 'state'),
    '/srv/acme',
    `-${join(root, 'letsencrypt')}`,
    '-/var/lib/letsencrypt',
    '-/var/log/letsencrypt',
    '-/var/log/nginx',
    '-/var/lib/nginx',
  ])
  assert.equal(lines(out, 'ExecStart'), ['/usr/bin/node --max-semi-space-size=4 /opt/proxy-manager/main.js serve'])
  assert.ok(out.includes(`\nEnvironment=NODE_COMPILE_CACHE=${join(root, 'state/compile-cache')}\n`))
  for (const line of ['NoNewPrivileges=yes', 'PrivateTmp=yes', 'Restart=on-failure', 'TimeoutStopSec=40'])
    assert.ok(out.includes(`\n${line}\n`), line)
})

test('systemd-unit hands the settings on, quoted, and no token', async ({ environment }) => {
  const { out } = await runCli(['systemd-unit'], {
    ...environment,
    PROXY_MANAGER_API_TOKEN: 'a-token-of-many-characters',
    PROXY_MANAGER_STATE_DIR: '/var/lib/a "b" 100%',
    LOG_LEVEL: 'warn',
    HOME: '/root',
  })
  const given = lines(out, 'Environment')
  assert.ok(given.includes('LOG_LEVEL=warn'))
  assert.ok(given.includes('"PROXY_MANAGER_STATE_DIR=/var/lib/a \\"b\\" 100%%"'))
  assert.equal(lines(out, 'StateDirectory'), ['"a \\"b\\" 100%%"'])
  assert.not.match(out, /a-token-of|HOME=/)
  assert.match(out, /^#LoadCredential=PROXY_MANAGER_API_TOKEN:/m)
})

test('systemd-unit hands the file of a token over as a credential', async ({ root, environment }) => {
  const path = join(root, 'token')
  writeFileSync(path, 'a-token-of-many-characters\n')
  const { status, out } = await runProcess(['systemd-unit'], {
    ...environment,
    PROXY_MANAGER_HOST: '0.0.0.0',
    PROXY_MANAGER_API_TOKEN_FILE: path,
  })
  assert.is(status, 0)
  assert.equal(lines(out, 'LoadCredential'), [`PROXY_MANAGER_API_TOKEN:${path}`])
  assert.ok(lines(out, 'Environment').includes('PROXY_MANAGER_API_TOKEN_FILE=%d/PROXY_MANAGER_API_TOKEN'))
  assert.not.match(out, /a-token-of/)
})

test('systemd-unit hands the token for the Registry over as well, and what belongs to it', async ({
  root,
  environment,
}) => {
  const path = join(root, 'registry-token')
  writeFileSync(path, 'a-token-for-the-registry\n')
  const settings = {
    ...environment,
    PROXY_MANAGER_HOST: '0.0.0.0',
    PROXY_MANAGER_PUBLIC_URL: 'http://edge.example:8100',
    AUTH_REGISTRY_JWT: 'true',
    REGISTRY_URL: 'http://registry.example',
    REGISTRY_REGISTER: 'true',
    REGISTRY_TOKEN_FILE: path,
    ORCHESTRATOR_URL: 'http://orchestrator.example',
  }
  const { out } = await runProcess(['systemd-unit'], settings)
  assert.equal(lines(out, 'LoadCredential'), [`REGISTRY_TOKEN:${path}`])
  const given = lines(out, 'Environment')
  for (const line of ['REGISTRY_TOKEN_FILE=%d/REGISTRY_TOKEN', 'AUTH_REGISTRY_JWT=true', 'REGISTRY_REGISTER=true'])
    assert.ok(given.includes(line), line)
  assert.not.match(out, /a-token-for/)
  // What recovery is given before NGINX starts must be settings that it can start with.
  const dropIn = await runProcess(['systemd-unit', '--nginx'], settings)
  const pairs = lines(dropIn.out, 'Environment').map((line): [string, string] => {
    const [name = '', ...value] = line.split('=')
    return [name, value.join('=')]
  })
  assert.is(pairs.length, Object.keys(settings).length - 2)
  assert.not.ok('faults' in parseSettings(Object.fromEntries(pairs)))
  assert.not.match(dropIn.out, /LoadCredential/)
})

const FILED = {
  '/etc/proxy-manager.env':
    '# folders\nNGINX_SITES_ENABLED=/srv/sites enabled\n\nPROXY_MANAGER_HOST=0.0.0.0\nPROXY_MANAGER_API_TOKEN=a-token-of-many-characters\n',
}

test('both units read the file with the settings, and are made for the folders that it names', async ({
  environment,
}) => {
  const { status, out, err } = await runCli(
    ['systemd-unit'],
    { ...environment, PROXY_MANAGER_HOST: '127.0.0.2' },
    FILED,
  )
  assert.is(status, 0, err)
  assert.equal(lines(out, 'EnvironmentFile'), ['-/etc/proxy-manager.env'])
  assert.ok(lines(out, 'ReadWritePaths').includes('"/srv/sites enabled"'))
  // The file wins over Environment=, and a setting that is taken out of it must not go on in the unit.
  assert.not.match(out, /NGINX_SITES_ENABLED|PROXY_MANAGER_HOST|a-token-of/)
  const dropIn = await runCli(['systemd-unit', '--nginx'], environment, FILED)
  assert.equal(lines(dropIn.out, 'EnvironmentFile'), ['-/etc/proxy-manager.env'])
  const [unset = ''] = lines(dropIn.out, 'UnsetEnvironment')
  assert.is(
    unset,
    'PROXY_MANAGER_HOST PROXY_MANAGER_API_TOKEN PROXY_MANAGER_API_TOKEN_FILE PROXY_MANAGER_READ_TOKEN PROXY_MANAGER_READ_TOKEN_FILE REGISTRY_TOKEN REGISTRY_TOKEN_FILE',
  )
})

test('a unit that is made before the file with the settings is there reads it once it is', async ({ environment }) => {
  const { out } = await runCli(['systemd-unit'], environment)
  assert.equal(lines(out, 'EnvironmentFile'), ['-/etc/proxy-manager.env'])
})

test('systemd-unit takes another file with settings, which must be there', async ({ environment }) => {
  const words = ['systemd-unit', '--environment-file', '/srv/100%.env']
  const { out } = await runCli(words, environment, { '/srv/100%.env': 'ACME_WEBROOT=/srv/acme' })
  assert.equal(lines(out, 'EnvironmentFile'), ['-/srv/100%%.env'])
  assert.ok(lines(out, 'ReadWritePaths').includes('/srv/acme'))
  const missing = await runCli(words, environment)
  assert.equal([missing.status, missing.err], [78, 'proxy-manager: /srv/100%.env cannot be read (ENOENT)\n'])
  assert.is((await runCli(['systemd-unit', '--environment-file', 'here.env'], environment)).status, 2)
})

test('a line of that file that is read differently elsewhere ends systemd-unit with 78, and is not repeated', async ({
  environment,
}) => {
  for (const line of ['LOG_LEVEL="warn"', 'export A=b', 'a secret', "LOG_LEVEL='warn'", 'A=b\\'])
    assert.equal(await runCli(['systemd-unit'], environment, { '/etc/proxy-manager.env': `A=b\n${line}\n` }), {
      status: 78,
      out: '',
      err: 'proxy-manager: /etc/proxy-manager.env, line 2: takes NAME=value, without quotes\n',
    })
  const wrong = await runCli(['systemd-unit'], environment, { '/etc/proxy-manager.env': 'LOG_LEVEL=loud\n' })
  assert.is(wrong.status, 78)
})

test('systemd-unit --nginx puts recovery before the test that NGINX makes of its configuration', async ({
  environment,
}) => {
  const { NGINX_CONF: _, ...others } = environment
  const { out } = await runCli(['systemd-unit', '--nginx'], { ...others, NGINX_BIN: '/opt/nginx' })
  const recovery = '-/usr/bin/node /opt/proxy-manager/main.js recover'
  assert.equal(lines(out, 'ExecStartPre'), ['', recovery, "/opt/nginx -t -q -g 'daemon on; master_process on;'"])
  const own = await runCli(['systemd-unit', '--nginx'], { ...others, NGINX_CONF: '/srv/my nginx.conf' })
  const test = `${others.NGINX_BIN} -t -q -c "/srv/my nginx.conf" -g 'daemon on; master_process on;'`
  assert.equal(lines(own.out, 'ExecStartPre'), ['', recovery, test])
  const json = JSON.parse(
    (await runCli(['systemd-unit', '--nginx', '--json'], { ...others, NGINX_BIN: '/opt/nginx' })).out,
  )
  assert.is(json.name, 'nginx.service.d/proxy-manager.conf')
  assert.is(json.text, out)
})

test('systemd-unit with a wrong setting ends with 78', async () => {
  assert.is((await runCli(['systemd-unit'], { LOG_LEVEL: 'loud' })).status, 78)
})

test.run()
