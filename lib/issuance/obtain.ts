/** Obtains certificates: within the CA's limits, after a preflight, one certbot at a time, and proved by a handshake. */
import { diagnoseCertbot } from '../certificates/certbot-diagnostic.ts'
import { beginOrder, readLedger, recordLastCertificate } from '../certificates/ledger-file.ts'
import { setAsideBrokenLineage } from '../certificates/lineage.ts'
import type { PreflightCheck } from '../certificates/preflight.ts'
import { runCertbot } from '../certificates/run-certbot.ts'
import { CHALLENGE_PATH } from '../certificates/webroot.ts'
import type { Applied, ChangeContext } from '../change/context.ts'
import { singleFlight } from '../host/single-flight.ts'
import { writeFailure } from '../host/write-failure.ts'
import { namesOf } from '../route/names.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import { issuanceFailed } from './failures.ts'
import {
  assertMayOrder,
  assertServable,
  checkBeforeOrder,
  findRoute,
  type IssueRequest,
  mustOrder,
} from './may-order.ts'
import { closeOrder, recordFailure } from './record-order.ts'

export interface Issued {
  readonly applied: Applied
  /** Whether a certificate was ordered; false if there was one that is not due for renewal. */
  readonly ordered: boolean
  readonly preflight: readonly PreflightCheck[]
}

export interface Issuer {
  /**
   * Obtains a certificate for the names of a route and switches the route to it. Concurrent calls for one droplet share one order.
   * @throws {ProxyManagerError} PROXY_NOT_FOUND, SSL_UNAVAILABLE, SSL_RATE_LIMITED, SSL_ISSUANCE_FAILED, BUSY once the engine is closed, and what a change may throw
   */
  issue(request: IssueRequest): Promise<Issued>
  /** Whether a call for this domain is in progress: it installs its certificate itself. */
  isIssuing(domain: string): boolean
  /** Runs a job while no certbot of ours runs, which would hold the lock on its directories. */
  exclusively<T>(job: () => Promise<T>): Promise<T>
}

export function createIssuer(
  context: ChangeContext,
  certify: (dropletName: string, domain: string) => Promise<Applied>,
): Issuer {
  const { host } = context
  const issuing = singleFlight<Issued>()
  let mutex: Promise<unknown> = Promise.resolve()

  const exclusively = <T>(job: () => Promise<T>): Promise<T> => {
    const done = mutex.then(job, job)
    mutex = done.catch(() => undefined)
    return done
  }

  const issue = async (request: IssueRequest, route: SnapshotRoute): Promise<Issued> => {
    const { dropletName, email = host.settings.DEFAULT_SSL_EMAIL } = request
    const { domain } = route.record
    await assertServable(context, domain)
    const isWanted = mustOrder(context, route, request)
    const preflight = isWanted
      ? await exclusively(() => order(context, route, email)).catch(async (error) => {
          // Without its route the challenge cannot be served: then that is the error that the caller needs.
          await findRoute(context, dropletName, domain)
          throw error
        })
      : []
    return { applied: await certify(dropletName, domain), ordered: isWanted, preflight }
  }

  return {
    exclusively,
    isIssuing: (domain) => issuing.keys().some((key) => key.split(' ')[1] === domain),
    issue: async (request) => {
      const route = await findRoute(context, request.dropletName)
      const key = `${request.dropletName} ${namesOf(route.record).join(' ')} ${request.forceRenew}`
      return await issuing.run(() => issue(request, route), key)
    },
  }
}

/** One order at the CA, with its entry in the ledger. Returns the checks of the preflight. */
async function order(context: ChangeContext, { record }: SnapshotRoute, email: string): Promise<PreflightCheck[]> {
  const { host, closing } = context
  const { clock } = host
  const { domain } = record
  const names = namesOf(record)
  closing.throwIfAborted()
  assertMayOrder(host, domain)
  const { preflight, refusal } = await checkBeforeOrder(host, names)
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
    await closeOrder(host, domain, readLedger(host, domain), entry)
    throw refusal
  }

  // A broken lineage is moved aside first; if that fails, no order was made.
  const before = await setAsideBrokenLineage(host, domain)
    // If certbot made it, it would give it to the owner of the webroot.
    .then(() => host.files.makeFolderBelow(host.paths.webroot, CHALLENGE_PATH))
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
  // Exit status 0 does not prove a certificate: only the files do.
  const diagnostic = failure ?? {
    ...diagnoseCertbot(0, ''),
    said: context.certificates.lineageFault(domain) ?? 'certbot succeeded, but there is no new certificate',
    output: '',
  }
  await recordFailure(host, domain, before, diagnostic)
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
