/** Breaks a change, or the recovery after it, at each of its effects in turn, and reports how often, and which promises were broken. */
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import type { Fault } from '../../fixtures/effects.ts'
import { enabledTexts } from '../../fixtures/fake-nginx.ts'
import { promMetrics } from '../../lib/adapters/metrics.ts'
import { SWEEP_SETTINGS, type Sweep } from './sweeps.ts'
import { assertEventsMatch, assertInvariant, filesOf, put, restarted, servedPort, worldWithRoute } from './world.ts'

export interface Swept {
  readonly faults: number
  /** One sentence for each broken promise. */
  readonly violations: readonly string[]
}

/** Shared by thousands of hosts: one set for each would use too much memory. */
const metrics = promMetrics()

/** The error codes of changes while the host is broken. */
const EXPECTED = [
  'CONFIG_READ_FAILED',
  'CONFIG_WRITE_FAILED',
  'NGINX_RELOAD_FAILED',
  'PROXY_CONFIG_FAILED',
  'UPSTREAM_UNHEALTHY',
]

/** The effects that keep failing while a disk is full, or read-only. */
const NEED_SPACE = ['write', 'writeUnsynced', 'replaceUnsynced', 'append', 'syncFile', 'symlink', 'makeFolder']
const NEED_DISK = [...NEED_SPACE, 'rename', 'remove', 'link', 'syncFolder']
export const LASTING: Readonly<Record<string, readonly string[]>> = {
  ENOSPC: NEED_SPACE,
  EMFILE: [...NEED_SPACE, 'syncFolder', 'run'],
  EACCES: NEED_DISK,
  EROFS: NEED_DISK,
  EIO: NEED_DISK,
}

/** One effect fails, the others work; or, with `lasting`, the disk stays as it is until the change is answered and health was queried. */
export async function failEach(sweep: Sweep, code: string, lasting?: readonly string[], every = 1): Promise<Swept> {
  return await each(
    await countEffects(sweep),
    every,
    `${code}${lasting === undefined ? '' : ' that persists'}`,
    async (at) => {
      const deps = await prepared(sweep)
      const filesBefore = filesOf(deps)
      deps.effects.arrange({ at, kind: 'error', code, ...(lasting && { lasting }) })
      const succeeded = await isDone(sweep, deps)
      assert.is(servedPort(deps, 'old.example.com'), 8001)
      if (!succeeded && lasting !== undefined) {
        const { status, reasons } = await deps.engine.readHealth()
        assert.is(status, 'unhealthy', 'health does not say that changes fail')
        assert.ok(reasons.length > 0)
      }
      deps.effects.arrange(undefined)
      if (lasting === undefined) {
        assert.ok(
          succeeded ? sweep.isAfter(deps) : sweep.isBefore(deps),
          `answered ${succeeded}, but serves another state`,
        )
        if (!succeeded) assertSameRoutes(filesOf(deps), filesBefore)
      }
      await put(deps, 'next', 'next.example.com', 8009)
      await deps.engine.idle()
      assertEventsMatch(deps)
      assert.ok(
        succeeded ? sweep.isAfter(deps) : sweep.isBefore(deps),
        `answered ${succeeded}, but serves another state`,
      )
      assert.is(servedPort(deps, 'old.example.com'), 8001)
      assert.is(servedPort(deps, 'next.example.com'), 8009)
      // A reconcile that failed is tried again within a minute; until then health says so, as it does of a file that was moved.
      if (lasting !== undefined) {
        const { reasons } = await deps.engine.readHealth()
        assert.equal(
          reasons.filter((reason) => !/could not be rendered again|was edited by hand/.test(reason)),
          [],
        )
      }
      // The fault may have broken a best-effort cleanup; the next start completes it.
      assertInvariant(await restarted(deps))
    },
  )
}

