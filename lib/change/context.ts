/** What the steps of a change share, and its results. */
import type { NginxControl } from '../candidate/nginx-control.ts'
import type { ProxyManagerError } from '../errors.ts'
import type { EventLog } from '../events/log.ts'
import type { Progress } from '../events/progress.ts'
import type { Authors } from '../history/history.ts'
import type { FileChange } from '../host/file-image.ts'
import type { Host } from '../host/host.ts'
import type { CertificateStore } from '../keyring/store.ts'
import type { TestResult } from '../nginx/config-test.ts'
import type { ProvedBy } from '../nginx/reload-result.ts'
import type { Change } from '../plan/change.ts'
import type { Outcome, PlannedChange } from '../plan/plan-change.ts'
import type { StaleFinder } from '../plan/stale.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { Observation, Wanted } from '../snapshot/observe.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'

/** The proof that a change is served. */
export interface Receipt {
  /** The generation of the configuration that NGINX serves with the change in it. */
  readonly generation: number
  /** False if NGINX was not reloaded, since nothing had to change. */
  readonly reloaded: boolean
  readonly proved_by: ProvedBy | 'files_unchanged'
  /** From the signal until the proof, in milliseconds. */
  readonly proved_ms: number
  /** Number of changes that shared the test and the reload. */
  readonly batch: number
}

/** Duration of each step in milliseconds. */
export interface StepTimes {
  readonly test: number
  readonly swap: number
  readonly reload: number
  readonly confirm: number
}

export interface Applied {
  readonly outcome: Outcome
  /** The route as it is served; if it was deleted, as it was. */
  readonly route: SnapshotRoute
  /** The route that was replaced or deleted. */
  readonly former?: SnapshotRoute
  /** All routes as they are with the change, by droplet. */
  readonly routes: Snapshot['routes']
  readonly receipt: Receipt
  readonly steps: StepTimes
}

export type ChangeResult = Applied | ProxyManagerError

export interface BatchDryRun {
  /** One for each change, in the same order. */
  readonly outcomes: readonly PlannedChange[]
  readonly files: readonly FileChange[]
  readonly test: Pick<TestResult, 'ok' | 'output'>
}

/** State that changes share with health and with reads; owned by the engine. */
export interface ChangeState {
  /** The highest generation that was found or planned so far. */
  generation: number
  /** The host as it was last read; health continues with it if the host cannot be read. */
  observed: ObservedHost | undefined
  /** The host before a change that is not confirmed yet; reads answer from it meanwhile. */
  unconfirmed: Observation | undefined
  /** The reason, while a rollback has failed and the journal waits for `recoverJournal`. */
  degraded: string | undefined
  /** The generation of a change that was reported as failed and could not be rolled back: `recoverJournal` must not finish it. */
  refused: number | undefined
  /** A change could not be written since health last checked the directories. */
  hasFailedToWrite: boolean
  /** Why files that no longer fit the host could not be rendered again. */
  unreconciled: Unreconciled | undefined
  /** Changes that may be applied in a later batch if NGINX rejects their own: those of the queue. */
  readonly postponable: WeakMap<Change, 'new' | 'postponed_before'>
  /** Those of them that are to be: their batch has found no verdict about them within its budget of tests. */
  readonly postponed: WeakSet<Change>
  /** The last test of the whole live configuration. */
  lastTest: LastTest | undefined
}

export interface Unreconciled {
  readonly reason: string
  readonly routes: readonly string[]
  /** When it is tried again without a call, on the monotonic clock. */
  readonly retryAtMs: number
}

export interface LastTest {
  readonly ok: boolean
  readonly output: string
  /** When it ended: since the epoch, and on the monotonic clock. */
  readonly atMs: number
  readonly endedMs: number
}

/** A test that has ended just now. */
export function testedNow({ clock }: Pick<Host, 'clock'>, { ok, output }: Pick<LastTest, 'ok' | 'output'>): LastTest {
  return { ok, output, atMs: clock.nowMs(), endedMs: clock.monotonicMs() }
}

/** An observation, and the control of the NGINX that it is about. */
export interface ObservedHost extends Observation {
  readonly nginx: NginxControl
}

export interface ChangeContext {
  readonly host: Host
  readonly state: ChangeState
  readonly certificates: CertificateStore
  readonly stale: StaleFinder
  readonly events: EventLog
  readonly progress: Progress
  readonly authors: Authors
  /** Reads the host; `wanted` are the certificates that matter now, `leaving` is a hand-written site that it is read without. */
  readonly observe: (wanted: readonly Wanted[], leaving?: string) => Promise<ObservedHost>
  /** Aborted once the engine is closed; its reason is the error for the callers. */
  readonly closing: AbortSignal
}
