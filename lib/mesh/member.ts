/** Membership in the mesh: registration at the Registry, and heartbeats for the Orchestrator. */
import type { HttpAnswer } from '../adapters/http-client.ts'
import type { Host } from '../host/host.ts'
import { logOnChange } from '../host/log-on-change.ts'
import { singleFlight } from '../host/single-flight.ts'
import { type Condition, heartbeat, registration } from './announcements.ts'
import { requestRegistry } from './registry-client.ts'

export interface MeshMember {
  /** Registers if that is due: at once, and after failures 5 s, 30 s and then 5 minutes later. Cheap enough to be called every second. */
  register(): Promise<void>
  /** Sends the Orchestrator a heartbeat, unless one is still in progress. */
  sendHeartbeat(): Promise<void>
  /** Resolves once no announcement is in progress. */
  idle(): Promise<void>
}

/** What the process knows of itself. */
export interface ProcessInfo {
  readonly version: string
  readonly readHealth: () => Promise<Pick<Condition, 'status'>>
  readonly uptimeSeconds: () => number
}

const LIMITS = { timeoutMs: 3000, limitBytes: 64 * 1024 }
const PAUSES_MS = [5_000, 30_000]
const LAST_PAUSE_MS = 300_000
/** The Registry already has this droplet. */
const CONFLICT = 409

/** Makes the member. None of its verbs throws, and each does nothing without its setting. */
export function meshMember(
  host: Pick<Host, 'settings' | 'http' | 'clock' | 'log'>,
  { version, readHealth, uptimeSeconds }: ProcessInfo,
): MeshMember {
  const { settings, clock, http } = host
  const { ORCHESTRATOR_URL } = settings
  const announcing = singleFlight<void>()

  const logRegistration = logOnChange(host, 'register', 'not tried')
  let isRegistered = !settings.REGISTRY_REGISTER
  let [tries, dueAtMs] = [0, Number.NEGATIVE_INFINITY]
  const register = async () => {
    if (isRegistered || clock.monotonicMs() < dueAtMs) return
    const answer = await requestRegistry(host, '/droplets', { ...LIMITS, json: registration(settings, version) })
    const failure = answer === undefined ? 'no Registry is configured' : describeFailure(answer, CONFLICT)
    isRegistered = failure === undefined
    dueAtMs = clock.monotonicMs() + (PAUSES_MS[tries++] ?? LAST_PAUSE_MS)
    logRegistration(failure)
  }

  const logHeartbeat = logOnChange(host, 'heartbeat')
  const sendHeartbeat = async () => {
    if (ORCHESTRATOR_URL === undefined) return
    const { status } = await readHealth().catch(() => ({ status: 'unhealthy' as const }))
    const json = heartbeat(settings, { status, version, nowMs: clock.nowMs(), uptimeSeconds: uptimeSeconds() })
    const url = `${ORCHESTRATOR_URL}/heartbeat`
    const failure = describeFailure(await http.request({ url, ...LIMITS, json }))
    logHeartbeat(failure, failure && 'failing')
  }

  return {
    register: () => announcing.run(register, 'register'),
    sendHeartbeat: () => announcing.run(sendHeartbeat, 'heartbeat'),
    idle: async () => {
      await Promise.all([announcing.running('register'), announcing.running('heartbeat')])
    },
  }
}

/** Why an answer is a failure; a redirect is one, since it was not followed. */
function describeFailure(answer: HttpAnswer, alsoSuccess?: number): string | undefined {
  if ('failure' in answer) return answer.failure
  const isSuccess = (answer.status >= 200 && answer.status < 300) || answer.status === alsoSuccess
  return isSuccess ? undefined : `status ${answer.status}`
}
