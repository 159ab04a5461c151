import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { systemdUnit } from '../../../../lib/cli/commands/host/systemd-units.ts'
import { parseSettings } from '../../../../lib/settings/parse-settings.ts'
import { runCli } from '../../../helpers/cli.ts'
import { type CliHost, onHost, runProcess } from '../../../helpers/cli-host.ts'

const test = suite<CliHost>('proxy-manager systemd-unit')

onHost(test)

const lines = (text: string, name: string) =>
  text.split('\n').flatMap((line) => (line.startsWith(`${name}=`) ? [line.slice(name.length + 1)] : []))

test('the service may write to its directories, and to nothing else', async ({ root, environment }) => {
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
  assert.equal(lines(out, 'ExecStart'), [
    '/usr/bin/node --max-semi-space-size=4 --initial-old-space-size=32 --disable-sigusr1 /opt/proxy-manager/main.js serve',
  ])
  assert.ok(out.includes(`\nEnvironment=NODE_COMPILE_CACHE=${join(root, 'state/compile-cache')}\n`))
  for (const line of ['NoNewPrivileges=yes', 'PrivateTmp=yes', 'Restart=on-failure', 'TimeoutStopSec=40'])
    assert.ok(out.includes(`\n${line}\n`), line)
})

test('the directories of the service and of certbot are made before the start, wherever they are', async ({
  root,
  environment,
}) => {
  const { CERTBOT_CONFIG_DIR: _, PROXY_MANAGER_STATE_DIR: _state, ...others } = environment
  const { out } = await runCli(['systemd-unit'], others)
  assert.equal(lines(out, 'StateDirectory'), ['proxy-manager letsencrypt'])
  assert.equal(lines(out, 'LogsDirectory'), ['letsencrypt'])
  assert.equal(lines(out, 'ConfigurationDirectory'), ['letsencrypt'])
  assert.equal(lines(out, 'ExecStartPre'), [])
  const elsewhere = { ...environment, ACME_WEBROOT: '/srv/a b', CERTBOT_WORK_DIR: '/var/lib/x/y' }
  const other = await runCli(['systemd-unit'], elsewhere)
  assert.equal(lines(other.out, 'StateDirectory'), ['x/y'])
  assert.equal(lines(other.out, 'ConfigurationDirectory'), [])
  assert.equal(lines(other.out, 'ExecStartPre'), [
    `+/bin/mkdir -p ${join(root, 'state')} "/srv/a b" ${join(root, 'letsencrypt')}`,
  ])
})

test('systemd makes no directory that is a symlink, which it would refuse, and no webroot, whose mode it would change', () => {
  const settings = parseSettings({ ACME_WEBROOT: '/var/lib/acme' })
  if ('faults' in settings) throw new Error(settings.faults.join())
  const linked = ['/var/log/letsencrypt', '/etc/letsencrypt']
  const unit = systemdUnit({
    settings,
    envFile: '/etc/proxy-manager.env',
    given: [],
    tokenFiles: [],
    program: ['/usr/bin/node', '/opt/proxy-manager/main.js'],
    nginxConf: '/etc/nginx/nginx.conf',
    readsHome: false,
    isLinked: (path) => linked.includes(path),
  })
  assert.equal(lines(unit, 'StateDirectory'), ['proxy-manager letsencrypt'])
  assert.equal([...lines(unit, 'LogsDirectory'), ...lines(unit, 'ConfigurationDirectory')], [])
  assert.equal(lines(unit, 'ExecStartPre'), ['+/bin/mkdir -p /var/lib/acme /etc/letsencrypt /var/log/letsencrypt'])
})

