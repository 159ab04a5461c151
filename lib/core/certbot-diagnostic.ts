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
  | 'timed_out'
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
  [
    /acme:error:(invalidContact|unsupportedContact|externalAccountRequired|userActionRequired)|invalid email address|Unable to register an account/,
    'account',
  ],
  [/acme:error:(rejectedIdentifier|unsupportedIdentifier)/, 'rejected'],
  [/acme:error:serverInternal|requests\.exceptions\.|Requesting \S+: |ConnectionError|Max retries exceeded/, 'ca_down'],
  [/Type:\s+dns|could not resolve|NXDOMAIN|SERVFAIL|no valid A(AAA)? records/i, 'dns'],
  [/Type:\s+(connection|unauthorized)|Some challenges have failed/, 'unreachable'],
]

/** Reads certbot's output together with the lines of its log ({@link logEvidence}); 124 and 127 are the runner's own exit codes. */
export function diagnoseCertbot(exitCode: number, text: string): CertbotDiagnostic {
  const found = exitCode === 127 || exitCode === 126 ? 'certbot_missing' : SIGNS.find(([sign]) => sign.test(text))?.[1]
  const reason = found ?? (exitCode === 124 ? 'timed_out' : 'unknown')
  return {
    reason,
    said: wordsOf(text),
    remedy: REMEDIES[reason],
    retryAt: reason === 'rate_limited' ? retryTime(text) : undefined,
  }
}

export function remedyOf(reason: IssueFailure): string {
  return REMEDIES[reason]
}

/**
 * The lines of certbot's log that say what went wrong. With Python 3.11, certbot 2.1 prints `AttributeError: can't set attribute` in place of
 * the CA's words, which stand in the log alone. Nothing else of the log is taken: it holds whole requests.
 */
export function logEvidence(log: string): string {
  const isEvidence =
    /^(acme\.messages\.Error|certbot\.errors\.|requests\.exceptions\.|OSError|PermissionError|ValueError)/
  return [...new Set(log.split('\n').filter((line) => isEvidence.test(line)))].join('\n')
}

/** certbot's output for an answer: without folders. */
export function publicCertbotOutput(output: string): string {
  return output.replace(/(?<![\w:/])\/(?:[\w.@~-]+\/)+([\w.@~-]*)/g, '$1').trim()
}

function wordsOf(text: string): string {
  const detail = /^\s*Detail:\s*(.+)$/m.exec(text)?.[1]
  const problem = /^acme\.messages\.Error: urn:\S+ :: (?:.*? :: )?(.+)$/m.exec(text)?.[1]
  const error = /^(?:certbot\.errors\.\w+|requests\.exceptions\.\w+|OSError): (.+)$/m.exec(text)?.[1]
  return (detail ?? problem ?? error ?? text.split('\n').find((line) => line.trim() !== '') ?? '').trim()
}

/** `retry after 2026-12-01 10:20:30 UTC`, as Let's Encrypt writes it. */
function retryTime(text: string): number | undefined {
  const match = /retry after (\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)/i.exec(text)
  const time = match === null ? Number.NaN : Date.parse(`${match[1]}T${match[2]}Z`)
  return Number.isNaN(time) ? undefined : time
}
