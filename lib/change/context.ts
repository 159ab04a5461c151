/** What the steps of a change share, and its results. */
import type { CertificateStore } from '../certificates/store.ts'
import type { ProxyManagerError } from '../errors.ts'
import type { FileChange } from '../host/file-image.ts'
import type { Host } from '../host/host.ts'
import type { TestResult } from '../nginx/config-test.ts'
import type { Reloader } from '../nginx/reload.ts'
import type { ProvedBy } from '../nginx/reload-result.ts'
import type { Outcome, Verdict } from '../plan/plan-change.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { Observation } from '../snapshot/observe.ts'
import type { ChangeTester } from './incremental-test.ts'

/** The proof of a change, in short. */
export interface Receipt {
  /** The generation of the configuration that NGINX serves with the change in it. */
  readonly generation: number
  /** False where everything was so already, and NGINX was not asked. */
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
  /** The route as it is served; as it was, where it was deleted. */
  readonly route: SnapshotRoute
  readonly receipt: Receipt
  readonly steps: StepTimes
}

export type ChangeResult = Applied | ProxyManagerError

export interface BatchDryRun {
  readonly verdicts: readonly Verdict[]
  readonly files: readonly FileChange[]
  readonly test: Pick<TestResult, 'ok' | 'output'>
}

/** What changes share with health and with reads; kept by the engine. */
export interface ChangeState {
  /** The highest generation that was ever planned. */
  generation: number
  /** The observation of before a change that is not confirmed yet: what reads answer from meanwhile. */
  unconfirmed: Observation | undefined
  /** Set while a restore has failed and the journal waits for `recover`. */
  degraded: string | undefined
  /** The generation of a change that was answered as failed while its undoing failed too: `recover` must not finish it. */
  refused: number | undefined
  /** A change could not be written since health has looked at the folders. */
  hasFailedToWrite: boolean
  /** The last test of the whole configuration as it is live. */
  lastTest: LastTest | undefined
}

export interface LastTest {
  readonly ok: boolean
  readonly output: string
  /** When it ended: since the epoch, and on the clock that nobody sets. */
  readonly atMs: number
  readonly endedMs: number
}

/** A test that has ended at this moment. */
export function testedNow({ clock }: Host, { ok, output }: Pick<LastTest, 'ok' | 'output'>): LastTest {
  return { ok, output, atMs: clock.nowMs(), endedMs: clock.monotonicMs() }
}

export interface ChangeContext {
  readonly host: Host
  readonly state: ChangeState
  readonly certificates: CertificateStore
  readonly observe: (domains: readonly string[]) => Promise<Observation>
  readonly reloaderFor: (observation: Observation) => Reloader
  readonly testChange: ChangeTester
  /** Aborted once the engine is closed; its reason is what callers are answered. */
  readonly closing: AbortSignal
}
