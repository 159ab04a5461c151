/** What a change does with NGINX: test, reload and query it, on a host with a main configuration or without one. */

import type { FileChange } from '../host/file-image.ts'
import type { Host } from '../host/host.ts'
import type { CertificateStore } from '../keyring/store.ts'
import { type TestResult, testLive } from '../nginx/config-test.ts'
import { servedGeneration } from '../nginx/generation.ts'
import { lastProof } from '../nginx/last-proof.ts'
import { type ExpectedGeneration, reloadByCommand, signalReloader } from '../nginx/reload.ts'
import type { ReloadResult } from '../nginx/reload-result.ts'
import type { Observation } from '../snapshot/observe.ts'
import { incrementalTester } from './incremental-test.ts'
import { stageTexts, syncStaged } from './stage.ts'
import { testCandidate } from './test-candidate.ts'

export interface NginxControl {
  /** Tests the configuration as it is on disk. */
  testAsIs(): Promise<TestResult>
  /**
   * Stages these files and tests the configuration with them, without touching live files. No other server block may have one of `names`.
   * `leftOut` are names in sites-enabled that are tested as if they were not there.
   * @throws {ProxyManagerError} CONFIG_WRITE_FAILED
   */
  testChange(
    files: readonly FileChange[],
    names: ReadonlySet<string>,
    leftOut?: ReadonlySet<string>,
  ): Promise<TestResult>
  /** The test result once the files are in place: the previous one, if they could be tested before. */
  testSwapped(before: TestResult, names: ReadonlySet<string>): Promise<TestResult>
  /** The process ID of the master that a reload signals; `undefined` if NGINX does not run, 0 if that is unknown. */
  findMaster(): number | undefined
  /** Waits while an upgrade of the binary is in progress, at most 10 s; false if it still is. */
  isAlone(): Promise<boolean>
  /**
   * The generation that NGINX serves; `undefined` if our server block does not answer or somebody else has reloaded NGINX since the last proof,
   * `unknown` if it cannot be queried here.
   */
  servedGeneration(): Promise<number | 'unknown' | undefined>
  /** Reloads NGINX and waits for the proof that it serves what is expected. Resolves for every outcome. */
  reload(expected: ExpectedGeneration, testMs: number): Promise<ReloadResult>
}

/** The result if there is nothing to test, or no way to. */
export const UNTESTED: TestResult = { ok: true, ended: true, output: '', diagnostics: [], durationMs: 0 }

/** Makes controls for observations; they share what NGINX has accepted and how long its last reload took. */
export function nginxControls(
  host: Host,
  certificates: Pick<CertificateStore, 'copyStamp'>,
): (observation: Observation) => NginxControl {
  const reloader = signalReloader(host)
  const testIncrement = incrementalTester(host, certificates)
  const proof = lastProof(host)
  const configured = (observation: Observation): NginxControl => ({
    testAsIs: () => testCandidate(host, observation, [], new Set()),
    testChange: (files, names, leftOut) =>
      leftOut === undefined
        ? testIncrement(observation, files, names)
        : testCandidate(host, observation, files, names, { skippedFiles: leftOut }),
    testSwapped: async (before) => before,
    findMaster: () => reloader.find(observation),
    isAlone: () => reloader.isAlone(observation),
    servedGeneration: async () => {
      const served = await servedGeneration(host, observation.snapshot.context)
      // In this order: workers that have just been started have their title by the time that one of them answers.
      return proof.isOutdated(observation) ? undefined : served
    },
    reload: async (expected, testMs) => {
      const result = await reloader.reload(observation, expected, testMs)
      if (result.ok) await proof.record(observation)
      return result
    },
  })
  const bare = configless(host)
  return (observation) => (observation.hasMainConfig ? configured(observation) : bare)
}

/** With bare directories nothing can be tested beforehand, watched or proved: only exit statuses are left. */
function configless(host: Host): NginxControl {
  return {
    testAsIs: () => testLive(host, new Set()),
    testChange: async (files) => {
      await stageTexts(host, files)
      await syncStaged(host, files)
      return UNTESTED
    },
    testSwapped: (_before, names) => testLive(host, names),
    findMaster: () => 0,
    isAlone: async () => true,
    servedGeneration: async () => 'unknown',
    reload: () => reloadByCommand(host),
  }
}