/** One read fails, the others work; or, with `isLasting`, every later one fails too until the change is answered. */
export async function failEachRead(sweep: Sweep, code: string, every: number, isLasting = false): Promise<Swept> {
  const count = await countReads(sweep)
  return await each(count, every, `${code} of a read${isLasting ? ' that lasts' : ''}`, async (at) => {
    const deps = await prepared(sweep)
    deps.effects.arrangeRead({ at, code, lasting: isLasting })
    const succeeded = await isDone(sweep, deps)
    await assertListIsRight(deps)
    assert.is(servedPort(deps, 'old.example.com'), 8001)
    deps.effects.arrangeRead(undefined)
    await deps.engine.idle()
    await put(deps, 'next', 'next.example.com', 8009)
    await deps.engine.idle()
    const isBefore = sweep.isRepeated === true || sweep.isBefore(deps)
    assert.ok(succeeded ? sweep.isAfter(deps) : isBefore, `answered ${succeeded}, but serves another state`)
    assert.is(servedPort(deps, 'old.example.com'), 8001)
    assert.is(servedPort(deps, 'next.example.com'), 8009)
    await assertListIsRight(deps)
    assertWhole(sweep, await restarted(deps))
  })
}

/** A list is complete, or it is an error. */
async function assertListIsRight({ engine }: FakeDeps): Promise<void> {
  const names = await engine.listProxies().then(
    (proxies) => proxies.map(({ droplet_name }) => droplet_name),
    ({ code }: NodeJS.ErrnoException) => {
      assert.is(code, 'CONFIG_READ_FAILED')
      return ['old']
    },
  )
  assert.ok(names.includes('old'), `listed without a route: ${names}`)
}

/** The process stops hard at one effect, and is started again. */
export async function stopEach(sweep: Sweep, kind: 'stop_before' | 'stop_after', every = 1): Promise<Swept> {
  return await each(await countEffects(sweep), every, kind, async (at) => {
    const stopped = await stoppedAt(sweep, { at, kind })
    assert.is(servedPort(stopped, 'old.example.com'), 8001)
    const deps = await restarted(stopped)
    assertWhole(sweep, deps)
    assert.ok(!stopped.isAnswered || sweep.isAfter(deps), 'what was answered is undone')
    await put(deps, 'next', 'next.example.com', 8009)
    await deps.engine.idle()
    assertInvariant(deps)
    assertEventsMatch(deps)
  })
}

/** The process stops hard at one effect while NGINX is down too, and NGINX is started after the recovery. */
export async function stopEachWithoutNginx(sweep: Sweep, every = 1): Promise<Swept> {
  return await each(await countEffects(sweep), every, 'stop without NGINX', async (at) => {
    const stopped = await stoppedAt(sweep, { at, kind: 'stop_after' })
    stopped.nginx.running = false
    const deps = await restarted(stopped)
    deps.nginx.running = true
    deps.nginx.loaded = enabledTexts(deps.disk)
    assertWhole(sweep, deps)
  })
}

/** A change stops hard at one effect; then the recovery breaks at one of its own, and the next recovery must complete it. */
export async function breakRecoveries(
  sweep: Sweep,
  fault:
    | { readonly kind: 'stop_after' }
    | { readonly kind: 'error'; readonly code: string }
    | { readonly kind: 'read'; readonly code: string },
  every: number,
): Promise<Swept> {
  const all: Swept[] = []
  const effects = await countEffects(sweep)
  for (let first = 0; first < effects; first += every) {
    const stop = { at: first, kind: 'stop_after' } as const
    const { disk, nginx } = await stoppedAt(sweep, stop)
    const whole = await fakeDeps({ disk, nginx, metrics })
    const readsBefore = whole.effects.reads()
    await whole.engine.recover()
    const swept = await each(
      fault.kind === 'read' ? whole.effects.reads() - readsBefore : whole.effects.journal.length,
      fault.kind === 'read' ? 3 : 1,
      `${describe(fault)} after a stop at ${first}`,
      async (at) => {
        const { disk, nginx } = await stoppedAt(sweep, stop)
        const deps = await fakeDeps({ disk, nginx, metrics })
        if (fault.kind === 'read') deps.effects.arrangeRead({ at, code: fault.code })
        else deps.effects.arrange({ at, ...fault })
        await Promise.race([deps.engine.recover(), deps.effects.stopped])
        deps.effects.arrange(undefined)
        deps.effects.arrangeRead(undefined)
        assert.is(servedPort(deps, 'old.example.com'), 8001)
        if (fault.kind !== 'stop_after') {
          // The same process continues: the next call, or the timer, completes what the start could not.
          await put(deps, 'next', 'next.example.com', 8009)
          await deps.engine.idle()
          assert.is(servedPort(deps, 'next.example.com'), 8009)
        }
        assertWhole(sweep, await restarted(deps))
      },
    )
    all.push(swept)
  }
  return together(all)
}

