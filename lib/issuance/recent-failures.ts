/** Failures of the last minute. Many programs repeat a failed call at once, several times: that must not use up the orders of an hour. */
import type { Clock } from '../adapters/clock.ts'
import type { PreflightCheck } from '../certificates/preflight.ts'
import { ProxyManagerError } from '../errors.ts'

export interface RecentFailures {
  /**
   * To be called before an order with the checks just made: throws the call's last failure again, with `Retry-After`, unless it is a minute old or the
   * preflight finds something else than it did then. Without checks (`SSL_PREFLIGHT=off`), nobody would know that the cause is gone: never.
   * @throws {ProxyManagerError} SSL_ISSUANCE_FAILED
   */
  throwAgain(call: string, preflight: readonly PreflightCheck[]): void
  note(call: string, failure: ProxyManagerError, preflight: readonly PreflightCheck[]): void
}

const HELD_MS = 60_000

interface Noted {
  readonly failure: ProxyManagerError
  readonly findings: string
  readonly untilMs: number
}

/** Remembers nothing yet; a new process does not, either. */
export function recentFailures(clock: Clock): RecentFailures {
  const noted = new Map<string, Noted>()
  return {
    throwAgain: (call, preflight) => {
      const last = noted.get(call)
      const leftMs = (last?.untilMs ?? 0) - clock.monotonicMs()
      if (last === undefined || leftMs <= 0 || preflight.length === 0 || last.findings !== findingsOf(preflight)) return
      const { code, message, details } = last.failure
      throw new ProxyManagerError(code, { message, details, retryAfterS: Math.ceil(leftMs / 1000) })
    },
    note: (call, failure, preflight) => {
      const nowMs = clock.monotonicMs()
      for (const [other, { untilMs }] of noted) if (untilMs <= nowMs) noted.delete(other)
      noted.set(call, { failure, findings: findingsOf(preflight), untilMs: nowMs + HELD_MS })
    },
  }
}

/** DNS rotates the order of addresses: each has a challenge of its own, so those are compared, in any order. */
function findingsOf(preflight: readonly PreflightCheck[]): string {
  return preflight
    .map(({ check, domain, ok, detail }) => `${check} ${domain} ${ok} ${check === 'dns' && ok ? '' : detail}`)
    .sort()
    .join('\n')
}
