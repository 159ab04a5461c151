/** One order by certbot: with an account that the CA knows; transient failures are retried, and leftover challenges removed. */
import { adoptAccount, findAccount } from '../certbot/accounts.ts'
import { findAccountLine, findBlamedLine, overridingArguments, readCliIni } from '../certbot/cli-ini.ts'
import { startCertbot } from '../certbot/start.ts'
import type { Host } from '../host/host.ts'
import { deployHook, orderArguments, registerArguments } from './certbot-arguments.ts'
import {
  type CertbotDiagnostic,
  cliIniDiagnostic,
  diagnoseCertbot,
  extractErrors,
  type IssueDiagnostic,
  type IssueFailure,
  publicCertbotOutput,
  remedyOf,
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
/** certbot's own default, passed so that the host's cli.ini cannot replace it. */
const LETS_ENCRYPT = 'https://acme-v02.api.letsencrypt.org/directory'

interface OrderContext {
  readonly host: Host
  readonly closing: AbortSignal
}

interface Order {
  /** The name of the lineage. */
  readonly lineage: string
  readonly names: readonly string[]
  readonly email: string
}

/**
 * Orders a certificate; `undefined` if certbot succeeded. An account that the CA has forgotten is replaced by the next one, or by a new one.
 * @throws {ProxyManagerError} BUSY once the engine is closed
 * @throws {Error} Node's error if a new account cannot be written
 */
export async function runCertbot(context: OrderContext, order: Order): Promise<IssueDiagnostic | undefined> {
  const { host } = context
  const server = host.settings.ACME_DIRECTORY_URL ?? LETS_ENCRYPT
  const forgotten = new Set<string>()
  for (;;) {
    const known = findAccount(host, server, order.lineage, forgotten)
    const account = known ?? (await register(context, server, order.email))
    if (typeof account !== 'string') return account
    const failure = await orderWith(context, order, server, account)
    if (failure?.reason !== 'account' || known === undefined) return failure
    forgotten.add(account)
  }
}

async function orderWith(
  context: OrderContext,
  { lineage, names, email }: Order,
  server: string,
  account: string,
): Promise<IssueDiagnostic | undefined> {
  const { host } = context
  const { webroot, renewedMark } = host.paths
  const hook = deployHook(renewedMark)
  const args = orderArguments({
    lineage,
    names,
    email,
    account,
    profile: host.settings.ACME_PROFILE,
    webroot,
    deployHook: hook,
    server,
    ...certbotFolders(host),
  })
  const before = new Set(listChallenges(host))
  const failure = await attempt(context, [...args, ...overridingArguments(readCliIni(host), hook)])
  if (failure !== undefined && KILLED.includes(failure.reason))
    await removeChallenges(host, before).catch(() => undefined)
  return failure
}

/** Makes an account: certbot makes a further one only in an empty directory, from where it is put beside the others. Returns its id. */
async function register(context: OrderContext, server: string, email: string): Promise<string | IssueDiagnostic> {
  const { host } = context
  const { files, paths, settings } = host
  const line = findAccountLine(readCliIni(host))
  if (line !== undefined) return { ...cliIniDiagnostic(line), output: '' }
  const key = settings.ACME_EAB_HMAC_KEY_FILE && files.read(settings.ACME_EAB_HMAC_KEY_FILE)?.text.trim()
  const configDir = `${paths.certbot}/${host.clock.randomId()}`
  const args = registerArguments({ email, server, ...certbotFolders(host), configDir })
  try {
    const failure = await attempt(context, [...args, ...overridingArguments(readCliIni(host))], {
      'eab-kid': settings.ACME_EAB_KID ?? '',
      'eab-hmac-key': key ?? '',
    })
    if (failure !== undefined) return failure.reason === 'unknown' ? accountFailure(failure) : failure
    const account = await adoptAccount(host, server, configDir)
    return account ?? accountFailure({ said: 'certbot succeeded, but made no account', output: '' })
  } finally {
    await files.removeFolder(configDir).catch(() => undefined)
  }
}

/**
 * Runs certbot until it gets its lock and the CA accepts its nonces; `undefined` if it succeeded. A rejected nonce is to be tried again
 * (RFC 8555, 6.5), which certbot does once for each request.
 */
async function attempt(
  { host, closing }: OrderContext,
  args: readonly string[],
  secrets?: Readonly<Record<string, string>>,
): Promise<IssueDiagnostic | undefined> {
  for (let count = 1; ; count++) {
    closing.throwIfAborted()
    const logged = loggedErrors(host)
    const { exitCode, output } = await startCertbot(host, args, {
      timeoutMs: CERTBOT_TIMEOUT_MS,
      graceMs: CERTBOT_GRACE_MS,
      secrets,
    })
    host.metrics.certbotRun(exitCode === 0 ? 'success' : 'failure')
    // Another process may manage this host by now: the certificate, and what certbot leaves behind, are for that one to handle.
    closing.throwIfAborted()
    if (exitCode === 0) return undefined
    const diagnostic = diagnoseCertbot(exitCode, `${output}\n${logged(output)}`)
    if (diagnostic.reason === 'busy' && count < MAX_ATTEMPTS) {
      await host.clock.sleep(BUSY_PAUSE_MS)
      continue
    }
    if (diagnostic.reason === 'bad_nonce' && count < MAX_ATTEMPTS) continue
    return { ...blamed(host, diagnostic), output: publicCertbotOutput(output) }
  }
}

/** The diagnostic, or that of the line of the system's cli.ini that certbot names when it refuses its arguments. */
function blamed(host: Host, diagnostic: CertbotDiagnostic): CertbotDiagnostic {
  const line = diagnostic.reason === 'usage' ? findBlamedLine(readCliIni(host), diagnostic.said) : undefined
  return line === undefined ? diagnostic : { ...cliIniDiagnostic(line), said: diagnostic.said }
}

function accountFailure({ said, output }: Pick<IssueDiagnostic, 'said' | 'output'>): IssueDiagnostic {
  return { reason: 'account', said, output, remedy: remedyOf('account'), retryAt: undefined }
}

function certbotFolders({ settings }: Pick<Host, 'settings'>) {
  const { CERTBOT_CONFIG_DIR: configDir, CERTBOT_WORK_DIR: workDir, CERTBOT_LOGS_DIR: logsDir } = settings
  return { configDir, workDir, logsDir }
}

/**
 * Makes a reader of what the run that follows will have logged; it reads nothing if that is not possible. certbot prints the path of its log,
 * unless the host's cli.ini says `quiet`: then it is the usual one, if that was written to.
 */
function loggedErrors({ files, settings }: Pick<Host, 'files' | 'settings'>): (output: string) => string {
  const usual = `${settings.CERTBOT_LOGS_DIR ?? '/var/log/letsencrypt'}/letsencrypt.log`
  const orEmpty = (read: () => string | undefined): string => {
    try {
      return read() ?? ''
    } catch {
      return ''
    }
  }
  const before = orEmpty(() => files.stamp(usual))
  return (output) =>
    orEmpty(() => {
      const printed = /Saving debug log to (\/\S+)/.exec(output)?.[1]
      const path = printed ?? (files.stamp(usual) === before ? undefined : usual)
      return path && extractErrors(files.readFrom(path, Math.max(0, files.size(path) - 65_536)).text)
    })
}
