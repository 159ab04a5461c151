/** Obtains certificates: within the CA's limits, after a look whether it can succeed, one certbot at a time, and proved by a handshake. */
import { diagnoseCertbot, remedyOf } from '../core/certbot-diagnostic.ts'
import { isDueForRenewal } from '../core/certificate.ts'
import { ProxyManagerError } from '../core/errors.ts'
import { lastFailure, nextOrderAt, type OrderEntry, type OrderLedger } from '../core/order-ledger.ts'
import { coversAll, namesOf } from '../core/route-names.ts'
import type { SnapshotRoute } from '../core/snapshot.ts'
import { type Host, writeFailure } from './host.ts'
import {
  type IssueDiagnostic,
  issuanceFailed,
  preflightFailed,
  rateLimited,
  UNTOLD_LIMIT_MS,
} from './issue-failures.ts'
import { setAsideBrokenLineage } from './lineage.ts'
import { beginOrder, endOrder, ledgerOf, recordLastCertificate } from './orders.ts'
import { type PreflightCheck, runPreflight } from './preflight.ts'
import { runCertbot } from './run-certbot.ts'
import type { Applied, Walk } from './walk.ts'

export interface IssueRequest {
  readonly dropletName: string
  /** Contact for a new account at the CA; DEFAULT_SSL_EMAIL where left out. */
  readonly email?: string | undefined
  /** Order a new certificate although the present one is not due for renewal. */
  readonly forceRenew: boolean
}

export interface Issued {
  readonly applied: Applied
  /** Whether the CA was asked; false where a certificate was there that is not due for renewal. */
  readonly ordered: boolean
  readonly preflight: readonly PreflightCheck[]
}

export interface Issuer {
  /**
   * Gets a certificate for the names of a route and switches the route to it. Calls for one droplet at the same time share one order.
   * @throws {ProxyManagerError} PROXY_NOT_FOUND, SSL_UNAVAILABLE, SSL_RATE_LIMITED, SSL_ISSUANCE_FAILED, BUSY once the engine is closed, and whatever a change may end in
   */
  issue(request: IssueRequest): Promise<Issued>
  /** Whether a call for this domain is being answered: its certificate is its own to bring in. */
  isIssuing(domain: string): boolean
  /** Runs something while no certbot of ours runs: it holds a lock on its folders. */
  alone<T>(job: () => Promise<T>): Promise<T>
}

/** Reasons that say nothing about the name: the CA has not counted them. */
const UNCOUNTED = new Set(['busy', 'bad_nonce', 'disk', 'certbot_missing', 'ca_down', 'account', 'rate_limited'])

export function createIssuer(walk: Walk, certify: (dropletName: string, domain: string) => Promise<Applied>): Issuer {
  const { host } = walk
  const inFlight = new Map<string, Promise<Issued>>()
  let lane: Promise<unknown> = Promise.resolve()

  const alone = <T>(job: () => Promise<T>): Promise<T> => {
    const done = lane.then(job, job)
    lane = done.catch(() => undefined)
    return done
  }

  const issue = async (request: IssueRequest, route: SnapshotRoute): Promise<Issued> => {
    const { dropletName, email = host.settings.DEFAULT_SSL_EMAIL } = request
    const { domain } = route.record
    const isWanted = needsOrder(walk, route, request)
    const preflight = isWanted
      ? await alone(() => order(walk, route, email)).catch(async (error) => {
          // Without its route the challenge cannot be answered: then that is what the caller has to know.
          await findRoute(walk, dropletName, domain)
          throw error
        })
      : []
    return { applied: await certify(dropletName, domain), ordered: isWanted, preflight }
  }

  return {
    alone,
    isIssuing: (domain) => [...inFlight.keys()].some((key) => key.split(' ')[1] === domain),
    issue: async (request) => {
      const route = await findRoute(walk, request.dropletName)
      const key = `${request.dropletName} ${namesOf(route.record).join(' ')} ${request.forceRenew}`
      const running = inFlight.get(key) ?? issue(request, route).finally(() => inFlight.delete(key))
      inFlight.set(key, running)
      return await running
    },
  }
}

/** Whether the CA has to be asked: there is no certificate for all names of the route, or it is due, or the caller insists. */
export function needsOrder(
  { host, certificates }: Walk,
  { record }: SnapshotRoute,
  { forceRenew }: Pick<IssueRequest, 'forceRenew'>,
): boolean {
  const present = certificates.newest(record.domain)?.summary
  if (forceRenew || present === undefined) return true
  return isDueForRenewal(present, host.clock.nowMs()) || !coversAll(present.domains, namesOf(record))
}

/**
 * The route, as long as it is there and (once ordering has begun) still has the domain.
 * @throws {ProxyManagerError} PROXY_NOT_FOUND, PRECONDITION_FAILED
 */
