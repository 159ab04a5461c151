/** Records how an order ended. */
import type { IssueDiagnostic, IssueFailure } from '../certificates/certbot-diagnostic.ts'
import { endOrder, recordLastCertificate } from '../certificates/ledger-file.ts'
import { DEFAULT_RATE_LIMIT_MS, type OrderEntry, type OrderLedger } from '../certificates/order-ledger.ts'
import type { ChangeContext } from '../change/context.ts'
import { ProxyManagerError } from '../errors.ts'
import type { Host } from '../host/host.ts'
import { logFailure } from '../host/log-failure.ts'
import type { IssueRequest } from './may-order.ts'

const EXEMPT: ReadonlySet<IssueFailure> = new Set<IssueFailure>([
  'busy',
  'bad_nonce',
  'disk',
  'certbot_missing',
  'cli_ini',
  'usage',
  'plugin',
  'ca_down',
  'account',
  'profile',
  'rate_limited',
])

/** Whether a failure says nothing about the name: the CA does not count it, so it is exempt from the budget. */
export function isExempt({ reason }: Pick<IssueDiagnostic, 'reason'>): boolean {
  return EXEMPT.has(reason)
}

type OrderHost = Pick<Host, 'files' | 'paths' | 'clock' | 'log'>

/** Records that certbot failed, in the ledger and as the last order. */
export async function recordFailure(
  host: OrderHost,
  domain: string,
  before: OrderLedger,
  failure: IssueDiagnostic,
): Promise<void> {
  const { reason, said, retryAt } = failure
  const at = host.clock.nowMs()
  const exempt = isExempt(failure) ? { uncounted: true as const } : {}
  const entry: OrderEntry = { at, result: 'failed', reason, said: said.slice(0, 500), ...exempt }
  const blockedUntil = reason === 'rate_limited' ? (retryAt ?? at + DEFAULT_RATE_LIMIT_MS) : undefined
  await closeOrder(host, domain, before, reason === 'cli_ini' ? undefined : entry, blockedUntil)
  await recordLastCertificate(host, domain, `${reason}: ${said}`)
}

/** Writes the entry. If the ledger cannot be written, it still has the order as a failure, and the certificate is used nevertheless. */
export async function closeOrder(
  host: OrderHost,
  domain: string,
  before: OrderLedger,
  entry?: OrderEntry,
  blockedUntil?: number,
): Promise<void> {
  await endOrder(host, domain, before, entry, blockedUntil).catch(
    logFailure(host, 'warn', { action: 'end_order', domain }),
  )
}

/** How an order ended, as an event. */
export async function noteOrder(
  { events }: ChangeContext,
  { origin = { actor: { kind: 'renewal' } }, dropletName }: IssueRequest,
  domain: string,
  error?: unknown,
): Promise<void> {
  const subject = { origin, droplet_name: dropletName, domain }
  if (error === undefined) await events.add({ type: 'certificate.ordered', ...subject })
  if (!(error instanceof ProxyManagerError) || error.code === 'BUSY') return
  const { code, message, details } = error
  await events.add({
    type: 'certificate.failed',
    ...subject,
    error_code: code,
    details: { message, reason: details.reason },
  })
}
