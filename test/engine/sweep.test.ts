import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { FakeDeps } from '../../fixtures/deps.ts'
import type { Fault } from '../../fixtures/effects.ts'
import { certificateFor, HOUR_MS, issue, putLineage, putSecure, START_MS, servedFingerprint } from './certbot.ts'
import { assertInvariant, filesOf, put, remove, restarted, servedPort, worldWithRoute } from './world.ts'

const DOMAIN = 'app.example.com'
const FIRST = certificateFor(DOMAIN)
const RENEWED = certificateFor(DOMAIN, { fromMs: START_MS - HOUR_MS / 2 })

/** Every effect of a successful change fails in turn; nothing that was promised may be lost by it. */
interface Sweep {
  readonly prepare: (deps: FakeDeps) => Promise<unknown>
  readonly change: (deps: FakeDeps) => Promise<unknown>
  /** Whether NGINX serves the state of before, or that of after. */
  readonly isBefore: (deps: FakeDeps) => boolean
  readonly isAfter: (deps: FakeDeps) => boolean
}

const SWEEPS: Readonly<Record<string, Sweep>> = {
  create: {
    prepare: async () => undefined,
    change: (deps) => put(deps, 'app', 'app.example.com', 8002),
    isBefore: (deps) => servedPort(deps, 'app.example.com') === undefined,
    isAfter: (deps) => servedPort(deps, 'app.example.com') === 8002,
  },
  update: {
    prepare: (deps) => put(deps, 'app', 'app.example.com', 8002),
    change: (deps) => put(deps, 'app', 'app.example.com', 8003),
    isBefore: (deps) => servedPort(deps, 'app.example.com') === 8002,
    isAfter: (deps) => servedPort(deps, 'app.example.com') === 8003,
  },
  delete: {
    prepare: (deps) => put(deps, 'app', 'app.example.com', 8002),
    change: (deps) => remove(deps, 'app'),
    isBefore: (deps) => servedPort(deps, 'app.example.com') === 8002,
    isAfter: (deps) => servedPort(deps, 'app.example.com') === undefined,
  },
  'batch of three': {
    prepare: async (deps) => {
      await put(deps, 'gone', 'gone.example.com', 8004)
      await put(deps, 'moved', 'moved.example.com', 8005)
    },
    change: (deps) =>
      Promise.all([
        put(deps, 'app', 'app.example.com', 8002),
        put(deps, 'moved', 'moved.example.com', 8006),
        remove(deps, 'gone'),
      ]),
    isBefore: (deps) => ports(deps) === 'undefined 8005 8004',
    isAfter: (deps) => ports(deps) === '8002 8006 undefined',
  },
  'certificate switch': {
    prepare: async (deps) => {
      await putSecure(deps, 'app', DOMAIN)
      putLineage(deps.disk, DOMAIN, FIRST)
    },
    change: (deps) => issue(deps, 'app'),
    isBefore: (deps) => servedPort(deps, DOMAIN) === 8001 && servedFingerprint(deps, DOMAIN) === undefined,
    isAfter: (deps) => servedFingerprint(deps, DOMAIN) === FIRST.fingerprint,
  },
  'certificate renewal': {
    prepare: async (deps) => {
      putLineage(deps.disk, DOMAIN, FIRST)
      await putSecure(deps, 'app', DOMAIN)
      putLineage(deps.disk, DOMAIN, RENEWED, 2)
    },
    change: (deps) => issue(deps, 'app'),
    isBefore: (deps) => servedFingerprint(deps, DOMAIN) === FIRST.fingerprint,
    isAfter: (deps) => servedFingerprint(deps, DOMAIN) === RENEWED.fingerprint,
  },
}

function ports(deps: FakeDeps): string {
  return ['app', 'moved', 'gone'].map((name) => String(servedPort(deps, `${name}.example.com`))).join(' ')
}

async function prepared(sweep: Sweep): Promise<FakeDeps> {
  const deps = await worldWithRoute()
  await sweep.prepare(deps)
  await deps.engine.idle()
  return deps
}

/** How many effects the change has when nothing fails. */
async function countEffects(sweep: Sweep): Promise<number> {
  const deps = await prepared(sweep)
  const before = deps.effects.journal.length
  await sweep.change(deps)
  await deps.engine.idle()
  assert.ok(sweep.isAfter(deps))
  return deps.effects.journal.length - before
}

