/** What the steps of a change share, and its results. */
import type { NginxControl } from '../candidate/nginx-control.ts'
import type { CertificateStore } from '../certificates/store.ts'
import type { ProxyManagerError } from '../errors.ts'
import type { FileChange } from '../host/file-image.ts'
import type { Host } from '../host/host.ts'
import type { TestResult } from '../nginx/config-test.ts'
import type { ProvedBy } from '../nginx/reload-result.ts'
import type { Outcome, PlannedChange } from '../plan/plan-change.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { Observation } from '../snapshot/observe.ts'

/** The proof of a change, in short. */
export interface Receipt {
  /** The generation of the configuration that NGINX serves with the change in it. */
  readonly generation: number
  /** False if nothing had to change, and NGINX did not read its files again. */
  readonly reloaded: boolean
  readonly proved_by: ProvedBy | 'files_unchanged'
  /** From the signal until the proof, in milliseconds. */
  readonly proved_ms: number
  /** How many changes shared the test and the reload. */
  readonly batch: number
}

/** Milliseconds that each step took. */
export interface StepTimes {
  readonly test: number
  readonly swap: number
  readonly reload: number
  readonly confirm: number
}

export interface Applied {
  readonly outcome: Outcome
  /** The route as it is served; as it was, if it was deleted. */
  readonly route: SnapshotRoute
  readonly receipt: Receipt
  readonly steps: StepTimes
}

export type ChangeResult = Applied | ProxyManagerError

export interface BatchDryRun {
  /** One for each change, in their order. */
  readonly outcomes: readonly PlannedChange[]
  readonly files: readonly FileChange[]
  readonly test: Pick<TestResult, 'ok' | 'output'>
}

/** What changes share with health and with reads; kept by the engine. */
export interface ChangeState {
  /** The highest generation that was ever planned. */
  generation: number
  /** What was observed before a change that is not confirmed yet: what reads answer from meanwhile. */
  unconfirmed: Observation | undefined
  /** Set while a restore has failed and the journal waits for `recover`. */
  degraded: string | undefined
  /** The generation of a change that was answered as failed while its undoing failed too: `recover` must not finish it. */
  refused: number | undefined
  /** A change could not be written since health last tried the directories. */
  hasFailedToWrite: boolean
  /** The last test of the whole configuration as it is live. */
  lastTest: LastTest | undefined
}

export interface LastTest {
  readonly ok: boolean
  readonly output: string
  /** When it ended: since the epoch, and on the monotonic clock. */
  readonly atMs: number
  readonly endedMs: number
}

/** A test that has ended at this moment. */
export function testedNow({ clock }: Host, { ok, output }: Pick<LastTest, 'ok' | 'output'>): LastTest {
  return { ok, output, atMs: clock.nowMs(), endedMs: clock.monotonicMs() }
}

/** What was observed, and the NGINX that it was observed of. */
export interface ObservedHost extends Observation {
  readonly nginx: NginxControl
}

export interface ChangeContext {
  readonly host: Host
  readonly state: ChangeState
  readonly certificates: CertificateStore
  /** Reads the host; `domains` are those whose certificates matter now. */
  readonly observe: (domains: readonly string[]) => Promise<ObservedHost>
  /** Aborted once the engine is closed; its reason is what callers are answered. */
  readonly closing: AbortSignal
}
