/** Stage and test: NGINX reads the whole configuration as it would be, before anything live is touched. */
import { type CandidateOptions, renderCandidate } from '../core/nginx-candidate.ts'
import { type Diagnostic, findUnacceptable, parseDiagnostics, publicOutput } from '../core/nginx-diagnostic.ts'
import type { FileChange } from '../core/snapshot.ts'
import { configurationArguments, type Host, statePaths, writeFailure } from './host.ts'
import type { Observation } from './observe.ts'
import { stagedPath, stageTexts, syncStaged } from './swap.ts'

export interface TestResult {
  readonly ok: boolean
  /** NGINX came to a verdict: it could be run, and ended in time. */
  readonly ended: boolean
  /** NGINX's words, without folders. */
  readonly output: string
  readonly diagnostics: readonly Diagnostic[]
  readonly durationMs: number
}

const TEST_TIMEOUT_MS = 15_000

/** Candidates stand beside the main configuration under this prefix. */
export const CANDIDATE_PREFIX = '.proxy-manager-'

/**
 * Stages the texts of these files, and tests the host's configuration with them while they reach the medium. Nothing that NGINX serves is
 * touched; the staged texts stay, for the swap or for {@link removeTemporaries}. `standIn` is a text in place of other enabled files.
 * @throws {ProxyManagerError} CONFIG_WRITE_FAILED when they, or the candidate, cannot be written
 */
export async function testCandidate(
  host: Host,
  observation: Observation,
  files: readonly FileChange[],
  domains: ReadonlySet<string>,
  standIn: Pick<CandidateOptions, 'spared' | 'standIn'> = {},
): Promise<TestResult> {
  const { snapshot, tree } = observation
  const { mainPath } = snapshot.host
  const { staging } = statePaths(host.settings)
  const id = host.clock.randomId()
  const nestedFolder = `${staging}/${id}`
  const candidatePath = `${mainPath.slice(0, mainPath.lastIndexOf('/'))}/${CANDIDATE_PREFIX}${id}.conf`
  const pidPath = `${staging}/${id}.pid`
  const candidate = renderCandidate(
    {
      mainPath,
      sitesEnabled: snapshot.sitesEnabled,
      stagingFolder: nestedFolder,
      pidPath,
      changed: changedIncludes(files),
      ...standIn,
    },
    tree,
  )
  const inRealNames = (said: string) =>
    files.reduce((text, { path }) => text.replaceAll(stagedPath(path), path), said.replaceAll(candidatePath, mainPath))
  try {
    if (candidate.nested.size > 0) await host.files.makeFolder(nestedFolder, 0o700)
    await Promise.all([
      stageTexts(host, files),
      // NGINX opens it, too: where it cannot, the disk is to blame and not the configuration.
      host.files.writeScratch(pidPath, '', 0o644),
      host.files.writeScratch(candidatePath, candidate.main, 0o600),
      ...[...candidate.nested].map(([name, text]) => host.files.writeScratch(`${nestedFolder}/${name}`, text, 0o600)),
    ])
    const [test] = await Promise.all([
      runTest(host, ['-c', candidatePath], domains, inRealNames),
      syncStaged(host, files),
    ])
    return test
  } catch (error) {
    throw writeFailure(error)
  } finally {
    // A leftover is swept at the next start; it must not hide what the test said.
    const nested = candidate.nested.size > 0 ? [host.files.remove(nestedFolder)] : []
    await Promise.allSettled([host.files.remove(candidatePath), host.files.remove(pidPath), ...nested])
  }
}

/** What the candidate includes in place of the enabled files that change. */
function changedIncludes(files: readonly FileChange[]): Map<string, string | null> {
  const changed = new Map<string, string | null>()
  for (const { path, after } of files) {
    if (after === null) changed.set(fileName(path), null)
    else if ('text' in after) changed.set(fileName(path), stagedPath(path))
  }
  return changed
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
  const note =
    exitCode === 124
      ? `\nnginx -t did not end within ${TEST_TIMEOUT_MS / 1000} s`
      : exitCode === 127 || exitCode === 126
        ? '\nNGINX cannot be run: install it, or correct NGINX_BIN'
        : ''
  const durationMs = host.clock.monotonicMs() - started
  host.metrics.nginxTest(isAccepted, durationMs)
  return { ok: isAccepted, ended: note === '', output: publicOutput(output + note), diagnostics, durationMs }
}

function fileName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
