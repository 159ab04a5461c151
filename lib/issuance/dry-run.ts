/** What a call for a certificate would do: whether the CA would be asked, what it would find, and what would change on disk. Nothing is changed. */
import type { CheckedCertificate } from '../certificates/certificate.ts'
import type { PreflightCheck } from '../certificates/preflight.ts'
import { dryRun } from '../change/apply.ts'
import type { BatchDryRun, ChangeContext } from '../change/context.ts'
import type { ChangeQueue } from '../change/queue.ts'
import type { Host } from '../host/host.ts'
import type { CertifyChange } from '../plan/change.ts'
import { onlyOutcome, planBatch } from '../plan/plan-batch.ts'
import { namesOf } from '../route/names.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import { assertMayOrder, assertServable, findRoute, type IssueRequest, mustOrder, preflightOf } from './may-order.ts'

export interface IssueDryRun {
  readonly route: SnapshotRoute
  readonly wouldOrder: boolean
  readonly preflight: readonly PreflightCheck[]
  readonly files: BatchDryRun['files']
  readonly test: BatchDryRun['test']
}

/**
 * Rehearses a call for a certificate. The CA's view of the names is looked at before the queue, so that it keeps no change waiting.
 * @throws {ProxyManagerError} whatever the call itself would be refused for before the CA is asked
 */
export async function dryRunIssue(
  context: ChangeContext,
  queue: ChangeQueue,
  request: IssueRequest,
): Promise<IssueDryRun> {
  const found = await findRoute(context, request.dropletName)
  const { domain, droplet_name: dropletName } = found.record
  await assertServable(context, domain)
  const change: CertifyChange = { kind: 'certify', dropletName, domain }
  if (!mustOrder(context, found, request)) {
    const { outcomes, files, test } = await queue.exclusively(() => dryRun(context, [change]))
    const { route } = onlyOutcome({ outcomes })
    return { route, wouldOrder: false, preflight: [], files, test }
  }
  assertMayOrder(context.host, domain)
  const { preflight, refusal } = await preflightOf(context.host, namesOf(found.record))
  if (refusal !== undefined) throw refusal
  const rehearsed = await queue.exclusively(() => dryRunSwitch(context, change, found))
  return { ...rehearsed, wouldOrder: true, preflight }
}

/** The switch to a certificate that is not there yet: its files can be shown, while NGINX can only be asked about what is there. */
async function dryRunSwitch(context: ChangeContext, change: CertifyChange, found: SnapshotRoute) {
  const { snapshot, nginx } = await context.observe([])
  const certificates = new Map([[change.domain, expectedCertificate(context.host, found)]])
  const plan = planBatch({ ...snapshot, certificates }, [change], {
    nextGeneration: (snapshot.shared?.generation ?? 0) + 1,
    now: new Date(context.host.clock.nowMs()).toISOString(),
  })
  const { route } = onlyOutcome(plan)
  return { route, files: plan.files, test: await nginx.testAsIs() }
}

/** In place of the certificate that the CA would issue: its digits are not known before. */
function expectedCertificate(host: Host, { record }: SnapshotRoute): CheckedCertificate {
  const at = new Date(host.clock.nowMs()).toISOString()
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
