/** The API's process is killed, or its call fails, at each system call that a change or a recovery makes, without any help of its code. */
import { type Answer, call, putRoute, type RealHost, startHost } from '../../helpers/system/host.ts'
import type { Findings } from '../findings.ts'
import {
  disagreement,
  eventFaults,
  lastEvent,
  leftovers,
  type Place,
  refusedByNginx,
  served,
} from '../host-promises.ts'
import type { FaultsPart } from './bounds.ts'
import { type Call, hasStrace, type Injection, inject, killedAt, listCalls, ONE_WORKER } from './strace.ts'

const NAME = 'app'
const STABLE = 'stable.example.com'
const ALONE: Place = { domain: 'app.example.com' }
/** Under the domain of another route, in whose file its locations are. */
const MOUNT: Place = { domain: STABLE, path: '/app', otherwise: 'stable' }

interface Change {
  readonly before: 'none' | 'one'
  readonly after: 'none' | 'two'
  /** The type of its event. */
  readonly event: string
  readonly place: Place
}
const CHANGES: Readonly<Record<string, Change>> = {
  create: { before: 'none', after: 'two', event: 'route.created', place: ALONE },
  update: { before: 'one', after: 'two', event: 'route.replaced', place: ALONE },
  delete: { before: 'one', after: 'none', event: 'route.deleted', place: ALONE },
  'create of a mount': { before: 'none', after: 'two', event: 'route.created', place: MOUNT },
  'delete of a mount': { before: 'one', after: 'none', event: 'route.deleted', place: MOUNT },
}
/** The calls that only the recovery makes at a start. */
const RECOVERY_CALLS = ['rename', 'link', 'symlink', 'unlink', 'fsync']

interface Bench {
  readonly host: RealHost
  readonly ports: Readonly<Record<string, number>>
  readonly points: Map<string, number>
  readonly violations: string[]
}

export const syscalls: FaultsPart = {
  title: 'each system call of a change fails, or is the last of its process',
  run: async ({ every }, stopped) => {
    if (!hasStrace()) return { figures: [], violations: [], impossible: 'strace cannot be run' }
    const host = await startHost({}, ONE_WORKER)
    try {
      const droplets = [await host.droplet('one'), await host.droplet('two'), await host.droplet('stable')]
      const ports = Object.fromEntries(droplets.map(({ name, port }) => [name, port]))
      const bench: Bench = { host, ports, points: new Map(), violations: [] }
      await put(bench, 'stable', { domain: STABLE }, 'stable')
      for (const [title, change] of Object.entries(CHANGES)) {
        const calls = await dryRun(bench, change)
        for (const injection of ['kill', 'ENOSPC', 'EIO'] as const) {
          for (let i = 0; i < calls.length; i += every) {
            stopped.throwIfAborted()
            const point = calls[i]
            if (point !== undefined) await breakAt(bench, title, change, point, injection)
          }
        }
        await breakRecovery(bench, title, change, calls, every, stopped)
      }
      return summarize(bench)
    } finally {
      await host.close()
    }
  },
}

async function dryRun(bench: Bench, change: Change): Promise<readonly Call[]> {
  const { host } = bench
  await reset(bench, change)
  return await listCalls(host.manager.pid, host.nginx.root, async () => {
    await apply(bench, change, change.after)
    await settle(bench)
  })
}

async function breakAt(bench: Bench, title: string, change: Change, point: Call, injection: Injection): Promise<void> {
  const { host } = bench
  const broken = (words: readonly string[]) =>
    bench.violations.push(
      ...words.map((word) => `${injection} at ${point.name} ${point.nth} (${point.on}) of ${title}: ${word}`),
    )
  await reset(bench, change)
  const last = await lastEvent(host)
  const attached = await inject(host.manager.pid, point, injection)
  const answer = await apply(bench, change, change.after).catch(() => undefined)
  if (answer !== undefined) await settle(bench).catch(() => undefined)
  await attached.end()
  tally(bench, `${injection} at ${point.name}`)

  broken(refusedByNginx(host.nginx))
  if (injection === 'kill') {
    broken(await wrongState(bench, change, answer))
    await host.restart('SIGKILL')
    broken(leftovers(host.nginx))
    broken(refusedByNginx(host.nginx))
  } else if (answer === undefined) broken(['no answer'])
  broken(await wrongState(bench, change, answer))
  broken(await disagreement(host, NAME, change.place))
  broken(await wrongEvents(bench, change, last))
}

