/** What handlers call: one verb for each thing the API does. */
import type { PreflightCheck } from '../certificates/preflight.ts'
import type { Applied, BatchDryRun, Receipt, StepTimes } from '../change/context.ts'
import type { Dependency } from '../health/dependencies.ts'
import type { ManagerHealth } from '../health/health-schema.ts'
import type { CertificateMaintenance } from '../issuance/maintain.ts'
import type { IssueRequest } from '../issuance/may-order.ts'
import type { SyncRequest, SyncSummary } from '../mesh/sync.ts'
import type { TokenResult } from '../mesh/token-claims.ts'
import type { Precondition } from '../plan/change.ts'
import type { ProxySpec } from '../route/spec.ts'
import type { ProxyState } from '../route/state.ts'

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
export interface ChangeDryRun extends Omit<BatchDryRun, 'outcomes'> {
  readonly outcome: Applied['outcome']
  readonly proxy: ProxyState
}

/** What a call for a certificate would do. */
export interface IssueDryRun extends Omit<BatchDryRun, 'outcomes'> {
  /** As it would be: where the CA would be asked, its certificate is one that is made up. */
  readonly proxy: ProxyState
  readonly wouldOrder: boolean
  readonly preflight: readonly PreflightCheck[]
}

/** Every verb throws `ProxyManagerError` alone. */
export interface Engine {
  putProxy(request: PutRequest): Promise<Changed>
  /** `certificateDeleted` is left out where nobody asked for it. */
  deleteProxy(request: DeleteRequest): Promise<Changed & { readonly certificateDeleted?: boolean }>
  dryRunPut(request: PutRequest): Promise<ChangeDryRun>
  dryRunDelete(request: Omit<DeleteRequest, 'deleteCertificate'>): Promise<ChangeDryRun>
  issueCertificate(request: IssueRequest): Promise<IssuedProxy>
  dryRunIssue(request: IssueRequest): Promise<IssueDryRun>
  /** Every route, sorted by droplet name. */
  listProxies(): Promise<readonly ProxyState[]>
  getProxy(dropletName: string): Promise<ProxyState>
  readHealth(): Promise<ManagerHealth>
  /** What is needed of others, from the last look; never waits. */
  readDependencies(): readonly Dependency[]
  /** What happens to certificates without a call; to be run from time to time. */
  readonly certificates: CertificateMaintenance
  /** Prometheus' text format. */
  readMetrics(): Promise<string>
  /** Brings routes in line with the Registry. */
  syncFromRegistry(request: SyncRequest): Promise<SyncSummary>
  /** Whether the Registry has signed this token, and what it may do; never throws. */
  verifyToken(token: string): Promise<TokenResult>
  /** What has to be done before the API opens; resolves to the steps that could not be. */
  recover(): Promise<readonly string[]>
  /** Resolves once no change runs or waits. */
  idle(): Promise<void>
  /** Takes no change and orders no certificate any more, for calls or for what still runs in the background. */
  close(): void
  /** Tries again to finish a restore that has failed; nothing happens where there is none. */
  retryRestore(): Promise<void>
}
