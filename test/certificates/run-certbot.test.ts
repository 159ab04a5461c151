import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ACCOUNT, type FakeDeps, fakeDeps, putAccount } from '../../fixtures/deps.ts'
import type { RunResult } from '../../lib/adapters/runner.ts'
import { refusal, textAt, writeAt } from '../helpers/arrange.ts'
import {
  CONFIG,
  certbotThat,
  certificateFor,
  failing,
  issue,
  issuing,
  ledgerText,
  putSecure,
  registering,
  START_MS,
  STATE,
} from '../helpers/certbot.ts'

const DOMAIN = 'app.example.com'
const CERTIFICATE = certificateFor(DOMAIN)
const SECOND = 'b'.repeat(32)
const CLI_INI = '/etc/letsencrypt/cli.ini'

/** A host with the route `app`, which wants HTTPS and has no certificate. */
async function pending(settings: Readonly<Record<string, string>> = {}): Promise<FakeDeps> {
  const deps = await fakeDeps({ settings })
  await putSecure(deps, 'app', DOMAIN)
  return deps
}

/** A certbot that answers every command in this way; returns the arguments of its calls. */
function everyCertbot(deps: FakeDeps, run: (args: readonly string[]) => RunResult): readonly (readonly string[])[] {
  const calls: (readonly string[])[] = []
  deps.nginx.certbot = (args) => {
    calls.push(args)
    return run(args)
  }
  return calls
}

const accountOf = (args: readonly string[] | undefined) => args?.find((argument) => argument.startsWith('--account='))

const test = suite('run certbot')

test('if no account fits, one is made in an empty directory of ours, and the order names it', async () => {
  const deps = await pending({ ACME_EAB_KID: 'kid-1', ACME_EAB_HMAC_KEY_FILE: '/root/key' })
  writeAt(deps.disk, '/root/key', 'c2VjcmV0\n')
  putAccount(deps.disk, { id: 'c'.repeat(32) })
  let secrets: string | undefined
  const calls = everyCertbot(deps, (args) => {
    if (args[0] !== 'register') return issuing(deps, CERTIFICATE)(args)
    secrets = textAt(deps.disk, args.find((argument) => argument.startsWith('--config='))?.slice(9) ?? '')
    return registering(deps, SECOND)(args)
  })
  await issue(deps, 'app')
  assert.equal(
    calls.map(([verb]) => verb),
    ['register', 'certonly'],
  )
  assert.match(calls[0]?.join(' ') ?? '', `--config-dir=${STATE}/certbot/`)
  assert.is(accountOf(calls[1]), `--account=${SECOND}`)
  assert.is(secrets, 'eab-kid = kid-1\neab-hmac-key = c2VjcmV0\n')
  assert.not.match(JSON.stringify(deps.lines), /c2VjcmV0/)
  assert.equal(deps.host.files.list(`${STATE}/certbot`), ['no-user-configuration'])
})

for (const gone of ['account-forgotten', 'account-deactivated', 'account-of-another-key']) {
  test(`${gone}: another account is made, and the order that succeeds is the only one that counts`, async () => {
    const deps = await pending()
    const calls = everyCertbot(deps, (args) => {
      if (args[0] === 'register') return registering(deps, SECOND)(args)
      return accountOf(args) === `--account=${ACCOUNT}` ? failing(deps, gone)() : issuing(deps, CERTIFICATE)(args)
    })
    await issue(deps, 'app')
    assert.equal(calls.map(accountOf), [`--account=${ACCOUNT}`, undefined, `--account=${SECOND}`])
    assert.match(
      JSON.stringify(ledgerText(deps, DOMAIN)),
      /^\{"entries":\[\{"at":\d+,"result":"issued","lifetime_ms":\d+\}\]\}$/,
    )
  })
}

test('a CA that forgets even a new account is asked once more, not for ever', async () => {
  const deps = await pending()
  const calls = certbotThat(deps, failing(deps, 'account-forgotten'))
  const { details } = await refusal(issue(deps, 'app'), 'SSL_ISSUANCE_FAILED')
  assert.is(details.reason, 'account')
  assert.is(calls.length, 2)
  assert.match(JSON.stringify(ledgerText(deps, DOMAIN)), '"uncounted":true')
})

