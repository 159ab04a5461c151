import { readdirSync, readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  diagnoseCertbot,
  extractErrors,
  type IssueFailure,
  publicCertbotOutput,
  remedyOf,
} from '../../lib/certificates/certbot-diagnostic.ts'

const test = suite('certbot diagnostic')

const folder = new URL('../../fixtures/certbot-output/', import.meta.url)
const everyName = readdirSync(folder).map((file) => file.replace(/\.txt$/, ''))

/** What certbot printed, and behind it the lines of its log, as the engine hands them over. */
function captured(name: string): string {
  return readFileSync(new URL(`${name}.txt`, folder), 'utf8').replace('--- letsencrypt.log\n', '')
}

interface Row {
  readonly reason: IssueFailure
  readonly said: RegExp | string
  readonly exitCode?: number
  readonly retryAt?: string
  /** If it is more precise than that of the reason. */
  readonly remedy?: string
}

const CAPTURED: Readonly<Record<string, Row>> = {
  'account-deactivated': { reason: 'account', said: 'Account has been deactivated' },
  'account-forgotten': { reason: 'account', said: /^Account https:.* not found\.$/ },
  'account-of-another-key': { reason: 'account', said: /^JWS verification error: / },
  'bad-email': { reason: 'account', said: 'contact email "x" is invalid' },
  busy: { reason: 'busy', said: 'Another instance of Certbot is already running.' },
  'ca-down': { reason: 'ca_down', said: /Connection refused/ },
  'ca-overloaded': { reason: 'ca_down', said: 'Service busy; retry later.' },
  'ca-untrusted': { reason: 'ca_down', said: /certificate verify failed: self-signed certificate/ },
  caa: { reason: 'caa', said: 'CAA record for c.example.com prevents issuance' },
  'challenge-not-found': {
    reason: 'unreachable',
    said: 'Non-200 status code from HTTP: http://b.example.com:33765/.well-known/acme-challenge/eivr-fkQaKgq53a6XpCyddYaQAg8ROHYsosWpuNNYlM returned 404',
  },
  'connection-refused': { reason: 'unreachable', said: /dial tcp 127\.0\.0\.77:33765: connect: connection refused$/ },
  'contact-refused': {
    reason: 'account',
    said: 'Unable to validate JWS :: contact email has forbidden domain "example.com"',
  },
  'disk-full': {
    reason: 'disk',
    said: '[Errno 28] No space left on device',
    remedy: 'The disk is full: free some space, then call again',
  },
  'dns-no-address': { reason: 'dns', said: /could not resolve URL "http:\/\/nxdomain\.example\.com:/ },
  'dns-servfail': { reason: 'dns', said: /could not resolve URL "http:\/\/servfail\.example\.com:/ },
  issued: { reason: 'unknown', said: 'Successfully received certificate.', exitCode: 0 },
  killed: { reason: 'interrupted', said: 'certbot was killed', exitCode: 137 },
  'not-yet-due': { reason: 'unknown', said: 'Certificate not yet due for renewal', exitCode: 0 },
  'rate-limited-certificates': {
    reason: 'rate_limited',
    said: /^too many certificates \(5\) already issued for this exact set of identifiers in the last 168h0m0s/,
    retryAt: '2026-12-01T10:20:30.000Z',
  },
  'rate-limited-failures': {
    reason: 'rate_limited',
    said: /^too many failed authorizations \(5\) for "c\.example\.com" in the last 1h0m0s/,
    retryAt: '2026-12-01T10:20:30.000Z',
  },
  'plugin-missing': { reason: 'plugin', said: 'The requested nosuch plugin does not appear to be installed' },
  'read-only': {
    reason: 'disk',
    said: "[Errno 30] Read-only file system: 'log'",
    remedy:
      "certbot's directories are read-only here: mount their file system writable, or add them to ReadWritePaths= of the service, then call again",
  },
  'unknown-option': { reason: 'usage', said: 'unrecognized arguments: --no-such-option=1', exitCode: 2 },
  'webroot-missing': { reason: 'disk', said: 'acme does not exist or is not a directory' },
  'refused-nonce': { reason: 'bad_nonce', said: 'JWS has an invalid anti-replay nonce: JdG5gcr-z0kYTR3EPfm7Zw' },
  'refused-nonce-account': { reason: 'bad_nonce', said: /^JWS has an invalid anti-replay nonce: [\w-]{22}$/ },
  'rejected-identifier': { reason: 'rejected', said: /^Cannot issue for "c\.example\.com": The ACME server refuses/ },
}

test('every captured output of certbot has its row here', () => {
  assert.equal(Object.keys(CAPTURED).sort(), everyName.sort())
})

for (const [name, { reason, said, exitCode = 1, retryAt, remedy }] of Object.entries(CAPTURED)) {
  test(`${name}: ${reason}, with the most specific message and a remedy`, () => {
    const diagnostic = diagnoseCertbot(exitCode, captured(name))
    assert.is(diagnostic.reason, reason)
    if (typeof said === 'string') assert.is(diagnostic.said, said)
    else assert.match(diagnostic.said, said)
    assert.is(diagnostic.retryAt, retryAt === undefined ? undefined : Date.parse(retryAt))
    assert.is(diagnostic.remedy, remedy ?? remedyOf(reason))
    assert.not.match(diagnostic.said, /\n|\/srv\//)
  })
}

test('a CA that knows the account under another address or key is one that does not know it, whatever its words', () => {
  const malformed = (detail: string) =>
    diagnoseCertbot(
      1,
      `acme.messages.Error: urn:ietf:params:acme:error:malformed :: The request message was malformed :: ${detail}`,
    )
  const words = [
    'JWS verification error',
    'error verifying jws: square/go-jose: error in cryptographic primitive',
    'KeyID header contained an invalid account URL: "https://ca.example/acct/1"',
    'Key ID (kid) in JWS header missing expected URL prefix',
  ]
  for (const detail of words) assert.equal(pick(malformed(detail)), ['account', detail])
  assert.is(malformed('NewOrder request did not specify any identifiers').reason, 'unknown')
})

test('each reason has a remedy of its own', () => {
  const reasons = [
    ...new Set(Object.values(CAPTURED).map(({ reason }) => reason)),
    'certbot_missing',
    'timed_out',
  ] as const
  const remedies = reasons.map(remedyOf)
  assert.is(new Set(remedies).size, reasons.length)
  for (const remedy of remedies) assert.ok(remedy.length > 30, remedy)
})

test("the runner's own exit codes count if certbot has printed nothing", () => {
  assert.is(diagnoseCertbot(127, '').reason, 'certbot_missing')
  assert.is(diagnoseCertbot(126, captured('caa')).reason, 'certbot_missing')
  assert.equal(pick(diagnoseCertbot(124, captured('killed'))), ['timed_out', 'certbot did not end in time'])
  assert.is(diagnoseCertbot(124, captured('ca-down')).reason, 'ca_down')
  assert.equal(pick(diagnoseCertbot(143, '')), ['interrupted', 'certbot was killed'])
  assert.equal(pick(diagnoseCertbot(1, '')), ['unknown', ''])
})

test('lines of progress are not the reason of a failure', () => {
  const text =
    'Saving debug log to /srv/log/letsencrypt.log\nRequesting a certificate for a.example.com\nSomething new happened\n'
  assert.equal(pick(diagnoseCertbot(1, text)), ['unknown', 'Something new happened'])
})

test('no directory of an error message is shown', () => {
  const denied = "OSError: [Errno 13] Permission denied: '/etc/letsencrypt/accounts/private_key.json'"
  assert.equal(pick(diagnoseCertbot(1, denied)), ['disk', "[Errno 13] Permission denied: 'private_key.json'"])
})

test("the CA's time to retry is read as UTC; without a valid one there is none", () => {
  const limited = (words: string) =>
    diagnoseCertbot(1, `acme.messages.Error: urn:ietf:params:acme:error:rateLimited :: ${words}`)
  assert.is(limited('retry after 2026-02-03T04:05:06Z').retryAt, Date.UTC(2026, 1, 3, 4, 5, 6))
  assert.is(limited('Retry after 2026-02-03 04:05:06 UTC: see').retryAt, Date.UTC(2026, 1, 3, 4, 5, 6))
  for (const words of ['too many', 'retry after tomorrow', 'retry after 2026-99-99 10:20:30 UTC'])
    assert.equal([limited(words).reason, limited(words).retryAt], ['rate_limited', undefined], words)
})

const LOG = `2026-11-23 10:32:41,638:DEBUG:certbot._internal.main:certbot version: 2.1.0
2026-11-23 10:32:41,638:DEBUG:certbot._internal.main:Arguments: ['--email=ops@example.com']
2026-11-23 10:32:42,000:DEBUG:acme.client:JWS payload:
b'{"contact": ["mailto:ops@example.com"]}'
{"protected": "eyJhbGciOiAiUlMyNTYi", "signature": "c2VjcmV0"}
Traceback (most recent call last):
  File "/usr/lib/python3/dist-packages/acme/client.py", line 1165, in _check_response
    raise messages.Error.from_json(jobj)
acme.messages.Error: urn:ietf:params:acme:error:caa :: CAA records forbid :: CAA record for a.example.com prevents issuance
2026-11-23 10:32:42,100:ERROR:certbot._internal.log:An unexpected error occurred:
acme.messages.Error: urn:ietf:params:acme:error:caa :: CAA records forbid :: CAA record for a.example.com prevents issuance
`

test('only the lines of errors are taken from the log, each one once', () => {
  assert.is(
    extractErrors(LOG),
    'acme.messages.Error: urn:ietf:params:acme:error:caa :: CAA records forbid :: CAA record for a.example.com prevents issuance',
  )
  assert.is(extractErrors(''), '')
})

test('of a log with previous runs, as on Debian, only the last run counts: an old limit does not explain a new failure', () => {
  const former = `2026-11-22 10:00:00,000:DEBUG:certbot._internal.main:certbot version: 2.1.0
acme.messages.Error: urn:ietf:params:acme:error:rateLimited :: too many :: retry after 2099-01-01 00:00:00 UTC
`
  assert.is(diagnoseCertbot(1, extractErrors(former + LOG)).reason, 'caa')
  const quiet = '2026-11-23 11:00:00,000:DEBUG:certbot._internal.main:certbot version: 2.1.0\n'
  assert.is(extractErrors(former + LOG + quiet), '')
})

test('a log that was read without the beginning of the last run counts as a whole', () => {
  const [, ...rest] = LOG.split('\n')
  assert.is(diagnoseCertbot(1, extractErrors(rest.join('\n'))).reason, 'caa')
})

test('the output in an answer has file names and addresses, but no directories', () => {
  for (const name of everyName) assert.not.match(publicCertbotOutput(captured(name)), /\/srv\b/, name)
  const output =
    'Saved at /etc/letsencrypt/live/a.example.com/fullchain.pem, "/var/log/x.log"; see https://letsencrypt.org/docs/a/b and http://a.example.com:80/.well-known/acme-challenge/x\n'
  assert.is(
    publicCertbotOutput(output),
    'Saved at fullchain.pem, "x.log"; see https://letsencrypt.org/docs/a/b and http://a.example.com:80/.well-known/acme-challenge/x',
  )
})

test.run()

function pick({ reason, said }: ReturnType<typeof diagnoseCertbot>): [string, string] {
  return [reason, said]
}
