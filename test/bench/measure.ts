/** Everything that is measured at one number of routes, on a real NGINX and the API as a process of its own. */
import { readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import * as v from 'valibot'
import { call } from '../../fixtures/call.ts'
import { type Droplet, startDroplet } from '../../fixtures/droplet.ts'
import { type Manager, startManager } from '../../fixtures/manager.ts'
import { createNginx, freePort, type NginxInstance } from '../../fixtures/nginx-instance.ts'
import { measureFloor } from './floor.ts'

/** Milliseconds, one for each run, where nothing else is said. */
export interface Figures {
  readonly routes: number
  readonly floor: number[]
  readonly change: number[]
  /** The parts of each change, by their names in Server-Timing. */
  readonly steps: Map<string, number[]>
  readonly unchanged: number[]
  /** Unchanged PUTs for which NGINX was called all the same. */
  unchangedReloads: number
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
const FEW_RUNS = 5
/** However slow the machine is, no single figure takes longer than this. */
const LIMIT_MS = 60_000

interface Bench {
  readonly nginx: NginxInstance
  readonly droplets: readonly [Droplet, Droplet]
  readonly port: number
  readonly stopped: AbortSignal
  manager: Manager
}

const ReceiptOf = v.object({ receipt: v.object({ generation: v.number(), reloaded: v.boolean() }) })

/** Sets everything up, measures, and removes it all again; also where `stopped` says so before the end. */
export async function measure(routes: number, runs: number, stopped: AbortSignal): Promise<Figures> {
  const nginx = await createNginx()
  const droplets = [await startDroplet('one'), await startDroplet('two')] as const
  let bench: Bench | undefined
  try {
    await nginx.start()
    const port = await freePort()
    bench = { nginx, droplets, port, stopped, manager: await startManager(nginx.environment, port) }
    return await measureAll(bench, routes, runs)
  } finally {
    await bench?.manager.end()
    await Promise.all(droplets.map((droplet) => droplet.close()))
    await nginx.remove()
  }
}

async function measureAll(bench: Bench, routes: number, runs: number): Promise<Figures> {
  const figures: Figures = {
    routes,
    floor: [],
    change: [],
    steps: new Map(),
    unchanged: [],
    unchangedReloads: 0,
    burstFloor: [],
    burst: [],
    burstGenerations: [],
    burstFailures: 0,
    list: [],
    start: [],
    freshKib: 0,
    usedKib: 0,
  }
  const few = Math.min(runs, FEW_RUNS)
  await createRoutes(bench, routes)
  await inTurns(bench, few, async () => {
    figures.start.push(await restart(bench))
    figures.freshKib = residentKib(bench.manager.pid)
  })
  // One round that does not count: code is compiled, caches are filled.
  await measureFloor(bench.nginx)
  await put(bench, 'bench-0', bench.droplets[1].port)
  await inTurns(bench, runs, (run) => takeCalls(bench, figures, run))
  await inTurns(bench, few, () => takeBurst(bench, figures))
  figures.usedKib = residentKib(bench.manager.pid)
  return figures
}

/** A floor, and each single call once. */
async function takeCalls(bench: Bench, figures: Figures, run: number): Promise<void> {
  figures.floor.push(await measureFloor(bench.nginx))
  const { port } = bench.droplets[run % 2 === 0 ? 0 : 1]
  const [changeMs, changed] = await timed(() => put(bench, 'bench-0', port))
  if (!changed.reloaded) throw new Error('a changing PUT has changed nothing')
  figures.change.push(changeMs)
  for (const [name, ms] of changed.steps) figures.steps.set(name, [...(figures.steps.get(name) ?? []), ms])
  const [unchangedMs, unchanged] = await timed(() => put(bench, 'bench-0', port))
  figures.unchanged.push(unchangedMs)
  if (unchanged.reloaded) figures.unchangedReloads++
  const [listMs] = await timed(() => call(`${bench.manager.url}/proxies`))
  figures.list.push(listMs)
}

/** A floor, and new routes all at once; they are deleted again. */
async function takeBurst(bench: Bench, figures: Figures): Promise<void> {
  figures.burstFloor.push(await measureFloor(bench.nginx))
  const [ms, calls] = await timed(() =>
    all(BURST, (i) => put(bench, `burst-${i}`, bench.droplets[0].port).catch(() => undefined)),
  )
  const done = calls.filter((changed) => changed !== undefined)
  figures.burst.push(ms)
  figures.burstGenerations.push(new Set(done.map(({ generation }) => generation)).size)
  figures.burstFailures += calls.length - done.length
  await all(BURST, (i) => call(`${bench.manager.url}/proxies/burst-${i}`, { method: 'DELETE' }))
}

async function createRoutes(bench: Bench, routes: number): Promise<void> {
  for (let from = 0; from < routes; from += BURST) {
    bench.stopped.throwIfAborted()
    const count = Math.min(BURST, routes - from)
    await all(count, (i) => put(bench, `bench-${from + i}`, bench.droplets[0].port))
  }
}

async function put({ manager }: Bench, name: string, port: number) {
  const body = { domain: `${name}.example.com`, upstream_port: port, enable_ssl: false }
  const answer = await call(`${manager.url}/proxies/${name}`, { method: 'PUT', body })
  if (answer.status !== 200 && answer.status !== 201) throw new Error(`PUT ${name}: ${answer.status} ${answer.text}`)
  const timing = String(answer.headers['server-timing'])
  const steps = [...timing.matchAll(/(\w+);dur=([\d.]+)/g)].map(([, step = '', ms]) => [step, Number(ms)] as const)
  return { ...v.parse(ReceiptOf, JSON.parse(answer.text)).receipt, steps }
}

/** Ends the API and starts it anew; how long it took until it listened and answered a list. */
async function restart(bench: Bench): Promise<number> {
  await bench.manager.end()
  const failed = new AbortController()
  const started = performance.now()
  const starting = startManager(bench.nginx.environment, bench.port).then(
    (manager) => {
      bench.manager = manager
    },
    (error: unknown) => {
      failed.abort()
      throw error
    },
  )
  const answered = firstAnswer(`http://127.0.0.1:${bench.port}/proxies`, failed.signal)
  const [at] = await Promise.all([answered, starting])
  return at - started
}

/** When a list is answered for the first time. */
async function firstAnswer(url: string, failed: AbortSignal): Promise<number> {
  const deadline = performance.now() + LIMIT_MS
  while (performance.now() < deadline && !failed.aborted) {
    const answer = await call(url).catch(() => undefined)
    if (answer?.status === 200) return performance.now()
    await setTimeout(1)
  }
  throw new Error(`${url} does not answer`)
}

/** VmRSS of a process (proc(5)). */
function residentKib(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}

/** Runs something a number of times, fewer where that would take too long. */
async function inTurns({ stopped }: Bench, runs: number, job: (run: number) => Promise<void>): Promise<void> {
  const deadline = performance.now() + LIMIT_MS
  for (let run = 0; run < runs && performance.now() < deadline; run++) {
    stopped.throwIfAborted()
    await job(run)
  }
}

async function all<T>(count: number, job: (i: number) => Promise<T>): Promise<T[]> {
  return await Promise.all(Array.from({ length: count }, (_, i) => job(i)))
}

async function timed<T>(job: () => Promise<T>): Promise<readonly [ms: number, result: T]> {
  const started = performance.now()
  const result = await job()
  return [performance.now() - started, result]
}
