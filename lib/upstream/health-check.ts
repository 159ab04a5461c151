/** The health check of an upstream. */
import type { Host } from '../host/host.ts'
import type { Upstream, UpstreamHealth } from './upstream.ts'

/** What one address answered: a status, or why there is none. */
export type Attempt = { readonly address: string; readonly path: string } & (
  | { readonly status: number }
  | { readonly failure: string }
)

export interface ProbedUpstream extends UpstreamHealth {
  readonly checkedAt: string
  readonly latencyMs: number
  /** Each address that was asked, in order; if the upstream is healthy, the last one has answered 2xx. */
  readonly attempts: readonly Attempt[]
}

/** Probes the addresses in order until one answers; `signal` ends it early. */
export async function probeUpstream(
  { settings, clock, probe }: Pick<Host, 'settings' | 'clock' | 'probe'>,
  upstream: Upstream,
  path: string,
  addresses: readonly string[],
  signal?: AbortSignal,
): Promise<ProbedUpstream> {
  const timeoutMs = settings.HEALTH_CHECK_TIMEOUT_MS
  const checkedAt = new Date(clock.nowMs()).toISOString()
  const startedMs = clock.monotonicMs()
  const attempts: Attempt[] = []
  const result = (status: 'healthy' | 'unhealthy'): ProbedUpstream => {
    const latencyMs = Math.round(clock.monotonicMs() - startedMs)
    return { status, checkedAt, latencyMs, attempts }
  }
  const { scheme, port, authority: host } = upstream
  const aborted = signal === undefined ? {} : { signal }
  for (const address of addresses) {
    const answer = await probe.get({ scheme, address, port, host, path, timeoutMs, ...aborted })
    attempts.push({ address, path, ...('status' in answer ? { status: answer.status } : { failure: answer.failure }) })
    if ('status' in answer && answer.status >= 200 && answer.status < 300) return result('healthy')
    // Only an address on which nothing listens is skipped; every other answer, and a timeout, is the upstream's.
    if (!('failure' in answer) || answer.failure === 'TIMEOUT') break
  }
  return result('unhealthy')
}
