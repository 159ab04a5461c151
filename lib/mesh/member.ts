/** Membership in the mesh: the Registry has this droplet, and the Orchestrator hears how it does. */
import type { HttpAnswer } from '../adapters/http-client.ts'
import type { Host } from '../host/host.ts'
import { logOnChange } from '../host/log-on-change.ts'
import { singleFlight } from '../host/single-flight.ts'
import { type Condition, heartbeat, registration } from './announcements.ts'
import { askRegistry } from './registry-client.ts'

export interface MeshMember {
  /** Registers where that is due: at once, and after a failure after 5 s, 30 s, then every 5 minutes. Cheap enough to be called every second. */
  register(): Promise<void>
  /** Tells the Orchestrator how this droplet does; a beat that is still on its way is not followed by another. */
  beat(): Promise<void>
  /** Resolves once nothing is on its way. */
  idle(): Promise<void>
}

/** What the engine does not know of the process that it runs in. */
export interface Self {
  readonly version: string
  readonly readHealth: () => Promise<Pick<Condition, 'status'>>
  readonly uptimeSeconds: () => number
}

const LIMITS = { timeoutMs: 3000, limitBytes: 64 * 1024 }
const PAUSES_MS = [5_000, 30_000]
const LAST_PAUSE_MS = 300_000
/** The Registry has this droplet already. */
const CONFLICT = 409

/** Makes the member; none of its verbs throws, and each does nothing where its setting is not there. */
export function meshMember(host: Host, { version, readHealth, uptimeSeconds }: Self): MeshMember {
  const { settings, clock, http } = host
  const { ORCHESTRATOR_URL } = settings
  const announcing = singleFlight<void>()

  const noteRegistration = logOnChange(host, 'register', 'not tried')
  let isRegistered = !settings.REGISTRY_REGISTER
  let [tries, dueAtMs] = [0, Number.NEGATIVE_INFINITY]
  const register = async () => {
    if (isRegistered || clock.monotonicMs() < dueAtMs) return
    const answer = await askRegistry(host, '/droplets', { ...LIMITS, json: registration(settings, version) })
    const failure = answer === undefined ? 'no Registry is configured' : failureOf(answer, CONFLICT)
    isRegistered = failure === undefined
    dueAtMs = clock.monotonicMs() + (PAUSES_MS[tries++] ?? LAST_PAUSE_MS)
    noteRegistration(failure)
  }

  const noteBeat = logOnChange(host, 'heartbeat')
  const beat = async () => {
    if (ORCHESTRATOR_URL === undefined) return
    const { status } = await readHealth().catch(() => ({ status: 'unhealthy' as const }))
    const json = heartbeat(settings, { status, version, nowMs: clock.nowMs(), uptimeSeconds: uptimeSeconds() })
    const url = `${ORCHESTRATOR_URL}/heartbeat`
    const failure = failureOf(await http.request({ url, ...LIMITS, json }))
    noteBeat(failure, failure && 'failing')
  }

  return {
    register: () => announcing.run(register, 'register'),
    beat: () => announcing.run(beat, 'beat'),
    idle: async () => {
      await Promise.all([announcing.running('register'), announcing.running('beat')])
    },
  }
}

/** Why an answer is not a good one; a redirect is none, since it was not followed. */
function failureOf(answer: HttpAnswer, alsoGood?: number): string | undefined {
  if ('failure' in answer) return answer.failure
  const isGood = (answer.status >= 200 && answer.status < 300) || answer.status === alsoGood
  return isGood ? undefined : `status ${answer.status}`
}
