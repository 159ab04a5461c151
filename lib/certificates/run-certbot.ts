/** One order by certbot: its passing troubles sat out, and what it leaves behind swept. */
import type { Host } from '../host/host.ts'
import { deployHook, orderArguments } from './certbot-arguments.ts'
import { diagnoseCertbot, type IssueDiagnostic, logEvidence, publicCertbotOutput } from './certbot-diagnostic.ts'

/** certbot may take long; it is ended before its caller has given up. */
const CERTBOT_TIMEOUT_MS = 180_000
const CERTBOT_GRACE_MS = 10_000
/** Another certbot, the timer's, holds the lock for seconds; these tries take half a minute. */
const TRIES = 8
const BUSY_PAUSE_MS = 4_000

/**
 * Runs certbot until it has the lock and the CA has taken its nonces; `undefined` when it ended well. A refused nonce is to be tried again
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
  const challenges = `${webroot}/.well-known/acme-challenge`
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
  const before = new Set(host.files.list(challenges))
  for (let tries = 1; ; tries++) {
    closing.throwIfAborted()
    const { exitCode, output } = await host.runner.run(settings.CERTBOT_BIN, command, {
      timeoutMs: CERTBOT_TIMEOUT_MS,
      graceMs: CERTBOT_GRACE_MS,
    })
    host.metrics.certbotRun(exitCode === 0 ? 'success' : 'failure')
    // Another process may have taken this host: what certbot has got, and what it leaves behind, is that one's.
    closing.throwIfAborted()
    if (exitCode === 0) return undefined
    const diagnostic = diagnoseCertbot(exitCode, `${output}\n${readLogEvidence(host, output)}`)
    if (diagnostic.reason === 'busy' && tries < TRIES) {
      await clock.sleep(BUSY_PAUSE_MS)
      continue
    }
    if (diagnostic.reason === 'bad_nonce' && tries < TRIES) continue
    // Killed while the CA was looking, certbot leaves its challenge behind.
    for (const name of host.files.list(challenges))
      if (!before.has(name)) await host.files.remove(`${challenges}/${name}`).catch(() => undefined)
    return { ...diagnostic, output: publicCertbotOutput(output) }
  }
}

function readLogEvidence({ files }: Host, output: string): string {
  const path = /Saving debug log to (\/\S+)/.exec(output)?.[1]
  if (path === undefined) return ''
  return logEvidence(files.readFrom(path, Math.max(0, files.size(path) - 65_536)).text)
}
