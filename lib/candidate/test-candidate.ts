/** Tests a candidate: a copy of the host's configuration that includes the changed files. */
import { basename, dirname } from 'node:path'
import { ProxyManagerError } from '../errors.ts'
import type { FileChange } from '../host/file-image.ts'
import type { Host } from '../host/host.ts'
import { statePaths } from '../host/state-folder.ts'
import { writeFailure } from '../host/write-failure.ts'
import { type CandidateOptions, renderCandidate } from '../nginx/config/candidate.ts'
import { hostRemedy } from '../nginx/config/diagnostic.ts'
import { isSameFolder } from '../nginx/config/include.ts'
import { runTest, type TestResult } from '../nginx/config-test.ts'
import { dropletOfFileName, isOwnFileName } from '../route/droplet-name.ts'
import type { Observation } from '../snapshot/observe.ts'
import { stagedPath, stageTexts, syncStaged } from './stage.ts'

/** The error if NGINX rejects a change. */
export function configFailed(test: TestResult): ProxyManagerError {
  const remedy = hostRemedy(test.diagnostics, isOwnFileName)
  const culprit = test.ended && remedy === undefined ? {} : { culprit: 'host' }
  return new ProxyManagerError('PROXY_CONFIG_FAILED', {
    details: {
      nginx_output: test.output,
      diagnostics: test.diagnostics,
      ...culprit,
      ...(remedy === undefined ? {} : { remedy }),
    },
  })
}

/** The error if NGINX rejects the host's configuration without the change. */
export function alreadyBroken(test: TestResult): ProxyManagerError {
  const found = test.diagnostics.find(({ level, file }) => level === 'emerg' && file !== null)
  const dropletName = dropletOfFileName(found?.file ?? '')
  const place = found === undefined ? "the host's configuration" : `${found.file}, line ${found.line}: ${found.message}`
  const remedy =
    dropletName === undefined
      ? `Fix ${place} (nginx -t shows the same), then call again`
      : `NGINX rejects the file of route ${dropletName} (line ${found?.line}: ${found?.message}): repeat PUT /proxies/${dropletName}, or DELETE /proxies/${dropletName}; an edit of it is kept in the backups. If it rejects several, delete them one after another`
  return new ProxyManagerError('NGINX_ALREADY_BROKEN', {
    details: {
      nginx_output: test.output,
      diagnostics: test.diagnostics,
      remedy,
    },
  })
}

/** Prefix of candidates, which are beside the main configuration so that relative includes work. */
export const CANDIDATE_PREFIX = '.proxy-manager-'

/**
 * Stages the texts of these files, and tests the host's configuration with them while they are synced. No live file is touched; the staged
 * texts stay, for the swap or for {@link removeTemporaries}. `domains` as in {@link runTest}; `placeholder` replaces other enabled files.
 * @throws {ProxyManagerError} CONFIG_WRITE_FAILED if they, or the candidate, cannot be written
 */
export async function testCandidate(
  host: Host,
  observation: Observation,
  files: readonly FileChange[],
  domains: ReadonlySet<string>,
  placeholder: Pick<CandidateOptions, 'skippedFiles' | 'placeholder'> = {},
): Promise<TestResult> {
  const { snapshot, tree } = observation
  const { mainPath } = snapshot.host
  const { staging } = statePaths(host.settings)
  const id = host.clock.randomId()
  const nestedFolder = `${staging}/${id}`
  const candidatePath = `${dirname(mainPath)}/${CANDIDATE_PREFIX}${id}.conf`
  const pidPath = `${staging}/${id}.pid`
  const candidate = renderCandidate(
    {
      mainPath,
      sitesEnabled: snapshot.sitesEnabled,
      stagingFolder: nestedFolder,
      pidPath,
      ...changedIncludes(files, snapshot.sitesEnabled, tree),
      ...placeholder,
    },
    tree,
  )
  const inRealNames = (output: string) =>
    files.reduce(
      (text, { path }) => text.replaceAll(stagedPath(path), path),
      output.replaceAll(candidatePath, mainPath),
    )
  try {
    if (candidate.nested.size > 0) await host.files.makeFolder(nestedFolder, 0o700)
    await Promise.all([
      stageTexts(host, files),
      // NGINX opens it, too. Created here, so that a full disk is not reported as a configuration error.
      host.files.writeUnsynced(pidPath, '', 0o644),
      host.files.writeUnsynced(candidatePath, candidate.main, 0o600),
      ...[...candidate.nested].map(([name, text]) => host.files.writeUnsynced(`${nestedFolder}/${name}`, text, 0o600)),
    ])
    const [test] = await Promise.all([
      runTest(host, ['-c', candidatePath], domains, inRealNames),
      syncStaged(host, files),
    ])
    return test
  } catch (error) {
    throw writeFailure(error)
  } finally {
    // A failure here must not hide the test's result; the next start removes leftovers.
    const nested = candidate.nested.size > 0 ? [host.files.removeFolder(nestedFolder)] : []
    await Promise.allSettled([host.files.remove(candidatePath), host.files.remove(pidPath), ...nested])
  }
}

/** What the candidate includes instead of the enabled files that change, and what it leaves out. */
function changedIncludes(
  files: readonly FileChange[],
  sitesEnabled: string,
  tree: Observation['tree'],
): Required<Pick<CandidateOptions, 'changed' | 'removed'>> {
  const changed = new Map<string, string | null>()
  const removed = new Set<string>()
  for (const { path, after, site } of files) {
    if (site !== undefined && !isSameFolder(dirname(path), sitesEnabled, tree)) removed.add(path)
    else if (site === undefined && !isOwnFileName(basename(path))) continue
    else if (after === null) changed.set(basename(path), null)
    else if ('text' in after) changed.set(basename(path), stagedPath(path))
  }
  return { changed, removed }
}
