/**
 * The incremental test of a change. A route that NGINX has accepted, and nobody has touched since, is replaced by a placeholder with its names,
 * so that its certificate is not loaded again. Everything else, above all the change itself, is tested as it is; and if NGINX refuses that,
 * the whole configuration is tested.
 */
import { basename } from 'node:path'
import type { CertificateStore } from '../certificates/store.ts'
import type { FileChange } from '../host/file-image.ts'
import type { Host } from '../host/host.ts'
import { isAtLeast } from '../nginx/config/version.ts'
import type { TestResult } from '../nginx/config-test.ts'
import { readServerNames, renderPlaceholder, type ServerNames } from '../render/placeholder.ts'
import { routeFileName } from '../route/file-names.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { Observation } from '../snapshot/observe.ts'
import { testCandidate } from './test-candidate.ts'

type IncrementalTester = (
  observation: Observation,
  files: readonly FileChange[],
  names: ReadonlySet<string>,
) => Promise<TestResult>

/** Makes a test of the host's configuration with changed files, which remembers what was accepted. */
export function incrementalTester(host: Host, certificates: Pick<CertificateStore, 'copyStamp'>): IncrementalTester {
  const namesOf = new WeakMap<SnapshotRoute['record'], readonly ServerNames[]>()
  let surroundings = ''
  let accepted: ReadonlyMap<string, string> = new Map()

  /** All that NGINX reads beside our own files, and NGINX itself. */
  const stampSurroundings = ({ snapshot }: Observation): string =>
    [host.settings.NGINX_BIN, ...snapshot.host.files].map((path) => `${path} ${host.files.stamp(path)}`).join('\n')

  const serverNames = ({ record, text }: SnapshotRoute): readonly ServerNames[] => {
    const found = namesOf.get(record) ?? readServerNames(text)
    namesOf.set(record, found)
    return found
  }

  return async (observation, files, names) => {
    const { snapshot, facts } = observation
    // Read before the test: what changes while it runs is not taken for accepted.
    const around = stampSurroundings(observation)
    const changed = new Set(files.map(({ path }) => basename(path)))
    const kept = [...snapshot.routes.values()].filter(
      (route) => route.enabled && !route.drifted && !changed.has(routeFileName(route.record.droplet_name)),
    )
    const keys = new Map(
      kept.map((route) => [route.record.droplet_name, `${route.revision} ${certificates.copyStamp(route.record)}`]),
    )
    const canRefuse = isAtLeast(facts.version, [1, 19, 4])
    const skipped =
      around === surroundings
        ? kept.filter(({ record }) => {
            const isKnown = accepted.get(record.droplet_name) === keys.get(record.droplet_name)
            return isKnown && (canRefuse || record.certificate === null)
          })
        : []
    const placeholder = {
      skippedFiles: new Set(skipped.map(({ record }) => routeFileName(record.droplet_name))),
      placeholder: renderPlaceholder(skipped.flatMap(serverNames)),
    }
    let test = await testCandidate(host, observation, files, names, skipped.length === 0 ? {} : placeholder)
    // A refusal that names a file of the change is about that file, whatever stands beside it.
    const isOfChange = test.diagnostics.some(({ file }) => changed.has(file ?? ''))
    if (!test.ok && !isOfChange && skipped.length > 0) test = await testCandidate(host, observation, files, names)
    if (test.ok) {
      surroundings = around
      accepted = keys
    }
    return test
  }
}
