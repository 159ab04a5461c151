/** Upstreams that a change has replaced or removed: whether their droplets may be stopped. Callers wait for that outside the queue. */
import type { Clock } from '../adapters/clock.ts'
import type { ChangeContext } from '../change/context.ts'
import type { Origin } from '../events/event.ts'
import type { Work } from '../events/progress.ts'
import {
  type DrainFigures,
  type DrainState,
  drainState,
  type OldWorker,
  type OldWorkers,
  readOldWorkers,
  UNSEEN,
} from '../nginx/draining.ts'
import { isSameDestination, leavingUpstreams, type ServedUpstream, servedUpstreams } from '../plan/leaving-upstream.ts'
import type { DrainingUpstream } from '../route/state.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import { servedRoutes } from './arrivals.ts'
import type { Changed, DrainWait, FormerUpstream, RouteChanged } from './engine.ts'
import type { Submitted } from './submit-change.ts'

export interface Drains {
  /** Completes the receipt of a change. Waits until the upstream that it has replaced is drained, at most the given time. Never fails. */
  settle(submitted: Submitted, wait?: DrainWait): Promise<RouteChanged>
  /** The former upstreams of a droplet that old workers have connections to. */
  drainingOf(dropletName: string): Promise<DrainingUpstream[]>
  /** Looks at the old workers and at every former upstream. */
  read(): Promise<DrainFigures>
  /** The droplet has another name. */
  move(dropletName: string, newName: string): void
  /** Ends all waits, also later ones: the process stops. */
  end(): void
}

interface Draining extends ServedUpstream {
  readonly dropletName: string
  readonly sinceMs: number
}

/** What was seen at one moment. */
interface Sight {
  readonly old: OldWorkers | 'unknown'
  readonly served: readonly ServedUpstream[]
}

const TIMER: Origin = { actor: { kind: 'timer' } }

/** Most old workers end within milliseconds; the others may take hours. */
const FIRST_PAUSE_MS = 20
const LONGEST_PAUSE_MS = 1000

/** Follows the upstreams that the changes of one process replace. */
export function drains(context: ChangeContext): Drains {
  const { clock } = context.host
  const ending = new AbortController()
  const { look, overdue } = sightOf(context)
  let draining: readonly Draining[] = []

  /** The state of each former upstream. Those that are drained are forgotten, and those of which nothing is known. */
  const review = (sight: Sight): readonly (Draining & DrainState)[] => {
    const states = draining.map((one) => ({ ...one, ...judge(sight, one) }))
    const left = states.filter(({ drained, connections }) => drained !== true && connections !== null)
    draining = draining.filter((_, i) => left.some((one) => one === states[i]))
    for (const one of states) if (one.drained === true) noteDrained(context, one)
    return left
  }

  return {
    settle: async ({ route, former, routes, ...changed }, wait = {}) => {
      const { outcome, receipt } = changed
      const leaving = leavingUpstreams(former, outcome === 'deleted' ? undefined : route)
      const answer = (states: readonly WaitedState[]) => withFormer(changed, leaving, states)
      if (leaving.length === 0) return answer([])
      // NGINX is stopped, or still has the route: it rejects other files.
      if (!receipt.reloaded) return answer(leaving.map(() => ({ ...UNSEEN, waited_ms: 0 })))
      const { droplet_name: dropletName } = route.record
      draining = withLeaving(draining, dropletName, leaving, clock.nowMs())
      // Another change may have been made since.
      const isNewest = context.state.generation === receipt.generation
      let sight = await look(receipt.generation, isNewest ? routes : undefined)
      const settled = leaving.map((upstream) => {
        const find = async () => {
          sight = await look(receipt.generation)
          return judge(sight, upstream)
        }
        const onWait = drainReporter(context, { dropletName, origin: wait.origin }, upstream.url)
        return untilDrained(clock, judge(sight, upstream), find, { ...wait, ending: ending.signal, onWait })
      })
      const states = await Promise.all(settled)
      review(sight)
      return answer(states)
    },
    drainingOf: async (dropletName) =>
      review(await look()).flatMap((one) => {
        if (one.dropletName !== dropletName || one.connections === null || one.connections === 0) return []
        return [{ upstream: one.url, connections: one.connections, since: new Date(one.sinceMs).toISOString() }]
      }),
    read: async () => {
      const connections = new Map<string, number>()
      const sight = await look()
      for (const { dropletName, connections: own } of review(sight))
        connections.set(dropletName, (connections.get(dropletName) ?? 0) + (own ?? 0))
      const { old } = sight
      return { workers: old === 'unknown' ? undefined : old.workers.length, connections, overdue: overdue() }
    },
    move: (dropletName, newName) => {
      draining = draining.map((one) => (one.dropletName === dropletName ? { ...one, dropletName: newName } : one))
    },
    end: () => ending.abort(),
  }
}

