/** Why there is no certificate, as errors of the catalogue. */
import { type IssueDiagnostic, type IssueFailure, remedyOf } from '../certificates/certbot-diagnostic.ts'
import { DEFAULT_RATE_LIMIT_MS } from '../certificates/order-ledger.ts'
import type { PreflightCheck } from '../certificates/preflight.ts'
import { type Culprit, ProxyManagerError } from '../errors.ts'

/** Strict preflight: a check that fails here would fail at the CA. */
export function preflightFailed(preflight: readonly PreflightCheck[]): ProxyManagerError | undefined {
  const failed = preflight.find(({ ok }) => !ok)
  if (failed === undefined) return undefined
  const reason = failed.check === 'challenge' ? 'unreachable' : failed.check
  return new ProxyManagerError('SSL_ISSUANCE_FAILED', {
    message: `No certificate was ordered: ${failed.detail}`,
    details: { domain: failed.domain, reason, remedy: remedyOf(reason), preflight, culprit: 'caller' },
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
  return new ProxyManagerError('SSL_ISSUANCE_FAILED', {
    message: `The certificate was not issued: ${said}`,
    details: { ...details, culprit: culpritOf(reason) },
  })
}

/** No order before `at` (milliseconds since the epoch), because of the CA's limit or of the budget kept here. */
export function rateLimited(domain: string, at: number, nowMs: number, said: string): ProxyManagerError {
  const details = {
    domain,
    reason: 'rate_limited',
    said,
    remedy: remedyOf('rate_limited'),
    retry_at: new Date(at).toISOString(),
  }
  return new ProxyManagerError('SSL_RATE_LIMITED', { details, retryAfterS: Math.ceil((at - nowMs) / 1000) })
}

/** The caller is responsible for names and their DNS, the host for the machine, the CA for the rest. */
function culpritOf(reason: IssueFailure): Culprit {
  if (['dns', 'unreachable', 'caa', 'rejected', 'account'].includes(reason)) return 'caller'
  return ['disk', 'busy', 'timed_out', 'interrupted', 'certbot_missing'].includes(reason) ? 'host' : 'ca'
}
