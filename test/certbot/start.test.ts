import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import type { RunOptions } from '../../lib/adapters/runner.ts'
import { startCertbot } from '../../lib/certbot/start.ts'
import { STATE } from '../helpers/certbot.ts'

const test = suite('start certbot')

test('certbot reads an empty directory instead of the one of its user', async () => {
  const { host } = await fakeDeps()
  const seen: RunOptions[] = []
  const runner = {
    ...host.runner,
    run: async (_file: string, _args: readonly string[], options: RunOptions) => {
      seen.push(options)
      return { exitCode: 0, output: '' }
    },
  }
  await startCertbot({ ...host, runner }, ['plugins'], { timeoutMs: 1 })
  const variables = { XDG_CONFIG_HOME: `${STATE}/certbot/no-user-configuration` }
  assert.equal(seen, [{ timeoutMs: 1, variables }])
  assert.equal(host.files.list(variables.XDG_CONFIG_HOME), [])
})

test('secrets are in a file that only its owner can read, in no argument, and are gone afterwards', async () => {
  const { host, nginx, disk } = await fakeDeps()
  let file: unknown
  nginx.certbot = (args) => {
    assert.not.match(args.join(' '), /secret/)
    file = disk.get(args.at(-1)?.replace('--config=', '') ?? '')
    return { exitCode: 1, output: '' }
  }
  await startCertbot(host, ['register'], { timeoutMs: 1, secrets: { 'eab-kid': 'k', 'eab-hmac-key': 'secret' } })
  assert.equal(file, { kind: 'file', file: { text: 'eab-kid = k\neab-hmac-key = secret\n' }, mode: 0o600 })
  assert.equal(host.files.list(`${STATE}/certbot`), ['no-user-configuration'])
})

// configargparse 1.2 (Debian 11) reads `eab-kid =` as the key identifier `=`, which no CA knows.
test('a secret that the host does not have is an empty argument: older versions of certbot misread an empty line', async () => {
  const { host, nginx } = await fakeDeps()
  const seen: (readonly string[])[] = []
  nginx.certbot = (args) => {
    seen.push(args)
    return { exitCode: 1, output: '' }
  }
  await startCertbot(host, ['register'], { timeoutMs: 1, secrets: { 'eab-kid': '', 'eab-hmac-key': '' } })
  assert.equal(seen, [['register', '--eab-kid=', '--eab-hmac-key=']])
  assert.equal(host.files.list(`${STATE}/certbot`), ['no-user-configuration'])
})

test('a start removes what a killed process has left, and nothing else', async () => {
  const { host, engine, disk } = await fakeDeps()
  await host.files.write(`${STATE}/certbot/id-1.ini`, 'eab-hmac-key = secret\n', 0o600)
  await host.files.makeFolder(`${STATE}/certbot/id-2/accounts`, 0o700)
  const others = [...disk.keys()].filter((path) => !path.startsWith(`${STATE}/certbot/`))
  await engine.recover()
  assert.equal(host.files.list(`${STATE}/certbot`), ['no-user-configuration'])
  assert.equal(
    others.filter((path) => !disk.has(path)),
    [],
  )
})

test.run()
