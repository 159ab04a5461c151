/** What handlers call: one verb for each thing the API does. */

import type { Metrics } from '../adapters/metrics.ts'
import type { Change, Precondition, UpstreamHealth } from '../core/change.ts'
import { ProxyManagerError } from '../core/errors.ts'
import type { ProxySpec } from '../core/proxy.ts'
import { type ProxyState, proxyState } from '../core/proxy-state.ts'
import type { SnapshotRoute } from '../core/snapshot.ts'
import type { TokenVerdict } from '../core/token-claims.ts'
import { type AppliedBatch, applyBatch, rehearse } from './apply.ts'
import { certificateStore } from './certificate-store.ts'
import { toPutChange } from './check-upstream.ts'
import { type Dependency, dependencyReader } from './dependencies.ts'
import { healthReader, type ManagerHealth } from './health.ts'
import type { Host } from './host.ts'
import { type CertificateKeeper, certificateKeeper } from './keep-certificates.ts'
import { deleteCertificateOf } from './lineage.ts'
import { nginxFactsReader } from './nginx-facts.ts'
import { observer } from './observe.ts'
import { createIssuer, type IssueRequest } from './obtain.ts'
import { sslErrorOf } from './orders.ts'
import type { PreflightCheck } from './preflight.ts'
import { changeQueue } from './queue.ts'
import { readMetrics } from './read-metrics.ts'
import { recover, recoverJournal } from './recover.ts'
import { tokenVerifier } from './registry-tokens.ts'
import { rehearseIssue } from './rehearse-issue.ts'
import { commandReloader, signalReloader } from './reload.ts'
import { type SyncRequest, type SyncSummary, syncFromRegistry } from './sync.ts'
import { changeTester } from './test-change.ts'
import type { Applied, Receipt, Rehearsal, StepTimes, Walk, WalkState } from './walk.ts'

export interface PutRequest {
  readonly dropletName: string
  readonly spec: ProxySpec
  /** `create` refuses to replace another configuration. */
  readonly mode: 'create' | 'replace'
  readonly precondition: Precondition
}

export interface DeleteRequest {
  readonly dropletName: string
  readonly precondition: Precondition
  /** Delete certbot's lineage of the domain and the copies of it as well. */
  readonly deleteCertificate: boolean
}

/** A certificate that is served. */
export interface IssuedProxy extends Changed {
  /** Whether the CA was asked; false where a certificate was there that is not due for renewal. */
  readonly ordered: boolean
  readonly preflight: readonly PreflightCheck[]
}

/** A change that is served, or was so already. */
export interface Changed {
  readonly outcome: Applied['outcome']
  readonly proxy: ProxyState
  readonly receipt: Receipt
  /** Milliseconds of each step, as in `Server-Timing`. */
  readonly times: StepTimes & { readonly queue: number; readonly probe: number }
}

/** What a change would do. */
export interface Rehearsed extends Omit<Rehearsal, 'verdicts'> {
  readonly outcome: Applied['outcome']
  readonly proxy: ProxyState
}

/** What a call for a certificate would do. */
export interface RehearsedIssue extends Omit<Rehearsal, 'verdicts'> {
  /** As it would be: where the CA would be asked, its certificate is one that is made up. */
  readonly proxy: ProxyState
  readonly wouldOrder: boolean
  readonly preflight: readonly PreflightCheck[]
}

/** Every verb throws {@link ProxyManagerError} alone. */
export interface Engine {
  putProxy(request: PutRequest): Promise<Changed>
  /** `certificateDeleted` is left out where nobody asked for it. */
  deleteProxy(request: DeleteRequest): Promise<Changed & { readonly certificateDeleted?: boolean }>
  rehearsePut(request: PutRequest): Promise<Rehearsed>
  rehearseDelete(request: Omit<DeleteRequest, 'deleteCertificate'>): Promise<Rehearsed>
  issueCertificate(request: IssueRequest): Promise<IssuedProxy>
  rehearseIssue(request: IssueRequest): Promise<RehearsedIssue>
  /** Every route, sorted by droplet name. */
  listProxies(): Promise<readonly ProxyState[]>
  getProxy(dropletName: string): Promise<ProxyState>
  readHealth(): Promise<ManagerHealth>
  /** What is needed of others, from the last look; never waits. */
  readDependencies(): readonly Dependency[]
  /** What happens to certificates without a call; to be run from time to time. */
  readonly certificates: CertificateKeeper
  /** For those who count beside the engine. */
  readonly metrics: Metrics
  /** Prometheus' text format. */
  readMetrics(): Promise<string>
  /** Brings routes in line with the Registry. */
  syncFromRegistry(request: SyncRequest): Promise<SyncSummary>
  /** Whether the Registry has signed this token, and what it may do; never throws. */
  verifyToken(token: string): Promise<TokenVerdict>
  /** What has to be done before the API opens; resolves to the steps that could not be. */
  recover(): Promise<readonly string[]>
  /** Resolves once no change runs or waits. */
  idle(): Promise<void>
  /** Takes no change any more, from calls or from what still runs in the background. */
  close(): void
  /** Tries again to finish a restore that has failed; nothing happens where there is none. */
  retryRestore(): Promise<void>
}

