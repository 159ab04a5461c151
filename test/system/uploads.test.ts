import { X509Certificate } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Lineage, makeLineage } from '../helpers/arrange.ts'
import { secure } from '../helpers/system/certificate.ts'
import { type Answer, call, putRoute, type RealHost, startHost } from '../helpers/system/host.ts'
import { setUp } from '../helpers/system/set-up.ts'

const test = suite<{ host: RealHost; port: number }>('certificates that exist already')

const FIRST = makeLineage('*.example.com')
const SECOND = makeLineage('*.example.com')
/** What clients trust: both. */
const ROOTS = FIRST.fullchain + SECOND.fullchain
const CLIENTS = 4

setUp(test, async (context, undo) => {
  context.host = await startHost()
  undo(context.host.close)
  context.port = (await context.host.droplet('app')).port
})

test('an uploaded pair that is replaced under traffic: every request succeeds, and the new one is what handshakes show', async ({
  host,
  port,
}) => {
  assert.is((await upload(host, FIRST)).status, 201)
  const more = { enable_ssl: true, certificate: { name: 'corp' } }
  for (const name of ['app', 'other'])
    assert.is((await putRoute(host.manager, name, `${name}.example.com`, port, more)).status, 201)
  const seen: string[] = []
  const failures: unknown[] = []
  let isDone = false
  const clients = Array.from({ length: CLIENTS }, async (_, i) => {
    while (!isDone) {
      const asked = await ask(host, i % 2 === 0 ? 'app' : 'other').catch((error: unknown) => error)
      if (typeof asked === 'string') seen.push(asked)
      else failures.push(asked)
    }
  })
  const replaced = await upload(host, SECOND)
  assert.equal(
    [replaced.status, replaced.body.receipt?.proved_by, replaced.body.receipt?.batch],
    [200, 'tls_handshake', 2],
  )
  for (const name of ['app', 'other']) assert.is(await ask(host, name), fingerprintOf(SECOND))
  isDone = true
  await Promise.all(clients)
  assert.equal(failures, [])
  assert.ok(seen.includes(fingerprintOf(FIRST)))
  assert.is(seen.at(-1), fingerprintOf(SECOND))
})

test('its key is only in files that root alone can read, and neither in an answer nor in the log', async ({ host }) => {
  const state = join(host.nginx.root, 'state')
  const [secret = ''] = SECOND.privkey.split('\n').slice(1, 2)
  const withKey = readdirSync(state, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .filter((path) => readFileSync(path, 'latin1').includes(secret))
  assert.is(withKey.length, 3)
  for (const path of withKey) assert.is(statSync(path).mode & 0o777, 0o600, path)
  const answers = [await call(host.manager, 'GET', '/certificates'), await upload(host, FIRST, '?dry_run=true')]
  for (const text of [...answers.map(({ body }) => JSON.stringify(body)), ...host.manager.log, host.manager.errors])
    assert.not.match(text, /PRIVATE KEY/)
})

test('a pair that does not match is refused, and what is served stays', async ({ host }) => {
  const refused = await upload(host, { fullchain: FIRST.fullchain, privkey: SECOND.privkey })
  assert.equal([refused.status, refused.body.error?.code], [422, 'CERTIFICATE_INVALID'])
  assert.is(await ask(host, 'app'), fingerprintOf(SECOND))
})

test("another's lineage is served to a route that names nothing, also after it has vanished, and nothing of it is changed", async ({
  host,
  port,
}) => {
  const live = join(host.nginx.root, 'letsencrypt/live/example.com')
  mkdirSync(live, { recursive: true })
  writeFileSync(join(live, 'fullchain.pem'), FIRST.fullchain)
  writeFileSync(join(live, 'privkey.pem'), FIRST.privkey)
  const before = readdirSync(join(host.nginx.root, 'letsencrypt'), { recursive: true })
  const created = await putRoute(host.manager, 'app', 'app.example.com', port, { enable_ssl: true })
  assert.equal([created.status, created.body.status], [200, 'active'])
  assert.match(JSON.stringify(created.body.certificate), '"source":"lineage","lineage":"example.com"')
  assert.equal([await ask(host, 'app'), await ask(host, 'other')], [fingerprintOf(FIRST), fingerprintOf(SECOND)])
  assert.equal(readdirSync(join(host.nginx.root, 'letsencrypt'), { recursive: true }), before)
  rmSync(live, { recursive: true })
  await host.restart('SIGKILL')
  assert.is(await ask(host, 'app'), fingerprintOf(FIRST))
  assert.is((await putRoute(host.manager, 'app', 'app.example.com', port, { enable_ssl: true })).status, 200)
  assert.is(await ask(host, 'app'), fingerprintOf(FIRST))
})

test.run()

async function upload({ manager }: RealHost, pair: Lineage, query = ''): Promise<Answer> {
  const body = { certificate: pair.fullchain, private_key: pair.privkey }
  return await call(manager, 'PUT', `/certificates/corp${query}`, body)
}

/** The fingerprint that a client of a route sees, once it has the droplet's answer. */
async function ask({ nginx }: RealHost, name: string): Promise<string> {
  const { body, fingerprint } = await secure(nginx.httpsPort, `${name}.example.com`, ROOTS)
  assert.is(body, 'app')
  return fingerprint
}

function fingerprintOf({ fullchain }: Lineage): string {
  return new X509Certificate(fullchain).fingerprint256.replaceAll(':', '').toLowerCase()
}
