/**
 * Reload and confirm. Exit statuses prove nothing here: if another process uses the port, `nginx -t` passes, `nginx -s reload` exits 0, and the
 * master discards the new configuration after five tries, 500 ms apart (ngx_open_listening_sockets).
 */
import type { Host } from '../host/host.ts'
import { configurationArguments, type NginxInstance } from './binary.ts'
import { parseDiagnostics, publicOutput } from './config/diagnostic.ts'
import { followLogs, logPaths } from './error-log.ts'
import { servedGeneration } from './generation.ts'
import { type Masters, mayAccept, nginxMasters } from './master.ts'
import { notRunning, type ReloadResult } from './reload-result.ts'

export interface Reloader extends Pick<Masters, 'find' | 'isAlone'> {
  /**
   * Reloads NGINX and waits until every new connection is handled by `expected`, at most 10 s plus twice the time that its test or the previous
   * reload took. Resolves for every outcome.
   */
  reload(nginx: NginxInstance, expected: ExpectedGeneration, testMs: number): Promise<ReloadResult>
}

/** A generation; or a configuration without one of ours, after which the generation `replaced` must not be served any more. */
export type ExpectedGeneration = number | { readonly replaced: number }

const CONFIRM_TIMEOUT_MS = 10_000
const COMMAND_TIMEOUT_MS = 15_000
const POLL_MS = 2
/** The log is read less often than the workers are polled. */
const POLLS_PER_LOG_READ = 10
/** How long a proof is waited for after an error in the log, in addition to twice the time of a test or reload: the error may be forged. */
const DOUBT_MS = 500
/** How long after the first new answer old workers may still accept if they cannot be watched: twice the 100 ms that the master waits. */
const UNWATCHED_MS = 200

/** Makes a reloader that signals the master and watches its workers. */
export function signalReloader(host: Host): Reloader {
  const { clock } = host
  const masters = nginxMasters(host)
  /** Duration of the last reload. The master always reads everything, while the test may have been incremental. */
  let lastMs = 0
  return {
    find: masters.find,
    isAlone: masters.isAlone,
    reload: async (nginx, expected, testMs) => {
      const started = clock.monotonicMs()
      const usualMs = 2 * Math.max(testMs, lastMs)
      const [deadline, doubtMs] = [started + CONFIRM_TIMEOUT_MS + usualMs, DOUBT_MS + usualMs]
      // If a new binary takes over meanwhile, it is unknown which files it has read: it is signalled, too.
      for (let master = masters.find(nginx); master !== undefined; master = masters.find(nginx)) {
        const result = await reloadMaster({ host, masters, nginx, expected, started, deadline, doubtMs }, master)
        if (result === 'gone') continue
        if (result.ok) lastMs = result.reloadMs
        return result
      }
      return notRunning()
    },
  }
}

/** One reload, whichever master performs it. */
interface Attempt {
  readonly host: Host
  readonly masters: Masters
  readonly nginx: NginxInstance
  readonly expected: ExpectedGeneration
  readonly started: number
  readonly deadline: number
  readonly doubtMs: number
}

/** Signals one master and waits for the proof; `gone` if that master exits first. */
async function reloadMaster(attempt: Attempt, master: number): Promise<ReloadResult | 'gone'> {
  const { host, masters, nginx, deadline, doubtMs } = attempt
  const { clock, files, processes } = host
  const findError = followLogs(files, logPaths(nginx), master)
  const old = masters.acceptingWorkers(master)
  // What is only assumed to be NGINX is left to NGINX's own command.
  const isSignalled = processes.isNginxMaster(master) === true && processes.sendHup(master)
  const failure = isSignalled ? undefined : await reloadByCommand(host)
  if (failure?.ok === false) return failure
  const findProof = watchGeneration(attempt, master, old)
  let foundAt: number | undefined
  for (let polls = 1; clock.monotonicMs() < deadline; polls++) {
    const proof = await findProof()
    if (proof !== undefined) return proof
    if (polls % POLLS_PER_LOG_READ === 0) {
      const error = findError()
      if (error !== undefined) foundAt ??= clock.monotonicMs()
      if (error !== undefined && foundAt !== undefined && clock.monotonicMs() - foundAt >= doubtMs)
        return { ok: false, reason: 'refused', ...error }
      if (processes.isNginxMaster(master) === false) return 'gone'
    }
    await clock.sleep(POLL_MS)
  }
  return { ok: false, reason: 'not_confirmed', output: '', diagnostics: [] }
}

/** Each call polls once: the proof is complete when no old worker accepts connections and the new generation answers. */
function watchGeneration(
  { host: { clock, processes }, host, masters, nginx, expected, started }: Attempt,
  master: number,
  old: ReturnType<Masters['acceptingWorkers']>,
): () => Promise<ReloadResult | undefined> {
  const watched = old === 'unknown' ? [] : old
  const isWatched = watched.length > 0
  let retiredAt: number | undefined
  let firstAnswerAt: number | undefined
  return async () => {
    if (isWatched)
      retiredAt ??= watched.some((pid) => mayAccept(processes.workerState(pid))) ? undefined : clock.monotonicMs()
    if (isWatched && retiredAt === undefined) return undefined
    const served = await servedGeneration(host, nginx.snapshot.context)
    const isNew = typeof expected === 'number' ? served === expected : served !== expected.replaced
    const now = clock.monotonicMs()
    firstAnswerAt = isNew && !masters.isHandingOver(nginx) ? (firstAnswerAt ?? now) : undefined
    // Someone else may have reloaded at the same moment: those workers accept connections, too, until the master retires them.
    const present = masters.acceptingWorkers(master)
    const isAlone = isWatched && present !== 'unknown' && present.length <= watched.length
    if (firstAnswerAt === undefined || !(isAlone || now - firstAnswerAt >= UNWATCHED_MS)) return undefined
    const reloadedAt = retiredAt ?? firstAnswerAt
    return { ok: true, provedBy: 'generation_probe', reloadMs: reloadedAt - started, confirmMs: now - reloadedAt }
  }
}

/** Runs `nginx -s reload`, for its exit status only: if there is nothing to watch, or only a wrapper at NGINX_BIN is permitted to signal the master. */
export async function reloadByCommand({
  clock,
  runner,
  settings,
}: Pick<Host, 'clock' | 'runner' | 'settings'>): Promise<ReloadResult> {
  const started = clock.monotonicMs()
  const command = ['-s', 'reload', ...configurationArguments(settings)]
  const { exitCode, output } = await runner.run(settings.NGINX_BIN, command, { timeoutMs: COMMAND_TIMEOUT_MS })
  if (exitCode !== 0)
    return { ok: false, reason: 'refused', output: publicOutput(output), diagnostics: parseDiagnostics(output) }
  return { ok: true, provedBy: 'exit_status', reloadMs: clock.monotonicMs() - started, confirmMs: 0 }
}
