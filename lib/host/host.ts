/** The host as the engine sees it: the settings, the paths that follow from them, and the adapters. */
import type { Clock } from '../adapters/clock.ts'
import type { Files } from '../adapters/files.ts'
import type { HttpClient } from '../adapters/http-client.ts'
import type { Log } from '../adapters/log.ts'
import type { Metrics } from '../adapters/metrics.ts'
import type { Network } from '../adapters/network.ts'
import type { Probe } from '../adapters/probe.ts'
import type { Processes } from '../adapters/processes.ts'
import type { Runner } from '../adapters/runner.ts'
import type { Settings } from '../settings/settings.ts'
import type { StatePaths } from './state-folder.ts'

export interface Host {
  readonly settings: Settings
  readonly paths: StatePaths
  readonly files: Files
  readonly runner: Runner
  readonly http: HttpClient
  readonly probe: Probe
  readonly processes: Processes
  readonly network: Network
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
}
