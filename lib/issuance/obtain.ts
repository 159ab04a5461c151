/** Obtains certificates: within the CA's limits, after a preflight, one certbot at a time, and proved by a handshake. */

import { diagnoseCertbot, type IssueDiagnostic } from '../certificates/certbot-diagnostic.ts'
import type { Checked } from '../certificates/certificate.ts'
import { beginOrder, readLedger, recordLastCertificate } from '../certificates/ledger-file.ts'
import { chooseLineage, setAsideLineage } from '../certificates/lineage.ts'
import type { PreflightCheck } from '../certificates/preflight.ts'
import { runCertbot } from '../certificates/run-certbot.ts'
import { CHALLENGE_PATH } from '../certificates/webroot.ts'
import type { Applied, ChangeContext } from '../change/context.ts'
import { singleFlight } from '../host/single-flight.ts'
import { writeFailure } from '../host/write-failure.ts'
import type { CertifyChange } from '../plan/change.ts'
import { namesOf } from '../route/names.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import { issuanceFailed } from './failures.ts'
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
import type { OrderQueue } from './order-queue.ts'
import { type RecentFailures, recentFailures } from './recent-failures.ts'
import { closeOrder, isExempt, noteOrder, recordFailure } from './record-order.ts'

export interface Issued {
  readonly applied: Applied
  /** Whether a certificate was ordered; false if there was one that is not due for renewal. */
  readonly ordered: boolean
  readonly preflight: readonly PreflightCheck[]
}

export interface Issuer {
  /**
   * Obtains a certificate for the domain of a route and switches the route to it. Concurrent calls for one domain share one order.
   * @throws {ProxyManagerError} PROXY_NOT_FOUND, SSL_UNAVAILABLE, SSL_RATE_LIMITED, SSL_ISSUANCE_FAILED, BUSY if too many orders wait, all of its callers have gone, or the engine is closed; and what a change may throw
   */
  issue(request: IssueRequest): Promise<Issued>
  /** Whether a call for this domain is in progress: it installs its certificate itself. */
  isIssuing(domain: string): boolean
  /** What calls have failed with. */
  readonly recent: RecentFailures
}

/** Switches a route to the certificate that exists for it. */
export type Certify = (
  dropletName: string,
  domain: string,
  options?: Pick<CertifyChange, 'origin' | 'isUnpinned'>,
) => Promise<Applied>

export function createIssuer(context: ChangeContext, orders: OrderQueue, certify: Certify): Issuer {
  const { host, progress } = context
  const recent = recentFailures(host.clock)
  const issuing = singleFlight<Issued>()
  const ordering = singleFlight<PreflightCheck[]>()
  /** The calls of each order that has not ended, by its key. */
  const calls = new Map<string, IssueRequest[]>()

  const issue = async (
    request: IssueRequest,
    route: SnapshotRoute,
    sharing: readonly IssueRequest[],
  ): Promise<Issued> => {
    const { dropletName } = request
    const { domain } = route.record
    await assertServable(context, domain)
    const isNeeded = mustOrder(context, route, request)
    if (isNeeded) {
      assertMayOrder(host, domain)
      progress.report('queued', sharing, { orders_waiting: orders.waiting })
    }
    const failures = request.isBackground === true ? recentFailures(host.clock) : recent
    const once = () => orderInTurn(context, orders, failures, { request, route, sharing })
    const preflight = isNeeded
      ? await ordering.run(once, orderOf(request, route)).catch(async (error) => {
          // Without its route the challenge cannot be served: then that is the error that the caller needs.
          await findOwner(context, dropletName, domain)
          throw error
        })
      : []
    return {
      applied: await certify(dropletName, domain, { origin: request.origin, isUnpinned: request.forceRenew }),
      ordered: isNeeded,
      preflight,
    }
  }

  return {
    recent,
    isIssuing: (domain) => issuing.keys().some((key) => key.split(' ')[1] === domain),
    issue: async (request) => {
      const route = await findOwner(context, request.dropletName)
      const key = orderOf(request, route)
      const sharing = calls.get(key) ?? []
      calls.set(key, sharing)
      sharing.push(request)
      const job = () => issue(request, route, sharing).finally(() => calls.delete(key))
      return await issuing.run(job, `${request.dropletName} ${key}`)
    },
  }
}

/** One order for all calls that share it, when its turn has come; with its event. */
async function orderInTurn(
  context: ChangeContext,
  orders: OrderQueue,
  failures: RecentFailures,
  { request, route, sharing }: SharedOrder,
): Promise<PreflightCheck[]> {
  const { email = context.host.settings.DEFAULT_SSL_EMAIL } = request
  const { domain } = route.record
  const isWanted = () => sharing.some(({ signal }) => signal?.aborted !== true)
  const wanted = { domain, names: namesOf(route.record), email, call: orderOf(request, route), sharing }
  const preflight = await orders
    .order(domain, isWanted, () => order(context, failures, wanted))
    .catch(async (error) => {
      await noteOrder(context, request, domain, error)
      throw error
    })
  await noteOrder(context, request, domain)
  return preflight
}

