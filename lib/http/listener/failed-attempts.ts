/** Guessing tokens is made slow: an address that has failed too often is not listened to for a while. */
import { ProxyManagerError } from '../../errors.ts'
import { callerOf, ipFamily, isLoopback } from '../../net/address.ts'

export interface FailedAttempts {
  /** @throws {ProxyManagerError} TOO_MANY_ATTEMPTS */
  refuseExcess(address: string): void
  /** Whether this failure was the one too many. */
  note(address: string): boolean
}

const MOST = 20
const WINDOW_MS = 60_000
/** More addresses than this are not kept; the oldest is forgotten. */
const MAX_ADDRESSES = 10_000

/**
 * At most 20 failures a minute for each IPv4 address, and for each IPv6 network of 64 bits. Loopback is left out: there, everyone shares one address, and a misconfigured neighbour
 * would lock out the Orchestrator.
 */
export function failedAttempts(now: () => number): FailedAttempts {
  const windows = new Map<string, { count: number; readonly endsAt: number }>()
  return {
    refuseExcess: (address) => {
      const caller = callerOf(address)
      const window = windows.get(caller)
      if (window === undefined || window.count < MOST) return
      const leftMs = window.endsAt - now()
      if (leftMs <= 0) windows.delete(caller)
      else throw new ProxyManagerError('TOO_MANY_ATTEMPTS', { retryAfterS: Math.ceil(leftMs / 1000) })
    },
    note: (address) => {
      const caller = callerOf(address)
      if (caller === '' || (ipFamily(caller) !== undefined && isLoopback(caller))) return false
      const window = windows.get(caller)
      if (window !== undefined && window.endsAt > now()) {
        window.count++
        return window.count === MOST
      }
      const [oldest] = windows.keys()
      if (oldest !== undefined && windows.size >= MAX_ADDRESSES) windows.delete(oldest)
      windows.set(caller, { count: 1, endsAt: now() + WINDOW_MS })
      return false
    },
  }
}