for (const [name, sweep] of Object.entries(SWEEPS)) {
  const test = suite(`sweep: ${name}`)

  for (const code of ['ENOSPC', 'EIO']) {
    test(`${code} at any effect: the change is served whole or not at all, an answer says which, and the next one works`, async () => {
      const effects = await countEffects(sweep)
      assert.ok(effects > 15)
      for (let at = 0; at < effects; at++) {
        const deps = await prepared(sweep)
        const filesBefore = filesOf(deps)
        const what = `${code} at ${at}`
        deps.effects.arrange({ at, kind: 'error', code })
        const succeeded = await sweep.change(deps).then(
          () => true,
          (error) => {
            assert.ok(
              ['CONFIG_WRITE_FAILED', 'NGINX_RELOAD_FAILED', 'PROXY_CONFIG_FAILED', 'UPSTREAM_UNHEALTHY'].includes(
                error.code,
              ),
              `${what}: ${error.code}`,
            )
            return false
          },
        )
        deps.effects.arrange(undefined)
        assert.ok(
          succeeded ? sweep.isAfter(deps) : sweep.isBefore(deps),
          `${what}: answered ${succeeded}, serves otherwise`,
        )
        assert.is(servedPort(deps, 'old.example.com'), 8001, what)
        if (!succeeded) assertSameRoutes(filesOf(deps), filesBefore, what)
        await put(deps, 'next', 'next.example.com', 8009)
        assert.is(servedPort(deps, 'next.example.com'), 8009, what)
        await deps.engine.idle()
        await assertCleanAfterRestart(deps, what)
      }
    })
  }

  for (const kind of ['stop_before', 'stop_after'] as const) {
    test(`hard stop ${kind === 'stop_before' ? 'before' : 'after'} any effect: a restart finds all of the change or nothing of it`, async () => {
      const effects = await countEffects(sweep)
      for (let at = 0; at < effects; at++) {
        const stopped = await stoppedAt(sweep, { at, kind })
        assert.is(servedPort(stopped, 'old.example.com'), 8001, `${kind} ${at}, while stopped`)
        const deps = await restarted(stopped)
        assertInvariant(deps, `${kind} ${at}`)
        assert.ok(sweep.isBefore(deps) || sweep.isAfter(deps), `${kind} ${at}: something between`)
        assert.is(servedPort(deps, 'old.example.com'), 8001, `${kind} ${at}`)
        await put(deps, 'next', 'next.example.com', 8009)
        await deps.engine.idle()
        assertInvariant(deps, `${kind} ${at}, next`)
      }
    })
  }

  test.run()
}

const test = suite('sweep: recovery')

test('a hard stop at any effect of the recovery itself is recovered from', async () => {
  const sweep = SWEEPS.update
  if (sweep === undefined) throw new Error('no such sweep')
  const effects = await countEffects(sweep)
  for (let first = 0; first < effects; first += 3) {
    for (let second = 0; second < 25; second += 2) {
      const stopped = await stoppedAt(sweep, { at: first, kind: 'stop_after' })
      const again = await restartedUntil(stopped, second)
      const deps = await restarted(again)
      assertInvariant(deps, `${first}, ${second}`)
      assert.ok(sweep.isBefore(deps) || sweep.isAfter(deps), `${first}, ${second}`)
    }
  }
})

test('a stop while NGINX is down leaves files with which it starts', async () => {
  for (const [name, sweep] of Object.entries(SWEEPS)) {
    const effects = await countEffects(sweep)
    for (let at = 0; at < effects; at += 2) {
      const stopped = await stoppedAt(sweep, { at, kind: 'stop_after' })
      stopped.nginx.running = false
      const deps = await restarted(stopped)
      deps.nginx.running = true
      deps.nginx.loaded = (await import('../../fixtures/fake-nginx.ts')).enabledTexts(deps.disk)
      assertInvariant(deps, `${name} ${at}`)
      assert.ok(sweep.isBefore(deps) || sweep.isAfter(deps), `${name} ${at}`)
    }
  }
})

test.run()

async function stoppedAt(sweep: Sweep, fault: Fault): Promise<FakeDeps> {
  const deps = await prepared(sweep)
  deps.effects.arrange(fault)
  // The stopped process never answers.
  await Promise.race([sweep.change(deps).then(() => deps.engine.idle()), deps.effects.stopped])
  return deps
}

async function restartedUntil({ disk, nginx }: FakeDeps, at: number): Promise<FakeDeps> {
  const { fakeDeps } = await import('../../fixtures/deps.ts')
  const deps = await fakeDeps({ disk, nginx })
  deps.effects.arrange({ at, kind: 'stop_after' })
  await Promise.race([deps.engine.recover(), deps.effects.stopped])
  return deps
}

/** The routes' files to the byte; the shared file may have another generation. */
function assertSameRoutes(now: ReadonlyMap<string, string>, before: ReadonlyMap<string, string>, what: string): void {
  const routes = (files: ReadonlyMap<string, string>) =>
    [...files].filter(([path]) => !path.endsWith('/000-proxy-manager.conf') && !path.includes('/.'))
  assert.equal(routes(now).sort(), routes(before).sort(), what)
}

/** A best-effort clean-up may have failed by the fault; the next start sweeps it. */
async function assertCleanAfterRestart(deps: FakeDeps, what: string): Promise<void> {
  assertInvariant(await restarted(deps), what)
}
