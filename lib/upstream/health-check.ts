/** Whether an upstream answers its health check. */
import type { Host } from '../host/host.ts'
import type { Upstream, UpstreamHealth } from './upstream.ts'

/** Probes the first address that answers; the health is that of the best answer. */
export async function probeUpstream(
  host: Host,
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
    // Only an address that nobody listens on is passed over: another answer, or none in time, is the upstream's own.
    if (!('failure' in answer) || answer.failure === 'TIMEOUT') break
  }
  return { status: 'unhealthy', checkedAt, probe: attempts }
}
