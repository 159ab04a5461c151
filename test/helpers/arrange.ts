/** What these tests arrange on a fake host: NGINX's refusals, a moment in the middle of a reload, hand edits, lineages. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import type { FakeDeps } from '../../fixtures/deps.ts'
import { MASTER_PID } from '../../fixtures/fake-nginx.ts'
import type { Disk } from '../../fixtures/memory-files.ts'
import type { RunResult } from '../../lib/adapters/runner.ts'
import { type ErrorCode, ProxyManagerError } from '../../lib/errors.ts'
import { assertInvariant } from './world.ts'

export const ACCEPTED: RunResult = {
  exitCode: 0,
  output:
    'nginx: the configuration file /etc/nginx/nginx.conf syntax is ok\nnginx: configuration file /etc/nginx/nginx.conf test is successful\n',
}

/** What `nginx -t` prints when it refuses a line of a file. */
export function refused(file: string, line: number, message: string): RunResult {
  const output = `2026/01/01 00:00:00 [emerg] 4242#4242: ${message} in /etc/nginx/sites-enabled/${file}:${line}\nnginx: configuration file /etc/nginx/nginx.conf test failed\n`
  return { exitCode: 1, output }
}

/** What `nginx -t` prints when it warns of two server blocks with one name, and accepts them. */
export function conflicting(domain: string): RunResult {
  const warning = `2026/01/01 00:00:00 [warn] 4242#4242: conflicting server name "${domain}" on 0.0.0.0:80, ignored\n`
  return { exitCode: 0, output: warning + ACCEPTED.output }
}

export const PORT_TAKEN = [
  `2026/01/01 00:00:00 [emerg] ${MASTER_PID}#${MASTER_PID}: bind() to 0.0.0.0:80 failed (98: Address already in use)`,
  `2026/01/01 00:00:00 [notice] ${MASTER_PID}#${MASTER_PID}: try again to bind() after 500ms`,
  `2026/01/01 00:00:00 [emerg] ${MASTER_PID}#${MASTER_PID}: still could not bind()`,
].join('\n')

export const CERTIFICATE_GONE = `2026/01/01 00:00:00 [emerg] ${MASTER_PID}#${MASTER_PID}: cannot load certificate "/etc/ssl/app/fullchain.pem": BIO_new_file() failed`

/** Calls `hook` with 1, 2, 3 ... each time the master is signalled, before it reads its files. */
export function onReload({ host }: FakeDeps, hook: (count: number) => void): void {
  const { processes } = host
  const sendHup = processes.sendHup
  let count = 0
  processes.sendHup = (pid) => {
    hook(++count)
    return sendHup(pid)
  }
}

/** The master refuses the next reload with these lines in its log, and accepts those after it. */
export function refuseNextReload(deps: FakeDeps, log: string): void {
  onReload(deps, (count) => {
    deps.nginx.refuseReload = count === 1 ? log : undefined
  })
}

/** The error of a call that must fail with this code. */
export async function refusal(call: Promise<unknown>, code: ErrorCode): Promise<ProxyManagerError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof ProxyManagerError)) throw new Error(`expected ${code}, got ${String(error)}`)
  assert.is(error.code, code)
  return error
}

/** Lets what runs in the background on the fakes finish. */
export async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}

/** Waits until nothing is under way, and checks the invariant. */
export async function assertSettled(deps: FakeDeps): Promise<void> {
  await deps.engine.idle()
  assertInvariant(deps)
}

/** The text of a file on the fake disk, symlinks followed; `undefined` if there is none. */
export function textAt(disk: Disk, path: string): string | undefined {
  const entry = disk.get(path)
  if (entry?.kind === 'link') return textAt(disk, entry.target)
  return entry?.kind === 'file' ? entry.file.text : undefined
}

export function writeAt(disk: Disk, path: string, text: string, mode = 0o644): void {
  disk.set(path, { kind: 'file', file: { text }, mode })
}

/** Everything on the disk but the log of events and the histories, as plain values that can be compared. */
export function contentsOf(disk: Disk): [string, unknown][] {
  return [...disk]
    .filter(([path]) => !/\/(events|history)/.test(path))
    .map(([path, entry]): [string, unknown] => [path, entry.kind === 'file' ? [entry.file.text, entry.mode] : entry])
    .sort(([a], [b]) => (a < b ? -1 : 1))
}

/** How many effects of the fakes match, since `from`. */
export function countEffects({ effects }: FakeDeps, pattern: RegExp, from = 0): number {
  return effects.journal.slice(from).filter(({ verb, subject }) => pattern.test(`${verb} ${subject}`)).length
}

export interface Lineage {
  readonly fullchain: string
  readonly privkey: string
}

/** A self-signed certificate for a domain, valid from now for a month. */
export function makeLineage(domain: string): Lineage {
  const folder = mkdtempSync(join(tmpdir(), 'lineage-'))
  try {
    const [key, certificate] = [join(folder, 'privkey.pem'), join(folder, 'fullchain.pem')]
    const names = ['-subj', `/CN=${domain}`, '-addext', `subjectAltName=DNS:${domain}`]
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
    const command = ['req', '-x509', ...curve, ...names, '-days', '30', '-keyout', key, '-out', certificate]
    execFileSync('openssl', command, { stdio: 'ignore' })
    return { fullchain: readFileSync(certificate, 'utf8'), privkey: readFileSync(key, 'utf8') }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Puts a lineage where certbot keeps it, and sets the fake clock to a time at which it is valid. */
export async function installLineage(deps: FakeDeps, domain: string, { fullchain, privkey }: Lineage): Promise<void> {
  const folder = `/etc/letsencrypt/live/${domain}`
  writeAt(deps.disk, `${folder}/fullchain.pem`, fullchain)
  writeAt(deps.disk, `${folder}/privkey.pem`, privkey, 0o600)
  await deps.clock.sleep(Date.now() + 60_000 - deps.clock.nowMs())
}
