/** One order by certbot: transient failures are retried, and leftover challenges removed. */
import type { Host } from '../host/host.ts'
import { deployHook, orderArguments } from './certbot-arguments.ts'
import {
  diagnoseCertbot,
  extractErrors,
  type IssueDiagnostic,
  type IssueFailure,
  publicCertbotOutput,
} from './certbot-diagnostic.ts'
import { listChallenges, removeChallenges } from './webroot.ts'

/** certbot may take long; it is ended before its caller gives up. */
const CERTBOT_TIMEOUT_MS = 180_000
const CERTBOT_GRACE_MS = 10_000
/** Another certbot, such as the timer's, holds the lock for seconds; these attempts take half a minute. */
const MAX_ATTEMPTS = 8
const BUSY_PAUSE_MS = 4_000
/** If it is killed during validation, certbot leaves its challenge behind. */
const KILLED: readonly IssueFailure[] = ['timed_out', 'interrupted']

/**
 * Runs certbot until it gets its lock and the CA accepts its nonces; `undefined` if it succeeded. A rejected nonce is to be tried again
 * (RFC 8555, 6.5), which certbot does once for each request.
 * @throws {ProxyManagerError} BUSY once the engine is closed
 */
export async function runCertbot(
  { host, closing }: { readonly host: Host; readonly closing: AbortSignal },
  domain: string,
  names: readonly string[],
  email: string,
): Promise<IssueDiagnostic | undefined> {
  const { settings, clock } = host
  const { webroot, renewedMark } = host.paths
  const command = orderArguments({
    domain,
    names,
    email,
    webroot,
    deployHook: deployHook(renewedMark),
    server: settings.ACME_DIRECTORY_URL,
    configDir: settings.CERTBOT_CONFIG_DIR,
    workDir: settings.CERTBOT_WORK_DIR,
    logsDir: settings.CERTBOT_LOGS_DIR,
  })
  const before = new Set(listChallenges(host))
  for (let attempt = 1; ; attempt++) {
    closing.throwIfAborted()
    const { exitCode, output } = await host.runner.run(settings.CERTBOT_BIN, command, {
      timeoutMs: CERTBOT_TIMEOUT_MS,
      graceMs: CERTBOT_GRACE_MS,
    })
    host.metrics.certbotRun(exitCode === 0 ? 'success' : 'failure')
    // Another process may manage this host by now: the certificate, and what certbot leaves behind, are for that one to handle.
    closing.throwIfAborted()
    if (exitCode === 0) return undefined
    const diagnostic = diagnoseCertbot(exitCode, `${output}\n${readLoggedErrors(host, output)}`)
    if (diagnostic.reason === 'busy' && attempt < MAX_ATTEMPTS) {
      await clock.sleep(BUSY_PAUSE_MS)
      continue
    }
    if (diagnostic.reason === 'bad_nonce' && attempt < MAX_ATTEMPTS) continue
    if (KILLED.includes(diagnostic.reason)) await removeChallenges(host, before).catch(() => undefined)
    return { ...diagnostic, output: publicCertbotOutput(output) }
  }
}

/** What certbot's log says; nothing if it cannot be read. */
function readLoggedErrors({ files }: Pick<Host, 'files'>, output: string): string {
  const path = /Saving debug log to (\/\S+)/.exec(output)?.[1]
  if (path === undefined) return ''
  try {
    return extractErrors(files.readFrom(path, Math.max(0, files.size(path) - 65_536)).text)
  } catch {
    return ''
  }
}
