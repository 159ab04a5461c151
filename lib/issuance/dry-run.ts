/** What a call for a certificate would do: whether the CA would be asked, what it would find, and what would change on disk. Nothing is changed. */
import type { CheckedCertificate } from '../certificates/certificate.ts'
import type { PreflightCheck } from '../certificates/preflight.ts'
import { rehearse } from '../change/apply.ts'
import type { Rehearsal, Walk } from '../change/context.ts'
import type { ChangeQueue } from '../change/queue.ts'
import { testCandidate } from '../change/test-candidate.ts'
import { ProxyManagerError } from '../errors.ts'
import type { Host } from '../host/host.ts'
import type { CertifyChange } from '../plan/change.ts'
import { planBatch } from '../plan/plan-batch.ts'
import { namesOf } from '../route/names.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import { findRoute, type IssueRequest, lookFirst, needsOrder, refuseOrder } from './may-order.ts'

export interface RehearsedIssue {
  readonly route: SnapshotRoute
  readonly wouldOrder: boolean
  readonly preflight: readonly PreflightCheck[]
  readonly files: Rehearsal['files']
  readonly test: Rehearsal['test']
}

/**
 * Rehearses a call for a certificate. The CA's view of the names is looked at before the queue, so that it keeps no change waiting.
 * @throws {ProxyManagerError} whatever the call itself would be refused for before the CA is asked
 */
export async function rehearseIssue(walk: Walk, queue: ChangeQueue, request: IssueRequest): Promise<RehearsedIssue> {
  const route = await findRoute(walk, request.dropletName)
  const { domain, droplet_name: dropletName } = route.record
  const change: CertifyChange = { kind: 'certify', dropletName, domain }
  if (!needsOrder(walk, route, request)) {
    const { verdicts, files, test } = await queue.exclusively(() => rehearse(walk, [change]))
    const [verdict] = verdicts
    if (verdict === undefined || verdict.outcome === 'refused')
      throw verdict?.error ?? new ProxyManagerError('INTERNAL')
    return { route: verdict.route, wouldOrder: false, preflight: [], files, test }
  }
  refuseOrder(walk.host, domain)
  const { preflight, refusal } = await lookFirst(walk.host, namesOf(route.record))
  if (refusal !== undefined) throw refusal
  const rehearsed = await queue.exclusively(() => rehearseSwitch(walk, change, route))
  return { ...rehearsed, wouldOrder: true, preflight }
}

/** The switch to a certificate that is not there yet: its files can be shown, while NGINX can only be asked about what is there. */
async function rehearseSwitch(walk: Walk, change: CertifyChange, found: SnapshotRoute) {
  const observation = await walk.observe([])
  const { snapshot } = observation
  const certificates = new Map([[change.domain, standIn(walk.host, found)]])
  const generation = (snapshot.shared?.generation ?? 0) + 1
  const now = new Date(walk.host.clock.nowMs()).toISOString()
  const { verdicts, files } = planBatch({ ...snapshot, certificates }, [change], generation, now)
  const [verdict] = verdicts
  if (verdict === undefined || verdict.outcome === 'refused') throw verdict?.error ?? new ProxyManagerError('INTERNAL')
  const test = observation.isBare
    ? { ok: true, output: '' }
    : await testCandidate(walk.host, observation, [], new Set())
  return { route: verdict.route, files, test }
}

/** In place of the certificate that the CA would issue: its digits are not known before. */
function standIn(host: Host, { record }: SnapshotRoute): CheckedCertificate {
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
