/** Why certbot failed, from what it printed and logged. */

export type IssueFailure =
  | 'dns'
  | 'unreachable'
  | 'caa'
  | 'rate_limited'
  | 'rejected'
  | 'account'
  | 'ca_down'
  | 'certbot_missing'
  | 'busy'
  | 'bad_nonce'
  | 'timed_out'
  | 'interrupted'
  | 'disk'
  | 'unknown'

export interface CertbotDiagnostic {
  readonly reason: IssueFailure
  /** The CA's or certbot's own words, one line. */
  readonly said: string
  readonly remedy: string
  /** When the CA takes orders for the name again (milliseconds since the epoch), where it said so. */
  readonly retryAt: number | undefined
}

const REMEDIES: Readonly<Record<IssueFailure, string>> = {
  dns: 'Point an A (or AAAA) record of the domain at this host, wait until it has spread, then call again',
  unreachable:
    'Let the internet reach this host on port 80 under this domain (firewall, port forwarding, a wrong AAAA record), then call again',
  caa: 'Allow this CA in the CAA records of the domain (or of its parents), or remove them, then call again',
  rate_limited: "Wait until the time in Retry-After: the CA's limit for this name is used up",
  rejected: 'The CA never issues for this name: choose another domain, or another CA with ACME_DIRECTORY_URL',
  account: 'Pass another e-mail, or correct DEFAULT_SSL_EMAIL',
  ca_down:
    'Look whether this host reaches the CA (ACME_DIRECTORY_URL) and trusts its certificate, then call again later',
  certbot_missing: 'Install certbot, or correct CERTBOT_BIN',
  busy: 'Another certbot is running on this host: call again when it has ended',
  bad_nonce: 'The CA refused the anti-replay nonces that it had given out itself, again and again: call again later',
  interrupted: 'Look who ended certbot (an operator, a shutdown, the OOM killer), then call again',
  timed_out: 'certbot did not end in time: look whether this host reaches the CA, then call again',
  disk: 'certbot could not write its files: free some space or give it the right, then call again',
  unknown: "Look into certbot's output and into its log",
}

/** What gives a failure away, the surest signs first. ACME's problem types are those of RFC 8555, 6.7. */
const SIGNS: readonly (readonly [sign: RegExp, reason: IssueFailure])[] = [
  [/Another instance of Certbot is already running/, 'busy'],
  [/No space left on device|Read-only file system|Permission denied|Disk quota exceeded/, 'disk'],
  [/acme:error:rateLimited/, 'rate_limited'],
  [/acme:error:caa\b|CAA record/, 'caa'],
  [/acme:error:badNonce/, 'bad_nonce'],
  [
    /acme:error:(invalidContact|unsupportedContact|externalAccountRequired|userActionRequired)|invalid email address|Unable to register an account/,
    'account',
  ],
  [/acme:error:(rejectedIdentifier|unsupportedIdentifier)/, 'rejected'],
  [/acme:error:serverInternal|requests\.exceptions\.|Requesting \S+: |ConnectionError|Max retries exceeded/, 'ca_down'],
  [/Type:\s+dns|could not resolve|NXDOMAIN|SERVFAIL|no valid A(AAA)? records/i, 'dns'],
  [/Type:\s+(connection|unauthorized)|Some challenges have failed/, 'unreachable'],
]

/** What is said where certbot had no words left, or none of its own. */
const UNSAID: Partial<Readonly<Record<IssueFailure, string>>> = {
  timed_out: 'certbot did not end in time',
  interrupted: 'certbot was ended from outside',
}
/** What certbot prints on its way, whatever becomes of it. */
const BY_THE_WAY =
  /^(Saving debug log to |Account registered\.|Requesting a certificate for |Renewing an existing certificate |An unexpected error occurred:|Ask for help or search )/

/** Reads certbot's output together with the lines of its log ({@link logEvidence}); 124, 127 and 128+n are the runner's own exit codes. */
export function diagnoseCertbot(exitCode: number, text: string): CertbotDiagnostic {
  const found = exitCode === 127 || exitCode === 126 ? 'certbot_missing' : SIGNS.find(([sign]) => sign.test(text))?.[1]
  const reason = found ?? (exitCode === 124 ? 'timed_out' : exitCode > 128 ? 'interrupted' : 'unknown')
  return {
    reason,
    said: UNSAID[reason] ?? publicCertbotOutput(wordsOf(text)),
    remedy: REMEDIES[reason],
    retryAt: reason === 'rate_limited' ? retryTime(text) : undefined,
  }
}

export function remedyOf(reason: IssueFailure): string {
  return REMEDIES[reason]
}

const RUN_BEGINS = /:DEBUG:certbot\S*:certbot version: /

/**
 * The lines of certbot's log that say what went wrong in its last run: Debian's certbot appends to the log of the runs before. Of the CA's
 * words, certbot 2.1 with Python 3.11 prints `AttributeError: can't set attribute` alone: they stand in the log. Nothing else of it is taken:
 * it holds whole requests.
 */
export function logEvidence(log: string): string {
  const isEvidence =
    /^(acme\.messages\.Error|certbot\.errors\.|requests\.exceptions\.|OSError|PermissionError|ValueError)/
  const lines = log.split('\n')
  const lastRun = lines.slice(lines.findLastIndex((line) => RUN_BEGINS.test(line)) + 1)
  return [...new Set(lastRun.filter((line) => isEvidence.test(line)))].join('\n')
}

/** certbot's output for an answer: without folders. */
export function publicCertbotOutput(output: string): string {
  return output.replace(/(?<![\w:/])\/(?:[\w.@~-]+\/)+([\w.@~-]*)/g, '$1').trim()
}

function wordsOf(text: string): string {
  const detail = /^\s*Detail:\s*(.+)$/m.exec(text)?.[1]
  // The last one: after a refused nonce certbot has tried a second time, and both are in the log.
  const problem = [...text.matchAll(/^acme\.messages\.Error: urn:\S+ :: (?:.*? :: )?(.+)$/gm)].at(-1)?.[1]
  const error = /^(?:certbot\.errors\.\w+|requests\.exceptions\.\w+|OSError): (.+)$/m.exec(text)?.[1]
  return (
    detail ??
    problem ??
    error ??
    text.split('\n').find((line) => line.trim() !== '' && !BY_THE_WAY.test(line)) ??
    ''
  ).trim()
}

/** `retry after 2026-12-01 10:20:30 UTC`, as Let's Encrypt writes it. */
function retryTime(text: string): number | undefined {
  const match = /retry after (\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)/i.exec(text)
  const time = match === null ? Number.NaN : Date.parse(`${match[1]}T${match[2]}Z`)
  return Number.isNaN(time) ? undefined : time
}

/** What certbot's failure means, and what it printed. */
export type IssueDiagnostic = CertbotDiagnostic & { readonly output: string }
