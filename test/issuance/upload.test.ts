import { hash } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import {
  ACCEPTED,
  contentsOf,
  onReload,
  PORT_TAKEN,
  refusal,
  refused,
  refuseNextReload,
  textAt,
  writeAt,
} from '../helpers/arrange.ts'
import {
  type Certificate,
  certificateFor,
  copiesOf,
  DAY_MS,
  HOUR_MS,
  loadedFingerprint,
  putChoosing,
  START_MS,
  STATE,
  upload,
} from '../helpers/certbot.ts'
import { assertInvariant, eventsOf, put, restarted } from '../helpers/world.ts'

const test = suite('upload')

const DOMAIN = 'app.example.com'
const OTHER = 'other.example.com'
const FIRST = certificateFor('*.example.com')
const SECOND = certificateFor('*.example.com', { fromMs: START_MS - HOUR_MS / 2 })
const CORP = { name: 'corp' }
const FILE = '/etc/nginx/sites-available/fpai-app.conf'

/** Two routes that have chosen the same certificate. */
async function depsWithUsers(): Promise<FakeDeps> {
  const deps = await fakeDeps()
  await upload(deps, 'corp', FIRST)
  await putChoosing(deps, 'app', DOMAIN, CORP)
  await putChoosing(deps, 'other', OTHER, CORP)
  await deps.engine.idle()
  return deps
}

function recordOf({ disk }: FakeDeps): string | undefined {
  const text = textAt(disk, `${STATE}/uploads/corp/record.json`)
  return text === undefined ? undefined : JSON.parse(text).fingerprint_sha256
}

/** Versions and records of corp on the disk. */
function entriesOf({ host }: FakeDeps): readonly string[] {
  return host.files.list(`${STATE}/uploads/corp`)
}

function assertServes(deps: FakeDeps, { fingerprint }: Certificate): void {
  assert.equal(
    [DOMAIN, OTHER].map((name) => loadedFingerprint(deps, name)),
    [fingerprint, fingerprint],
  )
  assert.is(recordOf(deps), fingerprint)
  assert.is(entriesOf(deps).length, 2)
  assertInvariant(deps)
}

test('all routes that use it are switched in one batch, with one test and one reload', async () => {
  const deps = await depsWithUsers()
  const reloads = deps.nginx.reloads
  const { receipt } = await upload(deps, 'corp', SECOND)
  assert.equal([receipt?.batch, receipt?.proved_by, deps.nginx.reloads - reloads], [2, 'tls_handshake', 1])
  assertServes(deps, SECOND)
})

test('if NGINX rejects the pair for one route, none is switched', async () => {
  const deps = await depsWithUsers()
  const rejected = `certificates/${OTHER}/${hash('sha256', SECOND.fullchain)}/`
  deps.nginx.judge = (texts) =>
    texts.some((text) => text.includes(rejected))
      ? refused('fpai-other.conf', 3, 'SSL_CTX_use_PrivateKey() failed')
      : ACCEPTED
  const { details } = await refusal(upload(deps, 'corp', SECOND), 'PROXY_CONFIG_FAILED')
  assert.is(details.state, 'unchanged')
  deps.nginx.judge = () => ACCEPTED
  assertServes(deps, FIRST)
})

test('if NGINX refuses the reload, or shows another certificate, everything is as before', async () => {
  const deps = await depsWithUsers()
  refuseNextReload(deps, PORT_TAKEN)
  const { details } = await refusal(upload(deps, 'corp', SECOND), 'NGINX_RELOAD_FAILED')
  assert.is(details.state, 'rolled_back')
  assertServes(deps, FIRST)
  const { probe } = deps.host
  const handshake = probe.handshake
  probe.handshake = async (request) =>
    request.serverName === OTHER ? { fingerprint: FIRST.fingerprint } : await handshake(request)
  const wrong = await refusal(upload(deps, 'corp', SECOND), 'NGINX_RELOAD_FAILED')
  assert.equal([wrong.details.reason, wrong.details.state], ['wrong_certificate', 'rolled_back'])
  probe.handshake = handshake
  assertServes(deps, FIRST)
  await upload(deps, 'corp', SECOND)
  assertServes(deps, SECOND)
})

test('if the rollback fails too, both versions stay until it is completed', async () => {
  const deps = await depsWithUsers()
  onReload(deps, () => {
    deps.nginx.refuseReload = PORT_TAKEN
  })
  const { details } = await refusal(upload(deps, 'corp', SECOND), 'NGINX_RELOAD_FAILED')
  assert.equal([details.state, entriesOf(deps).length], ['degraded', 3])
  await refusal(upload(deps, 'corp', SECOND), 'NGINX_RELOAD_FAILED')
  const next = await restarted(deps)
  deps.nginx.refuseReload = undefined
  assert.equal([recordOf(next), loadedFingerprint(next, DOMAIN)], [FIRST.fingerprint, FIRST.fingerprint])
})

test('another chain of the same certificate is served, too', async () => {
  const deps = await depsWithUsers()
  const { receipt } = await upload(deps, 'corp', { ...FIRST, fullchain: FIRST.cert })
  assert.is(receipt?.reloaded, true)
  const [copy = ''] = copiesOf(deps, DOMAIN)
  assert.is(textAt(deps.disk, `${STATE}/certificates/${DOMAIN}/${copy}/fullchain.pem`), FIRST.cert)
  assert.equal(copiesOf(deps, DOMAIN).length, 1)
})