interface SharedOrder {
  readonly request: IssueRequest
  readonly route: SnapshotRoute
  readonly sharing: readonly IssueRequest[]
}

interface Order {
  readonly domain: string
  /** The domain and its aliases. */
  readonly names: readonly string[]
  readonly email: string
  /** {@link orderOf} its call. */
  readonly call: string
  /** The calls that wait for it. */
  readonly sharing: readonly IssueRequest[]
}

/** The checks before an order, then the order. Returns the checks of the preflight. */
async function order(context: ChangeContext, recent: RecentFailures, wanted: Order): Promise<PreflightCheck[]> {
  const { host, closing, progress } = context
  const { domain, names, call, sharing } = wanted
  closing.throwIfAborted()
  assertMayOrder(host, domain)
  progress.report('preflight', sharing)
  const { preflight, refusal } = await checkBeforeOrder(host, names)
  closing.throwIfAborted()
  recent.throwAgain(call, preflight)
  if (refusal !== undefined) {
    // The preflight may not find out that a fault of the host is gone.
    if (refusal.details.culprit === 'caller') recent.note(call, refusal, preflight)
    const { reason } = refusal.details
    const entry = {
      at: host.clock.nowMs(),
      result: 'failed',
      reason: String(reason),
      said: refusal.message,
      uncounted: true,
      asked: false,
    } as const
    await closeOrder(host, domain, readLedger(host, domain), entry)
    throw refusal
  }
  progress.report('ordering', sharing)
  const failed = await placeOrder(context, wanted)
  if (failed === undefined) return preflight
  const { httpListens } = (await context.observe([])).snapshot.context
  const failure = issuanceFailed(domain, explained(failed, httpListens), preflight, host.clock.nowMs())
  if (!isExempt(failed)) recent.note(call, failure, preflight)
  throw failure
}

/** One order at the CA, with its entry in the ledger; why there is no new certificate, if there is none. */
async function placeOrder(
  context: ChangeContext,
  { domain, names, email }: Order,
): Promise<IssueDiagnostic | undefined> {
  const { host, closing } = context
  const { clock } = host
  const { lineage, before } = await prepareOrder(context, domain).catch((error) => {
    throw writeFailure(error, { stage: 'issue' })
  })
  const previous = context.certificates.ordered(domain)
  const failure = await runCertbot(context, { lineage, names, email }).catch(async (error) => {
    if (closing.aborted) throw error
    await closeOrder(host, domain, before)
    throw writeFailure(error, { stage: 'issue' })
  })
  // certbot's exit status proves neither that there is a certificate, nor that there is none, nor which lineage it has written: only the files do.
  const issued = newCertificate(context.certificates.ordered(domain), previous)
  if (!('fault' in issued)) {
    const lifetime_ms = Date.parse(issued.summary.expiry) - Date.parse(issued.summary.not_before)
    await closeOrder(host, domain, before, { at: clock.nowMs(), result: 'issued', lifetime_ms })
    await recordLastCertificate(host, domain, null)
    return undefined
  }
  const diagnostic = failure ?? { ...diagnoseCertbot(0, ''), said: issued.fault, output: '' }
  await recordFailure(host, domain, before, diagnostic)
  return diagnostic
}

/** Moves broken lineages of ours aside, makes the directory of the challenges, and records the order; if one of them fails, no order was made. */
async function prepareOrder(context: ChangeContext, domain: string) {
  const { host } = context
  const readerOf = await lineageReaders(context)
  const { name: lineage, broken } = chooseLineage(host, domain, (name) => readerOf(name) !== undefined)
  for (const name of broken) await setAsideLineage(host, domain, name)
  // If certbot made it, it would give it to the owner of the webroot.
  await host.files.makeFolderBelow(host.paths.webroot, CHALLENGE_PATH)
  return { lineage, before: await beginOrder(host, domain, lineage) }
}

/** The certificate of an order, or why there is none. */
function newCertificate(found: Checked | undefined, previous: Checked | undefined): Checked {
  if (found !== undefined && 'fault' in found) return found
  const known = previous === undefined || 'fault' in previous ? undefined : previous.summary.fingerprint_sha256
  return found === undefined || found.summary.fingerprint_sha256 === known
    ? { fault: 'certbot succeeded, but there is no new certificate' }
    : found
}

/** A CA that reaches NGINX without the load balancer is refused by a listener that expects the PROXY protocol. */
function explained<T extends { readonly reason: string; readonly remedy: string }>(
  failure: T,
  httpListens: readonly string[],
): T {
  const isProxied = failure.reason === 'unreachable' && httpListens.some((listen) => listen.includes(' proxy_protocol'))
  if (!isProxied) return failure
  const remedy = `${failure.remedy}; NGINX expects the PROXY protocol (proxy_protocol) there, so the CA has to come through what sends it`
  return { ...failure, remedy }
}
