/** Slows guesses at tokens: an address that has failed too often is rejected for a while. */
import { ProxyManagerError } from '../../errors.ts'
import { callerOf, ipFamily, isLoopback } from '../../net/address.ts'

export interface FailedAttempts {
  /** @throws {ProxyManagerError} TOO_MANY_ATTEMPTS */
  assertNotLockedOut(address: string): void
  /** Returns whether the address is locked out from now on. */
  recordFailure(address: string): boolean
}

const MAX_FAILURES = 20
const WINDOW_MS = 60_000
/** Beyond this many addresses, the oldest is forgotten. */
const MAX_ADDRESSES = 10_000

/**
 * Allows 20 failures a minute for each IPv4 address and each IPv6 /64. Loopback is exempt: everyone on the host shares it, and a misconfigured
 * neighbour would lock out the Orchestrator.
 */
export function failedAttempts(monotonicMs: () => number): FailedAttempts {
  const windows = new Map<string, { count: number; readonly endsAt: number }>()
  return {
    assertNotLockedOut: (address) => {
      const caller = callerOf(address)
      const window = windows.get(caller)
      if (window === undefined || window.count < MAX_FAILURES) return
      const leftMs = window.endsAt - monotonicMs()
      if (leftMs <= 0) windows.delete(caller)
      else throw new ProxyManagerError('TOO_MANY_ATTEMPTS', { retryAfterS: Math.ceil(leftMs / 1000) })
    },
    recordFailure: (address) => {
      const caller = callerOf(address)
      if (caller === '' || (ipFamily(caller) !== undefined && isLoopback(caller))) return false
      const window = windows.get(caller)
      if (window !== undefined && window.endsAt > monotonicMs()) {
        window.count++
        return window.count === MAX_FAILURES
      }
      const [oldest] = windows.keys()
      if (oldest !== undefined && windows.size >= MAX_ADDRESSES) windows.delete(oldest)
      windows.set(caller, { count: 1, endsAt: monotonicMs() + WINDOW_MS })
      return false
    },
  }
}
