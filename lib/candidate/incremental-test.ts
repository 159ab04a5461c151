/**
 * The incremental test of a change. Routes that NGINX has accepted and that have not changed since are replaced by a placeholder with their
 * names, so that their certificates are not loaded again. Everything else, including the change itself, is tested as it is; if NGINX rejects
 * that, the whole configuration is tested.
 */
import { basename } from 'node:path'
import type { FileChange } from '../host/file-image.ts'
import type { Host } from '../host/host.ts'
import type { CertificateStore } from '../keyring/store.ts'
import { isAtLeast } from '../nginx/config/version.ts'
import type { TestResult } from '../nginx/config-test.ts'
import { type Kept, readKept, renderPlaceholder } from '../render/placeholder.ts'
import { routeFileName } from '../route/droplet-name.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { Observation } from '../snapshot/observe.ts'
import { testCandidate } from './test-candidate.ts'

type IncrementalTester = (
  observation: Observation,
  files: readonly FileChange[],
  names: ReadonlySet<string>,
) => Promise<TestResult>

/** Makes a test of the host's configuration with changed files, which remembers the routes that NGINX has accepted. */
export function incrementalTester(host: Host, certificates: Pick<CertificateStore, 'copyStamp'>): IncrementalTester {
  const keptOf = new WeakMap<SnapshotRoute['record'], Kept>()
  let acceptedHost = ''
  let accepted: ReadonlyMap<string, string> = new Map()
  /** The last failure that was the same with the placeholder and without it, and for which host. */
  let confirmed = ''

  /** Stamps of the files that NGINX reads besides ours, and of its binary. */
  const stampHost = ({ snapshot }: Observation): string =>
    [host.settings.NGINX_BIN, ...snapshot.host.files].map((path) => `${path} ${host.files.stamp(path)}`).join('\n')

  const readOnce = ({ record, text }: SnapshotRoute): Kept => {
    const found = keptOf.get(record) ?? readKept(text)
    keptOf.set(record, found)
    return found
  }

  return async (observation, files, names) => {
    const { snapshot, facts } = observation
    // Read before the test: a file that changes while it runs does not count as accepted.
    const hostStamp = stampHost(observation)
    const changed = new Set(files.map(({ path }) => basename(path)))
    const kept = [...snapshot.routes.values()].filter(
      (route) => route.enabled && !route.drifted && !changed.has(routeFileName(route.record.droplet_name)),
    )
    const keys = new Map(
      kept.map((route) => [route.record.droplet_name, `${route.digest} ${certificates.copyStamp(route.record)}`]),
    )
    const canRejectHandshake = isAtLeast(facts.version, [1, 19, 4])
    const skipped =
      hostStamp === acceptedHost
        ? kept.filter(({ record }) => {
            const isKnown = accepted.get(record.droplet_name) === keys.get(record.droplet_name)
            return isKnown && (canRejectHandshake || record.certificate === null)
          })
        : []
    const placeholder = {
      skippedFiles: new Set(skipped.map(({ record }) => routeFileName(record.droplet_name))),
      placeholder: renderPlaceholder(skipped.map(readOnce)),
    }
    let test = await testCandidate(host, observation, files, names, skipped.length === 0 ? {} : placeholder)
    // An error in a file of the change does not depend on the placeholder.
    const isOfChange = test.diagnostics.some(({ file }) => changed.has(file ?? ''))
    const failure = (of: TestResult) => `${hostStamp} ${JSON.stringify(of.diagnostics)}`
    // Of a crowd of changes that fail alike, only the first is tested twice.
    if (!test.ok && !isOfChange && skipped.length > 0 && failure(test) !== confirmed) {
      const incremental = test
      test = await testCandidate(host, observation, files, names)
      const isAlike = !test.ok && test.diagnostics.length > 0 && failure(test) === failure(incremental)
      confirmed = isAlike ? failure(test) : ''
    }
    if (test.ok) {
      acceptedHost = hostStamp
      accepted = keys
    }
    return test
  }
}
