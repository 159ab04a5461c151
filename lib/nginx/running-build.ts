/** The build of the running master. After an upgrade on disk the old one runs until NGINX is restarted, and reads every configuration. */
import type { Host } from '../host/host.ts'
import type { NginxFacts } from './binary.ts'
import { type NginxBuild, parseBuild } from './config/build.ts'
import { GENERATION_NAME } from './generation.ts'

/** `installed`: the binary on disk, or no master at all. `other`: another build, or the same one from a file that was replaced since. */
export type RunningBuild =
  | { readonly kind: 'installed' | 'unknown' }
  | { readonly kind: 'other'; readonly build: NginxBuild }

type BuildHost = Pick<Host, 'clock' | 'files' | 'probe' | 'processes' | 'runner' | 'settings'>

const INSTALLED: RunningBuild = { kind: 'installed' }
const UNKNOWN: RunningBuild = { kind: 'unknown' }
/** While the build is unknown, it is looked up again no more often than this. */
const RETRY_MS = 10_000
const TIMEOUT_MS = 1000

/** Makes a reader of the running build, which is looked up once for each master and binary on disk. */
export function runningBuildReader(
  host: BuildHost,
): (facts: NginxFacts, master: number | undefined) => Promise<RunningBuild> {
  let known: { readonly key: string; readonly running: RunningBuild; readonly atMs: number } | undefined
  return async (facts, master) => {
    if (master === undefined) return INSTALLED
    const executable = host.processes.executableOf(master)
    if (executable !== undefined && executable === host.files.realPath(host.settings.NGINX_BIN)) return INSTALLED
    const key = `${master} ${executable} ${host.files.stamp(host.settings.NGINX_BIN)}`
    const isFresh = known?.running.kind !== 'unknown' || host.clock.monotonicMs() - known.atMs < RETRY_MS
    if (known?.key === key && isFresh) return known.running
    const running =
      (executable === undefined ? undefined : await ofExecutable(host, facts, master, executable)) ??
      (await ofAnswer(host, facts)) ??
      UNKNOWN
    known = { key, running, atMs: host.clock.monotonicMs() }
    return running
  }
}

/** The kernel keeps the file of a running program, also if it was deleted (proc(5)). */
async function ofExecutable(
  { runner }: BuildHost,
  facts: NginxFacts,
  master: number,
  executable: string,
): Promise<RunningBuild | undefined> {
  const { output } = await runner.run(`/proc/${master}/exe`, ['-V'], { timeoutMs: 15_000 })
  const build = parseBuild(output)
  if (build.versionText === null) return undefined
  // NGINX_BIN may be a wrapper of the very same binary.
  return build.versionText === facts.versionText && !executable.endsWith(' (deleted)')
    ? INSTALLED
    : { kind: 'other', build }
}

/** Reading the file takes CAP_SYS_PTRACE. Without it there is the version in the `Server` header; OpenSSL's is then known only if NGINX is the same. */
async function ofAnswer({ probe, settings }: BuildHost, facts: NginxFacts): Promise<RunningBuild | undefined> {
  const { NGINX_HTTP_PORT: port } = settings
  const request = { address: '127.0.0.1', port, host: GENERATION_NAME, path: '/', timeoutMs: TIMEOUT_MS }
  const answer = await probe.get(request)
  if (!('server' in answer) || !/^\d+\s*$/.test(answer.body)) return undefined
  const { version, versionText } = parseBuild(`nginx version: ${answer.server}`)
  if (versionText === null) return undefined
  if (versionText === facts.versionText) return INSTALLED
  return { kind: 'other', build: { ...facts, version, versionText, openssl: [1, 1] } }
}

/** What to do if the master that runs is not, or may not be, the binary on disk, whose version is `installed`. */
export function restartAdvice(running: RunningBuild, installed: string | null): readonly string[] {
  if (running.kind === 'other')
    return [
      `NGINX ${running.build.versionText} runs, and its binary was replaced by ${installed}: restart NGINX (systemctl restart nginx); until then files are written for both`,
    ]
  if (running.kind === 'installed') return []
  return [
    'which version of NGINX runs is not known (its binary may not be read): if NGINX was upgraded since its start, restart it (systemctl restart nginx)',
  ]
}
