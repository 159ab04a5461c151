/** How a real certbot is run on a host whose certbot has a configuration and accounts of its own. */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { call, putRoute, type RealHost } from '../helpers/system/host.ts'
import { type HostWithCa, startHostWithCa } from '../helpers/system/host-with-ca.ts'
import { setUp } from '../helpers/system/set-up.ts'

const test = suite<HostWithCa>('how certbot is run')

setUp(test, async (context, undo) => {
  Object.assign(context, await startHostWithCa({ SSL_PREFLIGHT: 'off' }))
  undo(context.close)
  const { host, port } = context
  mkdirSync(join(host.nginx.root, 'system'))
  for (const name of ['app', 'two', 'forgotten'])
    await putRoute(host.manager, name, `${name}.example.com`, port, { enable_ssl: true })
})

const ledgerOf = ({ nginx }: RealHost, name: string) => join(nginx.root, `state/orders/${name}.example.com.json`)
const runsOf = ({ nginx }: RealHost) =>
  readFileSync(join(nginx.root, 'certbot-logs/letsencrypt.log'), 'utf8').split('certbot version:').length - 1

/** Starts the API again with this text as the system's cli.ini, in a mount namespace of its own. */
async function restartWith(host: RealHost, cliIni: string): Promise<void> {
  const system = join(host.nginx.root, 'system')
  writeFileSync(join(system, 'cli.ini'), cliIni)
  const [user, group] = [process.getuid?.(), process.getgid?.()]
  // Another user may mount as the root of a user namespace; in one inside it that user is what it was.
  const [asRoot, again] =
    user === 0 ? [[], []] : [['--map-root-user'], ['unshare', `--map-user=${user}`, `--map-group=${group}`]]
  const script = 'mount --bind "$1" /etc/letsencrypt && shift && exec "$@"'
  await host.restart('SIGTERM', ['unshare', ...asRoot, '--mount', 'sh', '-c', script, 'sh', system, ...again])
}

test("a line of the system's cli.ini that no argument overrides refuses the order before certbot is run, and costs nothing", async ({
  host,
}) => {
  await restartWith(host, 'max-log-backups = 0\nkey-type = ecdsa\nstaging = True\n')
  for (let i = 0; i < 4; i++) {
    const refused = await call(host.manager, 'POST', '/proxies/app/ssl')
    const { code, message, details } = refused.body.error ?? { code: '', message: '', details: {} }
    assert.equal([refused.status, code, details.reason, details.culprit], [503, 'SSL_UNAVAILABLE', 'cli_ini', 'host'])
    assert.match(message, 'line 3 of /etc/letsencrypt/cli.ini: staging = True')
    assert.match(String(details.remedy), /^Remove line 3 /)
  }
  assert.not.ok(existsSync(ledgerOf(host, 'app')))
  assert.not.ok(existsSync(join(host.nginx.root, 'certbot-logs')))
})

test('an option that this certbot does not know refuses it as well, names the line, and costs nothing', async ({
  host,
}) => {
  await restartWith(host, 'key-type = ecdsa\nno-such-option = 1\n')
  const refused = await call(host.manager, 'POST', '/proxies/app/ssl')
  const { error } = refused.body
  assert.equal([refused.status, error?.details.reason], [503, 'cli_ini'], JSON.stringify(refused.body))
  assert.match(error?.message ?? '', 'unrecognized arguments: --no-such-option=1')
  assert.match(String(error?.details.remedy), /^Remove line 2 /)
  assert.equal(JSON.parse(readFileSync(ledgerOf(host, 'app'), 'utf8')).entries, [])
})

test("what else the system's cli.ini and the host's hook directories say holds for other orders, not for ours", async ({
  host,
}) => {
  const { root } = host.nginx
  const ran = (name: string) => join(root, `${name}-ran`)
  const hooks = ['pre', 'post', 'deploy'].map((kind) => {
    const folder = join(root, `letsencrypt/renewal-hooks/${kind}`)
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, '10-host'), `#!/bin/sh\ntouch '${ran(kind)}'\nexit 1\n`, { mode: 0o755 })
    return kind
  })
  await restartWith(
    host,
    `authenticator = standalone\ninstaller = null\ndomains = other.example.com\nserver = https://ca.invalid/dir
email = other@example.com\npre-hook = touch ${ran('pre')}\npost-hook = touch ${ran('post')}
renew-hook = touch ${ran('deploy')}\nkey-type = rsa\nquiet = True\n`,
  )
  const issued = await call(host.manager, 'POST', '/proxies/app/ssl')
  assert.equal([issued.status, issued.body.status], [200, 'active'], JSON.stringify(issued.body))
  assert.match(JSON.stringify(issued.body), '"domains":["app.example.com"]')
  assert.equal(
    hooks.filter((kind) => existsSync(ran(kind))),
    [],
  )
  const renewal = readFileSync(join(root, 'letsencrypt/renewal/app.example.com.conf'), 'utf8')
  assert.match(renewal, 'authenticator = webroot')
  assert.match(renewal, `renew_hook = "touch '${join(root, 'state/renewed')}'"`)
  assert.equal(readdirSync(join(root, 'state/certbot')), ['no-user-configuration'])
})

