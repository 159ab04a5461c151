/** What a call for a certificate would do: whether it would order, what the preflight finds, and which files would change. Nothing is changed. */
import type { CheckedCertificate } from '../certificates/certificate.ts'
import { chooseLineage } from '../certificates/lineage.ts'
import type { PreflightCheck } from '../certificates/preflight.ts'
import { dryRunBatch } from '../change/apply.ts'
import type { BatchDryRun, ChangeContext } from '../change/context.ts'
import type { ChangeQueue } from '../change/queue.ts'
import type { Host } from '../host/host.ts'
import { wishKey } from '../keyring/wish.ts'
import type { CertifyChange } from '../plan/change.ts'
import { onlyOutcome, planBatch } from '../plan/plan-batch.ts'
import { namesOf } from '../route/names.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import { lineageReaders } from './lineage-use.ts'
import {
  assertMayOrder,
  assertServable,
  checkBeforeOrder,
  findOwner,
  type IssueRequest,
  mustOrder,
  orderOf,
} from './may-order.ts'
import type { RecentFailures } from './recent-failures.ts'

export interface IssueDryRun {
  readonly route: SnapshotRoute
  readonly wouldOrder: boolean
  /** Only if a certificate would be ordered. */
  readonly lineage?: OrderedLineage
  readonly preflight: readonly PreflightCheck[]
  readonly files: BatchDryRun['files']
  readonly test: BatchDryRun['test']
}

/** The lineage that an order would write, and those of the domain that we did not make: they stay as they are. */
export interface OrderedLineage {
  readonly name: string
  readonly others: readonly { readonly name: string; readonly domains: readonly string[] }[]
}

/**
 * Makes the dry run of a call for a certificate. The preflight runs outside of the queue, so that it keeps no change waiting.
 * @throws {ProxyManagerError} whatever the call itself would be rejected for before an order
 */
export async function dryRunIssue(
  context: ChangeContext,
  queue: ChangeQueue,
  recent: RecentFailures,
  request: IssueRequest,
): Promise<IssueDryRun> {
  const { dropletName } = request
  const found = await findOwner(context, dropletName)
  const { domain } = found.record
  await assertServable(context, domain)
  const change: CertifyChange = { kind: 'certify', dropletName, domain, isUnpinned: request.forceRenew }
  if (!mustOrder(context, found, request)) {
    const { outcomes, files, test } = await queue.exclusively(() => dryRunBatch(context, [change]))
    const { route } = onlyOutcome({ outcomes })
    return { route, wouldOrder: false, preflight: [], files, test }
  }
  assertMayOrder(context.host, domain)
  const { preflight, refusal } = await checkBeforeOrder(context.host, namesOf(found.record))
  recent.throwAgain(orderOf(request, found), preflight)
  if (refusal !== undefined) throw refusal
  const planned = await queue.exclusively(() => dryRunSwitch(context, change, found))
  const readerOf = await lineageReaders(context)
  const { name } = chooseLineage(context.host, domain, (other) => readerOf(other) !== undefined)
  const others = context.certificates
    .others(domain)
    .map((other) => ({ name: other.name, domains: other.certificate?.domains ?? [] }))
  return { ...planned, wouldOrder: true, lineage: { name, others }, preflight }
}

/** The switch to a certificate that does not exist yet: its files can be shown, but NGINX can only test the present ones. */
async function dryRunSwitch(context: ChangeContext, change: CertifyChange, found: SnapshotRoute) {
  const { snapshot, nginx } = await context.observe([])
  const wish = { names: namesOf(found.record), from: null }
  const certificates = new Map([[wishKey(wish), expectedCertificate(context.host, found)]])
  const plan = planBatch({ ...snapshot, certificates }, [change], {
    nextGeneration: (snapshot.shared?.generation ?? 0) + 1,
    now: new Date(context.host.clock.nowMs()).toISOString(),
  })
  const { route } = onlyOutcome(plan)
  return { route, files: plan.files, test: await nginx.testAsIs() }
}

/** A placeholder for the certificate that the CA would issue. */
function expectedCertificate({ clock }: Pick<Host, 'clock'>, { record }: SnapshotRoute): CheckedCertificate {
  const at = new Date(clock.nowMs()).toISOString()
  const summary = {
    issuer: 'the CA',
    not_before: at,
    expiry: at,
    domains: [...namesOf(record)],
    serial: '0',
    fingerprint_sha256: '0'.repeat(64),
  }
  return { summary, fullchain: '', privkey: '' }
}