test('a registration that is refused, or makes nothing, is a fault of the account, and does not count', async () => {
  const refused = failing(await fakeDeps(), 'contact-refused')
  for (const answer of [refused, () => ({ exitCode: 0, output: '' }), () => ({ exitCode: 1, output: 'what?' })]) {
    const deps = await pending({ ACME_DIRECTORY_URL: 'https://ca.example/dir' })
    const calls = everyCertbot(deps, answer)
    const { details } = await refusal(issue(deps, 'app'), 'SSL_ISSUANCE_FAILED')
    assert.is(details.reason, 'account')
    assert.equal(
      calls.map(([verb]) => verb),
      ['register'],
    )
    assert.match(JSON.stringify(ledgerText(deps, DOMAIN)), '"uncounted":true')
  }
})

test('a new account that cannot be written is no order: nothing is left in the ledger', async () => {
  const deps = await pending({ ACME_DIRECTORY_URL: 'https://ca.example/dir' })
  certbotThat(deps, issuing(deps, CERTIFICATE))
  const { write } = deps.host.files
  deps.host.files.write = async (path, text, mode) => {
    if (path.startsWith(`${CONFIG}/accounts/`)) throw Object.assign(new Error('full'), { code: 'ENOSPC', path })
    await write(path, text, mode)
  }
  const { details } = await refusal(issue(deps, 'app'), 'CONFIG_WRITE_FAILED')
  assert.equal([details.errno, details.stage], ['ENOSPC', 'issue'])
  assert.equal(ledgerText(deps, DOMAIN), { entries: [] })
  deps.host.files.write = write
  assert.is((await issue(deps, 'app')).proxy.status, 'active')
})

test("a harmful line of the system's cli.ini refuses the order and its dry run: certbot is not run, and nothing is recorded", async () => {
  const deps = await pending()
  const calls = certbotThat(deps, issuing(deps, CERTIFICATE))
  writeAt(deps.disk, CLI_INI, '# left over\ndry-run = True\n')
  for (let i = 0; i < 4; i++) {
    const { details, message } = await refusal(issue(deps, 'app'), 'SSL_UNAVAILABLE')
    assert.equal([details.reason, details.culprit], ['cli_ini', 'host'])
    assert.match(message, 'line 2 of /etc/letsencrypt/cli.ini: dry-run = True')
  }
  await refusal(deps.engine.dryRunIssue({ dropletName: 'app', forceRenew: false }), 'SSL_UNAVAILABLE')
  assert.equal([calls, ledgerText(deps, DOMAIN)], [[], undefined])
  writeAt(deps.disk, CLI_INI, '# left over\n')
  assert.is((await issue(deps, 'app')).proxy.status, 'active')
})

test('an option that certbot does not know is traced to its line, and leaves nothing in the ledger', async () => {
  const deps = await pending()
  writeAt(deps.disk, CLI_INI, 'quiet = True\nno-such-option = 1\n')
  certbotThat(deps, failing(deps, 'unknown-option', 2))
  const { details } = await refusal(issue(deps, 'app'), 'SSL_UNAVAILABLE')
  assert.equal([details.reason, ledgerText(deps, DOMAIN)], ['cli_ini', { entries: [] }])
  assert.match(String(details.remedy), /^Remove line 2 /)
  deps.disk.delete(CLI_INI)
  assert.is((await refusal(issue(deps, 'app'), 'SSL_ISSUANCE_FAILED')).details.reason, 'usage')
})

test('an account that cannot be made because cli.ini names one is a fault of that line', async () => {
  const deps = await pending({ ACME_DIRECTORY_URL: 'https://ca.example/dir' })
  writeAt(deps.disk, CLI_INI, `account = ${ACCOUNT}\n`)
  const calls = certbotThat(deps, issuing(deps, CERTIFICATE))
  assert.is((await refusal(issue(deps, 'app'), 'SSL_UNAVAILABLE')).details.reason, 'cli_ini')
  assert.equal(calls, [])
})

