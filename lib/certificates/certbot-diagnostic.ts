/** Why certbot failed, from what it printed and logged. */
import { CLI_INI, type CliIniFault } from '../certbot/cli-ini.ts'

export type IssueFailure =
  | 'dns'
  | 'unreachable'
  | 'caa'
  | 'rate_limited'
  | 'rejected'
  | 'profile'
  | 'account'
  | 'ca_down'
  | 'certbot_missing'
  | 'cli_ini'
  | 'usage'
  | 'plugin'
  | 'busy'
  | 'bad_nonce'
  | 'timed_out'
  | 'interrupted'
  | 'disk'
  | 'webroot'
  | 'unknown'

export interface CertbotDiagnostic {
  readonly reason: IssueFailure
  /** The CA's or certbot's own message, one line. */
  readonly said: string
  readonly remedy: string
  /** When the CA accepts orders for the name again (milliseconds since the epoch), if it said so. */
  readonly retryAt: number | undefined
}

/** What certbot's failure means, and what it printed. */
export type IssueDiagnostic = CertbotDiagnostic & { readonly output: string }

const REMEDIES: Readonly<Record<IssueFailure, string>> = {
  dns: 'Point an A (or AAAA) record of the domain at this host, wait for DNS propagation, then call again',
  unreachable:
    'Let the internet reach this host on port 80 under this domain (firewall, port forwarding, a wrong AAAA record), then call again',
  caa: 'Allow this CA in the CAA records of the domain (or of its parents), or remove them, then call again',
  rate_limited: "Wait until the time in Retry-After: the CA's limit for this name is used up",
  rejected: 'This CA does not issue for this name: choose another domain, or another CA with ACME_DIRECTORY_URL',
  profile: "Correct ACME_PROFILE: the CA's directory (ACME_DIRECTORY_URL) lists its profiles",
  account:
    'Pass another e-mail, or correct DEFAULT_SSL_EMAIL; if the CA requires an external account, correct ACME_EAB_KID and ACME_EAB_HMAC_KEY_FILE',
  ca_down: 'Check that this host reaches the CA (ACME_DIRECTORY_URL) and trusts its certificate, then call again later',
  certbot_missing: 'Install certbot, or correct CERTBOT_BIN',
  cli_ini: `Correct ${CLI_INI}, then call again`,
  usage: 'Install another version of certbot: this one does not accept the options of an order',
  plugin: 'Repair the installation of certbot and its plugins (certbot plugins lists them), then call again',
  busy: 'Another certbot is running on this host: call again when it has ended',
  bad_nonce: 'The CA repeatedly rejected anti-replay nonces that it had issued itself: call again later',
  interrupted: 'Find out what killed certbot (an operator, a shutdown, the OOM killer), then call again',
  timed_out: 'certbot did not end in time: check that this host reaches the CA, then call again',
  disk: 'certbot could not write its files: grant it write access, then call again',
  webroot:
    'Make .well-known and .well-known/acme-challenge in ACME_WEBROOT directories of root that only root may write to, or remove them, then call again',
  unknown: "See certbot's output and its log",
}

/** What to do about the reasons for which a file cannot be written. */
const DISK_REMEDIES: readonly (readonly [pattern: RegExp, remedy: string])[] = [
  [/No space left on device|Disk quota exceeded/, 'The disk is full: free some space, then call again'],
  [
    /Read-only file system/,
    "certbot's directories are read-only here: mount their file system writable, or add them to ReadWritePaths= of the service, then call again",
  ],
]

/** How a failure is recognized, the most reliable patterns first. ACME's problem types are those of RFC 8555, 6.7. */
const PATTERNS: readonly (readonly [pattern: RegExp, reason: IssueFailure])[] = [
  [/Another instance of Certbot is already running/, 'busy'],
  [
    /No space left on device|Read-only file system|Permission denied|Disk quota exceeded|does not exist or is not a directory/,
    'disk',
  ],
  [/^certbot: error: /m, 'usage'],
  [/certbot\.errors\.Plugin|plugin does not appear to be installed|Could not choose appropriate plugin/, 'plugin'],
  [/acme:error:rateLimited/, 'rate_limited'],
  [/acme:error:caa\b|CAA record/, 'caa'],
  [/acme:error:badNonce/, 'bad_nonce'],
  [
    // An order that is refused as unauthorized is that of a deactivated account; a challenge has no line of its own in the log.
    /acme:error:(accountDoesNotExist|invalidContact|unsupportedContact|externalAccountRequired|userActionRequired)|^acme\.messages\.Error: urn:ietf:params:acme:error:unauthorized|AccountNotFound|invalid email address|Unable to register an account/m,
    'account',
  ],
  // So is one whose signature or URL is wrong: a CA that was set up again has given its number to another key.
  [/acme:error:malformed\b.*\b(JWS|kid|key ?id)\b/i, 'account'],
  [/acme:error:invalidProfile/, 'profile'],
  [/acme:error:(rejectedIdentifier|unsupportedIdentifier)/, 'rejected'],
  [/acme:error:serverInternal|requests\.exceptions\.|Requesting \S+: |ConnectionError|Max retries exceeded/, 'ca_down'],
  [/Type:\s+dns|could not resolve|NXDOMAIN|SERVFAIL|no valid A(AAA)? records/i, 'dns'],
  [/Type:\s+(connection|unauthorized)|Some challenges have failed/, 'unreachable'],
]

