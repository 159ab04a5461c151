/** The engine on a host: its verbs, made of the change pipeline, the queue and certificate maintenance. */

import { certificateStore } from '../certificates/store.ts'
import { type AppliedBatch, applyBatch, dryRun } from '../change/apply.ts'
import type { Applied, ChangeContext, ChangeState } from '../change/context.ts'
import { changeTester } from '../change/incremental-test.ts'
import { toPutChange } from '../change/prepare-put.ts'
import { changeQueue } from '../change/queue.ts'
import { recover, recoverJournal } from '../change/recover.ts'
import { ProxyManagerError, stopping } from '../errors.ts'
import { dependencyReader } from '../health/dependencies.ts'
import { healthReader } from '../health/health.ts'
import { readMetrics } from '../health/metrics.ts'
import type { Host } from '../host/host.ts'
import { logFailure } from '../host/log-failure.ts'
import { deleteCertificateOf } from '../issuance/delete-certificate.ts'
import { dryRunIssue } from '../issuance/dry-run.ts'
import { certificateMaintenance } from '../issuance/maintain.ts'
import { createIssuer } from '../issuance/obtain.ts'
import { registryReader } from '../mesh/registry-client.ts'
import { syncFromRegistry } from '../mesh/sync.ts'
import { tokenVerifier } from '../mesh/verify-token.ts'
import { nginxFactsReader } from '../nginx/binary.ts'
import { commandReloader, signalReloader } from '../nginx/reload.ts'
import type { Change } from '../plan/change.ts'
import { observer } from '../snapshot/observe.ts'
import type { ChangeDryRun, Changed, Engine } from './engine.ts'
import { routeView } from './route-view.ts'

/** Builds the engine on a host; it holds the queue and the few things that live as long as the process. */
export function createEngine(host: Host): Engine {
  const state: ChangeState = {
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
  const closing = new AbortController()
  const context: ChangeContext = {
    host,
    state,
    certificates,
    observe: observer(host, nginxFactsReader(host), certificates),
    reloaderFor: (observation) => (observation.isBare ? byCommand : bySignal),
    testChange: changeTester(host, certificates),
    closing: closing.signal,
  }
  const view = routeView(host)
  const readHealth = healthReader(context)

  let arriving = 0
  const applyOrRecover = async (changes: readonly Change[]): Promise<AppliedBatch> => {
    if (state.degraded !== undefined) {
      // A former change is still half undone: nothing is built on that.
      await recoverJournal(context).catch(logFailure(host, 'error', { action: 'recover_journal' }))
    }
    if (state.degraded === undefined) {
      const batch = await applyBatch(context, changes)
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
  const readDroplets = registryReader(host)

  /** A change that is refused before it is part of a batch. */
  const countRefusal = (error: unknown): never => {
    if (error instanceof ProxyManagerError) host.metrics.change(error.code)
    throw error
  }
  const submit = async (change: Change, probeMs: number): Promise<Changed> => {
    const started = host.clock.monotonicMs()
    const result = await queue.submit(change).catch(countRefusal)
    if (result instanceof ProxyManagerError) throw result
    const { outcome, route, receipt, steps } = result
    // What was made has its own check in its file, and may lead elsewhere than what was checked before.
    if (outcome !== 'unchanged') view.forget(change.dropletName)
    else if (change.kind === 'put' && change.health.checkedAt !== null)
      view.noteHealth(change.dropletName, change.health)
    const walked = steps.test + steps.swap + steps.reload + steps.confirm
    const times = { queue: Math.max(0, host.clock.monotonicMs() - started - walked), probe: probeMs, ...steps }
    return { outcome, proxy: view.show(route), receipt, times }
  }

  /** Switches a route to the certificate that is there for its domain. */
  const certify = async (dropletName: string, domain: string): Promise<Applied> => {
    const result = await queue.submit({ kind: 'certify', dropletName, domain })
    if (result instanceof ProxyManagerError) throw result
    return result
  }
  const issuer = createIssuer(context, certify)
  const keeper = certificateMaintenance(context, issuer, certify)

  const rehearsed = async (change: Change): Promise<ChangeDryRun> => {
    const { verdicts, ...rehearsal } = await queue.exclusively(() => dryRun(context, [change]))
    const [verdict] = verdicts
    if (verdict === undefined || verdict.outcome === 'refused')
      throw verdict?.error ?? new ProxyManagerError('INTERNAL')
    return { ...rehearsal, outcome: verdict.outcome, proxy: view.show(verdict.route) }
  }

  /** What is served now: while a change is not confirmed, the state of before it. */
  const settled = async () => (state.unconfirmed ?? (await context.observe([]))).snapshot

  return {
    putProxy: async (request) => {
      const started = host.clock.monotonicMs()
      arriving++
      const change = await toPutChange(host, { source: 'api', ...request })
        .catch(countRefusal)
        .finally(() => {
          arriving--
        })
      const changed = await submit(change, host.clock.monotonicMs() - started)
      if (host.settings.SSL_AUTO_ISSUE && changed.proxy.status === 'pending_ssl')
        keeper.issuePending().catch(logFailure(host, 'error', { action: 'issue_pending' }))
      return changed
    },
    deleteProxy: async ({ deleteCertificate, ...request }) => {
      const changed = await submit({ kind: 'delete', ...request }, 0)
      if (!deleteCertificate) return changed
      // While no change is applied: a new route of this domain would be given what is about to go.
      const job = () => queue.exclusively(() => deleteCertificateOf(context, changed.proxy.domain))
      return { ...changed, certificateDeleted: await issuer.alone(job) }
    },
    issueCertificate: async (request) => {
      const { applied, ordered, preflight } = await issuer.issue(request)
      const { outcome, route, receipt, steps } = applied
      return { outcome, proxy: view.show(route), receipt, ordered, preflight, times: { queue: 0, probe: 0, ...steps } }
    },
    dryRunIssue: async (request) => {
      const { route, ...rehearsed } = await dryRunIssue(context, queue, request)
      return { ...rehearsed, proxy: view.show(route) }
    },
    dryRunPut: async (request) => rehearsed(await toPutChange(host, { source: 'api', ...request })),
    dryRunDelete: (request) => rehearsed({ kind: 'delete', ...request }),
    listProxies: async () => {
      const { routes } = await settled()
      return [...routes.values()].map(view.show).sort((a, b) => (a.droplet_name < b.droplet_name ? -1 : 1))
    },
    getProxy: async (dropletName) => {
      const route = (await settled()).routes.get(dropletName)
      if (route === undefined) throw new ProxyManagerError('PROXY_NOT_FOUND')
      return view.show(route)
    },
    syncFromRegistry: (request) => syncFromRegistry(context, queue, readDroplets, request),
    metrics: host.metrics,
    readMetrics: () => readMetrics(context, queue, readHealth),
    readHealth,
    readDependencies: dependencyReader(context),
    verifyToken: tokenVerifier(host),
    certificates: keeper,
    recover: () => recover(context),
    idle: () => queue.idle(),
    close: () => {
      queue.close()
      closing.abort(stopping())
    },
    retryRestore: async () => {
      if (state.degraded !== undefined) await queue.exclusively(() => recoverJournal(context))
    },
  }
}
