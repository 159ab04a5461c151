/** Random changes by many concurrent callers while processes are killed: what was tried, what was acknowledged, and what was lost. */

import { testNginx } from '../../../fixtures/nginx-instance.ts'
import { type Answer, call, putRoute, type RealHost, through } from './host.ts'
import { togglePanel } from './panel.ts'
import { type StormRegistry, syncOnce } from './storm-registry.ts'
import { workersOf } from './workers.ts'

/** What goes down in a round: the API is killed; NGINX's master is killed, or NGINX is stopped, and NGINX is started again from outside. */
export type Victim = 'api' | 'master' | 'nginx'

export interface Storm {
  readonly rounds: number
  readonly clients: number
  /** In turn. */
  readonly victims: readonly Victim[]
  readonly registry?: StormRegistry
}

export interface StormFigures {
  tried: number
  acknowledged: number
  /** Acknowledged states that were not served afterwards. */
  lost: number
  /** Moments at which NGINX tested what was on disk, and those at which it refused it. */
  moments: number
  refused: number
  /** Starts of NGINX that met a file while it was removed: see {@link startAgain}. */
  crossed: number
  /** Requests for a route that nobody changes: all, those that failed while NGINX ran, and those that failed while it was down. */
  requests: number
  failed: number
  failedWhileDown: number
  readonly violations: string[]
}

/** How many changes are acknowledged before each kill, so that there is something to lose on a slow machine too. */
const ACKNOWLEDGED = 2
const DOMAINS = ['example.com', 'example.org'] as const
const NONE = 'none'

/** Runs a storm to its end on a host that has no other routes. */
export async function runStorm(host: RealHost, storm: Storm, stopped?: AbortSignal): Promise<StormFigures> {
  const droplets = [await host.droplet('one'), await host.droplet('two'), await host.droplet('three')]
  const stable = await host.droplet('stable')
  await putRoute(host.manager, 'stable', 'stable.example.com', stable.port)
  const figures: StormFigures = {
    ...{
      tried: 0,
      acknowledged: 0,
      lost: 0,
      moments: 0,
      refused: 0,
      crossed: 0,
      requests: 0,
      failed: 0,
      failedWhileDown: 0,
    },
    violations: [],
  }
  const names = Array.from({ length: storm.clients }, (_, i) => `app-${i}`)
  /** What each route may serve: what was acknowledged last and, until that is answered, what was requested since. */
  const possible = new Map(
    [...names, ...(storm.registry?.names ?? [])].map((name) => [name, new Set<string>([NONE])] as const),
  )
  const down = { since: Number.POSITIVE_INFINITY, until: 0 }
  const watch = watchStable(host, figures, down)
  for (let round = 0; round < storm.rounds && stopped?.aborted !== true; round++) {
    const victim = storm.victims[round % storm.victims.length] ?? 'api'
    let isOver = false
    let answered = 0
    const enough = Promise.withResolvers<void>()
    /** Records what is possible before the call and after its answer; false if the API was gone. */
    const change = async (wanted: ReadonlyMap<string, string>, ask: () => Promise<Answer>): Promise<boolean> => {
      const previous = [...wanted.keys()].map((name) => [name, new Set(possible.get(name))] as const)
      for (const [name, state] of wanted) possible.get(name)?.add(state)
      figures.tried++
      const answer = await ask().catch(() => undefined)
      if (answer === undefined) return false
      const { status, body } = answer
      if (status < 300 || status === 404) {
        figures.acknowledged++
        if (++answered === ACKNOWLEDGED) enough.resolve()
        for (const [name, state] of wanted) possible.set(name, new Set([state]))
        // A sync is answered even if NGINX went down before its last batch: it says which routes are as they were.
        for (const [name, states] of previous)
          if (body.skipped.some((one) => one.name === name)) possible.set(name, states)
      } else if (body.error?.details.state !== 'degraded') {
        for (const [name, states] of previous) possible.set(name, states)
      }
      if (status >= 300 && status !== 404 && (victim === 'api' || status < 500))
        figures.violations.push(`round ${round}, ${victim}: ${status} ${JSON.stringify(body.error)}`)
      return true
    }
    const write = async (name: string): Promise<void> => {
      while (!isOver) {
        const droplet = droplets[Math.floor(Math.random() * 4)]
        const domain = DOMAINS[Math.random() < 0.2 ? 1 : 0]
        const state = droplet === undefined ? NONE : `${droplet.name} at ${domain}`
        const isRunning = await change(new Map([[name, state]]), () =>
          droplet === undefined
            ? call(host.manager, 'DELETE', `/proxies/${name}`)
            : putRoute(host.manager, name, siteOf(name, domain), droplet.port, { path: pathOf(name) }),
        )
        if (!isRunning) return
      }
    }
    const sync = async (registry: StormRegistry): Promise<void> => {
      while (!isOver) {
        const { wanted, ask } = syncOnce(host, registry, droplets, DOMAINS[0])
        if (!(await change(wanted, ask))) return
      }
    }
    /** The host changes under the routes: an address comes and goes, and every file of ours has to follow. */
    const changeHost = async (): Promise<void> => {
      while (!isOver) {
        togglePanel(host)
        const answer = await call(host.manager, 'POST', '/proxy-manager/reconcile').catch(() => undefined)
        if (answer === undefined) return
        if (answer.status !== 200 && victim === 'api')
          figures.violations.push(`round ${round}: reconcile ${answer.status} ${JSON.stringify(answer.body.error)}`)
      }
    }
    const writers = [changeHost(), ...names.map(write), ...(storm.registry === undefined ? [] : [sync(storm.registry)])]
    await Promise.race([enough.promise, Promise.all(writers)])
    // A different moment of the change each time; a batch takes about 130 ms.
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 300))
    freezeAndTest(host, figures)
    if (victim === 'api') {
      const ended = host.manager.end('SIGKILL')
      isOver = true
      await ended
      testDisk(host, figures)
      await Promise.all(writers)
      await host.restart('SIGKILL')
    } else {
      down.since = performance.now()
      await takeDown(host, victim)
      freezeAndTest(host, figures)
      await startAgain(host, figures)
      down.until = performance.now()
      freezeAndTest(host, figures)
      isOver = true
      await Promise.all(writers)
      // What failed meanwhile has been rolled back, or is now.
      await putRoute(host.manager, 'stable', 'stable.example.com', stable.port)
    }
    if (answered < ACKNOWLEDGED) figures.violations.push(`round ${round}: only ${answered} changes were acknowledged`)
    await compare(host, possible, figures, `round ${round}, ${victim}`)
  }
  await watch.end()
  return figures
}

