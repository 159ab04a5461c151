import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type CertbotOptions,
  deleteArguments,
  deployHook,
  orderArguments,
  registerArguments,
} from '../../lib/certificates/certbot-arguments.ts'

const test = suite('certbot arguments')

const OPTIONS: CertbotOptions = {
  lineage: 'app.example.com',
  names: ['app.example.com'],
  email: 'ops@example.com',
  account: '0123456789abcdef0123456789abcdef',
  profile: undefined,
  webroot: '/var/lib/proxy-manager/acme',
  deployHook: "touch '/var/lib/proxy-manager/renewed'",
  server: 'https://ca.example/dir',
  configDir: '/etc/letsencrypt',
  workDir: undefined,
  logsDir: undefined,
}
const FOLDERS = { workDir: '/srv/work', logsDir: '/srv/log' }

test('an order has exactly these arguments', () => {
  assert.equal(orderArguments(OPTIONS), [
    'certonly',
    '--non-interactive',
    '--agree-tos',
    '--no-eff-email',
    '--no-directory-hooks',
    '--force-renewal',
    '--authenticator=webroot',
    '--webroot-path=/var/lib/proxy-manager/acme',
    '--preferred-challenges=http-01',
    '--cert-name=app.example.com',
    '--renew-with-new-domains',
    '--domain=app.example.com',
    '--email=ops@example.com',
    '--account=0123456789abcdef0123456789abcdef',
    "--deploy-hook=touch '/var/lib/proxy-manager/renewed'",
    '--server=https://ca.example/dir',
    '--config-dir=/etc/letsencrypt',
  ])
})

test('every name of a route is in one order', () => {
  const names = ['app.example.com', 'app.example.net', 'www.app.example.com']
  const named = orderArguments({ ...OPTIONS, names }).filter((word) => /^--(domain|cert-name)=/.test(word))
  assert.equal(named, ['--cert-name=app.example.com', ...names.map((name) => `--domain=${name}`)])
})

test('a profile and other directories are passed only if they are set', () => {
  const further = orderArguments({ ...OPTIONS, ...FOLDERS, profile: 'shortlived' }).slice(15)
  assert.equal(further, [
    '--required-profile=shortlived',
    '--server=https://ca.example/dir',
    '--config-dir=/etc/letsencrypt',
    '--work-dir=/srv/work',
    '--logs-dir=/srv/log',
  ])
})

test('a lineage is deleted by its name, in the same directories', () => {
  assert.equal(deleteArguments(OPTIONS), [
    'delete',
    '--non-interactive',
    '--no-directory-hooks',
    '--cert-name=app.example.com',
    '--config-dir=/etc/letsencrypt',
  ])
  assert.equal(deleteArguments({ ...OPTIONS, ...FOLDERS }).slice(4), [
    '--config-dir=/etc/letsencrypt',
    '--work-dir=/srv/work',
    '--logs-dir=/srv/log',
  ])
})

test('an account is registered without a question, in the directory that is given', () => {
  assert.equal(registerArguments({ ...OPTIONS, configDir: '/srv/empty' }), [
    'register',
    '--non-interactive',
    '--agree-tos',
    '--no-eff-email',
    '--no-directory-hooks',
    '--email=ops@example.com',
    '--server=https://ca.example/dir',
    '--config-dir=/srv/empty',
  ])
})

test('no value can become an option: each follows the "=" of its own option', () => {
  const hostile: CertbotOptions = {
    lineage: '--staging',
    names: ['--staging'],
    email: '-h',
    account: '--register-unsafely-without-email',
    profile: '--debug',
    webroot: '--version',
    deployHook: '--dry-run',
    server: '-q',
    configDir: '-v',
    workDir: '--help',
    logsDir: '--no-verify-ssl',
  }
  const plain = orderArguments({ ...OPTIONS, ...FOLDERS, profile: 'classic' })
  const namesOf = (args: readonly string[]) => args.map((argument) => argument.split('=')[0])
  assert.equal(namesOf(orderArguments(hostile)), namesOf(plain))
  assert.equal(namesOf(deleteArguments(hostile)), namesOf(deleteArguments({ ...OPTIONS, ...FOLDERS })))
})

test('the deploy hook, run by a shell as certbot does, touches only that file, whatever its directory is called', () => {
  const root = mkdtempSync(join(tmpdir(), 'hook-'))
  try {
    for (const name of [
      'renewed',
      "it's",
      'a b',
      '; touch other',
      '"',
      '`touch other`',
      '*',
      '-r',
      "'; touch other; '",
    ]) {
      execFileSync('/bin/sh', ['-c', deployHook(join(root, name))], { cwd: root })
      assert.ok(existsSync(join(root, name)), name)
      assert.equal(readdirSync(root), [name])
      rmSync(join(root, name))
    }
  } finally {
    rmSync(root, { recursive: true })
  }
  assert.is(deployHook("/srv/it's/renewed"), "touch '/srv/it'\\''s/renewed'")
})

test.run()
