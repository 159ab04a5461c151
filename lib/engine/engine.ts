/** What handlers call: one method for each operation of the API. */
import type { ImportRequest, ImportSummary } from '../bulk/import.ts'
import type { ExportedRoutes } from '../bulk/routes-file.ts'
import type { PreflightCheck } from '../certificates/preflight.ts'
import type { Applied, BatchDryRun, Receipt, StepTimes } from '../change/context.ts'
import type { ReconcileDryRun, Reconciled } from '../change/reconcile.ts'
import type { Origin } from '../events/event.ts'
import type { EventLog } from '../events/log.ts'
import type { Progress } from '../events/progress.ts'
import type { EventStreams } from '../events/streams.ts'
import type { AskedUrl } from '../explanation/asked-url.ts'
import type { Explanation } from '../explanation/explanation.ts'
import type { Dependency } from '../health/dependencies.ts'
import type { ManagerHealth } from '../health/health-schema.ts'
import type { Version } from '../history/history.ts'
import type { OrderedLineage } from '../issuance/dry-run.ts'
import type { CertificateEntry } from '../issuance/inventory.ts'
import type { CertificateMaintenance } from '../issuance/maintain.ts'
import type { IssueRequest } from '../issuance/may-order.ts'
import type { DeletionRequest, UploadDryRun, Uploaded, UploadRequest } from '../issuance/upload.ts'
import type { KnownToken } from '../mesh/named-tokens.ts'
import type { SyncRequest, SyncSummary } from '../mesh/sync.ts'
import type { TokenResult } from '../mesh/token-claims.ts'
import type { DrainState } from '../nginx/draining.ts'
import type { Precondition } from '../plan/change.ts'
import type { ProxySpec } from '../route/spec.ts'
import type { ProxyDetails, ProxyState } from '../route/state.ts'
import type { JudgedSite } from '../sites/judge.ts'
import type { CheckedUpstream } from '../upstream/health-check.ts'
import type { HealthDetails } from '../upstream/health-history.ts'

export interface PutRequest {
  readonly dropletName: string
  readonly spec: ProxySpec
  /** `create` refuses to replace another configuration. */
  readonly mode: 'create' | 'replace'
  readonly precondition: Precondition
  /** The version of its history that is put again. */
  readonly rollbackTo?: number
  readonly origin?: Origin | undefined
}

export interface RenameRequest {
  readonly dropletName: string
  readonly newName: string
  readonly origin?: Origin | undefined
  readonly precondition: Precondition
}

/** A change that may wait, before it is queued, until the droplet is healthy. */
export interface WaitingPut extends PutRequest, DrainWait {
  /** The longest time in seconds; 0, the default, asks once. If the caller goes meanwhile, nothing is changed. */
  readonly healthWaitS?: number
}

/** How long a change waits, once it is served, until the upstream that it has replaced or removed is drained. */
export interface DrainWait {
  /** The longest time in seconds; 0, the default, looks once. */
  readonly drainWaitS?: number
  /** Whose wait it is. */
  readonly origin?: Origin | undefined
  /** Aborted once the caller has gone: the wait ends. */
  readonly signal?: AbortSignal | undefined
}

export interface RollbackRequest extends Omit<PutRequest, 'spec' | 'mode'> {
  /** The version; if missing, the one before. */
  readonly to: number | undefined
}

export interface DeleteRequest extends DrainWait {
  readonly dropletName: string
  readonly precondition: Precondition
  /** Delete certbot's lineage of the domain and the copies of it as well. */
  readonly deleteCertificate: boolean
  readonly origin?: Origin | undefined
}

/** One check of an upstream, and the health of its route after it. */
export interface CheckedProxy extends CheckedUpstream {
  readonly dropletName: string
  readonly health: HealthDetails
}

/** A route whose certificate is served. */
export interface IssuedProxy extends Changed {
  /** Whether a certificate was ordered; false if the existing one is not due for renewal. */
  readonly ordered: boolean
  readonly preflight: readonly PreflightCheck[]
}

/** The result of a change that NGINX serves, or served already. */
export interface Changed {
  readonly outcome: Applied['outcome']
  readonly proxy: ProxyState
  readonly receipt: Receipt
  /** Milliseconds of each step, as in `Server-Timing`. */
  readonly times: StepTimes & { readonly queue: number; readonly probe: number }
}

/** A change of a route, and what may be stopped now. */
export interface RouteChanged extends Changed {
  readonly receipt: Receipt & { readonly former: readonly FormerUpstream[] }
}

/** An upstream that a change has replaced or removed. */
export interface FormerUpstream extends DrainState {
  readonly upstream: string
  /** Milliseconds. */
  readonly waited_ms: number
}

export interface DeletedProxy extends RouteChanged {
  /** Absent unless the deletion of the certificate was requested. */
  readonly certificateDeleted?: boolean
  /** Why the certificate, or a part of what belongs to it, was not deleted. */
  readonly certificateKept?: string
}

/** What a change would do. */
export interface ChangeDryRun extends Omit<BatchDryRun, 'outcomes'> {
  readonly outcome: Applied['outcome']
  readonly proxy: ProxyState
}

/** A hand-written site that routes replace. */
export interface AdoptRequest {
  /** Its name in {@link Engine.readSites}. */
  readonly file: string
  /** Droplet names of its routes, by domain, with the path after it if that is not `/`. */
  readonly dropletNames: Readonly<Record<string, string>>
  readonly acceptsDifferences: boolean
  readonly origin?: Origin | undefined
}

export interface AdoptedSite {
  readonly site: JudgedSite
  readonly proxies: readonly ProxyState[]
  readonly receipt: Receipt
}

