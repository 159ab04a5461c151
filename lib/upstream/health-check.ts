/** The health check of an upstream. */
import type { Host } from '../host/host.ts'
import type { Upstream, UpstreamHealth } from './upstream.ts'

/**
 * Probes the addresses in order until one answers. `probe` is null if the upstream is healthy, else the failed attempts, for the error's details.
 */
export async function probeUpstream(
  host: Pick<Host, 'settings' | 'clock' | 'probe'>,
  upstream: Upstream,
  path: string,
  addresses: readonly string[],
): Promise<UpstreamHealth & { readonly probe: unknown }> {
  const timeoutMs = host.settings.HEALTH_CHECK_TIMEOUT_MS
  const checkedAt = new Date(host.clock.nowMs()).toISOString()
  const attempts: unknown[] = []
  for (const address of addresses) {
    const { scheme, port, authority } = upstream
    const answer = await host.probe.get({ scheme, address, port, host: authority, path, timeoutMs })
    if ('status' in answer && answer.status >= 200 && answer.status < 300)
      return { status: 'healthy', checkedAt, probe: null }
    attempts.push({ address, path, ...('status' in answer ? { status: answer.status } : { failure: answer.failure }) })
    // Only an address on which nothing listens is skipped; every other answer, and a timeout, is the upstream's.
    if (!('failure' in answer) || answer.failure === 'TIMEOUT') break
  }
  return { status: 'unhealthy', checkedAt, probe: attempts }
}
