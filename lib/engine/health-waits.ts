/** Calls that wait until their droplet is healthy. They wait before the queue, so that nobody else waits with them. */
import { ProxyManagerError, stopping, withDetails } from '../errors.ts'
import type { Host } from '../host/host.ts'

export interface HealthWaits {
  /**
   * Repeats `attempt` each second until it succeeds or fails for another reason than the upstream, at most for this time.
   * @throws {ProxyManagerError} UPSTREAM_UNHEALTHY or UPSTREAM_UNRESOLVABLE after the time, with each change of the answer; SUPERSEDED; BUSY if
   * too many calls wait, or the process stops; what `attempt` throws
   */
  wait<T>(wanted: WaitRequest, attempt: () => Promise<T>): Promise<T>
  isWaiting(dropletName: string): boolean
  /** A later call for a droplet has arrived: one that waits for it ends. */
  supersede(dropletName: string): void
  /** Ends all waits: the process stops. */
  end(): void
}

export interface WaitRequest {
  readonly dropletName: string
  readonly seconds: number
  /** Aborted once the caller has gone. */
  readonly signal?: AbortSignal | undefined
  /** Called with the answer of the upstream before each pause. */
  readonly onUnhealthy?: (answer: Answer | undefined) => void
}

/** What an attempt was answered, and when. */
type Answer = Readonly<Record<string, unknown>> & { readonly at_s: number }

/** Calls that may wait at a time: each costs its upstream a request per second. */
const MAX_WAITING = 256
const PAUSE_MS = 1000
/** A droplet whose answers alternate must not make the error endless. */
const MAX_CHANGES = 50

/** Makes the waits of one process. */
export function healthWaits({ clock }: Pick<Host, 'clock'>): HealthWaits {
  const waiting = new Map<string, AbortController>()
  const supersede = (dropletName: string) => waiting.get(dropletName)?.abort(new ProxyManagerError('SUPERSEDED'))

  const untilHealthy = async <T>(
    { seconds, onUnhealthy }: WaitRequest,
    attempt: () => Promise<T>,
    ended: Promise<never>,
  ): Promise<T> => {
    const startedMs = clock.monotonicMs()
    const elapsedMs = () => clock.monotonicMs() - startedMs
    const answers: Answer[] = []
    for (;;) {
      const at_s = Math.round(elapsedMs() / 1000)
      try {
        return await Promise.race([attempt(), ended])
      } catch (error) {
        if (!isOfUpstream(error)) throw error
        const remainingMs = seconds * 1000 - elapsedMs()
        const answered = answersOf(error, at_s)
        noteAnswers(answers, answered, remainingMs <= 0)
        if (remainingMs <= 0) throw withDetails(error, { waited_s: seconds, attempts: answers })
        onUnhealthy?.(answered.at(-1))
        await Promise.race([clock.sleep(Math.min(PAUSE_MS, remainingMs)), ended])
      }
    }
  }

  return {
    wait: async (wanted, attempt) => {
      const { dropletName, signal } = wanted
      supersede(dropletName)
      if (waiting.size >= MAX_WAITING)
        throw new ProxyManagerError('BUSY', { message: 'Too many calls wait for their droplets', retryAfterS: 5 })
      const own = new AbortController()
      const ended = new Promise<never>((_, reject) => {
        own.signal.addEventListener('abort', () => reject(own.signal.reason))
      })
      ended.catch(() => undefined)
      const leave = () => own.abort(new ProxyManagerError('BUSY', { message: 'The caller has gone' }))
      signal?.addEventListener('abort', leave)
      if (signal?.aborted === true) leave()
      waiting.set(dropletName, own)
      try {
        return await untilHealthy(wanted, attempt, ended)
      } finally {
        signal?.removeEventListener('abort', leave)
        if (waiting.get(dropletName) === own) waiting.delete(dropletName)
      }
    },
    isWaiting: (dropletName) => waiting.has(dropletName),
    supersede,
    end: () => {
      for (const one of waiting.values()) one.abort(stopping())
    },
  }
}

function isOfUpstream(error: unknown): error is ProxyManagerError {
  return (
    error instanceof ProxyManagerError &&
    (error.code === 'UPSTREAM_UNHEALTHY' || error.code === 'UPSTREAM_UNRESOLVABLE')
  )
}

function answersOf({ code, details }: ProxyManagerError, at_s: number): readonly Answer[] {
  const attempts: readonly unknown[] = Array.isArray(details.attempts) ? details.attempts : [{ failure: code }]
  return attempts.map((attempt) => ({ at_s, ...(typeof attempt === 'object' ? attempt : {}) }))
}

/** Keeps the first answers, the last, and every change in between. */
function noteAnswers(known: Answer[], next: readonly Answer[], isLast: boolean): void {
  const textOf = (answers: readonly Answer[]) => JSON.stringify(answers.map(({ at_s: _, ...answer }) => answer))
  const isSame = known.length > 0 && textOf(known.slice(-next.length)) === textOf(next)
  if (isLast || (!isSame && known.length < MAX_CHANGES)) known.push(...next)
}