export async function findRoute(walk: Walk, dropletName: string, orderedFor?: string): Promise<SnapshotRoute> {
  const { snapshot } = await walk.observe([])
  const route = snapshot.routes.get(dropletName)
  if (route === undefined) {
    throw new ProxyManagerError(
      'PROXY_NOT_FOUND',
      orderedFor === undefined ? {} : { message: 'The route was deleted while its certificate was being issued' },
    )
  }
  if (orderedFor !== undefined && route.record.domain !== orderedFor) {
    const details = {
      domain: route.record.domain,
      certificate_for: orderedFor,
      remedy: 'Ask for the certificate of the new domain',
    }
    throw new ProxyManagerError('PRECONDITION_FAILED', { message: 'The route has moved to another domain', details })
  }
  return route
}

/**
 * Refuses an order that cannot be made, or may not be made yet.
 * @throws {ProxyManagerError} SSL_UNAVAILABLE, SSL_RATE_LIMITED
 */
export function refuseOrder(host: Host, domain: string): void {
  const { settings, clock, files } = host
  if (files.stamp(settings.CERTBOT_BIN) === undefined) {
    throw new ProxyManagerError('SSL_UNAVAILABLE', {
      details: { reason: 'certbot_missing', remedy: remedyOf('certbot_missing') },
    })
  }
  const ledger = ledgerOf(host, domain)
  const at = nextOrderAt(ledger, clock.nowMs())
  if (at === undefined) return
  const last = lastFailure(ledger)
  const why = last === undefined ? '' : `; the last order failed: ${last.reason}: ${last.said ?? ''}`
  throw rateLimited(domain, at, clock.nowMs(), `the budget kept here for this name is used up${why}`)
}

/** What is looked at before the CA is asked, and why it must not be asked, where the setting is strict about that. */
export async function lookFirst(
  host: Host,
  names: readonly string[],
): Promise<{ readonly preflight: PreflightCheck[]; readonly refusal: ProxyManagerError | undefined }> {
  const { SSL_PREFLIGHT: mode } = host.settings
  const preflight = mode === 'off' ? [] : await runPreflight(host, names)
  return { preflight, refusal: mode === 'strict' ? preflightFailed(preflight) : undefined }
}

/** One order at the CA, with its entry in the ledger. Returns what the preflight found. */
async function order(walk: Walk, { record }: SnapshotRoute, email: string): Promise<PreflightCheck[]> {
  const { host, closing } = walk
  const { clock } = host
  const { domain } = record
  const names = namesOf(record)
  closing.throwIfAborted()
  refuseOrder(host, domain)
  const { preflight, refusal } = await lookFirst(host, names)
  closing.throwIfAborted()
  if (refusal !== undefined) {
    const { reason } = refusal.details
    const entry = {
      at: clock.nowMs(),
      result: 'failed',
      reason: String(reason),
      said: refusal.message,
      uncounted: true,
    } as const
    await closeOrder(host, domain, ledgerOf(host, domain), entry)
    throw refusal
  }

  // What certbot would stumble over goes first: where that fails, no order was made.
  const before = await setAsideBrokenLineage(host, domain)
    .then(() => beginOrder(host, domain))
    .catch((error) => {
      throw writeFailure(error, { stage: 'issue' })
    })
  const previous = walk.certificates.newest(domain)
  const failure = await runCertbot(walk, domain, names, email)
  const issued = walk.certificates.newest(domain)
  const isNew = issued !== undefined && issued.summary.fingerprint_sha256 !== previous?.summary.fingerprint_sha256
  if (failure === undefined && isNew) {
    await closeOrder(host, domain, before, { at: clock.nowMs(), result: 'issued' })
    await recordLastCertificate(host, domain, null)
    return preflight
  }
  // certbot's exit status 0 is no certificate: only the files are.
  const diagnostic = failure ?? {
    ...diagnoseCertbot(0, ''),
    said: walk.certificates.lineageFault(domain) ?? 'certbot ended well, and there is no new certificate',
    output: '',
  }
  await noteFailure(host, domain, before, diagnostic)
  throw issuanceFailed(domain, diagnostic, preflight, clock.nowMs())
}

async function noteFailure(host: Host, domain: string, before: OrderLedger, failure: IssueDiagnostic): Promise<void> {
  const { reason, said, retryAt } = failure
  const at = host.clock.nowMs()
  const uncounted = UNCOUNTED.has(reason) ? { uncounted: true as const } : {}
  const entry: OrderEntry = { at, result: 'failed', reason, said: said.slice(0, 500), ...uncounted }
  const blockedUntil = reason === 'rate_limited' ? (retryAt ?? at + UNTOLD_LIMIT_MS) : undefined
  await closeOrder(host, domain, before, entry, blockedUntil)
  await recordLastCertificate(host, domain, `${reason}: ${said}`)
}

/** Where the ledger cannot be written, the entry of before stays, and the order counts as a failure: what came of it is not lost by that. */
async function closeOrder(
  host: Host,
  domain: string,
  before: OrderLedger,
  entry: OrderEntry,
  blockedUntil?: number,
): Promise<void> {
  await endOrder(host, domain, before, entry, blockedUntil).catch((error: Error) =>
    host.log.write('warn', { action: 'end_order', result: 'failed', domain, error: error.message }),
  )
}