/** Every other route is mounted at a path; together they have one domain, without a route for `/`. */
function isMount(name: string): boolean {
  return /^app-\d*[13579]$/.test(name)
}

function siteOf(name: string, domain: string): string {
  return `${isMount(name) ? 'site' : name}.${domain}`
}

function pathOf(name: string): string {
  return isMount(name) ? `/${name}` : '/'
}

const NO_MOUNT = 'status 404'

async function compare(
  host: RealHost,
  possible: Map<string, Set<string>>,
  figures: StormFigures,
  when: string,
): Promise<void> {
  for (const [name, may] of possible) {
    const found: string[] = []
    for (const domain of DOMAINS) {
      const answer = await through(host.nginx.httpPort, siteOf(name, domain), pathOf(name))
      if (answer !== 'ECONNRESET' && answer !== NO_MOUNT) found.push(`${answer} at ${domain}`)
    }
    const now = found.join(' and ') || NONE
    if (!may.has(now)) {
      figures.lost++
      figures.violations.push(`${when}: ${name} serves ${now}, may serve ${[...may].join(', ')}`)
    }
    const { status } = await call(host.manager, 'GET', `/proxies/${name}`)
    if (status !== (now === NONE ? 404 : 200))
      figures.violations.push(`${when}: ${name} serves ${now}, and the API answers ${status}`)
    possible.set(name, new Set([now]))
  }
}

/** The workers of a killed master still serve, and hold its ports: they are ended before NGINX starts again, as a service manager does. */
async function takeDown({ nginx }: RealHost, victim: Victim): Promise<void> {
  if (victim === 'nginx') return await nginx.stop()
  const workers = workersOf(nginx)
  await nginx.killMaster()
  for (const worker of workers) {
    try {
      process.kill(worker, 'SIGKILL')
    } catch {
      // It was already ending.
    }
  }
}

/**
 * NGINX lists the files of an include before it opens them (ngx_conf_include), so a start just when a change is rolled back may
 * miss one. The disk is consistent then, and the next start succeeds. The unit's drop-in waits for a change that is under way.
 */
async function startAgain(host: RealHost, figures: StormFigures): Promise<void> {
  await host.nginx.start().catch(async (error: unknown) => {
    if (!String(error).includes('(2: No such file or directory)')) throw error
    figures.crossed++
    freezeAndTest(host, figures)
    await host.nginx.start()
  })
}

/** The disk does not change while the API is stopped. */
function freezeAndTest(host: RealHost, figures: StormFigures): void {
  process.kill(host.manager.pid, 'SIGSTOP')
  testDisk(host, figures)
  process.kill(host.manager.pid, 'SIGCONT')
}

function testDisk({ nginx }: RealHost, figures: StormFigures): void {
  figures.moments++
  const { ok, output } = testNginx(nginx)
  if (ok && !/conflicting|duplicate/.test(output)) return
  figures.refused++
  figures.violations.push(`nginx -t: ${output.trim()}`)
}

/** Requests the route that nobody changes, again and again, on fresh connections. */
function watchStable(host: RealHost, figures: StormFigures, down: { since: number; until: number }) {
  let isOver = false
  const watching = (async () => {
    while (!isOver) {
      const started = performance.now()
      const answer = await through(host.nginx.httpPort, 'stable.example.com')
      figures.requests++
      if (answer !== 'stable') {
        const isDown = performance.now() >= down.since && (started <= down.until || down.until < down.since)
        if (isDown) figures.failedWhileDown++
        else {
          figures.failed++
          figures.violations.push(`the route that nobody changes: ${answer}`)
        }
      }
    }
  })()
  return {
    end: async () => {
      isOver = true
      await watching
    },
  }
}
