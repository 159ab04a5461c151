/** All measurements at one number of routes, on a real NGINX and the API as its own process. */
import { readFileSync } from 'node:fs'
import { call } from '../../fixtures/call.ts'
import { type Droplet, startDroplet } from '../../fixtures/droplet.ts'
import { workersOf } from '../helpers/system/workers.ts'
import { measureFloor, retired } from './floor.ts'
import { shareOfOld } from './fresh-connections.ts'
import { createRoutes, domainOf, type ManagedHost, startHost } from './managed-host.ts'
import type { Scheme } from './options.ts'
import { changePlainly, PLAIN } from './plain-way.ts'
import { allAtOnce, FEW_RUNS, inTurns, timed } from './turns.ts'
import { withUndo } from './undo.ts'

/** Milliseconds, one for each run, unless stated otherwise. */
export interface ChangeFigures {
  readonly routes: number
  readonly scheme: Scheme
  readonly floor: number[]
  /** The part of the floor that is `nginx -t`. */
  readonly test: number[]
  readonly change: number[]
  /** The parts of each change, by their names in Server-Timing. */
  readonly steps: Map<string, number[]>
  /** Of fresh connections right after the answer, the share that saw the previous state. */
  readonly changeOld: number[]
  /** The first change after somebody else has edited NGINX's configuration: all of it is tested, nothing is skipped. */
  readonly changeAfterEdit: number[]
  readonly unchanged: number[]
  /** Unchanged PUTs that reloaded NGINX all the same. */
  unchangedReloads: number
  /** A script's change: until it ends, what fresh connections see then, and until no old worker accepts connections. */
  readonly plain: number[]
  readonly plainOld: number[]
  readonly plainServed: number[]
  readonly burstFloor: number[]
  readonly burst: number[]
  /** How many generations the calls of each burst took. */
  readonly burstGenerations: number[]
  burstFailures: number
  readonly list: number[]
  readonly start: number[]
  /** Resident memory in KiB: after a start, and at the end of all runs. */
  freshKib: number
  usedKib: number
}

export const BURST = 100

interface Bench {
  readonly host: ManagedHost
  readonly droplets: readonly [Droplet, Droplet]
  readonly figures: ChangeFigures
}

/** Sets everything up, measures, and removes it all again, also if `stopped` is aborted before the end. */
export async function measureChanges(
  { routes, scheme, runs }: { readonly routes: number; readonly scheme: Scheme; readonly runs: number },
  stopped: AbortSignal,
): Promise<ChangeFigures> {
  return await withUndo(async (undo) => {
    const droplets = [await startDroplet('one'), await startDroplet('two')] as const
    for (const droplet of droplets) undo.push(() => droplet.close())
    const names = [...namesOf('bench', routes), ...namesOf('burst', BURST), PLAIN]
    const host = await startHost(undo, stopped, { secureNames: scheme === 'https' ? names : [] })
    const bench: Bench = { host, droplets, figures: noFigures(routes, scheme) }
    const few = Math.min(runs, FEW_RUNS)
    await createRoutes(host, { routes, upstreamPort: droplets[0].port, scheme, stopped })
    await inTurns(stopped, few, async () => {
      bench.figures.start.push(await host.restart())
      bench.figures.freshKib = residentKib(host.pid)
    })
    // One round that does not count: code is compiled, caches are filled.
    await takeCalls({ ...bench, figures: noFigures(routes, scheme) })
    await inTurns(stopped, runs, () => takeCalls(bench))
    await inTurns(stopped, few, () => takeBurst(bench))
    bench.figures.usedKib = residentKib(host.pid)
    return bench.figures
  })
}

function noFigures(routes: number, scheme: Scheme): ChangeFigures {
  return {
    routes,
    scheme,
    floor: [],
    test: [],
    change: [],
    steps: new Map(),
    changeOld: [],
    changeAfterEdit: [],
    unchanged: [],
    unchangedReloads: 0,
    plain: [],
    plainOld: [],
    plainServed: [],
    burstFloor: [],
    burst: [],
    burstGenerations: [],
    burstFailures: 0,
    list: [],
    start: [],
    freshKib: 0,
    usedKib: 0,
  }
}

/** A floor, each single call once, the same change as a script does it, and a change after that one. */
async function takeCalls({ host, droplets: [one, two], figures }: Bench): Promise<void> {
  const { scheme } = figures
  const { floorMs, testMs } = await measureFloor(host.nginx)
  figures.floor.push(floorMs)
  figures.test.push(testMs)
  const { port, name } = two
  const [changeMs, changed] = await timed(() => host.put('bench-0', port, scheme))
  if (!changed.reloaded) throw new Error('a PUT of another upstream has changed nothing')
  const target = { scheme, port: host.portOf(scheme) }
  figures.changeOld.push(await shareOfOld({ ...target, domain: domainOf('bench-0') }, name))
  figures.change.push(changeMs)
  for (const [step, ms] of changed.steps) figures.steps.set(step, [...(figures.steps.get(step) ?? []), ms])

  const [unchangedMs, unchanged] = await timed(() => host.put('bench-0', port, scheme))
  figures.unchanged.push(unchangedMs)
  if (unchanged.reloaded) figures.unchangedReloads++
  const [listMs] = await timed(() => call(`${host.url}/proxies`))
  figures.list.push(listMs)

  const old = workersOf(host.nginx)
  const started = performance.now()
  await changePlainly(host.nginx, scheme, port)
  figures.plain.push(performance.now() - started)
  const served = retired(old).then(() => performance.now() - started)
  figures.plainOld.push(await shareOfOld({ ...target, domain: domainOf(PLAIN) }, name))
  figures.plainServed.push(await served)

  const [afterEditMs] = await timed(() => host.put('bench-0', one.port, scheme))
  figures.changeAfterEdit.push(afterEditMs)
}

/** A floor, and new routes all at once; they are deleted again. */
async function takeBurst({ host, droplets, figures }: Bench): Promise<void> {
  figures.burstFloor.push((await measureFloor(host.nginx)).floorMs)
  const put = (name: string) => host.put(name, droplets[0].port, figures.scheme).catch(() => undefined)
  const [ms, calls] = await timed(() => allAtOnce(BURST, (i) => put(`burst-${i}`)))
  const done = calls.filter((changed) => changed !== undefined)
  figures.burst.push(ms)
  figures.burstGenerations.push(new Set(done.map(({ generation }) => generation)).size)
  figures.burstFailures += calls.length - done.length
  await allAtOnce(BURST, (i) => host.remove(`burst-${i}`))
}

function namesOf(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}-${i}`)
}

/** VmRSS of a process (proc(5)). */
function residentKib(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}