test('of two accounts, the one that was made here is used; a CA that has forgotten it gets a new one, and no account is touched', async ({
  host,
  pebble,
}) => {
  const { root } = host.nginx
  const server = new URL(pebble.directoryUrl)
  const accounts = join(root, `letsencrypt/accounts/${server.host}${server.pathname}`)
  const [own = ''] = readdirSync(accounts)
  cpSync(join(accounts, own), join(accounts, 'f'.repeat(32)), { recursive: true })
  assert.is((await call(host.manager, 'POST', '/proxies/two/ssl')).status, 200)
  const renewal = (name: string) => readFileSync(join(root, `letsencrypt/renewal/${name}.example.com.conf`), 'utf8')
  assert.match(renewal('two'), `account = ${own}`)
  const before = execFileSync('tar', ['-c', '-C', accounts, own, 'f'.repeat(32)])

  await pebble.stopCa()
  await pebble.startCa()
  const again = await call(host.manager, 'POST', '/proxies/forgotten/ssl')
  assert.is(again.status, 200, JSON.stringify(again.body))
  const [made = '', ...others] = readdirSync(accounts).filter((id) => ![own, 'f'.repeat(32)].includes(id))
  assert.equal(others, [])
  assert.match(renewal('forgotten'), `account = ${made}`)
  assert.is(statSync(join(accounts, made, 'private_key.json')).mode & 0o777, 0o400)
  assert.equal(execFileSync('tar', ['-c', '-C', accounts, own, 'f'.repeat(32)]), before)
  // The lineage still names the forgotten account: no further one is made for it.
  const renewed = await call(host.manager, 'POST', '/proxies/two/ssl', { force_renew: true })
  assert.is(renewed.status, 200, JSON.stringify(renewed.body))
  assert.match(renewal('two'), `account = ${made}`)
  assert.is(readdirSync(accounts).length, 3)
  const { entries } = JSON.parse(readFileSync(ledgerOf(host, 'two'), 'utf8'))
  assert.equal(
    entries.map(({ result }: { result: string }) => result),
    ['issued', 'issued'],
  )
})

test('a CA that requires an external account gets it, from a file, and its key is in no argument and no log', async () => {
  const externalAccount = { kid: 'kid-1', key: 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W' }
  const { host, port, close } = await startHostWithCa({ SSL_PREFLIGHT: 'off', LOG_LEVEL: 'debug' }, { externalAccount })
  try {
    await putRoute(host.manager, 'app', 'app.example.com', port, { enable_ssl: true })
    const refused = await call(host.manager, 'POST', '/proxies/app/ssl')
    const details = refused.body.error?.details
    assert.equal([refused.status, details?.reason], [502, 'account'], JSON.stringify(refused.body))
    assert.match(String(details?.remedy), 'ACME_EAB_KID')
    const file = join(host.nginx.root, 'hmac-key')
    writeFileSync(file, `${externalAccount.key}\n`, { mode: 0o600 })
    await host.restart('SIGTERM', ['env', `ACME_EAB_KID=${externalAccount.kid}`, `ACME_EAB_HMAC_KEY_FILE=${file}`])
    const issued = await call(host.manager, 'POST', '/proxies/app/ssl')
    assert.is(issued.status, 200, JSON.stringify(issued.body))
    assert.ok(runsOf(host) > 1)
    const logged = readFileSync(join(host.nginx.root, 'certbot-logs/letsencrypt.log'), 'utf8') + host.manager.log.join()
    assert.not.ok(logged.includes(externalAccount.key))
    assert.equal(readdirSync(join(host.nginx.root, 'state/certbot')), ['no-user-configuration'])
  } finally {
    await close()
  }
})

test.run()
