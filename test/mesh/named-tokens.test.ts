import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import { createApp } from '../../functions/index.ts'
import { parseSettings } from '../../lib/settings/parse-settings.ts'
import { writeAt } from '../helpers/arrange.ts'
import { eventsOf } from '../helpers/world.ts'

const test = suite('named tokens')

const FILE = '/etc/proxy-manager.tokens'
const [CI, OPS, NEW] = ['ci'.repeat(10), 'ops'.repeat(8), 'new'.repeat(8)]

async function world(text: string) {
  const deps = await fakeDeps({ settings: { PROXY_MANAGER_API_TOKENS_FILE: FILE } })
  writeAt(deps.disk, FILE, text, 0o600)
  const app = createApp(() => deps)
  const call = async (token: string, method = 'GET', headers = {}) =>
    await app(
      new Request(`http://127.0.0.1:8100/${method === 'GET' ? 'events' : 'proxies/app'}`, {
        method,
        headers: { authorization: `Bearer ${token}`, ...headers },
      }),
    )
  return { ...deps, deps, call }
}

test('each token of the file permits what its line says, and events name it', async () => {
  const { call, deps } = await world(`# who\nci:read:${CI}\r\n\nops:all:${OPS}\n`)
  assert.is((await call(CI)).status, 200)
  assert.is((await call(CI, 'DELETE')).status, 403)
  assert.is((await call(OPS, 'DELETE')).status, 404)
  assert.is((await call(NEW)).status, 401)
  assert.equal(
    eventsOf(deps).map(({ type, actor }) => [type, actor]),
    [['route.refused', { kind: 'token', name: 'ops' }]],
  )
})

test('the file is read again when it changes: a new token is accepted, a removed one no longer, and its streams end', async () => {
  const { call, deps, disk } = await world(`ci:read:${CI}\nops:all:${OPS}\n`)
  const stream = (await call(CI, 'GET', { accept: 'text/event-stream' })).body?.getReader()
  assert.not.ok((await stream?.read())?.done)
  writeAt(disk, FILE, `new:all:${NEW}\nops:all:${OPS}\n`)
  assert.equal([(await call(CI)).status, (await call(NEW)).status], [401, 200])
  assert.ok((await stream?.read())?.done)
  await deps.engine.idle()
  assert.equal(
    eventsOf(deps).map(({ type, details }) => [type, details]),
    [['tokens.changed', { removed: ['ci'], added: ['new'] }]],
  )
})

test('a file that is wrong, missing or unreadable after the start keeps the former tokens, and health says so until it is right', async () => {
  const { call, engine, disk, effects, lines } = await world(`ci:all:${CI}\n`)
  assert.is((await call(CI)).status, 200)
  const reasons = async () => (await engine.readHealth()).reasons.filter((reason) => reason.includes('TOKENS_FILE'))
  writeAt(disk, FILE, `ci:all:${CI}\nops:some:${OPS}\n`)
  assert.equal([(await call(CI)).status, (await call(OPS)).status], [200, 401])
  assert.match((await reasons()).join(), /^PROXY_MANAGER_API_TOKENS_FILE line 2: expected name:grant:token/)
  disk.delete(FILE)
  assert.is((await call(CI)).status, 200)
  assert.match((await reasons()).join(), 'is missing')
  writeAt(disk, FILE, `ops:all:${OPS}\n`)
  assert.equal([(await call(CI)).status, (await call(OPS)).status, await reasons()], [401, 200, []])
  effects.arrangeRead({ at: 0, code: 'EMFILE' })
  assert.is((await call(OPS)).status, 200)
  assert.not.match(JSON.stringify(lines), new RegExp(`${CI}|${OPS}`))
})

test('a start is refused with the number of a wrong line, and without any token', () => {
  const faultsOf = (file: ReturnType<Parameters<typeof parseSettings>[1] & object>) => {
    const parsed = parseSettings({ PROXY_MANAGER_API_TOKENS_FILE: FILE }, () => file)
    return 'faults' in parsed ? parsed.faults.join() : ''
  }
  const lines = (text: string) => faultsOf({ text, isPublic: false })
  assert.is(lines(`ci:all:${CI}\n`), '')
  for (const wrong of [
    `ci:write:${CI}`,
    `:all:${CI}`,
    'ci:all:short',
    `ci ${CI}`,
    CI,
    `c i:all:${CI}`,
    `ci:all:${CI}\tx`,
  ]) {
    const fault = lines(`ops:all:${OPS}\n\n${wrong}\n`)
    assert.match(fault, /^PROXY_MANAGER_API_TOKENS_FILE: \/etc\/proxy-manager\.tokens line 3: expected/, wrong)
    assert.not.match(fault, CI)
  }
  assert.match(lines(`ci:all:${CI}\nci:read:${OPS}\n`), 'line 2: expected another name')
  assert.match(lines(`ci:all:${CI}\nops:read:${CI}\n`), 'line 2: expected another name and another token')
  assert.match(lines('# none\n'), 'has no token')
  assert.match(faultsOf({ failure: 'EACCES' }), 'cannot be read (EACCES)')
})

test.run()
