/** The operations of the engine that change a route or its certificate, and their dry runs. */
import { UNTESTED } from '../candidate/nginx-control.ts'
import { dryRunBatch } from '../change/apply.ts'
import type { ChangeContext } from '../change/context.ts'
import { toPutChange } from '../change/prepare-put.ts'
import type { ChangeQueue } from '../change/queue.ts'
import { ProxyManagerError } from '../errors.ts'
import { logFailure } from '../host/log-failure.ts'
import { deleteCertificateFiles } from '../issuance/delete-certificate.ts'
import { dryRunIssue } from '../issuance/dry-run.ts'
import { listCertificates } from '../issuance/inventory.ts'
import type { CertificateMaintenance } from '../issuance/maintain.ts'
import type { Issuer } from '../issuance/obtain.ts'
import type { OrderQueue } from '../issuance/order-queue.ts'
import { deleteUploaded, dryRunUpload, planDeletion, putUploaded } from '../issuance/upload.ts'
import type { Change } from '../plan/change.ts'
import { onlyOutcome } from '../plan/plan-batch.ts'
import { arrive, counted } from './arrivals.ts'
import type { Drains } from './drains.ts'
import type { ChangeDryRun, Engine } from './engine.ts'
import type { HealthWaits } from './health-waits.ts'
import type { RouteView } from './route-view.ts'
import { type ChangeSubmitter, completeRollback } from './submit-change.ts'

/** What the operations that change something are made of. */
export interface ChangeParts {
  readonly context: ChangeContext
  readonly queue: ChangeQueue
  readonly view: RouteView
  readonly waits: HealthWaits
  readonly draining: Drains
  readonly submitter: ChangeSubmitter
  readonly orders: OrderQueue
  readonly issuer: Issuer
  readonly certificates: CertificateMaintenance
  /** Number of calls whose upstream is being checked: they are about to submit a change. */
  readonly arriving: { count: number }
}

type CertificateVerbs = Pick<
  Engine,
  | 'issueCertificate'
  | 'dryRunIssue'
  | 'listCertificates'
  | 'putCertificate'
  | 'dryRunPutCertificate'
  | 'deleteCertificate'
  | 'dryRunDeleteCertificate'
>

type ChangeVerbs = Pick<
  Engine,
  'putProxy' | 'deleteProxy' | 'renameProxy' | 'dryRunPut' | 'dryRunDelete' | 'dryRunRename'
>

export function changeVerbs({
  context,
  queue,
  view,
  waits,
  draining,
  submitter,
  orders,
  certificates,
  arriving,
}: ChangeParts): ChangeVerbs {
  const { host, progress } = context
  const dryRunOf = async (change: Change): Promise<ChangeDryRun> => {
    const { outcomes, ...result } = await queue.exclusively(() => dryRunBatch(context, [change]))
    const { outcome, route } = onlyOutcome({ outcomes })
    return { ...result, outcome, proxy: view.show(route) }
  }
  return {
    putProxy: async ({ healthWaitS = 0, drainWaitS = 0, signal, ...request }) => {
      const started = host.clock.monotonicMs()
      await arrive(context, waits, request, healthWaitS)
      const onUnhealthy = (answer?: Readonly<Record<string, unknown>>) =>
        progress.report('waiting_for_health', [request], answer)
      const prepare = () => toPutChange(host, { source: 'api', ...request })
      const preparing =
        healthWaitS === 0
          ? counted(arriving, prepare)
          : waits.wait({ dropletName: request.dropletName, seconds: healthWaitS, signal, onUnhealthy }, prepare)
      const change = await preparing.catch(submitter.refuse({ ...request, kind: 'put' }))
      const changed = await submitter.submit(change, host.clock.monotonicMs() - started)
      if (host.settings.SSL_AUTO_ISSUE && changed.proxy.status === 'pending_ssl')
        certificates.issuePending().catch(logFailure(host, 'error', { action: 'issue_pending' }))
      return await draining.settle(changed, { drainWaitS, signal, origin: request.origin })
    },
    deleteProxy: async ({ deleteCertificate, drainWaitS = 0, signal, ...request }) => {
      if (waits.isWaiting(request.dropletName)) await arrive(context, waits, request, 0)
      const changed = await submitter.submit({ kind: 'delete', ...request }, 0)
      const settle = () => draining.settle(changed, { drainWaitS, signal, origin: request.origin })
      if (!deleteCertificate) return await settle()
      // Exclusively: a new route for this domain would otherwise get the certificate that is about to be deleted.
      const job = () => queue.exclusively(() => deleteCertificateFiles(context, changed.route.record))
      const kept = await orders.exclusively(job)
      return {
        ...(await settle()),
        certificateDeleted: kept === undefined,
        ...(kept === undefined ? {} : { certificateKept: kept }),
      }
    },
    renameProxy: async (request) => {
      await arrive(context, waits, request, 0)
      const changed = await submitter.submit({ kind: 'rename', ...request }, 0)
      draining.move(request.dropletName, request.newName)
      return await draining.settle(changed)
    },
    dryRunRename: (request) => dryRunOf({ kind: 'rename', ...request }),
    dryRunPut: async (request) => dryRunOf(await toPutChange(host, { source: 'api', ...request })),
    dryRunDelete: (request) => dryRunOf({ kind: 'delete', ...request }),
  }
}

export function certificateVerbs({ context, queue, view, issuer }: ChangeParts): CertificateVerbs {
  const { metrics } = context.host
  /** Runs a job while no change is applied, and counts how it ends. */
  const change = <T>(job: () => Promise<T>, outcomeOf: (result: T) => string): Promise<T> =>
    queue
      .exclusively(async () => {
        const broken = await completeRollback(context)
        if (broken !== undefined) throw broken
        return await job()
      })
      .then(
        (result) => {
          metrics.change(outcomeOf(result))
          return result
        },
        (error: unknown) => {
          if (error instanceof ProxyManagerError) metrics.change(error.code)
          throw error
        },
      )
  return {
    listCertificates: () => listCertificates(context),
    putCertificate: (request) =>
      change(
        () => putUploaded(context, request),
        ({ outcome }) => outcome,
      ),
    dryRunPutCertificate: (request) => queue.exclusively(() => dryRunUpload(context, request)),
    deleteCertificate: (request) =>
      change(
        () => deleteUploaded(context, request),
        () => 'deleted',
      ),
    dryRunDeleteCertificate: async (name) => {
      const file = await queue.exclusively(() => planDeletion(context, name))
      return { files: [file], test: UNTESTED }
    },
    issueCertificate: async (request) => {
      const { applied, ordered, preflight } = await issuer.issue(request)
      const { outcome, route, receipt, steps } = applied
      return { outcome, proxy: view.show(route), receipt, ordered, preflight, times: { queue: 0, probe: 0, ...steps } }
    },
    dryRunIssue: async (request) => {
      const { route, ...result } = await dryRunIssue(context, queue, issuer.recent, request)
      return { ...result, proxy: view.show(route) }
    },
  }
}
