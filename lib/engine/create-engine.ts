/** The engine on a host: its operations, made of the change pipeline, the queue and certificate maintenance. */
import { nginxControls } from '../candidate/nginx-control.ts'
import { certificateStore } from '../certificates/store.ts'
import type { ChangeContext, ChangeState } from '../change/context.ts'
import { dryRun } from '../change/pipeline.ts'
import { toPutChange } from '../change/prepare-put.ts'
import { type ChangeQueue, changeQueue } from '../change/queue.ts'
import { dryRunReconcile, keepReconciled, readRenderedMark, reconcile, saveRenderedMark } from '../change/reconcile.ts'
import { confirmServed, recover, recoverJournal } from '../change/recover.ts'
import { stopping } from '../errors.ts'
import { dependencyReader } from '../health/dependencies.ts'
import { healthReader } from '../health/health.ts'
import { readMetrics } from '../health/metrics.ts'
import { upstreamChecks } from '../health/upstream-checks.ts'
import type { UpstreamTurn } from '../health/watched-upstreams.ts'
import type { Host } from '../host/host.ts'
import { logFailure } from '../host/log-failure.ts'
import { deleteCertificateFiles } from '../issuance/delete-certificate.ts'
import { dryRunIssue } from '../issuance/dry-run.ts'
import { type CertificateMaintenance, certificateMaintenance } from '../issuance/maintain.ts'
import { createIssuer, type Issuer } from '../issuance/obtain.ts'
import { type OrderQueue, orderQueue } from '../issuance/order-queue.ts'
import { registryReader } from '../mesh/registry-client.ts'
import { syncFromRegistry } from '../mesh/sync.ts'
import { tokenVerifier } from '../mesh/verify-token.ts'
import { ANGIE_UNSUPPORTED, nginxFactsReader } from '../nginx/binary.ts'
import type { Change } from '../plan/change.ts'
import { onlyOutcome } from '../plan/plan-batch.ts'
import { staleFinder } from '../plan/stale.ts'
import { observer } from '../snapshot/observe.ts'
import { findPutBack } from '../snapshot/put-back.ts'
import { arrive, counted, superseding } from './arrivals.ts'
import type { ChangeDryRun, Engine } from './engine.ts'
import { type HealthWaits, healthWaits } from './health-waits.ts'
import { readVerbs } from './read-verbs.ts'
import { type RouteView, routeView } from './route-view.ts'
import { applyOrRecover, type ChangeSubmitter, changeSubmitter } from './submit-change.ts'

/** Builds the engine on a host; it holds the queue and all state that lives as long as the process. */
export function createEngine(host: Host): Engine {
  const closing = new AbortController()
  const context = changeContext(host, closing.signal)
  const { state } = context
  const arriving = { count: 0 }
  const queue = changeQueue({
    apply: (changes) => applyOrRecover(context, changes),
    isPostponed: (change) => state.postponed.has(change),
    arriving: () => arriving.count,
    clock: host.clock,
  })
  const orders = orderQueue()
  const checks = upstreamChecks(host, logTurns(host))
  const view = routeView(host, orders, checks)
  const waits = healthWaits(host)
  const submitter = changeSubmitter(context, queue, view, checks)
  const issuer = createIssuer(context, orders, submitter.certify)
  const certificates = certificateMaintenance(context, issuer, submitter.certify)
  const readHealth = healthReader(context, orders, checks)
  const readDroplets = registryReader(host)
  const parts = { context, queue, view, waits, submitter, orders, issuer, certificates, arriving }
  return {
    ...changeVerbs(parts),
    ...certificateVerbs(parts),
    ...readVerbs(context, view, checks),
    syncFromRegistry: (request) => syncFromRegistry(context, superseding(queue, waits), readDroplets, request),
    readMetrics: () => readMetrics(context, queue, checks, readHealth),
    readHealth,
    readDependencies: dependencyReader(context),
    verifyToken: tokenVerifier(host),
    certificates,
    reconcile: () => queue.exclusively(() => reconcile(context)),
    dryRunReconcile: () => queue.exclusively(() => dryRunReconcile(context)),
    keepReconciled: () => queue.exclusively(() => keepReconciled(context)),
    undoPutBack: async () => {
      if (findPutBack(host) !== undefined) await queue.exclusively(() => keepReconciled(context))
    },
    saveRenderedMark: () => saveRenderedMark(context).catch(logFailure(host, 'warn', { action: 'save_rendered_mark' })),
    recover: async () => {
      const undone = await recover(context)
      if (state.observed?.facts.isAngie === true) logAngie(host)
      return undone
    },
    idle: () => queue.idle(),
    endWaits: () => void [waits, checks].map(({ end }) => end()),
    close: () => {
      queue.close()
      closing.abort(stopping())
    },
    proveServed: () => queue.exclusively(() => confirmServed(context)),
    retryRestore: async () => {
      if (state.degraded !== undefined) await queue.exclusively(() => recoverJournal(context))
    },
  }
}

