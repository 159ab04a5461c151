/** Membership in the mesh: registration at the Registry, and heartbeats for the Orchestrator. */
import type { Host } from '../host/host.ts'
import { logOnChange } from '../host/log-on-change.ts'
import { singleFlight } from '../host/single-flight.ts'
import { heartbeatUrl } from '../settings/settings.ts'
import { type Condition, heartbeat, registration } from './announcements.ts'
import { failureOf, registrar } from './registrar.ts'

export interface MeshMember {
  /**
   * Registers or corrects the record if that is due: at once, then each minute, and after failures 5 s, 30 s and then 5 minutes later. Cheap
   * enough to be called every second.
   */
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
/** A Registry may lose its records when it restarts. */
const LOOK_EVERY_MS = 60_000

/** Makes the member. None of its verbs throws, and each does nothing without its setting. */
export function meshMember(
  host: Pick<Host, 'settings' | 'http' | 'clock' | 'log'>,
  { version, readHealth, uptimeSeconds }: ProcessInfo,
): MeshMember {
  const { settings, clock, http, log } = host
  const announcing = singleFlight<void>()

  const keepRecord = registrar(host, registration(settings, version))
  let lastFailure: string | undefined
  let [failures, dueAtMs] = [0, Number.NEGATIVE_INFINITY]
  const register = async () => {
    if (!settings.REGISTRY_REGISTER || clock.monotonicMs() < dueAtMs) return
    const { outcome, failure } = await keepRecord()
    const pauseMs = failure === undefined ? LOOK_EVERY_MS : (PAUSES_MS[failures] ?? LAST_PAUSE_MS)
    failures = failure === undefined ? 0 : failures + 1
    dueAtMs = clock.monotonicMs() + pauseMs
    const isNews = failure !== lastFailure || (outcome ?? 'unchanged') !== 'unchanged'
    lastFailure = failure
    if (!isNews) return
    if (failure === undefined) log.write('info', { action: 'register', result: 'success', outcome })
    else log.write('warn', { action: 'register', result: 'failure', cause: failure })
  }

  const logHeartbeat = logOnChange(host, 'heartbeat')
  const sendHeartbeat = async () => {
    const url = heartbeatUrl(settings)
    if (url === undefined) return
    const { status } = await readHealth().catch(() => ({ status: 'unhealthy' as const }))
    const json = heartbeat(settings, { status, version, nowMs: clock.nowMs(), uptimeSeconds: uptimeSeconds() })
    const { HEARTBEAT_TOKEN: token } = settings
    const failure = failureOf(await http.request({ url, ...LIMITS, json, ...(token === undefined ? {} : { token }) }))
    const isAbsent = failure === 'status 404'
    logHeartbeat(
      isAbsent ? `${failure}: set HEARTBEAT_URL to where heartbeats are posted` : failure,
      failure && 'failing',
    )
  }

  return {
    register: () => announcing.run(register, 'register'),
    sendHeartbeat: () => announcing.run(sendHeartbeat, 'heartbeat'),
    idle: async () => {
      await Promise.all([announcing.running('register'), announcing.running('heartbeat')])
    },
  }
}
