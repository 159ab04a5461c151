/** Obtains certificates: within the CA's limits, after a look whether it can succeed, one certbot at a time, and proved by a handshake. */
import { diagnoseCertbot } from '../certificates/certbot-diagnostic.ts'
import { beginOrder, ledgerOf, recordLastCertificate } from '../certificates/ledger-file.ts'
import { setAsideBrokenLineage } from '../certificates/lineage.ts'
import type { PreflightCheck } from '../certificates/preflight.ts'
import { runCertbot } from '../certificates/run-certbot.ts'
import type { Applied, ChangeContext } from '../change/context.ts'
import { singleFlight } from '../host/single-flight.ts'
import { writeFailure } from '../host/write-failure.ts'
import { namesOf } from '../route/names.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import { issuanceFailed } from './failures.ts'
import { assertMayOrder, assertServable, findRoute, type IssueRequest, mustOrder, preflightOf } from './may-order.ts'
import { closeOrder, noteFailure } from './record-order.ts'

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

export function createIssuer(
  context: ChangeContext,
  certify: (dropletName: string, domain: string) => Promise<Applied>,
): Issuer {
  const { host } = context
  const issuing = singleFlight<Issued>()
  let lane: Promise<unknown> = Promise.resolve()

  const alone = <T>(job: () => Promise<T>): Promise<T> => {
    const done = lane.then(job, job)
    lane = done.catch(() => undefined)
    return done
  }

  const issue = async (request: IssueRequest, route: SnapshotRoute): Promise<Issued> => {
    const { dropletName, email = host.settings.DEFAULT_SSL_EMAIL } = request
    const { domain } = route.record
    await assertServable(context, domain)
    const isWanted = mustOrder(context, route, request)
    const preflight = isWanted
      ? await alone(() => order(context, route, email)).catch(async (error) => {
          // Without its route the challenge cannot be answered: then that is what the caller has to know.
          await findRoute(context, dropletName, domain)
          throw error
        })
      : []
    return { applied: await certify(dropletName, domain), ordered: isWanted, preflight }
  }

  return {
    alone,
    isIssuing: (domain) => issuing.keys().some((key) => key.split(' ')[1] === domain),
    issue: async (request) => {
      const route = await findRoute(context, request.dropletName)
      const key = `${request.dropletName} ${namesOf(route.record).join(' ')} ${request.forceRenew}`
      return await issuing.run(() => issue(request, route), key)
    },
  }
}

/** One order at the CA, with its entry in the ledger. Returns what the preflight found. */
async function order(context: ChangeContext, { record }: SnapshotRoute, email: string): Promise<PreflightCheck[]> {
  const { host, closing } = context
  const { clock } = host
  const { domain } = record
  const names = namesOf(record)
  closing.throwIfAborted()
  assertMayOrder(host, domain)
  const { preflight, refusal } = await preflightOf(host, names)
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
  const previous = context.certificates.newest(domain)
  const failure = await runCertbot(context, domain, names, email)
  const issued = context.certificates.newest(domain)
  const isNew = issued !== undefined && issued.summary.fingerprint_sha256 !== previous?.summary.fingerprint_sha256
  if (failure === undefined && isNew) {
    await closeOrder(host, domain, before, { at: clock.nowMs(), result: 'issued' })
    await recordLastCertificate(host, domain, null)
    return preflight
  }
  // certbot's exit status 0 is no certificate: only the files are.
  const diagnostic = failure ?? {
    ...diagnoseCertbot(0, ''),
    said: context.certificates.lineageFault(domain) ?? 'certbot ended well, and there is no new certificate',
    output: '',
  }
  await noteFailure(host, domain, before, diagnostic)
  const { httpListens } = (await context.observe([])).snapshot.context
  throw issuanceFailed(domain, explained(diagnostic, httpListens), preflight, clock.nowMs())
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