function changeContext(host: Host, closing: AbortSignal): ChangeContext {
  const certificates = certificateStore(host)
  const observe = observer(host, nginxFactsReader(host), certificates)
  const controlOf = nginxControls(host, certificates)
  const state: ChangeState = {
    generation: 0,
    observed: undefined,
    unconfirmed: undefined,
    degraded: undefined,
    refused: undefined,
    hasFailedToWrite: false,
    unreconciled: undefined,
    postponable: new WeakMap(),
    postponed: new WeakSet(),
    lastTest: undefined,
  }
  return {
    host,
    state,
    certificates,
    stale: staleFinder(readRenderedMark(host)),
    observe: async (domains) => {
      const observation = await observe(domains)
      state.observed = { ...observation, nginx: controlOf(observation) }
      return state.observed
    },
    closing,
  }
}

interface ChangeParts {
  readonly context: ChangeContext
  readonly queue: ChangeQueue
  readonly view: RouteView
  readonly waits: HealthWaits
  readonly submitter: ChangeSubmitter
  readonly orders: OrderQueue
  readonly issuer: Issuer
  readonly certificates: CertificateMaintenance
  /** Number of calls whose upstream is being checked: they are about to submit a change. */
  readonly arriving: { count: number }
}

type ChangeVerbs = Pick<
  Engine,
  'putProxy' | 'deleteProxy' | 'renameProxy' | 'dryRunPut' | 'dryRunDelete' | 'dryRunRename'
>

function changeVerbs({
  context,
  queue,
  view,
  waits,
  submitter,
  orders,
  certificates,
  arriving,
}: ChangeParts): ChangeVerbs {
  const { host } = context
  const dryRunOf = async (change: Change): Promise<ChangeDryRun> => {
    const { outcomes, ...result } = await queue.exclusively(() => dryRun(context, [change]))
    const { outcome, route } = onlyOutcome({ outcomes })
    return { ...result, outcome, proxy: view.show(route) }
  }
  return {
    putProxy: async ({ healthWaitS = 0, signal, ...request }) => {
      const started = host.clock.monotonicMs()
      await arrive(context, waits, request, healthWaitS)
      const prepare = () => toPutChange(host, { source: 'api', ...request })
      const preparing =
        healthWaitS === 0
          ? counted(arriving, prepare)
          : waits.wait({ dropletName: request.dropletName, seconds: healthWaitS, signal }, prepare)
      const change = await preparing.catch(submitter.countRefusal)
      const changed = await submitter.submit(change, host.clock.monotonicMs() - started)
      if (host.settings.SSL_AUTO_ISSUE && changed.proxy.status === 'pending_ssl')
        certificates.issuePending().catch(logFailure(host, 'error', { action: 'issue_pending' }))
      return changed
    },
    deleteProxy: async ({ deleteCertificate, ...request }) => {
      if (waits.isWaiting(request.dropletName)) await arrive(context, waits, request, 0)
      const changed = await submitter.submit({ kind: 'delete', ...request }, 0)
      if (!deleteCertificate) return changed
      // Exclusively: a new route for this domain would otherwise get the certificate that is about to be deleted.
      const job = () => queue.exclusively(() => deleteCertificateFiles(context, changed.proxy.domain))
      const kept = await orders.exclusively(job)
      return {
        ...changed,
        certificateDeleted: kept === undefined,
        ...(kept === undefined ? {} : { certificateKept: kept }),
      }
    },
    renameProxy: async (request) => {
      await arrive(context, waits, request, 0)
      return await submitter.submit({ kind: 'rename', ...request }, 0)
    },
    dryRunRename: (request) => dryRunOf({ kind: 'rename', ...request }),
    dryRunPut: async (request) => dryRunOf(await toPutChange(host, { source: 'api', ...request })),
    dryRunDelete: (request) => dryRunOf({ kind: 'delete', ...request }),
  }
}

function certificateVerbs({
  context,
  queue,
  view,
  issuer,
}: ChangeParts): Pick<Engine, 'issueCertificate' | 'dryRunIssue'> {
  return {
    issueCertificate: async (request) => {
      const { applied, ordered, preflight } = await issuer.issue(request)
      const { outcome, route, receipt, steps } = applied
      return { outcome, proxy: view.show(route), receipt, ordered, preflight, times: { queue: 0, probe: 0, ...steps } }
    },
    dryRunIssue: async (request) => {
      const { route, ...result } = await dryRunIssue(context, queue, request)
      return { ...result, proxy: view.show(route) }
    },
  }
}

function logAngie({ log }: Host): void {
  log.write('warn', { action: 'check_nginx', result: 'failure', outcome: 'unsupported', cause: ANGIE_UNSUPPORTED })
}

/** Logs upstreams that become unhealthy, and healthy again. */
function logTurns({ log }: Host): (turn: UpstreamTurn) => void {
  return ({ type, dropletName, upstream, failure }) => {
    const fields = { action: 'check_upstream', droplet_name: dropletName, upstream }
    if (type === 'upstream.up') log.write('info', { ...fields, result: 'success', outcome: 'healthy' })
    else log.write('warn', { ...fields, result: 'failure', outcome: 'unhealthy', cause: failure })
  }
}