export interface AdoptDryRun extends Omit<BatchDryRun, 'outcomes'> {
  readonly site: JudgedSite
  readonly proxies: readonly ProxyState[]
}

/** What a call for a certificate would do. */
export interface IssueDryRun extends Omit<BatchDryRun, 'outcomes'> {
  /** The route as it would be; if a certificate would be ordered, with a made-up one. */
  readonly proxy: ProxyState
  readonly wouldOrder: boolean
  readonly lineage?: OrderedLineage
  readonly preflight: readonly PreflightCheck[]
}

/** Every method throws only `ProxyManagerError`. */
export interface Engine {
  putProxy(request: WaitingPut): Promise<RouteChanged>
  deleteProxy(request: DeleteRequest): Promise<DeletedProxy>
  /** The route takes another name, with everything that it has; no request for it is lost. */
  renameProxy(request: RenameRequest): Promise<RouteChanged>
  dryRunRename(request: RenameRequest): Promise<ChangeDryRun>
  /** Puts an earlier version of a route, also of a deleted one: a PUT like any other. */
  rollbackProxy(request: RollbackRequest): Promise<RouteChanged>
  dryRunRollback(request: RollbackRequest): Promise<ChangeDryRun>
  /** The hand-written sites of the host, each with its verdict. */
  readSites(): Promise<readonly JudgedSite[]>
  /** Routes take the place of a hand-written site, all of them or none. */
  adoptSite(request: AdoptRequest): Promise<AdoptedSite>
  /** Accepts every difference. */
  dryRunAdopt(request: Omit<AdoptRequest, 'acceptsDifferences'>): Promise<AdoptDryRun>
  /** The versions of a route, the newest first; the current one is among them. */
  readHistory(dropletName: string): Promise<readonly Version[]>
  dryRunPut(request: PutRequest): Promise<ChangeDryRun>
  dryRunDelete(request: Pick<DeleteRequest, 'dropletName' | 'precondition'>): Promise<ChangeDryRun>
  issueCertificate(request: IssueRequest): Promise<IssuedProxy>
  dryRunIssue(request: IssueRequest): Promise<IssueDryRun>
  /** Every certificate of certbot's, and every uploaded one. */
  listCertificates(): Promise<readonly CertificateEntry[]>
  /** Stores a certificate, and switches the routes that use its name to it: all of them, or none. */
  putCertificate(request: UploadRequest): Promise<Uploaded>
  dryRunPutCertificate(request: UploadRequest): Promise<UploadDryRun>
  /** Deletes an uploaded certificate that no route uses. */
  deleteCertificate(request: DeletionRequest): Promise<void>
  dryRunDeleteCertificate(name: string): Promise<Pick<BatchDryRun, 'files' | 'test'>>
  /** Every route, sorted by droplet name. */
  listProxies(): Promise<readonly ProxyState[]>
  getProxy(dropletName: string): Promise<ProxyDetails>
  /** Checks the upstream of a route now; nothing is changed. */
  checkProxy(dropletName: string): Promise<CheckedProxy>
  /** What answers a URL, and what NGINX itself says to a HEAD of it. */
  explainUrl(url: AskedUrl): Promise<Explanation>
  /** Starts the health checks that are due, without waiting for them; cheap enough to be called every second. */
  startDueChecks(): Promise<void>
  readHealth(): Promise<ManagerHealth>
  /** The state of the services this one depends on, as of the last check; never waits. */
  readDependencies(): Promise<readonly Dependency[]>
  /** The periodic jobs for certificates. */
  readonly certificates: CertificateMaintenance
  /** Prometheus' text format. */
  readMetrics(): Promise<string>
  /** Makes the routes match the Registry's droplets. */
  syncFromRegistry(request: SyncRequest): Promise<SyncSummary>
  /** All routes as one document, which `importRoutes` accepts. */
  exportRoutes(): Promise<ExportedRoutes>
  /** Makes the routes what a document says. */
  importRoutes(request: ImportRequest): Promise<ImportSummary>
  /** Whose token it is, if it is one of this host. */
  findToken(token: string): KnownToken | undefined
  /** Whether the Registry has signed this token, and what it permits; never throws. */
  verifyToken(token: string): Promise<TokenResult>
  /** Renders files again that no longer fit the host: a change like any other, even while NGINX is stopped. */
  reconcile(origin?: Origin): Promise<Reconciled>
  dryRunReconcile(): Promise<ReconcileDryRun>
  /** The same, periodically: a failure is logged and left for health to show. */
  keepReconciled(): Promise<void>
  /** Undoes at once what certbot's nginx plugin has put back over a change; cheap enough to be called every second. */
  undoPutBack(): Promise<void>
  /** Saves the next start the rendering of every route. A failure is logged. */
  saveRenderedMark(): Promise<void>
  /** To be awaited before the API listens; resolves to the names of the steps that failed. */
  recover(): Promise<readonly string[]>
  /** What happened, and what happens. */
  readonly events: EventLog
  readonly streams: EventStreams
  /** What calls in progress do; each call is to be ended here once it is answered. */
  readonly progress: Pick<Progress, 'end'>
  /** Resolves once no change runs or waits, and every event is written. */
  idle(): Promise<void>
  /** Looks for former upstreams that are drained now. */
  watchDraining(): Promise<void>
  /** Health checks end, calls that wait for their droplets end with BUSY, and those for former ones with what they know: the process stops. */
  endWaits(): void
  /** From now on, changes and certificate orders are refused, for calls and for background jobs. */
  close(): void
  /** Proves again that NGINX serves the routes, if somebody else has reloaded it since the last proof. */
  proveServed(): Promise<void>
  /** Retries a rollback that has failed, if there is one. */
  retryRestore(): Promise<void>
}
