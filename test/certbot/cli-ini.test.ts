import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { findBlamedLine, findCliIniFault, overridingArguments } from '../../lib/certbot/cli-ini.ts'

const test = suite("the system's cli.ini")

/** What Debian's package installs. */
const DEBIAN = `# Because we are using logrotate for greater flexibility, disable the
# internal certbot logrotation.
max-log-backups = 0
# Adjust interactive output regarding automated renewal
preconfigured-renewal = True
`

test('no file, an empty one, and that of Debian stand in no order, and need no argument', () => {
  for (const text of [undefined, '', '\n \n', DEBIAN]) {
    assert.is(findCliIniFault(text), undefined, text)
    assert.equal(overridingArguments(text, 'true'), [])
  }
})

const HARMFUL = [
  'dry-run = True',
  'dry-run',
  '--dry-run',
  'dry-run: yes',
  'dry-run 1',
  'dry-run = "true"  # left over',
  'dry-run =',
  'dry-run = maybe',
  'staging = True',
  'test-cert = true',
  'standalone = True',
  'manual = on',
  'nginx = True',
  'apache = True',
  'dns-cloudflare = True',
  'must-staple = True',
  'allow-subset-of-names = True',
  'force-interactive = True',
  'csr = /root/request.pem',
  'ip-address = 192.0.2.1',
  'doma = other.example.com',
  'd = other.example.com',
  'webroot-p = /srv',
  '= value',
  ': value',
]
for (const line of HARMFUL) {
  test(`"${line}" refuses an order, with the number of its line`, () => {
    const fault = findCliIniFault(`${DEBIAN}\n${line}\nemail = ops@example.com\n`)
    assert.equal([fault?.line, fault?.text], [7, line])
    assert.ok((fault?.why.length ?? 0) > 15)
  })
}

const HARMLESS = [
  'dry-run = False',
  'dry-run: no',
  'staging = 0',
  '# dry-run = True',
  '; staging = True',
  '[staging]',
  '--- standalone',
  'authenticator = standalone',
  'webroot = True',
  'standalone = False',
  'domains = other.example.com, www.other.example.com',
  'dns-cloudflare-credentials = /root/token',
  'key-type = rsa',
  'rsa-key-size = 4096',
  'quiet = True',
  'server = https://ca.example/dir',
  'config = /root/other.ini',
  'unknown-to-us = 1',
]
for (const line of HARMLESS) test(`"${line}" refuses no order`, () => assert.is(findCliIniFault(line), undefined))

test('of two lines with one option, the last one counts', () => {
  assert.is(findCliIniFault('dry-run = True\ndry-run = False\n'), undefined)
  assert.is(findCliIniFault('dry-run = False\ndry-run = True\n')?.line, 2)
  assert.is(findCliIniFault('dry-run = True\n--dry-run = False\n')?.line, 1)
})

test('hooks, installers and webroots of the file are replaced by arguments, and nothing else is', () => {
  const text = `${DEBIAN}pre-hook = systemctl stop nginx\npost-hook: systemctl start nginx\nrenew-hook = mail root
installer = nginx\nconfigurator = nginx\nwebroot-map = {"a.example":"/srv"}\nissuance-timeout = 1\nkey-type = rsa\n`
  assert.equal(overridingArguments(text, "touch '/renewed'"), [
    '--installer=',
    '--configurator=',
    '--pre-hook=',
    '--post-hook=',
    '--webroot-map={}',
    '--issuance-timeout=90',
    "--renew-hook=touch '/renewed'",
  ])
  assert.equal(overridingArguments('renew-hook = mail root\n'), [])
})

test("certbot's own complaint names its line", () => {
  const text = `${DEBIAN}no-such-option = 1\nkey-type = dsa\nquiet = maybe\n`
  const lineOf = (message: string) => findBlamedLine(text, message)?.line
  assert.is(lineOf('unrecognized arguments: --no-such-option=1'), 6)
  assert.is(lineOf("argument --key-type: invalid choice: 'dsa' (choose from 'rsa', 'ecdsa')"), 7)
  assert.is(lineOf("Unexpected value for quiet: 'maybe'. Expecting 'true', 'false', 'yes', 'no', '1' or '0'"), 8)
  assert.is(lineOf('unrecognized arguments: --required-profile=shortlived'), undefined)
})

test.run()