/** Exactly one event says what is served, if that has changed. */
async function wrongEvents({ host }: Bench, change: Change, last: number): Promise<string[]> {
  const isChanged = (await served(host, change.place)) === change.after
  return await eventFaults(host, NAME, last, isChanged ? change.event : undefined)
}

/** An acknowledged state is served, a refused one is not; without an answer either may be. */
async function wrongState({ host }: Bench, change: Change, answer: Answer | undefined): Promise<string[]> {
  const now = await served(host, change.place)
  const may =
    answer === undefined || answer.body.error?.details.state === 'degraded'
      ? [change.before, change.after]
      : [answer.status < 300 ? change.after : change.before]
  const stable = await served(host, STABLE)
  return [
    ...(may.some((state) => state === now) ? [] : [`answered ${answer?.status}, and NGINX serves ${now}`]),
    ...(stable === 'stable' ? [] : [`the other route serves ${stable}`]),
  ]
}

/** A change is killed halfway, then the recovering start at each of its calls, then a last start completes the recovery. */
async function breakRecovery(
  bench: Bench,
  title: string,
  change: Change,
  calls: readonly Call[],
  every: number,
  stopped: AbortSignal,
): Promise<void> {
  const { host } = bench
  // In the middle of the swap, and when the change is served and its journal about to be removed.
  const halves = [
    calls.findLast(({ name, on }) => name.startsWith('rename') && on.startsWith('/sites-')),
    calls.find(({ name, on }) => name.startsWith('unlink') && on === '/state/journal'),
  ].filter((point) => point !== undefined)
  if (halves.length !== 2) throw new Error(`a ${title} does not make the calls that it is known for`)
  for (const half of halves) {
    for (const name of RECOVERY_CALLS) {
      for (let nth = 1; ; nth += every) {
        stopped.throwIfAborted()
        await reset(bench, change)
        const last = await lastEvent(host)
        const attached = await inject(host.manager.pid, half, 'kill')
        await apply(bench, change, change.after)
          .then(() => settle(bench))
          .catch(() => undefined)
        await attached.end()
        const cameUp = await host.restart('SIGKILL', killedAt(name, nth)).then(
          () => true,
          () => false,
        )
        // If the call was not reached, strace is still attached.
        await host.restart('SIGKILL')
        const found = [
          ...(await wrongState(bench, change, undefined)),
          ...leftovers(host.nginx),
          ...refusedByNginx(host.nginx),
          ...(await disagreement(host, NAME, change.place)),
          ...(await wrongEvents(bench, change, last)),
        ]
        bench.violations.push(...found.map((word) => `kill at ${name} ${nth} of the recovery of a ${title}: ${word}`))
        if (cameUp) break
        tally(bench, `kill at ${name} of a recovery`)
      }
    }
  }
}

/** Brings the route to its initial state, and waits until nothing is under way. */
async function reset(bench: Bench, change: Change): Promise<void> {
  const answer = await apply(bench, change, change.before)
  if (answer.status >= 300 && answer.status !== 404)
    throw new Error(`the host did not recover from the last fault: ${JSON.stringify(answer.body)}`)
  await settle(bench)
}

async function apply(bench: Bench, { place }: Change, state: 'none' | 'one' | 'two'): Promise<Answer> {
  if (state === 'none') return await call(bench.host.manager, 'DELETE', `/proxies/${NAME}`)
  return await put(bench, NAME, place, state)
}

async function put(
  { host, ports }: Bench,
  name: string,
  { domain, path = '/' }: Place,
  droplet: string,
): Promise<Answer> {
  return await putRoute(host.manager, name, domain, ports[droplet] ?? 0, { path, require_healthy: false })
}

/** An unchanged PUT is queued after the cleanup of the previous change, and touches no file. */
async function settle(bench: Bench): Promise<void> {
  await put(bench, 'stable', { domain: STABLE }, 'stable')
}

function tally({ points }: Bench, what: string): void {
  points.set(what, (points.get(what) ?? 0) + 1)
}

function summarize({ points, violations }: Bench): Findings {
  const total = [...points.values()].reduce((sum, count) => sum + count, 0)
  return {
    figures: [
      ...[...points].map(([what, value]) => ({ what: `points: ${what}`, value })),
      { what: 'points altogether', value: total },
      { what: 'broken promises', value: violations.length, atMost: 0 },
    ],
    violations,
  }
}