/** Messages for failures in which certbot prints none. */
const FALLBACK_MESSAGES: Partial<Readonly<Record<IssueFailure, string>>> = {
  timed_out: 'certbot did not end in time',
  interrupted: 'certbot was killed',
}
/** What certbot prints while it works, whatever the result. */
const PROGRESS_LINES =
  /^(Saving debug log to |Account registered\.|Requesting a certificate for |Renewing an existing certificate |An unexpected error occurred:|The following error was encountered:|Ask for help or search |usage:| {2}certbot \[)/

/** Reads certbot's output together with the lines of its log ({@link extractErrors}); 124, 127 and 128+n are the runner's own exit codes. */
export function diagnoseCertbot(exitCode: number, text: string): CertbotDiagnostic {
  const found =
    exitCode === 127 || exitCode === 126 ? 'certbot_missing' : PATTERNS.find(([pattern]) => pattern.test(text))?.[1]
  const reason = found ?? (exitCode === 124 ? 'timed_out' : exitCode > 128 ? 'interrupted' : 'unknown')
  return {
    reason,
    said: FALLBACK_MESSAGES[reason] ?? publicCertbotOutput(findMessage(text)),
    remedy: (reason === 'disk' && DISK_REMEDIES.find(([pattern]) => pattern.test(text))?.[1]) || REMEDIES[reason],
    retryAt: reason === 'rate_limited' ? retryTime(text) : undefined,
  }
}

/** Why no order can be made with the system's cli.ini. */
export function cliIniDiagnostic({ line, text, why }: CliIniFault): CertbotDiagnostic {
  const remedy = `Remove line ${line} of ${CLI_INI} (${text}), or move it to the commands that need it, then call again`
  return { reason: 'cli_ini', said: `line ${line} of ${CLI_INI}: ${text}: ${why}`, remedy, retryAt: undefined }
}

/** What an operator or caller can do about it. */
export function remedyOf(reason: IssueFailure): string {
  return REMEDIES[reason]
}

const RUN_BEGINS = /:DEBUG:certbot\S*:certbot version: /

/**
 * The lines of certbot's log that say what went wrong in its last run; Debian's certbot appends to the log of previous runs. Of the CA's
 * message, certbot 2.1 with Python 3.11 prints only `AttributeError: can't set attribute`: the log has it. Nothing else of the log is used,
 * because it contains whole requests.
 */
export function extractErrors(log: string): string {
  const isError = /^(acme\.messages\.Error|certbot\.errors\.|requests\.exceptions\.|OSError|PermissionError|ValueError)/
  const lines = log.split('\n')
  const lastRun = lines.slice(lines.findLastIndex((line) => RUN_BEGINS.test(line)) + 1)
  return [...new Set(lastRun.filter((line) => isError.test(line)))].join('\n')
}

/** certbot's output for an answer: paths without their directories. */
export function publicCertbotOutput(output: string): string {
  return output.replace(/(?<![\w:/])\/(?:[\w.@~-]+\/)+([\w.@~-]*)/g, '$1').trim()
}

function findMessage(text: string): string {
  const detail = /^\s*Detail:\s*(.+)$/m.exec(text)?.[1]
  // The last one: certbot tries again after a rejected nonce, and both problems are in the log.
  const problem = [...text.matchAll(/^acme\.messages\.Error: urn:\S+ :: (?:.*? :: )?(.+)$/gm)].at(-1)?.[1]
  const usage = /^certbot: error: (.+)$/m.exec(text)?.[1]
  const error = /^(?:certbot\.errors\.\w+|requests\.exceptions\.\w+|OSError): (.+)$/m.exec(text)?.[1]
  return (
    detail ??
    problem ??
    usage ??
    error ??
    text.split('\n').find((line) => line.trim() !== '' && !PROGRESS_LINES.test(line)) ??
    ''
  ).trim()
}

/** `retry after 2026-12-01 10:20:30 UTC`, as Let's Encrypt writes it. */
function retryTime(text: string): number | undefined {
  const match = /retry after (\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)/i.exec(text)
  const time = match === null ? Number.NaN : Date.parse(`${match[1]}T${match[2]}Z`)
  return Number.isNaN(time) ? undefined : time
}
