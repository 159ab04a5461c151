/** Writes down how an order ended. */

import type { IssueDiagnostic } from '../certificates/certbot-diagnostic.ts'
import { endOrder, recordLastCertificate } from '../certificates/ledger-file.ts'
import { DEFAULT_RATE_LIMIT_MS, type OrderEntry, type OrderLedger } from '../certificates/order-ledger.ts'
import type { Host } from '../host/host.ts'
import { logFailure } from '../host/log-failure.ts'

/** Reasons that say nothing about the name: the CA has not counted them. */
const UNCOUNTED = new Set(['busy', 'bad_nonce', 'disk', 'certbot_missing', 'ca_down', 'account', 'rate_limited'])

export async function noteFailure(
  host: Host,
  domain: string,
  before: OrderLedger,
  failure: IssueDiagnostic,
): Promise<void> {
  const { reason, said, retryAt } = failure
  const at = host.clock.nowMs()
  const uncounted = UNCOUNTED.has(reason) ? { uncounted: true as const } : {}
  const entry: OrderEntry = { at, result: 'failed', reason, said: said.slice(0, 500), ...uncounted }
  const blockedUntil = reason === 'rate_limited' ? (retryAt ?? at + DEFAULT_RATE_LIMIT_MS) : undefined
  await closeOrder(host, domain, before, entry, blockedUntil)
  await recordLastCertificate(host, domain, `${reason}: ${said}`)
}

/** Where the ledger cannot be written, the entry of before stays, and the order counts as a failure: what came of it is not lost by that. */
export async function closeOrder(
  host: Host,
  domain: string,
  before: OrderLedger,
  entry: OrderEntry,
  blockedUntil?: number,
): Promise<void> {
  await endOrder(host, domain, before, entry, blockedUntil).catch(
    logFailure(host, 'warn', { action: 'end_order', domain }),
  )
}
