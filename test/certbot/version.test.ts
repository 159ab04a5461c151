import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import type { RunResult } from '../../lib/adapters/runner.ts'
import { certbotFault } from '../../lib/certbot/version.ts'

const test = suite('certbot fault')

async function faultOf(result: RunResult, settings: Readonly<Record<string, string>>) {
  const { host, nginx } = await fakeDeps({ settings })
  const calls: (readonly string[])[] = []
  nginx.certbot = (args) => {
    calls.push(args)
    return result
  }
  return { found: await certbotFault(host), calls }
}

const PROFILE = { ACME_PROFILE: 'shortlived' }

test('without a profile, certbot is not asked for its version', async () => {
  assert.equal(await faultOf({ exitCode: 127, output: '' }, {}), { found: undefined, calls: [] })
})

test('a profile needs certbot 4.0', async () => {
  for (const version of ['4.0.0', '4.1.1', '5.10.0', '10.0.0'])
    assert.equal(await faultOf({ exitCode: 0, output: `certbot ${version}\n` }, PROFILE), {
      found: undefined,
      calls: [['--version']],
    })
  const { found } = await faultOf({ exitCode: 0, output: 'certbot 2.1.0\n' }, PROFILE)
  const fault =
    'ACME_PROFILE: requires certbot 4.0 or later, but /usr/bin/certbot is certbot 2.1.0: install a later one, or unset ACME_PROFILE'
  assert.equal(found, { fault, isTransient: false })
})

test('a certbot that is missing stays so; one that does not answer may answer at the next start', async () => {
  for (const [exitCode, isTransient] of [
    [127, false],
    [124, true],
    [1, true],
  ] as const) {
    const { found } = await faultOf({ exitCode, output: '' }, PROFILE)
    assert.is(found?.isTransient, isTransient)
    assert.match(found?.fault ?? '', `cannot be run (exit status ${exitCode})`)
  }
})

test.run()