/** Builds the engine on a host; it holds the queue and the few things that live as long as the process. */
export function createEngine(host: Host): Engine {
  const state: WalkState = {
    generation: 0,
    unconfirmed: undefined,
    degraded: undefined,
    refused: undefined,
    hasFailedToWrite: false,
    lastTest: undefined,
  }
  const byCommand = commandReloader(host)
  const bySignal = signalReloader(host)
  const certificates = certificateStore(host)
  const walk: Walk = {
    host,
    state,
    certificates,
    observe: observer(host, nginxFactsReader(host), certificates),
    reloaderFor: (observation) => (observation.isBare ? byCommand : bySignal),
    testChange: changeTester(host, certificates),
  }
  const healthChecks = new Map<string, UpstreamHealth>()
  const readHealth = healthReader(walk)

  let arriving = 0
  const applyOrRecover = async (changes: readonly Change[]): Promise<AppliedBatch> => {
    if (state.degraded !== undefined) {
      // A former change is still half undone: nothing is built on that.
      await recoverJournal(walk).catch((error: Error) =>
        host.log.write('error', { action: 'recover_journal', result: 'failed', error: error.message }),
      )
    }
    if (state.degraded === undefined) {
      const batch = await applyBatch(walk, changes)
      for (const result of batch.results) {
        const outcome = result instanceof ProxyManagerError ? result.code : result.outcome
        host.metrics.change(outcome)
        if (outcome === 'CONFIG_WRITE_FAILED') state.hasFailedToWrite = true
      }
      return batch
    }
    const details = {
      stage: 'restore',
      state: 'degraded',
      remedy: 'See GET /proxy-manager/health and the log, and mend the cause',
    }
    const failure = new ProxyManagerError('NGINX_RELOAD_FAILED', { message: state.degraded ?? '', details })
    return { results: changes.map(() => failure), tidy: async () => undefined }
  }
  const queue = changeQueue({ apply: applyOrRecover, arriving: () => arriving, clock: host.clock })

  const submit = async (change: Change, probeMs: number): Promise<Changed> => {
    const started = host.clock.monotonicMs()
    const result = await queue.submit(change)
    if (result instanceof ProxyManagerError) throw result
    const { outcome, route, receipt, steps } = result
    if (outcome === 'deleted') healthChecks.delete(change.dropletName)
    else if (change.kind === 'put' && change.health.checkedAt !== null)
      healthChecks.set(change.dropletName, change.health)
    const walked = steps.test + steps.swap + steps.reload + steps.confirm
    const times = { queue: Math.max(0, host.clock.monotonicMs() - started - walked), probe: probeMs, ...steps }
    return { outcome, proxy: show(route), receipt, times }
  }

  const show = (route: SnapshotRoute): ProxyState =>
    proxyState(route, healthChecks.get(route.record.droplet_name), sslErrorOf(host, route))

  /** Switches a route to the certificate that is there for its domain. */
  const certify = async (dropletName: string, domain: string): Promise<Applied> => {
    const result = await queue.submit({ kind: 'certify', dropletName, domain })
    if (result instanceof ProxyManagerError) throw result
    return result
  }
  const issuer = createIssuer(walk, certify)
  const keeper = certificateKeeper(walk, issuer, certify)

  const rehearsed = async (change: Change): Promise<Rehearsed> => {
    const { verdicts, ...rehearsal } = await queue.exclusively(() => rehearse(walk, [change]))
    const [verdict] = verdicts
    if (verdict === undefined || verdict.outcome === 'refused')
      throw verdict?.error ?? new ProxyManagerError('INTERNAL')
    return { ...rehearsal, outcome: verdict.outcome, proxy: show(verdict.route) }
  }

  /** What is served now: while a change is not confirmed, the state of before it. */
  const settled = async () => (state.unconfirmed ?? (await walk.observe([]))).snapshot

  return {
    putProxy: async (request) => {
      const started = host.clock.monotonicMs()
      arriving++
      const change = await toPutChange(host, { source: 'api', ...request }).finally(() => {
        arriving--
      })
      const changed = await submit(change, host.clock.monotonicMs() - started)
      if (host.settings.SSL_AUTO_ISSUE && changed.proxy.status === 'pending_ssl') void keeper.issuePending()
      return changed
    },
    deleteProxy: async ({ deleteCertificate, ...request }) => {
      const changed = await submit({ kind: 'delete', ...request }, 0)
      if (!deleteCertificate) return changed
      // While no change is applied: a new route of this domain would be given what is about to go.
      const job = () => queue.exclusively(() => deleteCertificateOf(walk, changed.proxy.domain))
      return { ...changed, certificateDeleted: await issuer.alone(job) }
    },
    issueCertificate: async (request) => {
      const { applied, ordered, preflight } = await issuer.issue(request)
      const { outcome, route, receipt, steps } = applied
      return { outcome, proxy: show(route), receipt, ordered, preflight, times: { queue: 0, probe: 0, ...steps } }
    },
    rehearseIssue: async (request) => {
      const { route, ...rehearsed } = await rehearseIssue(walk, queue, request)
      return { ...rehearsed, proxy: show(route) }
    },
    rehearsePut: async (request) => rehearsed(await toPutChange(host, { source: 'api', ...request })),
    rehearseDelete: (request) => rehearsed({ kind: 'delete', ...request }),
    listProxies: async () => {
      const { routes } = await settled()
      return [...routes.values()].map(show).sort((a, b) => (a.droplet_name < b.droplet_name ? -1 : 1))
    },
    getProxy: async (dropletName) => {
      const route = (await settled()).routes.get(dropletName)
      if (route === undefined) throw new ProxyManagerError('PROXY_NOT_FOUND')
      return show(route)
    },
    syncFromRegistry: (request) => syncFromRegistry(walk, queue, request),
    metrics: host.metrics,
    readMetrics: () => readMetrics(walk, queue, readHealth),
    readHealth,
    readDependencies: dependencyReader(host),
    verifyToken: tokenVerifier(host),
    certificates: keeper,
    recover: () => recover(walk),
    idle: () => queue.idle(),
    close: () => queue.close(),
    retryRestore: async () => {
      if (state.degraded !== undefined) await queue.exclusively(() => recoverJournal(walk))
    },
  }
}
