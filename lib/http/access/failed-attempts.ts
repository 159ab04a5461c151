/** Slows guesses at tokens: an address that has failed too often is rejected for a while. */
import { callerOf, ipFamily, isLoopback } from '../../net/address.ts'

export interface FailedAttempts {
  /** For how many more seconds an address is locked out; `undefined` if it is not. */
  lockedOutForS(address: string): number | undefined
  /** Returns whether the address is locked out from now on. */
  recordFailure(address: string): boolean
  /** Notes that a configured token was accepted. */
  recordAcceptance(token: string): void
  /** Whether that was within the last 24 hours: a lock-out is not for its owner, who may share the address (NAT) with whoever guesses. */
  wasAccepted(token: string): boolean
}

const MAX_FAILURES = 20
const WINDOW_MS = 60_000
/** Beyond this many addresses, the oldest is forgotten. */
const MAX_ADDRESSES = 10_000
const ACCEPTED_FOR_MS = 24 * 3_600_000

/**
 * Allows 20 failures a minute for each IPv4 address and each IPv6 /64. Loopback is exempt: everyone on the host shares it, and a misconfigured
 * neighbour would lock out the Orchestrator.
 */
export function failedAttempts(monotonicMs: () => number): FailedAttempts {
  const windows = new Map<string, { count: number; readonly endsAt: number }>()
  /** As many as are configured: no other token is ever recorded. */
  const acceptedAt = new Map<string, number>()
  return {
    lockedOutForS: (address) => {
      const caller = callerOf(address)
      const window = windows.get(caller)
      if (window === undefined || window.count < MAX_FAILURES) return undefined
      const leftMs = window.endsAt - monotonicMs()
      if (leftMs > 0) return Math.ceil(leftMs / 1000)
      windows.delete(caller)
      return undefined
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
    recordAcceptance: (token) => {
      acceptedAt.set(token, monotonicMs())
    },
    wasAccepted: (token) => {
      const atMs = acceptedAt.get(token)
      return atMs !== undefined && monotonicMs() - atMs <= ACCEPTED_FOR_MS
    },
  }
}
