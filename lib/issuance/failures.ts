/** Why there is no certificate, as errors of the catalogue. */
import {
  type CertbotDiagnostic,
  type IssueDiagnostic,
  type IssueFailure,
  remedyOf,
} from '../certificates/certbot-diagnostic.ts'
import { DEFAULT_RATE_LIMIT_MS, type OrderLimit } from '../certificates/order-ledger.ts'
import type { PreflightCheck } from '../certificates/preflight.ts'
import { type Culprit, ProxyManagerError } from '../errors.ts'

/** No order because of this check of the preflight. */
export function preflightFailed(failed: PreflightCheck, preflight: readonly PreflightCheck[]): ProxyManagerError {
  const reason = failed.check === 'challenge' ? 'unreachable' : failed.check
  const remedy = `${remedyOf(reason)}; if the CA sees another DNS or network than this host, set SSL_PREFLIGHT=warn`
  return new ProxyManagerError('SSL_ISSUANCE_FAILED', {
    message: `No certificate was ordered: ${failed.detail}`,
    details: { domain: failed.domain, reason, remedy, preflight, culprit: 'caller' },
  })
}

/** certbot must not write to the webroot as it is ({@link webrootFault}), whatever the preflight's setting. */
export function webrootUnsafe(domain: string, fault: string, preflight: readonly PreflightCheck[]): ProxyManagerError {
  return new ProxyManagerError('SSL_ISSUANCE_FAILED', {
    message: `No certificate was ordered: ${fault}`,
    details: { domain, reason: 'webroot', remedy: remedyOf('webroot'), preflight, culprit: 'host' },
  })
}

/** certbot failed for this reason. */
export function issuanceFailed(
  domain: string,
  failure: IssueDiagnostic,
  preflight: readonly PreflightCheck[],
  nowMs: number,
): ProxyManagerError {
  const { reason, said, remedy, retryAt, output } = failure
  if (reason === 'rate_limited') {
    return rateLimited(domain, retryAt ?? nowMs + DEFAULT_RATE_LIMIT_MS, nowMs, said)
  }
  const details = { domain, reason, said, remedy, certbot_output: output, preflight }
  if (reason === 'certbot_missing') return new ProxyManagerError('SSL_UNAVAILABLE', { details })
  if (reason === 'cli_ini') return cliIniRefusal(domain, failure)
  return new ProxyManagerError('SSL_ISSUANCE_FAILED', {
    message: `The certificate was not issued: ${said}`,
    details: { ...details, culprit: culpritOf(reason) },
  })
}

/** The system's cli.ini has a line with which no order can be made: the CA was not asked. */
export function cliIniRefusal(domain: string, { reason, said, remedy }: CertbotDiagnostic): ProxyManagerError {
  return new ProxyManagerError('SSL_UNAVAILABLE', {
    message: `No certificate was ordered: ${said}`,
    details: { domain, reason, said, remedy },
  })
}

/** No order now, because of a limit kept here or of what the CA has said before; `why` is added to that. */
export function limitReached(domain: string, limit: OrderLimit, nowMs: number, why: string): ProxyManagerError {
  const { at, by, max, withinMs } = limit
  if (by === 'ca') return rateLimited(domain, at, nowMs, `the CA has asked to wait${why}`)
  const what = by === 'SSL_FAILURES_PER_HOUR' ? 'failed orders' : 'certificates'
  const said = `the limit that Proxy Manager keeps for this name is reached: ${max} ${what} in ${inWords(withinMs)}${why}`
  const remedy = `Wait until the time in Retry-After, or raise ${by}: the limit is Proxy Manager's, not the CA's`
  return rateLimited(domain, at, nowMs, said, { remedy, limited_by: 'proxy_manager' })
}

function inWords(ms: number): string {
  const minutes = Math.round(ms / 60_000)
  if (minutes % 1440 === 0) return `${minutes / 1440} days`
  return minutes % 60 === 0 ? `${minutes / 60} h` : `${minutes} min`
}

/** No order before `at` (milliseconds since the epoch). */
function rateLimited(
  domain: string,
  at: number,
  nowMs: number,
  said: string,
  whose = { remedy: remedyOf('rate_limited'), limited_by: 'ca' },
): ProxyManagerError {
  const details = {
    domain,
    reason: 'rate_limited',
    said,
    ...whose,
    retry_at: new Date(at).toISOString(),
  }
  return new ProxyManagerError('SSL_RATE_LIMITED', { details, retryAfterS: Math.ceil((at - nowMs) / 1000) })
}

/** The caller is responsible for names and their DNS, the host for the machine, the CA for the rest. */
function culpritOf(reason: IssueFailure): Culprit {
  if (['dns', 'unreachable', 'caa', 'rejected', 'account'].includes(reason)) return 'caller'
  const ofHost = ['disk', 'busy', 'timed_out', 'interrupted', 'certbot_missing', 'usage', 'plugin', 'profile']
  return ofHost.includes(reason) ? 'host' : 'ca'
}
