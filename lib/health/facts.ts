/** What health is judged by. */
import type { LastCertificate } from '../certificates/ledger-file.ts'
import type { LastTest, Unreconciled } from '../change/context.ts'
import type { DrainFigures } from '../nginx/draining.ts'
import type { RunningBuild } from '../nginx/running-build.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { Settings } from '../settings/settings.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import type { WriteFaults } from './writable.ts'

/** What was read of the host. */
export interface HealthFacts {
  readonly settings: Settings
  readonly nowMs: number
  readonly snapshot: Snapshot
  /** False in a harness with bare directories. */
  readonly hasMainConfig: boolean
  /** A route waits for HTTPS, and something else than NGINX's server blocks holds its port. */
  readonly isHttpsTaken: boolean
  readonly isNginxPresent: boolean
  readonly nginxVersion: string | null
  readonly isAngie: boolean
  readonly running: RunningBuild
  readonly isNginxRunning: boolean
  readonly isCertbotPresent: boolean
  /** Why the host cannot be read now; the other facts are older then. */
  readonly readFault: string | undefined
  readonly writeFaults: WriteFaults
  readonly lastTest: LastTest | undefined
  readonly lastReload: { readonly timestamp: string; readonly result: string } | undefined
  readonly lastCertificate: LastCertificate | undefined
  readonly ordersWaiting: number
  readonly overdueWorkers: DrainFigures['overdue']
  /** The routes whose upstreams fail their health checks. */
  readonly unhealthyDroplets: readonly string[]
  /** Why files that no longer fit the host could not be rendered again. */
  readonly unreconciled: Unreconciled | undefined
  /** Why a change could neither be completed nor rolled back. */
  readonly failedRollback: string | undefined
  /** Why the file with named tokens cannot be used. */
  readonly tokensFault: string | undefined
}

export type Check = (facts: HealthFacts) => readonly string[]

export function routesOf({ routes }: Snapshot): readonly SnapshotRoute[] {
  return [...routes.values()]
}

export function when(isSo: boolean, reason: string): readonly string[] {
  return isSo ? [reason] : []
}

export function installAnother(lacking: string): string {
  return `${lacking}: install an NGINX that has it, such as Debian's`
}
