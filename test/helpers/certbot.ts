/** Certificates that are valid at the fake clock's start, and a fake certbot that puts them where the real one does. */
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ACCOUNT, type FakeDeps, fakeDeps, putAccount } from '../../fixtures/deps.ts'
import type { Disk } from '../../fixtures/memory-files.ts'
import type { RunOptions, RunResult } from '../../lib/adapters/runner.ts'
import type { CertificateChoice } from '../../lib/certificates/certificate.ts'
import { parseLedger } from '../../lib/certificates/order-ledger.ts'
import type { Changed, IssuedProxy } from '../../lib/engine/engine.ts'
import type { Uploaded } from '../../lib/issuance/upload.ts'
import { DEFAULT_OPTIONS } from '../../lib/route/options.ts'
import { textAt, writeAt } from './arrange.ts'

export const START_MS = Date.parse('2026-01-01T00:00:00.000Z')
export const HOUR_MS = 3_600_000
export const DAY_MS = 24 * HOUR_MS
export const CONFIG = '/etc/letsencrypt'
export const STATE = '/var/lib/proxy-manager'
export const CHALLENGES = `${STATE}/acme/.well-known/acme-challenge`

export interface Certificate {
  readonly cert: string
  readonly chain: string
  readonly fullchain: string
  readonly privkey: string
  readonly fingerprint: string
}

export interface Validity {
  readonly fromMs?: number
  readonly days?: number
  /** Distinguishes certificates with the same name and validity. */
  readonly number?: number
  /** Further names that it covers. */
  readonly aliases?: readonly string[]
}

const CA_CONFIGURATION = `[ca]
default_ca = test
[test]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
policy = policy
unique_subject = no
[policy]
commonName = supplied
`
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

const authority = makeAuthority()
const issued = new Map<string, Certificate>()

/** A certificate of a test CA, by default from an hour before the clock's start, for 90 days; the same one for the same arguments. */
export function certificateFor(
  domain: string,
  { fromMs = START_MS - HOUR_MS, days = 90, number = 1, aliases = [] }: Validity = {},
): Certificate {
  const names = [domain, ...aliases]
  const key = `${names} ${fromMs} ${days} ${number}`
  const certificate = issued.get(key) ?? authority.issue(names, fromMs, fromMs + days * DAY_MS)
  issued.set(key, certificate)
  return certificate
}

