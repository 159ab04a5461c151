/** Stage and test: NGINX reads the whole configuration as it would be, before anything live is touched. */
import { renderCandidate } from '../core/nginx-candidate.ts'
import { type Diagnostic, findUnacceptable, parseDiagnostics, publicOutput } from '../core/nginx-diagnostic.ts'
import type { FileChange } from '../core/plan.ts'
import { configurationArguments, type Host, statePaths, writeFailure } from './host.ts'
import type { Observation } from './observe.ts'

export interface TestResult {
  readonly ok: boolean
  /** NGINX's words, without folders. */
  readonly output: string
  readonly diagnostics: readonly Diagnostic[]
  readonly durationMs: number
}

const TEST_TIMEOUT_MS = 15_000

/** Candidates stand beside the main configuration under this prefix. */
export const CANDIDATE_PREFIX = '.proxy-manager-'

/**
 * Tests the host's configuration with these files changed. Nothing that NGINX serves is touched, and nothing is left behind.
 * @throws {ProxyManagerError} CONFIG_WRITE_FAILED when the candidate cannot be written
 */
export async function testCandidate(
  host: Host,
  observation: Observation,
  files: readonly FileChange[],
  domains: ReadonlySet<string>,
): Promise<TestResult> {
  const { snapshot, tree } = observation
  const { mainPath } = snapshot.host
  const id = host.clock.randomId()
  const stagingFolder = `${statePaths(host.settings).staging}/${id}`
  const candidatePath = `${mainPath.slice(0, mainPath.lastIndexOf('/'))}/${CANDIDATE_PREFIX}${id}.conf`
  try {
    await host.files.makeFolder(stagingFolder, 0o700)
    const texts = new Map(
      files.flatMap(({ path, after }) => (after !== null && 'text' in after ? [[fileName(path), after.text]] : [])),
    )
    const changed = new Map<string, string | null>()
    for (const { path, after } of files) {
      const name = fileName(path)
      if (after === null) changed.set(name, null)
      else if (texts.has(name)) changed.set(name, `${stagingFolder}/${name}`)
    }
    const candidate = renderCandidate(
      { mainPath, sitesEnabled: snapshot.sitesEnabled, stagingFolder, pidPath: `${stagingFolder}/nginx.pid`, changed },
      tree,
    )
    await Promise.all([
      ...[...texts, ...candidate.nested].map(([name, text]) =>
        host.files.writeScratch(`${stagingFolder}/${name}`, text, 0o600),
      ),
      host.files.writeScratch(candidatePath, candidate.main, 0o600),
    ])
    return await runTest(host, ['-c', candidatePath], domains, (said) => said.replaceAll(candidatePath, mainPath))
  } catch (error) {
    throw writeFailure(error)
  } finally {
    // A leftover is swept at the next start; it must not hide what the test said.
    await Promise.allSettled([host.files.remove(candidatePath), host.files.remove(stagingFolder)])
  }
}

/** Tests the live files as they stand: only where there is no main configuration to make a candidate of. */
export async function testLive(host: Host, domains: ReadonlySet<string>): Promise<TestResult> {
  return await runTest(host, configurationArguments(host.settings), domains)
}

async function runTest(
  host: Host,
  configuration: readonly string[],
  domains: ReadonlySet<string>,
  inRealNames: (said: string) => string = (said) => said,
): Promise<TestResult> {
  const started = host.clock.monotonicMs()
  const { exitCode, output: said } = await host.runner.run(host.settings.NGINX_BIN, ['-t', ...configuration], {
    timeoutMs: TEST_TIMEOUT_MS,
  })
  const output = inRealNames(said)
  const diagnostics = parseDiagnostics(output)
  const isAccepted = exitCode === 0 && findUnacceptable(diagnostics, (domain) => domains.has(domain)) === undefined
  const late = exitCode === 124 ? `\nnginx -t did not end within ${TEST_TIMEOUT_MS / 1000} s` : ''
  return {
    ok: isAccepted,
    output: publicOutput(output + late),
    diagnostics,
    durationMs: host.clock.monotonicMs() - started,
  }
}

function fileName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
