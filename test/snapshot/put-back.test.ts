import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import { enabledTexts } from '../../fixtures/fake-nginx.ts'
import { findPutBack } from '../../lib/snapshot/put-back.ts'
import { contentsOf, refusal, textAt, writeAt } from '../helpers/arrange.ts'
import { assertInvariant, put, remove, restarted, servedPort } from '../helpers/world.ts'

const test = suite('put-back: copies of certbot --nginx')

const DOMAIN = 'app.example.com'
const ROUTE = '/etc/nginx/sites-available/fpai-app.conf'
const LINK = '/etc/nginx/sites-enabled/fpai-app.conf'
const HOUR_MS = 3_600_000
const AHEAD_MS = 1000 * HOUR_MS
const TOKEN = 'QyMOsTp55WcZFysU5-obuP-qAe4DAeCEUue0c2fM1YE'
/** What the plugin adds to a server block. */
const CHALLENGE = `rewrite ^(/.well-known/acme-challenge/.*) $1 break; # managed by Certbot

location = /.well-known/acme-challenge/${TOKEN}{default_type text/plain;return 200 ${TOKEN}.x;} # managed by Certbot

}`

/** NGINX is reloaded by somebody else. */
function reload({ disk, nginx }: FakeDeps): void {
  nginx.loaded = enabledTexts(disk)
}

/** A route to port 8001 whose file the plugin has edited. Returns its text before. */
async function edited(edit = CHALLENGE): Promise<{ readonly deps: FakeDeps; readonly before: string }> {
  const deps = await fakeDeps()
  await put(deps, 'app', DOMAIN, 8001)
  await deps.engine.idle()
  const before = textAt(deps.disk, ROUTE) ?? ''
  writeAt(deps.disk, ROUTE, before.replace(/\}\s*$/, edit))
  reload(deps)
  await deps.clock.sleep(2000)
  return { deps, before }
}

/** The plugin restores its copy. */
function putBack(deps: FakeDeps, text: string, path = ROUTE): void {
  writeAt(deps.disk, path, text)
  reload(deps)
}

async function assertServes(deps: FakeDeps, port: number | undefined): Promise<void> {
  await deps.engine.idle()
  assert.is(servedPort(deps, DOMAIN), port)
  assertInvariant(deps)
}

test('a change that was acknowledged while the plugin was editing its file is served again at once', async () => {
  const { deps, before } = await edited()
  await put(deps, 'app', DOMAIN, 8002)
  await put(deps, 'app', DOMAIN, 8003)
  putBack(deps, before)
  await deps.engine.undoPutBack()
  await assertServes(deps, 8003)
  assert.is((await deps.engine.getProxy('app')).upstream_port, 8003)
  const reloads = deps.nginx.reloads
  await deps.engine.undoPutBack()
  assert.is(deps.nginx.reloads, reloads)
})

test('so it is by the next change of another route, by a reconcile, and by a start after a hard stop', async () => {
  const ways: readonly ((deps: FakeDeps) => Promise<FakeDeps>)[] = [
    async (deps) => {
      await put(deps, 'other', 'other.example.com', 8005)
      return deps
    },
    async (deps) => {
      assert.equal((await deps.engine.reconcile()).routes, ['app'])
      return deps
    },
    restarted,
  ]
  for (const way of ways) {
    const { deps, before } = await edited()
    await put(deps, 'app', DOMAIN, 8002)
    await deps.engine.idle()
    putBack(deps, before)
    await assertServes(await way(deps), 8002)
  }
})

test('a route that was deleted meanwhile is deleted again', async () => {
  const { deps, before } = await edited()
  await remove(deps, 'app')
  await deps.engine.idle()
  putBack(deps, before, LINK)
  assert.is(servedPort(deps, DOMAIN), 8001)
  await deps.engine.undoPutBack()
  await assertServes(deps, undefined)
  assert.not.ok(deps.disk.has(LINK))
  await refusal(deps.engine.getProxy('app'), 'PROXY_NOT_FOUND')
})

test('a file of ours in sites-enabled alone can be deleted by a call, whoever put it there', async () => {
  const { deps, before } = await edited('}')
  await remove(deps, 'app')
  putBack(deps, before, LINK)
  await deps.engine.undoPutBack()
  assert.ok(deps.disk.has(LINK))
  await remove(deps, 'app')
  await assertServes(deps, undefined)
})

/** A route that was written, edited and backed up while the clock was ahead; then it was set right, and a change replaced what the plugin had edited. */
async function aheadOnce(): Promise<{ readonly deps: FakeDeps; readonly before: string }> {
  const deps = await fakeDeps()
  await deps.clock.sleep(AHEAD_MS)
  await put(deps, 'app', DOMAIN, 8000)
  writeAt(deps.disk, ROUTE, `${textAt(deps.disk, ROUTE)}# my edit\n`)
  await put(deps, 'app', DOMAIN, 8001)
  await deps.engine.idle()
  const before = textAt(deps.disk, ROUTE) ?? ''
  writeAt(deps.disk, ROUTE, before.replace(/\}\s*$/, CHALLENGE))
  await deps.clock.sleep(-AHEAD_MS)
  await put(deps, 'app', DOMAIN, 8002)
  await deps.engine.idle()
  return { deps, before }
}

test('a clock that was ahead when the route was written and backed up hides nothing', async () => {
  const { deps, before } = await aheadOnce()
  putBack(deps, before)
  await deps.engine.undoPutBack()
  await assertServes(deps, 8002)
})

test('a backup is of the hour in which it was made, not of that to which a clock that was ahead has numbered it', async () => {
  const { deps, before } = await aheadOnce()
  await deps.clock.sleep(AHEAD_MS)
  putBack(deps, before)
  assert.is(findPutBack(deps.host), undefined)
})

const LEFT: Readonly<Record<string, (deps: FakeDeps, before: string) => Promise<void>>> = {
  'an edit by hand': async (deps) => putBack(deps, `${textAt(deps.disk, ROUTE)}# my edit\n`),
  'an older text with an edit by hand': async (deps, before) => putBack(deps, `${before}# my edit\n`),
  'a backup that is restored more than an hour later': async (deps, before) => {
    await deps.clock.sleep(HOUR_MS)
    putBack(deps, before)
  },
  'a file that was removed': async (deps) => void deps.disk.delete(ROUTE),
}

for (const [what, change] of Object.entries(LEFT)) {
  test(`${what} is left as it is`, async () => {
    const { deps, before } = await edited()
    await put(deps, 'app', DOMAIN, 8002)
    await deps.engine.idle()
    await change(deps, before)
    const files = contentsOf(deps.disk)
    assert.is(findPutBack(deps.host), undefined)
    await deps.engine.undoPutBack()
    assert.equal(contentsOf(deps.disk), files)
  })
}

test('an older file that an operator restores is left as it is, if no plugin was editing the one that was replaced', async () => {
  for (const edit of ['# my edit\n}', 'location = /.well-known/acme-challenge/ { return 404; }\n}']) {
    const { deps, before } = await edited(edit)
    await put(deps, 'app', DOMAIN, 8002)
    await deps.engine.idle()
    putBack(deps, before)
    await deps.engine.undoPutBack()
    await assertServes(deps, 8001)
  }
})

test.run()
