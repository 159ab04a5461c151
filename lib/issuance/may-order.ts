/** Whether a certificate must be ordered, and whether it may be. */
import { findCliIniFault, readCliIni } from '../certbot/cli-ini.ts'
import { cliIniDiagnostic, remedyOf } from '../certificates/certbot-diagnostic.ts'
import { isDueForRenewal, isOverdueForRenewal } from '../certificates/certificate.ts'
import { coversAll } from '../certificates/coverage.ts'
import { readLedger } from '../certificates/ledger-file.ts'
import { lastFailure, orderLimit } from '../certificates/order-ledger.ts'
import { type PreflightCheck, type PreflightHost, runPreflight } from '../certificates/preflight.ts'
import { webrootFault } from '../certificates/webroot.ts'
import type { ChangeContext } from '../change/context.ts'
import { ProxyManagerError } from '../errors.ts'
import type { Origin } from '../events/event.ts'
import type { Host } from '../host/host.ts'
import { unusableCertificate } from '../plan/build-record.ts'
import { unsupported } from '../render/unsupported.ts'
import { namesOf, wishOf } from '../route/names.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import { cliIniRefusal, limitReached, preflightFailed, webrootUnsafe } from './failures.ts'

export interface IssueRequest {
  readonly dropletName: string
  /** Contact for a new account at the CA; DEFAULT_SSL_EMAIL by default. */
  readonly email?: string | undefined
  /** Order a new certificate even if the present one is not due for renewal. */
  readonly forceRenew: boolean
  /** Made without a call: it has its own pauses after failures, which delay no caller. */
  readonly isBackground?: boolean
  readonly origin?: Origin | undefined
  /** Aborted once the caller has gone: an order that has not begun is not made then, unless another caller shares it. */
  readonly signal?: AbortSignal | undefined
}

/** What makes the orders of two calls the same: the names (the domain first) and whether they are forced. */
export function orderOf({ forceRenew }: IssueRequest, { record }: SnapshotRoute): string {
  return `${namesOf(record).join(' ')} ${forceRenew}`
}

/**
 * Whether an order is needed: there is no certificate for all names of the route, it is due for renewal, or the caller forces it. None is for a route
 * whose caller has chosen its certificate.
 * @throws {ProxyManagerError} CERTIFICATE_INVALID if that may not be served
 */
export function mustOrder(
  { host, certificates }: ChangeContext,
  { record }: SnapshotRoute,
  { forceRenew }: Pick<IssueRequest, 'forceRenew'>,
): boolean {
  if (forceRenew) return true
  const wish = wishOf(record)
  const found = certificates.look()(wish)
  if (found === undefined) return true
  if ('fault' in found) throw unusableCertificate(found.fault)
  if (wish.from !== null) return false
  const { summary: present, isCopy } = found
  const nowMs = host.clock.nowMs()
  if (!coversAll(present.domains, wish.names)) return true
  if (present.source === undefined) {
    const isOfUpload =
      isCopy === true && record.certificate?.source !== undefined && 'name' in record.certificate.source
    return isOfUpload || isDueForRenewal(present, nowMs)
  }
  // Another's lineage is left to its owner's timer: if it is named like the domain, until that has had time to renew it; else as long as it is chosen.
  const isNamesake = certificates
    .others(record.domain)
    .some(({ certificate }) => certificate?.fingerprint_sha256 === present.fingerprint_sha256)
  return isNamesake && isOverdueForRenewal(present, nowMs)
}

/**
 * The route that has the names and the certificate of a route's domain, most often itself, if it exists and (once an order has begun) still has the
 * domain of the order.
 * @throws {ProxyManagerError} PROXY_NOT_FOUND, PRECONDITION_FAILED, NGINX_UNSUPPORTED
 */
export async function findOwner(
  context: ChangeContext,
  dropletName: string,
  orderedFor?: string,
): Promise<SnapshotRoute> {
  const { snapshot } = await context.observe([])
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
      remedy: 'Request the certificate of the new domain',
    }
    throw new ProxyManagerError('PRECONDITION_FAILED', { message: 'The route has moved to another domain', details })
  }
  // No certificate is ordered that NGINX could not serve.
  const lacking = unsupported({ ...route.record, enable_ssl: true }, snapshot.context)
  if (lacking !== undefined) throw lacking
  return snapshot.routes.get(route.servedBy?.droplet_name ?? dropletName) ?? route
}

/**
 * Rejects an order that cannot be made, or not yet.
 * @throws {ProxyManagerError} SSL_UNAVAILABLE, SSL_RATE_LIMITED
 */
export function assertMayOrder(host: Pick<Host, 'settings' | 'clock' | 'files' | 'paths'>, domain: string): void {
  const { settings, clock, files } = host
  if (files.stamp(settings.CERTBOT_BIN) === undefined) {
    throw new ProxyManagerError('SSL_UNAVAILABLE', {
      details: { reason: 'certbot_missing', remedy: remedyOf('certbot_missing') },
    })
  }
  const fault = findCliIniFault(readCliIni(host))
  if (fault !== undefined) throw cliIniRefusal(domain, cliIniDiagnostic(fault))
  const ledger = readLedger(host, domain)
  const limit = orderLimit(ledger, clock.nowMs(), settings)
  if (limit === undefined) return
  const last = lastFailure(ledger)
  const why = last === undefined ? '' : `; the last order failed: ${last.reason}: ${last.said ?? ''}`
  throw limitReached(domain, limit, clock.nowMs(), why)
}

/**
 * Refuses an order for a certificate that could not be served.
 * @throws {ProxyManagerError} SSL_UNAVAILABLE if something else than NGINX's server blocks listens on the HTTPS port
 */
export async function assertServable({ host, observe }: ChangeContext, domain: string): Promise<void> {
  if (!(await observe([{ names: [domain], from: null }])).isHttpsTaken) return
  const port = host.settings.NGINX_HTTPS_PORT
  throw new ProxyManagerError('SSL_UNAVAILABLE', {
    message: `HTTPS cannot be served: port ${port} is held by another process, or by a stream block of NGINX`,
    details: {
      reason: 'port_taken',
      remedy: `Free port ${port} (ss -ltnp 'sport = :${port}' shows who holds it), or set NGINX_HTTPS_PORT to the port that it forwards to`,
    },
  })
}

/**
 * The checks before an order; `refusal` is why it must not be made: the webroot; with `strict`, any check that failed; with `certain`, one that is
 * certain to fail at the CA too.
 */
export async function checkBeforeOrder(
  host: PreflightHost,
  names: readonly string[],
): Promise<{ readonly preflight: PreflightCheck[]; readonly refusal: ProxyManagerError | undefined }> {
  const { SSL_PREFLIGHT: mode } = host.settings
  const preflight = mode === 'off' ? [] : await runPreflight(host, names)
  const [domain = ''] = names
  const fault = webrootFault(host)
  if (fault !== undefined) return { preflight, refusal: webrootUnsafe(domain, fault, preflight) }
  const failed = preflight.find(({ ok, certain }) => !ok && (mode === 'strict' || (mode === 'certain' && certain)))
  return { preflight, refusal: failed === undefined ? undefined : preflightFailed(failed, preflight) }
}