/** The sum of several sweeps. */
export function together(all: readonly Swept[]): Swept {
  return {
    faults: all.reduce((sum, { faults }) => sum + faults, 0),
    violations: all.flatMap(({ violations }) => violations),
  }
}

function describe(fault: { readonly kind: string; readonly code?: string }): string {
  return fault.code ?? fault.kind
}

async function each(
  count: number,
  every: number,
  what: string,
  breakAt: (at: number) => Promise<void>,
): Promise<Swept> {
  let faults = 0
  const violations: string[] = []
  for (let at = 0; at < count; at += every) {
    faults++
    await breakAt(at).catch((error: Error) => violations.push(`${what} at ${at}: ${error.message}`))
  }
  return { faults, violations }
}

async function prepared(sweep: Sweep): Promise<FakeDeps> {
  const deps = await worldWithRoute({ settings: SWEEP_SETTINGS, metrics })
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
  const count = deps.effects.journal.length - before
  assert.ok(count > 15, `only ${count} effects: the sweep does not reach the change`)
  return count
}

/** How many reads the change has when nothing fails. */
async function countReads(sweep: Sweep): Promise<number> {
  const deps = await prepared(sweep)
  const before = deps.effects.reads()
  await sweep.change(deps)
  await deps.engine.idle()
  return deps.effects.reads() - before
}

async function isDone(sweep: Sweep, deps: FakeDeps): Promise<boolean> {
  return await sweep.change(deps).then(
    () => true,
    ({ code, message }: NodeJS.ErrnoException) => {
      assert.ok(EXPECTED.includes(code ?? ''), `${code}: ${message}`)
      return false
    },
  )
}

/** A host whose process has stopped, perhaps after the answer to the change. */
async function stoppedAt(sweep: Sweep, fault: Fault): Promise<FakeDeps & { readonly isAnswered: boolean }> {
  const deps = await prepared(sweep)
  deps.effects.arrange(fault)
  let isAnswered = false
  const changing = sweep.change(deps).then(() => {
    isAnswered = true
    return deps.engine.idle()
  })
  await Promise.race([changing, deps.effects.stopped])
  return { ...deps, isAnswered }
}

function assertWhole(sweep: Sweep, deps: FakeDeps): void {
  assertInvariant(deps)
  assertEventsMatch(deps)
  assert.ok(sweep.isBefore(deps) || sweep.isAfter(deps), 'a mixture of both states is served')
  assert.is(servedPort(deps, 'old.example.com'), 8001)
}

/** The routes' files byte for byte; the shared file may have another generation. */
function assertSameRoutes(now: ReadonlyMap<string, string>, before: ReadonlyMap<string, string>): void {
  const routes = (files: ReadonlyMap<string, string>) =>
    [...files].filter(([path]) => !path.endsWith('/000-proxy-manager.conf') && !path.includes('/.'))
  assert.equal(routes(now).sort(), routes(before).sort())
}