test('home directories are hidden, unless the service has to read something in one', async ({ root, environment }) => {
  const protection = async (changes: Record<string, string>, files: Record<string, string> = {}) =>
    lines((await runCli(['systemd-unit'], { ...environment, ...changes }, files)).out, 'ProtectHome')
  assert.equal(await protection({}), ['yes'])
  assert.equal(await protection({ CERTBOT_BIN: '/home/app/certbot' }), ['read-only'])
  assert.equal(await protection({}, { '/etc/proxy-manager.env': 'REQUESTS_CA_BUNDLE=/root/ca.pem\n' }), ['read-only'])
  const nginx = async (script: string) => {
    writeFileSync(join(root, 'nginx'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    return await protection({ NGINX_BIN: join(root, 'nginx') })
  }
  assert.equal(await nginx('echo "ssl_certificate /etc/ssl/example.pem;"'), ['yes'])
  assert.equal(await nginx('echo "ssl_certificate /root/.acme.sh/example.pem;"'), ['read-only'])
  assert.equal(await nginx('exit 1'), ['read-only'])
})

test('the service can read which binary NGINX runs from, and call nothing but what services need', async ({
  environment,
}) => {
  const { out } = await runCli(['systemd-unit'], environment)
  assert.match(lines(out, 'CapabilityBoundingSet').join(), /\bCAP_SYS_PTRACE\b/)
  for (const line of ['SystemCallFilter=@system-service', 'DevicePolicy=closed', 'RemoveIPC=yes'])
    assert.ok(out.includes(`\n${line}\n`), line)
  assert.equal(lines(out, 'SyslogIdentifier'), ['proxy-manager'])
})

test('the unit has the settings, quoted, and no token', async ({ environment }) => {
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
  assert.equal(lines(out, 'StateDirectory'), ['"a \\"b\\" 100%%" letsencrypt'])
  assert.not.match(out, /a-token-of|HOME=/)
  assert.match(out, /^#LoadCredential=PROXY_MANAGER_API_TOKEN:/m)
})

test('the file of a token is passed as a credential', async ({ root, environment }) => {
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

test('the token for the Registry is passed too, with the settings that belong to it', async ({ root, environment }) => {
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
  // Recovery before the start of NGINX must accept the settings in its drop-in.
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
    '# directories\nNGINX_SITES_ENABLED=/srv/sites enabled\n\nPROXY_MANAGER_HOST=0.0.0.0\nPROXY_MANAGER_API_TOKEN=a-token-of-many-characters\n',
}

test('both units read the environment file, and allow for the directories that it names', async ({ environment }) => {
  const { status, out, err } = await runCli(
    ['systemd-unit'],
    { ...environment, PROXY_MANAGER_HOST: '127.0.0.2' },
    FILED,
  )
  assert.is(status, 0, err)
  assert.equal(lines(out, 'EnvironmentFile'), ['-/etc/proxy-manager.env'])
  assert.ok(lines(out, 'ReadWritePaths').includes('"/srv/sites enabled"'))
  // The file takes precedence over Environment=, so a setting that is removed from it must not remain in the unit.
  assert.not.match(out, /NGINX_SITES_ENABLED|PROXY_MANAGER_HOST|a-token-of/)
  const dropIn = await runCli(['systemd-unit', '--nginx'], environment, FILED)
  assert.equal(lines(dropIn.out, 'EnvironmentFile'), ['-/etc/proxy-manager.env'])
  const [unset = ''] = lines(dropIn.out, 'UnsetEnvironment')
  assert.is(
    unset,
    'PROXY_MANAGER_HOST PROXY_MANAGER_API_TOKEN PROXY_MANAGER_API_TOKEN_FILE PROXY_MANAGER_READ_TOKEN PROXY_MANAGER_READ_TOKEN_FILE REGISTRY_TOKEN REGISTRY_TOKEN_FILE HEARTBEAT_TOKEN HEARTBEAT_TOKEN_FILE EVENTS_TOKEN EVENTS_TOKEN_FILE',
  )
})

test('a unit that is printed before the environment file exists reads it later', async ({ environment }) => {
  const { out } = await runCli(['systemd-unit'], environment)
  assert.equal(lines(out, 'EnvironmentFile'), ['-/etc/proxy-manager.env'])
})

test('another environment file can be given, and must exist', async ({ environment }) => {
  const argv = ['systemd-unit', '--environment-file', '/srv/100%.env']
  const { out } = await runCli(argv, environment, { '/srv/100%.env': 'ACME_WEBROOT=/srv/acme' })
  assert.equal(lines(out, 'EnvironmentFile'), ['-/srv/100%%.env'])
  assert.ok(lines(out, 'ReadWritePaths').includes('/srv/acme'))
  const missing = await runCli(argv, environment)
  assert.equal([missing.status, missing.err], [78, 'proxy-manager: /srv/100%.env cannot be read (ENOENT)\n'])
  assert.is((await runCli(['systemd-unit', '--environment-file', 'here.env'], environment)).status, 2)
})

test('exit status 78 if a line of that file is ambiguous, without repeating the line', async ({ environment }) => {
  for (const line of ['LOG_LEVEL="warn"', 'export A=b', 'a secret', "LOG_LEVEL='warn'", 'A=b\\'])
    assert.equal(await runCli(['systemd-unit'], environment, { '/etc/proxy-manager.env': `A=b\n${line}\n` }), {
      status: 78,
      out: '',
      err: 'proxy-manager: /etc/proxy-manager.env, line 2: expected NAME=value without quotes\n',
    })
  const wrong = await runCli(['systemd-unit'], environment, { '/etc/proxy-manager.env': 'LOG_LEVEL=loud\n' })
  assert.is(wrong.status, 78)
})

test("--nginx puts recovery before NGINX's own test of its configuration", async ({ environment }) => {
  const { NGINX_CONF: _, ...others } = environment
  const { out } = await runCli(['systemd-unit', '--nginx'], { ...others, NGINX_BIN: '/opt/nginx' })
  const recovery =
    '-/usr/bin/node --max-semi-space-size=4 --initial-old-space-size=32 --disable-sigusr1 /opt/proxy-manager/main.js recover'
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

test('exit status 78 with a wrong setting', async () => {
  assert.is((await runCli(['systemd-unit'], { LOG_LEVEL: 'loud' })).status, 78)
})

test.run()