function makeAuthority() {
  const inFolder = <T>(files: Readonly<Record<string, string>>, job: (folder: string) => T): T => {
    const folder = mkdtempSync(join(tmpdir(), 'authority-'))
    try {
      for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
      return job(folder)
    } finally {
      rmSync(folder, { recursive: true })
    }
  }
  const openssl = (folder: string, ...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
  const own = inFolder({}, (folder) => {
    openssl(
      folder,
      'req',
      '-x509',
      ...KEY,
      '-subj',
      '/CN=Test CA',
      '-days',
      '30',
      '-keyout',
      'ca.key',
      '-out',
      'ca.pem',
    )
    return {
      'ca.key': readFileSync(join(folder, 'ca.key'), 'utf8'),
      'ca.pem': readFileSync(join(folder, 'ca.pem'), 'utf8'),
    }
  })
  const issue = (names: readonly string[], fromMs: number, toMs: number): Certificate => {
    const extensions = `subjectAltName=${names.map((name) => `DNS:${name}`).join(',')}\n`
    const files = { ...own, 'ca.conf': CA_CONFIGURATION, 'index.txt': '', extensions }
    return inFolder(files, (folder) => {
      openssl(folder, 'req', '-new', ...KEY, '-subj', '/CN=leaf', '-keyout', 'privkey.pem', '-out', 'request.pem')
      const dates = ['-startdate', opensslTime(fromMs), '-enddate', opensslTime(toMs)]
      const signing = [
        '-config',
        'ca.conf',
        '-cert',
        'ca.pem',
        '-keyfile',
        'ca.key',
        '-extfile',
        'extensions',
        '-rand_serial',
      ]
      openssl(folder, 'ca', '-batch', '-notext', ...signing, ...dates, '-in', 'request.pem', '-out', 'cert.pem')
      const [cert, privkey] = ['cert.pem', 'privkey.pem'].map((name) => readFileSync(join(folder, name), 'utf8'))
      if (cert === undefined || privkey === undefined) throw new Error('openssl made no certificate')
      const fingerprint = new X509Certificate(cert).fingerprint256.replaceAll(':', '').toLowerCase()
      return { cert, chain: own['ca.pem'], fullchain: cert + own['ca.pem'], privkey, fingerprint }
    })
  }
  return { issue }
}

/** `YYYYMMDDHHMMSSZ`. */
function opensslTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace(/[-T:]/g, '')}Z`
}

/** The renewal parameters of an order of ours, and those of an operator with a DNS plugin and a hook of his own. */
export const OUR_RENEWAL = `authenticator = webroot\nwebroot_path = ${STATE}/acme,\nrenew_hook = touch '${STATE}/renewed'\n`
export const OTHER_RENEWAL =
  'authenticator = manual\nmanual_auth_hook = /root/dns.sh\nrenew_hook = systemctl reload postfix\n'

/** Puts a lineage on a disk as certbot does: files in `archive`, symlinks to them in `live`, and its configuration in `renewal`. */
export function putLineage(
  disk: Disk,
  domain: string,
  certificate: Certificate,
  version = 1,
  renewal = OUR_RENEWAL,
): void {
  for (const folder of ['', '/live', '/archive', '/renewal', `/live/${domain}`, `/archive/${domain}`])
    disk.set(CONFIG + folder, { kind: 'folder' })
  for (const name of ['cert', 'chain', 'fullchain', 'privkey'] as const) {
    const target = `${CONFIG}/archive/${domain}/${name}${version}.pem`
    writeAt(disk, target, certificate[name], name === 'privkey' ? 0o600 : 0o644)
    disk.set(`${CONFIG}/live/${domain}/${name}.pem`, { kind: 'link', target })
  }
  writeAt(disk, `${CONFIG}/renewal/${domain}.conf`, `version = 2.1.0\n[renewalparams]\naccount = 0\n${renewal}`)
}

/** Makes an account as `certbot register` does. */
export function registering({ disk }: Pick<FakeDeps, 'disk'>, id = ACCOUNT): (args: readonly string[]) => RunResult {
  return (args) => {
    putAccount(disk, { id, config: optionOf(args, 'config-dir'), server: optionOf(args, 'server') })
    return { exitCode: 0, output: 'Account registered.\n' }
  }
}

/** A certbot that obtains these certificates one after another, then the last one again and again; returns the arguments of its calls, without those that register. */
export function certbotThatIssues(
  { disk, nginx }: FakeDeps,
  ...certificates: readonly Certificate[]
): readonly (readonly string[])[] {
  const calls: (readonly string[])[] = []
  nginx.certbot = (args) => {
    if (args[0] === 'register') return registering({ disk })(args)
    calls.push(args)
    const certificate = certificates[Math.min(calls.length, certificates.length) - 1]
    if (certificate === undefined) throw new Error('no certificate was arranged')
    putLineage(disk, lineageOf(args), certificate, calls.length)
    return { exitCode: 0, output: captured('issued').output }
  }
  return calls
}

/** A certbot that registers, and else ends in these ways one after another, then in the last one again and again; returns the arguments of those calls. */
export function certbotThat(
  { nginx, disk }: FakeDeps,
  ...steps: readonly ((args: readonly string[]) => RunResult)[]
): readonly (readonly string[])[] {
  const calls: (readonly string[])[] = []
  nginx.certbot = (args) => {
    if (args[0] === 'register') return registering({ disk })(args)
    calls.push(args)
    const step = steps[Math.min(calls.length, steps.length) - 1]
    if (step === undefined) throw new Error('nothing was arranged')
    return step(args)
  }
  return calls
}

/** Ends with a captured failure, with its evidence in certbot's log. */
export function failing({ disk }: Pick<FakeDeps, 'disk'>, name: string, exitCode = 1): () => RunResult {
  const { output, evidence } = captured(name)
  return () => {
    writeAt(
      disk,
      '/srv/log/letsencrypt.log',
      `2026-01-01 00:00:00,000:DEBUG:certbot._internal.main:certbot version: 2.1.0\n${evidence}`,
    )
    return { exitCode, output }
  }
}

/** Ends with a certificate for the requested name. */
export function issuing(
  { disk }: Pick<FakeDeps, 'disk'>,
  certificate: Certificate,
): (args: readonly string[]) => RunResult {
  return (args) => {
    putLineage(disk, lineageOf(args), certificate)
    return { exitCode: 0, output: captured('issued').output }
  }
}

/** The captured output of a real certbot, and the lines of its log that name the cause. */
export function captured(name: string): { readonly output: string; readonly evidence: string } {
  const text = readFileSync(new URL(`../../fixtures/certbot-output/${name}.txt`, import.meta.url), 'utf8')
  const [output = '', evidence = ''] = text.split('--- letsencrypt.log\n')
  return { output, evidence }
}

export interface HeldCertbot {
  /** The time limits of each call. */
  readonly limits: readonly RunOptions[]
  /** The highest number of concurrent runs. */
  readonly most: number
  /** Resolves once certbot runs. */
  readonly started: Promise<void>
  /** Lets it, and all later ones, continue. */
  release(): void
}

/** Blocks certbot until it is released. */
export function holdCertbot({ host }: FakeDeps): HeldCertbot {
  const limits: RunOptions[] = []
  const [start, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  let running = 0
  let most = 0
  const run = host.runner.run
  host.runner.run = async (file, args, options) => {
    if (!file.endsWith('/certbot')) return await run(file, args, options)
    limits.push(options)
    most = Math.max(most, ++running)
    start.resolve()
    await gate.promise
    const result = await run(file, args, options)
    running--
    return result
  }
  return {
    limits,
    get most() {
      return most
    },
    started: start.promise,
    release: () => gate.resolve(),
  }
}

/** Puts a route that wants HTTPS, without a health check of its upstream. */
export async function putSecure(
  deps: FakeDeps,
  dropletName: string,
  domain: string,
  aliases: readonly string[] = [],
): Promise<Changed> {
  const place = { upstream_host: 'localhost', upstream_port: 8001, require_healthy: false, enable_ssl: true }
  const spec = { domain, ...place, options: { ...DEFAULT_OPTIONS, aliases: [...aliases] } }
  return await deps.engine.putProxy({ dropletName, spec, mode: 'replace', precondition: {} })
}

export async function issue(deps: FakeDeps, dropletName: string, forceRenew = false): Promise<IssuedProxy> {
  return await deps.engine.issueCertificate({ dropletName, forceRenew })
}

/** The same host with a new process, at the same time. */
export async function restartedNow(deps: FakeDeps, settings: Readonly<Record<string, string>> = {}): Promise<FakeDeps> {
  const next = await fakeDeps({ disk: deps.disk, nginx: deps.nginx, settings })
  await next.clock.sleep(deps.clock.nowMs() - next.clock.nowMs())
  await next.engine.recover()
  return next
}

/** The fingerprint of the certificate that NGINX serves for a domain; `undefined` if it serves none. */
export function servedFingerprint({ nginx }: FakeDeps, domain: string): string | undefined {
  const path = new RegExp(`ssl_certificate ${STATE}/certificates/${domain}/([0-9a-f]{64})/fullchain\\.pem;`)
  return [...nginx.loaded.values()].flatMap((text) => path.exec(text)?.[1] ?? [])[0]
}

/** The copies of a domain's certificates. */
export function copiesOf({ host }: FakeDeps, domain: string): readonly string[] {
  return host.files.list(`${STATE}/certificates/${domain}`)
}

/** A domain's ledger on disk, without the lineage that its last order wrote. */
export function ledgerText({ disk }: FakeDeps, domain: string): unknown {
  const entry = disk.get(`${STATE}/orders/${domain}.json`)
  if (entry?.kind !== 'file') return undefined
  const { lineage: _, ...ledger } = JSON.parse(entry.file.text)
  return ledger
}

/** The reasons of a domain's failures: those that count, and those that only delay the next attempt. */
export function failuresOf(
  deps: FakeDeps,
  domain: string,
): { readonly counted: readonly string[]; readonly uncounted: readonly string[] } {
  const { entries } = parseLedger(JSON.stringify(ledgerText(deps, domain)), Number.POSITIVE_INFINITY)
  const reasons = (isUncounted: boolean) =>
    entries.flatMap(({ result, reason, uncounted }) =>
      result === 'failed' && (uncounted === true) === isUncounted ? [reason ?? ''] : [],
    )
  return { counted: reasons(false), uncounted: reasons(true) }
}

function lineageOf(args: readonly string[]): string {
  return optionOf(args, 'cert-name')
}

function optionOf(args: readonly string[], option: string): string {
  return args.find((argument) => argument.startsWith(`--${option}=`))?.slice(option.length + 3) ?? ''
}

/** Uploads a certificate under a name. */
export async function upload(deps: FakeDeps, name: string, pair: Certificate): Promise<Uploaded> {
  return await deps.engine.putCertificate({ name, certificate: pair.fullchain, privateKey: pair.privkey })
}

/** Puts a route that has chosen its certificate, without a health check of its upstream. */
export async function putChoosing(
  deps: FakeDeps,
  dropletName: string,
  domain: string,
  certificate_from: CertificateChoice,
): Promise<Changed> {
  const place = { upstream_host: 'localhost', upstream_port: 8001, require_healthy: false, enable_ssl: true }
  const spec = { domain, ...place, certificate_from }
  return await deps.engine.putProxy({ dropletName, spec, mode: 'replace', precondition: {} })
}

/** The fingerprint of the certificate that NGINX has loaded for a domain; `undefined` if it has none. */
export function loadedFingerprint(deps: FakeDeps, domain: string): string | undefined {
  const path = new RegExp(`ssl_certificate (${STATE}/certificates/${domain}/[0-9a-f]{64}/fullchain\\.pem);`)
  const [copy] = [...deps.nginx.loaded.values()].flatMap((text) => path.exec(text)?.[1] ?? [])
  const text = copy === undefined ? undefined : textAt(deps.disk, copy)
  return text === undefined ? undefined : new X509Certificate(text).fingerprint256.replaceAll(':', '').toLowerCase()
}