test('what cli.ini says about hooks and plugins is overridden on the command line', async () => {
  const deps = await pending()
  writeAt(deps.disk, CLI_INI, 'authenticator = standalone\npre-hook = systemctl stop nginx\nrenew-hook = false\n')
  const calls = certbotThat(deps, issuing(deps, CERTIFICATE))
  await issue(deps, 'app')
  assert.equal(calls[0]?.slice(-2), ['--pre-hook=', `--renew-hook=touch '${STATE}/renewed'`])
})

test('certbot that fails after the certificate was saved has issued it', async () => {
  const deps = await pending()
  certbotThat(deps, (args) => ({ ...issuing(deps, CERTIFICATE)(args), exitCode: 1 }))
  assert.is((await issue(deps, 'app')).proxy.status, 'active')
  assert.match(JSON.stringify(ledgerText(deps, DOMAIN)), '"result":"issued"')
})

test('of a certbot that prints nothing the log says why it failed, unless it is that of a former run', async () => {
  const deps = await pending({ CERTBOT_LOGS_DIR: '/srv/log', SSL_PREFLIGHT: 'off' })
  writeAt(deps.disk, CLI_INI, 'quiet = True\n')
  certbotThat(
    deps,
    () => ({ ...failing(deps, 'caa')(), output: '' }),
    () => ({ exitCode: 1, output: '' }),
  )
  assert.is((await refusal(issue(deps, 'app'), 'SSL_ISSUANCE_FAILED')).details.reason, 'caa')
  assert.is((await refusal(issue(deps, 'app'), 'SSL_ISSUANCE_FAILED')).details.reason, 'unknown')
})

test("the limit that is reached is called ours, and can be raised; the time that the CA has given is called the CA's", async () => {
  const deps = await pending({ SSL_PREFLIGHT: 'off' })
  certbotThat(deps, failing(deps, 'caa'))
  for (let i = 0; i < 3; i++) await refusal(issue(deps, 'app'), 'SSL_ISSUANCE_FAILED')
  const { details } = await refusal(issue(deps, 'app'), 'SSL_RATE_LIMITED')
  assert.match(String(details.said), /Proxy Manager keeps .*: 3 failed orders in 1 h; the last order failed: caa/)
  assert.match(String(details.remedy), 'SSL_FAILURES_PER_HOUR')
  assert.is(details.limited_by, 'proxy_manager')
  const raised = await pending({ SSL_FAILURES_PER_HOUR: '4', SSL_PREFLIGHT: 'off' })
  certbotThat(
    raised,
    failing(raised, 'caa'),
    failing(raised, 'caa'),
    failing(raised, 'caa'),
    failing(raised, 'rate-limited-failures'),
  )
  for (let i = 0; i < 3; i++) await refusal(issue(raised, 'app'), 'SSL_ISSUANCE_FAILED')
  assert.is((await refusal(issue(raised, 'app'), 'SSL_RATE_LIMITED')).details.limited_by, 'ca')
  const waiting = await refusal(issue(raised, 'app'), 'SSL_RATE_LIMITED')
  assert.match(String(waiting.details.said), /^the CA has asked to wait/)
  assert.is(waiting.details.limited_by, 'ca')
})

test('a limit that was reached while the clock was ahead is forgotten once it is right', async () => {
  const deps = await pending({ SSL_PREFLIGHT: 'off' })
  certbotThat(deps, failing(deps, 'caa'), failing(deps, 'caa'), failing(deps, 'caa'), issuing(deps, CERTIFICATE))
  const { nowMs } = deps.clock
  deps.clock.nowMs = () => nowMs() + 8 * 86_400_000
  for (let i = 0; i < 3; i++) await refusal(issue(deps, 'app'), 'SSL_ISSUANCE_FAILED')
  await refusal(issue(deps, 'app'), 'SSL_RATE_LIMITED')
  deps.clock.nowMs = nowMs
  assert.is((await issue(deps, 'app')).proxy.status, 'active')
  assert.match(JSON.stringify(ledgerText(deps, DOMAIN)), `[{"at":${START_MS},"result":"issued"`)
})

test.run()
