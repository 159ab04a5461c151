/** Obtains certificates: within the CA's limits, after a look whether it can succeed, one certbot at a time, and proved by a handshake. */
import { deployHook, orderArguments } from '../core/certbot-command.ts'
import { diagnoseCertbot, logEvidence, publicCertbotOutput, remedyOf } from '../core/certbot-diagnostic.ts'
import { isDueForRenewal } from '../core/certificate.ts'
import { ProxyManagerError } from '../core/errors.ts'
import { lastFailure, nextOrderAt, type OrderEntry, type OrderLedger } from '../core/order-ledger.ts'
import type { SnapshotRoute } from '../core/snapshot.ts'
import { type Host, statePaths, writeFailure } from './host.ts'
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
   * Gets a certificate for a route's domain and switches the route to it. Calls for one droplet at the same time share one order.
   * @throws {ProxyManagerError} PROXY_NOT_FOUND, SSL_UNAVAILABLE, SSL_RATE_LIMITED, SSL_ISSUANCE_FAILED, and whatever a change may end in
   */
  issue(request: IssueRequest): Promise<Issued>
  /** Whether a call for this domain is being answered: its certificate is its own to bring in. */
  isIssuing(domain: string): boolean
  /** Runs something while no certbot of ours runs: it holds a lock on its folders. */
  alone<T>(job: () => Promise<T>): Promise<T>
}

/** certbot may take long; it is ended before its caller has given up. */
const CERTBOT_TIMEOUT_MS = 180_000
const CERTBOT_GRACE_MS = 10_000
/** Another certbot, the timer's, holds the lock for seconds; these tries take half a minute. */
const TRIES = 8
const BUSY_PAUSE_MS = 4_000
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

  const issue = async ({ dropletName, email, forceRenew }: IssueRequest, domain: string): Promise<Issued> => {
    const present = walk.certificates.newest(domain)
    const isWanted = forceRenew || present === undefined || isDueForRenewal(present.summary, host.clock.nowMs())
    const preflight = isWanted
      ? await alone(() => order(host, walk, domain, email ?? host.settings.DEFAULT_SSL_EMAIL)).catch(async (error) => {
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
      const { domain } = (await findRoute(walk, request.dropletName)).record
      const key = `${request.dropletName} ${domain} ${request.forceRenew}`
      const running = inFlight.get(key) ?? issue(request, domain).finally(() => inFlight.delete(key))
      inFlight.set(key, running)
      return await running
    },
  }
}

/** The route, as long as it is there and (once ordering has begun) still has the domain. */
async function findRoute(walk: Walk, dropletName: string, orderedFor?: string): Promise<SnapshotRoute> {
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

/** One order at the CA, with its entry in the ledger. Returns what the preflight found. */
async function order(host: Host, walk: Walk, domain: string, email: string): Promise<PreflightCheck[]> {
  const { settings, clock, files } = host
  if (files.stamp(settings.CERTBOT_BIN) === undefined) {
    throw new ProxyManagerError('SSL_UNAVAILABLE', {
      details: { reason: 'certbot_missing', remedy: remedyOf('certbot_missing') },
    })
  }
  const at = nextOrderAt(ledgerOf(host, domain), clock.nowMs())
  if (at !== undefined) {
    const last = lastFailure(ledgerOf(host, domain))
    const why = last === undefined ? '' : `; the last order failed: ${last.reason}: ${last.said ?? ''}`
    throw rateLimited(domain, at, clock.nowMs(), `the budget kept here for this name is used up${why}`)
  }
  const preflight = settings.SSL_PREFLIGHT === 'off' ? [] : await runPreflight(host, domain)
  const refusal = settings.SSL_PREFLIGHT === 'strict' ? preflightFailed(domain, preflight) : undefined
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

  const before = await beginOrder(host, domain).catch((error) => {
    throw writeFailure(error, { stage: 'issue' })
  })
  const previous = walk.certificates.newest(domain)
  const failure = await runCertbot(host, domain, email)
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

/**
 * Runs certbot until it has the lock and the CA has taken its nonces; `undefined` when it ended well. A refused nonce is to be tried again
 * (RFC 8555, 6.5), which certbot does once for each request.
 */
async function runCertbot(host: Host, domain: string, email: string): Promise<IssueDiagnostic | undefined> {
  const { settings, clock } = host
  const { webroot, renewedMark } = statePaths(settings)
  const challenges = `${webroot}/.well-known/acme-challenge`
  await setAsideBrokenLineage(host, domain).catch((error) => {
    throw writeFailure(error, { stage: 'issue' })
  })
  const command = orderArguments({
    domain,
    email,
    webroot,
    deployHook: deployHook(renewedMark),
    server: settings.ACME_DIRECTORY_URL,
    configDir: settings.CERTBOT_CONFIG_DIR,
    workDir: settings.CERTBOT_WORK_DIR,
    logsDir: settings.CERTBOT_LOGS_DIR,
  })
  const before = new Set(host.files.list(challenges))
  for (let tries = 1; ; tries++) {
    const { exitCode, output } = await host.runner.run(settings.CERTBOT_BIN, command, {
      timeoutMs: CERTBOT_TIMEOUT_MS,
      graceMs: CERTBOT_GRACE_MS,
    })
    host.metrics.certbotRun(exitCode === 0 ? 'success' : 'failure')
    if (exitCode === 0) return undefined
    const diagnostic = diagnoseCertbot(exitCode, `${output}\n${readLogEvidence(host, output)}`)
    if (diagnostic.reason === 'busy' && tries < TRIES) {
      await clock.sleep(BUSY_PAUSE_MS)
      continue
    }
    if (diagnostic.reason === 'bad_nonce' && tries < TRIES) continue
    // Killed while the CA was looking, certbot leaves its challenge behind.
    for (const name of host.files.list(challenges))
      if (!before.has(name)) await host.files.remove(`${challenges}/${name}`).catch(() => undefined)
    return { ...diagnostic, output: publicCertbotOutput(output) }
  }
}

function readLogEvidence({ files }: Host, output: string): string {
  const path = /Saving debug log to (\/\S+)/.exec(output)?.[1]
  if (path === undefined) return ''
  const { size } = files.tail(path, Number.POSITIVE_INFINITY)
  return logEvidence(files.tail(path, Math.max(0, size - 65_536)).text)
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
