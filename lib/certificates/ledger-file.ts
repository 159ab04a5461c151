/** The ledgers of orders on disk, one file per domain, and the record of the last order of any domain. */
import * as v from 'valibot'
import type { Host } from '../host/host.ts'
import { readRecord, writeRecord } from '../host/json-record.ts'
import { replaceText } from '../host/replace-file.ts'
import { lineageNameOf } from './lineage-name.ts'
import { type OrderEntry, type OrderLedger, parseLedger, withOrder } from './order-ledger.ts'

export const LastCertificate = v.object({
  timestamp: v.string(),
  domain: v.string(),
  result: v.picklist(['success', 'failure']),
  reason: v.nullable(v.string()),
})
export type LastCertificate = v.InferOutput<typeof LastCertificate>

type LedgerHost = Pick<Host, 'files' | 'paths'>

export function readLedger(host: LedgerHost & Pick<Host, 'clock'>, domain: string): OrderLedger {
  return parseLedger(host.files.read(ledgerPath(host, domain))?.text, host.clock.nowMs())
}

/** Replaces the ledger of a domain, durably: after a crash, the CA still counts the orders in it. */
async function writeLedger(host: LedgerHost, domain: string, ledger: OrderLedger): Promise<void> {
  await replaceText(host, ledgerPath(host, domain), JSON.stringify(ledger))
}

/**
 * Records an order before it is made, as a failure, which it stays if the process ends meanwhile, and the lineage that it writes. Returns the ledger
 * to which its end has to be added.
 */
export async function beginOrder(
  host: LedgerHost & Pick<Host, 'clock'>,
  domain: string,
  lineage: string,
): Promise<OrderLedger> {
  const before = { ...readLedger(host, domain), lineage }
  await writeLedger(
    host,
    domain,
    withOrder(before, { at: host.clock.nowMs(), result: 'failed', reason: 'interrupted' }),
  )
  return before
}

/** Records how an order ended, and until when the CA accepts no other, if it said so; without an entry, that none was made. */
export async function endOrder(
  host: LedgerHost,
  domain: string,
  before: OrderLedger,
  entry?: OrderEntry,
  blockedUntil?: number,
): Promise<void> {
  if (entry === undefined) return await writeLedger(host, domain, before)
  const blocked = blockedUntil === undefined ? before : { ...before, blocked_until: blockedUntil }
  await writeLedger(host, domain, withOrder(blocked, entry, blockedUntil))
}

export async function recordLastCertificate(
  host: LedgerHost & Pick<Host, 'clock' | 'log'>,
  domain: string,
  reason: string | null,
): Promise<void> {
  const record: LastCertificate = {
    timestamp: new Date(host.clock.nowMs()).toISOString(),
    domain,
    result: reason === null ? 'success' : 'failure',
    reason,
  }
  await writeRecord(host, host.paths.lastCertificate, record, 'record_certificate')
}

export function readLastCertificate(host: LedgerHost): LastCertificate | undefined {
  return readRecord(host, host.paths.lastCertificate, LastCertificate)
}

function ledgerPath({ paths }: LedgerHost, domain: string): string {
  return `${paths.orders}/${lineageNameOf(domain)}.json`
}
