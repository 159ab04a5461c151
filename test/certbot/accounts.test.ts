import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ACCOUNT, type FakeDeps, fakeDeps, putAccount } from '../../fixtures/deps.ts'
import { adoptAccount, findAccount } from '../../lib/certbot/accounts.ts'
import { writeAt } from '../helpers/arrange.ts'
import { CONFIG, STATE } from '../helpers/certbot.ts'

const test = suite('accounts')

const SERVER = 'https://acme-v02.api.letsencrypt.org/directory'
const FOLDER = `${CONFIG}/accounts/acme-v02.api.letsencrypt.org/directory`
const [FIRST, SECOND, THIRD] = [ACCOUNT, 'b'.repeat(32), 'c'.repeat(32)]

const find = ({ host }: FakeDeps, forgotten: readonly string[] = [], server = SERVER) =>
  findAccount(host, server, 'app.example.com', new Set(forgotten))

/** A host with two accounts, the second of which was made here. */
async function withOwn(): Promise<FakeDeps> {
  const deps = await fakeDeps()
  putAccount(deps.disk, { id: SECOND, config: '/tmp/registered' })
  assert.is(await adoptAccount(deps.host, SERVER, '/tmp/registered'), SECOND)
  return deps
}

test('the only account is used, unless the CA has forgotten it', async () => {
  const deps = await fakeDeps()
  assert.is(find(deps), FIRST)
  assert.is(find(deps, [FIRST]), undefined)
  assert.is(find(deps, [], 'https://ca.example/dir'), undefined)
})

test('of several accounts none is chosen, unless one was made here, and before that the one of the lineage', async () => {
  const strangers = await fakeDeps()
  putAccount(strangers.disk, { id: SECOND })
  assert.is(find(strangers), undefined)
  const deps = await withOwn()
  putAccount(deps.disk, { id: THIRD })
  assert.is(find(deps), SECOND)
  await deps.host.files.makeFolder(`${CONFIG}/renewal`, 0o755)
  writeAt(deps.disk, `${CONFIG}/renewal/app.example.com.conf`, `[renewalparams]\naccount = ${THIRD}\n`)
  assert.is(find(deps), THIRD)
  assert.is(find(deps, [THIRD]), SECOND)
  assert.is(find(deps, [THIRD, SECOND]), undefined)
})

test("of several accounts that are none of ours, the one that the system's cli.ini names is used", async () => {
  const deps = await fakeDeps()
  putAccount(deps.disk, { id: SECOND })
  writeAt(deps.disk, `${CONFIG}/cli.ini`, `account = ${SECOND}\n`)
  assert.is(find(deps), SECOND)
  writeAt(deps.disk, `${CONFIG}/cli.ini`, `account = ${THIRD}\n`)
  assert.is(find(deps), undefined)
})

test('an account that lacks a file, or has a damaged one, does not count', async () => {
  for (const damage of [undefined, '', '{"n":']) {
    const deps = await fakeDeps()
    const path = `${FOLDER}/${FIRST}/private_key.json`
    if (damage === undefined) deps.disk.delete(path)
    else writeAt(deps.disk, path, damage)
    assert.is(find(deps), undefined, damage)
  }
})

test('a new account is put beside the others with its content and the modes of certbot, and they stay as they are', async () => {
  const deps = await fakeDeps()
  const others = [...deps.disk].filter(([path]) => path.startsWith(FOLDER))
  putAccount(deps.disk, { id: SECOND, config: '/tmp/registered' })
  writeAt(
    deps.disk,
    `/tmp/registered/accounts/acme-v02.api.letsencrypt.org/directory/${SECOND}/private_key.json`,
    '{"n":1}',
  )
  await adoptAccount(deps.host, SERVER, '/tmp/registered')
  const key = deps.disk.get(`${FOLDER}/${SECOND}/private_key.json`)
  assert.equal(key, { kind: 'file', file: { text: '{"n":1}' }, mode: 0o400 })
  for (const [path, entry] of others) assert.equal(deps.disk.get(path), entry, path)
})

test('what was made for one server says nothing about another, and is kept over a second one', async () => {
  const deps = await withOwn()
  putAccount(deps.disk, { id: THIRD, config: '/tmp/other', server: 'https://ca.example/dir' })
  await adoptAccount(deps.host, 'https://ca.example/dir', '/tmp/other')
  const text = deps.host.files.read(`${STATE}/acme-accounts.json`)?.text ?? ''
  assert.equal(JSON.parse(text), { [SERVER]: SECOND, 'https://ca.example/dir': THIRD })
  assert.is(find(deps, [], 'https://ca.example/dir'), THIRD)
})

test('a registration that made nothing is no account', async () => {
  const deps = await fakeDeps()
  assert.is(await adoptAccount(deps.host, SERVER, '/tmp/registered'), undefined)
})

test.run()