test('a route that was edited by hand is not switched, and the answer names it', async () => {
  const deps = await depsWithUsers()
  const edited = `${textAt(deps.disk, FILE)}# by hand\n`
  writeAt(deps.disk, FILE, edited)
  const { skipped, certificate } = await upload(deps, 'corp', SECOND)
  assert.equal([skipped, certificate.users], [['app'], ['app', 'other']])
  assert.is(textAt(deps.disk, FILE), edited)
  assert.is(loadedFingerprint(deps, OTHER), SECOND.fingerprint)
})

const UNUSED: readonly (readonly [what: string, change: (deps: FakeDeps) => Promise<unknown>, done?: string])[] = [
  ['upload', (deps) => upload(deps, 'corp', SECOND), SECOND.fingerprint],
  ['deletion', (deps) => deps.engine.deleteCertificate({ name: 'corp' })],
]

for (const [what, change, done] of UNUSED)
  test(`${what} of one that no route uses: an effect that fails, or a hard stop, leaves all of it or none`, async () => {
    const whole = await depsWithUnused()
    const from = whole.effects.journal.length
    await change(whole)
    const count = whole.effects.journal.length - from
    assert.ok(count > 3)
    for (let at = 0; at < count; at++) {
      const deps = await depsWithUnused()
      deps.effects.arrange({ at, kind: 'error', code: 'ENOSPC' })
      const succeeded = await change(deps).then(
        () => true,
        () => false,
      )
      deps.effects.arrange(undefined)
      assert.is(recordOf(deps), succeeded ? done : FIRST.fingerprint, `effect ${at} fails`)
      assertComplete(await restarted(deps), `effect ${at} fails`)

      const stopped = await depsWithUnused()
      stopped.effects.arrange({ at, kind: 'stop_after' })
      await Promise.race([change(stopped), stopped.effects.stopped])
      assert.ok([done, FIRST.fingerprint].includes(recordOf(stopped)), `stop after effect ${at}`)
      assertComplete(await restarted(stopped), `stop after effect ${at}`)
    }
  })

async function depsWithUnused(): Promise<FakeDeps> {
  const deps = await fakeDeps()
  await upload(deps, 'corp', FIRST)
  return deps
}

/** Its record names a version that is complete, and nothing else is there. */
function assertComplete(deps: FakeDeps, what: string): void {
  const found = recordOf(deps) === undefined ? 0 : 2
  assert.is(entriesOf(deps).length, found, what)
  assertInvariant(deps, what)
}

test('a version without a record, as a hard stop leaves it, is gone after the next start', async () => {
  const deps = await fakeDeps()
  await upload(deps, 'corp', FIRST)
  writeAt(deps.disk, `${STATE}/uploads/corp/${'0'.repeat(64)}/privkey.pem`, 'key', 0o600)
  writeAt(deps.disk, `${STATE}/uploads/half/${'0'.repeat(64)}/privkey.pem`, 'key', 0o600)
  for (const folder of [`corp/${'0'.repeat(64)}`, 'half', `half/${'0'.repeat(64)}`])
    deps.disk.set(`${STATE}/uploads/${folder}`, { kind: 'folder' })
  await restarted(deps)
  assert.equal(
    [deps.host.files.list(`${STATE}/uploads`), entriesOf(deps).length, recordOf(deps)],
    [['corp'], 2, FIRST.fingerprint],
  )
})

test('what is stored is not lost with a record that is damaged, and another upload repairs it', async () => {
  const deps = await depsWithUsers()
  writeAt(deps.disk, `${STATE}/uploads/corp/record.json`, '{')
  const next = await restarted(deps)
  assert.is(entriesOf(next).length, 2)
  assert.is(loadedFingerprint(next, DOMAIN), FIRST.fingerprint)
  await upload(next, 'corp', SECOND)
  assertServes(next, SECOND)
})

test('its end is said by health and by an event 30 days before, and who has to act', async () => {
  const deps = await fakeDeps()
  await upload(deps, 'corp', certificateFor(DOMAIN, { days: 365 }))
  await putChoosing(deps, 'app', DOMAIN, CORP)
  const reasons = async () =>
    (await deps.engine.readHealth()).reasons.filter((reason) => reason.includes('certificate'))
  await deps.clock.sleep(330 * DAY_MS)
  assert.equal(await reasons(), [])
  await deps.clock.sleep(6 * DAY_MS)
  assert.match((await reasons()).join(), 'nothing renews it: PUT /certificates/corp with a new one')
  await deps.engine.idle()
  assert.is(eventsOf(deps).filter(({ type }) => type === 'certificate.expiring').length, 1)
})

test('an upload never changes what another route is served with', async () => {
  const deps = await depsWithUsers()
  await put(deps, 'plain', 'plain.example.org', 8003, false)
  await upload(deps, 'other', SECOND)
  const before = contentsOf(deps.disk).filter(([path]) => path.startsWith('/etc/'))
  await upload(deps, 'other', certificateFor('unused.example.org'))
  assert.equal(
    contentsOf(deps.disk).filter(([path]) => path.startsWith('/etc/')),
    before,
  )
})

test.run()
