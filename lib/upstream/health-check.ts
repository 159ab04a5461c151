/** The health check of an upstream. */
import type { Host } from '../host/host.ts'
import type { HealthCheck } from './health-history.ts'
import type { Upstream } from './upstream.ts'

/** What one address answered: a status, or why there is none. */
export type Attempt = {
  readonly address: string
  readonly path: string
  /** Whose address it is, if there are several upstreams. */
  readonly upstream?: string
} & ({ readonly status: number } | { readonly failure: string })

/** One check of one upstream, with every address that was asked; if it is healthy, the last one has answered 2xx. */
export interface CheckedUpstream extends HealthCheck {
  readonly upstream: string
  readonly attempts: readonly Attempt[]
}

/** Probes the addresses in order until one answers; `signal` ends it early. */
export async function probeUpstream(
  { settings, clock, probe }: Pick<Host, 'settings' | 'clock' | 'probe'>,
  upstream: Upstream,
  path: string,
  addresses: readonly string[],
  signal?: AbortSignal,
): Promise<CheckedUpstream> {
  const timeoutMs = settings.HEALTH_CHECK_TIMEOUT_MS
  const startedMs = clock.monotonicMs()
  const attempts: Attempt[] = []
  const result = (failure: string | null): CheckedUpstream => {
    const ms = Math.round(clock.monotonicMs() - startedMs)
    return { upstream: upstream.url, atMs: clock.nowMs(), ms, failure, attempts }
  }
  const { scheme, port, authority: host } = upstream
  const aborted = signal === undefined ? {} : { signal }
  for (const address of addresses) {
    const answer = await probe.get({ scheme, address, port, host, path, timeoutMs, ...aborted })
    attempts.push({ address, path, ...('status' in answer ? { status: answer.status } : { failure: answer.failure }) })
    if ('status' in answer && answer.status >= 200 && answer.status < 300) return result(null)
    // Only an address on which nothing listens is skipped; every other answer, and a timeout, is the upstream's.
    if (!('failure' in answer) || answer.failure === 'TIMEOUT') break
  }
  return result(failureOf(attempts.at(-1)))
}

/** There always is an attempt: an upstream has an address, or was not asked. */
function failureOf(attempt: Attempt | undefined): string {
  if (attempt !== undefined && 'status' in attempt) return `HTTP ${attempt.status}`
  return attempt?.failure ?? 'BROKEN'
}

/** The attempts of the checks of a route, in order, each with its upstream unless there is only one. */
export function attemptsOf(checked: readonly CheckedUpstream[]): readonly Attempt[] {
  if (checked.length === 1) return checked[0]?.attempts ?? []
  return checked.flatMap(({ upstream, attempts }) => attempts.map((attempt) => ({ ...attempt, upstream })))
}
