/** The engine on a host: its operations, made of the change pipeline, the queue and certificate maintenance. */
import { importRoutes } from '../bulk/import.ts'
import { routesFile } from '../bulk/routes-file.ts'
import { nginxControls } from '../candidate/nginx-control.ts'
import type { ChangeContext, ChangeState } from '../change/context.ts'
import { type ChangeQueue, changeQueue } from '../change/queue.ts'
import { dryRunReconcile, keepReconciled, readRenderedMark, reconcile, saveRenderedMark } from '../change/reconcile.ts'
import { confirmServed, recover, recoverJournal } from '../change/recover.ts'
import { stopping } from '../errors.ts'
import { eventLog } from '../events/log.ts'
import { progressOfCalls } from '../events/progress.ts'
import { eventStreams } from '../events/streams.ts'
import { dependencyReader } from '../health/dependencies.ts'
import { healthReader } from '../health/health.ts'
import { readMetrics } from '../health/metrics.ts'
import { upstreamChecks } from '../health/upstream-checks.ts'
import { authorsOf } from '../history/history.ts'
import type { Host } from '../host/host.ts'
import { logFailure } from '../host/log-failure.ts'
import { certificateMaintenance } from '../issuance/maintain.ts'
import { createIssuer } from '../issuance/obtain.ts'
import { orderQueue } from '../issuance/order-queue.ts'
import { certificateStore } from '../keyring/store.ts'
import { namedTokens } from '../mesh/named-tokens.ts'
import { registryReader } from '../mesh/registry-client.ts'
import { syncFromRegistry } from '../mesh/sync.ts'
import { tokenVerifier } from '../mesh/verify-token.ts'
import { ANGIE_UNSUPPORTED, nginxFactsReader } from '../nginx/binary.ts'
import { staleFinder } from '../plan/stale.ts'
import { observer } from '../snapshot/observe.ts'
import { findPutBack } from '../snapshot/put-back.ts'
import { adoptionVerbs } from './adoption.ts'
import { servedRoutes, superseding } from './arrivals.ts'
import { certificateVerbs, changeVerbs } from './change-verbs.ts'
import { drains } from './drains.ts'
import type { Engine } from './engine.ts'
import { loggedSync, noteTurns, watchedHealth } from './engine-events.ts'
import { healthWaits } from './health-waits.ts'
import { readVerbs } from './read-verbs.ts'
import { rollbackVerbs } from './rollback.ts'
import { routeView } from './route-view.ts'
import { applyOrRecover, changeSubmitter } from './submit-change.ts'

/** Builds the engine on a host; it holds the queue and all state that lives as long as the process. */
export function createEngine(host: Host): Engine {
  const closing = new AbortController()
  const context = changeContext(host, closing.signal)
  const arriving = { count: 0 }
  const queue = queueOf(context, arriving)
  const orders = orderQueue()
  const checks = upstreamChecks(host, noteTurns(context))
  const view = routeView(host, orders, checks, context.authors)
  const waits = healthWaits(host)
  const submitter = changeSubmitter(context, queue, view, checks)
  const issuer = createIssuer(context, orders, submitter.certify)
  const certificates = certificateMaintenance(context, issuer, submitter.certify)
  const tokens = namedTokens(host, context.events)
  const draining = drains(context)
  const readHealth = watchedHealth(context, healthReader(context, orders, tokens.fault, draining.read, checks))
  const registry = registryReader(host)
  const parts = { context, queue, view, waits, draining, submitter, orders, issuer, certificates, arriving }
  const changes = changeVerbs(parts)
  return {
    ...changes,
    ...rollbackVerbs(context, queue, changes),
    ...certificateVerbs(parts),
    ...adoptionVerbs(parts),
    ...readVerbs(context, view, checks, draining),
    syncFromRegistry: loggedSync(context, (request) =>
      syncFromRegistry(context, superseding(queue, waits), registry, request),
    ),
    exportRoutes: async () => routesFile((await servedRoutes(context)).values()),
    importRoutes: (request) => importRoutes(context, superseding(queue, waits), request),
    readMetrics: () => readMetrics(context, queue, checks, readHealth, draining.read),
    readHealth,
    readDependencies: dependencyReader(context),
    verifyToken: tokenVerifier(host),
    findToken: tokens.find,
    certificates,
    ...upkeepVerbs(context, queue),
    saveRenderedMark: () => saveRenderedMark(context).catch(logFailure(host, 'warn', { action: 'save_rendered_mark' })),
    recover: () => recoverHost(context),
    idle: () => queue.idle().then(context.events.idle),
    events: context.events,
    watchDraining: async () => void (await draining.read()),
    endWaits: () => {
      for (const { end } of [waits, draining, checks]) end()
    },
    progress: context.progress,
    streams: eventStreams(context.events, context.progress),
    close: () => {
      queue.close()
      closing.abort(stopping())
    },
  }
}

type UpkeepVerbs = Pick<
  Engine,
  'reconcile' | 'dryRunReconcile' | 'keepReconciled' | 'undoPutBack' | 'proveServed' | 'retryRestore'
>

/** What keeps the host as it should be, while no change is applied. */
function upkeepVerbs(context: ChangeContext, { exclusively }: ChangeQueue): UpkeepVerbs {
  return {
    reconcile: (origin) => exclusively(() => reconcile(context, origin)),
    dryRunReconcile: () => exclusively(() => dryRunReconcile(context)),
    keepReconciled: () => exclusively(() => keepReconciled(context)),
    undoPutBack: async () => {
      if (findPutBack(context.host) !== undefined) await exclusively(() => keepReconciled(context))
    },
    proveServed: () => exclusively(() => confirmServed(context)),
    retryRestore: async () => {
      if (context.state.degraded !== undefined) await exclusively(() => recoverJournal(context))
    },
  }
}

function queueOf(context: ChangeContext, arriving: { readonly count: number }): ChangeQueue {
  return changeQueue({
    apply: (changes) => applyOrRecover(context, changes),
    isPostponed: (change) => context.state.postponed.has(change),
    arriving: () => arriving.count,
    clock: context.host.clock,
  })
}

async function recoverHost(context: ChangeContext): Promise<readonly string[]> {
  const undone = await recover(context)
  const fields = { action: 'check_nginx', result: 'failure', outcome: 'unsupported', cause: ANGIE_UNSUPPORTED } as const
  if (context.state.observed?.facts.isAngie === true) context.host.log.write('warn', fields)
  return undone
}

function changeContext(host: Host, closing: AbortSignal): ChangeContext {
  const certificates = certificateStore(host)
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
  const observe = observer(host, nginxFactsReader(host), certificates, () => state.unconfirmed)
  return {
    host,
    state,
    certificates,
    stale: staleFinder(readRenderedMark(host)),
    events: eventLog(host),
    progress: progressOfCalls(host.clock),
    authors: authorsOf(host),
    observe: async (wanted, leaving) => {
      const observation = await observe(wanted, leaving)
      const observed = { ...observation, nginx: controlOf(observation) }
      if (leaving === undefined) state.observed = observed
      return observed
    },
    closing,
  }
}