/** No answer promises this event, so none waits for it. */
function noteDrained(
  { events, host }: ChangeContext,
  { dropletName: droplet_name, url: upstream, sinceMs }: Draining,
): void {
  const details = { upstream, took_ms: host.clock.nowMs() - sinceMs }
  void events.add({ type: 'route.drained', origin: TIMER, droplet_name, details })
}

/** These upstreams of a droplet are former ones from now on; those that it had and left before stay. */
function withLeaving(
  draining: readonly Draining[],
  dropletName: string,
  leaving: readonly ServedUpstream[],
  sinceMs: number,
): readonly Draining[] {
  const isLeaving = (one: Draining) => one.dropletName === dropletName && leaving.some(({ url }) => url === one.url)
  return [
    ...draining.filter((one) => !isLeaving(one)),
    ...leaving.map((upstream) => ({ ...upstream, dropletName, sinceMs })),
  ]
}

type WaitedState = Omit<FormerUpstream, 'upstream'>

/** A change with the state of each upstream that it has replaced or removed. */
function withFormer(
  { receipt, ...changed }: Changed,
  leaving: readonly ServedUpstream[],
  states: readonly WaitedState[],
): RouteChanged {
  const former = leaving.flatMap(({ url: upstream }, i) => {
    const state = states[i]
    return state === undefined ? [] : [{ upstream, ...state }]
  })
  return { ...changed, receipt: { ...receipt, former } }
}

function drainReporter({ progress }: ChangeContext, work: Work, upstream: string): EachWait['onWait'] {
  return ({ connections }) => progress.report('draining', [work], { upstream, connections })
}

interface EachWait {
  readonly ending: AbortSignal
  /** Called before each pause. */
  readonly onWait: (state: DrainState) => void
}

/** Looks again until the upstream is drained, or that cannot be seen, or the wait ends. */
async function untilDrained(
  clock: Clock,
  first: DrainState,
  find: () => Promise<DrainState>,
  { drainWaitS = 0, signal, ending, onWait }: DrainWait & EachWait,
): Promise<WaitedState> {
  let state = first
  const startedMs = clock.monotonicMs()
  const elapsedMs = () => clock.monotonicMs() - startedMs
  const ended = AbortSignal.any([ending, ...(signal === undefined ? [] : [signal])])
  const whenEnded = new Promise<void>((resolve) => ended.addEventListener('abort', () => resolve()))
  let waited_ms = 0
  for (let pauseMs = FIRST_PAUSE_MS; state.drained !== true && state.connections !== null; pauseMs *= 2) {
    const remainingMs = drainWaitS * 1000 - elapsedMs()
    if (remainingMs <= 0 || ended.aborted) break
    onWait(state)
    await Promise.race([clock.sleep(Math.min(pauseMs, LONGEST_PAUSE_MS, remainingMs)), whenEnded])
    state = await find()
    waited_ms = Math.round(elapsedMs())
  }
  return { ...state, waited_ms }
}

/** An upstream that a route leads to is not drained by any change. */
function judge({ old, served }: Sight, upstream: ServedUpstream): DrainState {
  return served.some((other) => isSameDestination(upstream, other)) ? UNSEEN : drainState(old, upstream)
}

/** A look reads all of /proc: the calls of one batch share it. */
const FRESH_MS = 20
const OVERDUE_MS = 3_600_000

/** Looks at the old workers and at what is served, and remembers since when each old worker is one. */
function sightOf({ host, ...context }: ChangeContext) {
  const { clock } = host
  let last: { readonly sight: Promise<Sight>; readonly atMs: number; readonly generation: number } | undefined
  let known: readonly (Pick<OldWorker, 'pid' | 'startTime'> & { readonly sinceMs: number })[] = []
  const read = async (given: Snapshot['routes'] | undefined): Promise<Sight> => {
    try {
      const routes = given ?? (await servedRoutes({ host, ...context }))
      const served = [...routes.values()].flatMap(servedUpstreams)
      const { observed } = context.state
      const old = observed?.hasMainConfig === true ? readOldWorkers(host, observed, known) : 'unknown'
      if (old !== 'unknown')
        known = old.workers.map(({ pid, startTime }) => {
          const before = known.find((one) => one.pid === pid && one.startTime === startTime)
          return before ?? { pid, startTime, sinceMs: clock.monotonicMs() }
        })
      return { old, served }
    } catch {
      return { old: 'unknown', served: [] }
    }
  }
  return {
    /** At most a moment old, and not from before this generation was served; `routes` are those of that generation, if they are known. */
    look: async (generation = 0, routes?: Snapshot['routes']): Promise<Sight> => {
      const atMs = clock.monotonicMs()
      if (last === undefined || last.generation < generation || atMs - last.atMs >= FRESH_MS)
        last = { sight: read(routes), atMs, generation: Math.max(generation, last?.generation ?? 0) }
      return await last.sight
    },
    overdue: () =>
      known
        .map(({ pid, sinceMs }) => ({ pid, seconds: (clock.monotonicMs() - sinceMs) / 1000 }))
        .filter(({ seconds }) => seconds * 1000 > OVERDUE_MS),
  }
}
