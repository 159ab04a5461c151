/**
 * Reload and confirm. Exit statuses prove nothing here: with a port taken by someone else, `nginx -t` passes, `nginx -s reload` exits 0, and the
 * master throws the new configuration away after five tries, 500 ms apart (ngx_open_listening_sockets).
 * NGINX's coming Control API answers a reload with its result; it would be a second implementation of {@link Reloader}.
 */
import type { Host } from '../host/host.ts'
import type { NginxInstance } from './binary.ts'
import { configurationArguments } from './binary.ts'
import { parseDiagnostics, publicOutput } from './config/diagnostic.ts'
import { followLog, logPath } from './error-log.ts'
import { GENERATION_NAME } from './generation.ts'
import { notRunning, type ReloadResult } from './reload-result.ts'

export interface Reloader {
  /** The master that a reload would go to; `undefined` where NGINX does not run. Always 0 where there is no way to tell. */
  findMaster(observation: NginxInstance): number | undefined
  /**
   * Waits while the workers of two masters accept connections, at most 10 s; false where they go on. NGINX's binary is being replaced then, and
   * the master of before cannot be made to read anything.
   */
  isAlone(observation: NginxInstance): Promise<boolean>
  /**
   * Makes NGINX read its files again and waits until every connection opened from then on is handled by `generation` (null: by a configuration
   * without one), at most 10 s and twice the time that its test or the reload before it took. Resolves for every outcome.
   */
  reload(observation: NginxInstance, generation: number | null, testMs: number): Promise<ReloadResult>
  /** The generation that NGINX serves; `undefined` where nothing of ours answers. */
  servedGeneration(): Promise<number | undefined>
}

const CONFIRM_TIMEOUT_MS = 10_000
const COMMAND_TIMEOUT_MS = 15_000
const PROBE_TIMEOUT_MS = 1000
const POLL_MS = 2
const HAND_OVER_TIMEOUT_MS = 10_000
const HAND_OVER_POLL_MS = 20
/** What NGINX adds to the name of the pid file of a master that has started another binary (NGX_OLDPID_EXT). */
const PREDECESSOR_SUFFIX = '.oldbin'
/** The log is read less often than the workers are looked at. */
const POLLS_PER_LOG_READ = 10
/** How long after the first new answer old workers may go on accepting where they cannot be watched: the master waits 100 ms, doubled here. */
const UNWATCHED_MS = 200

/** Signals the master and watches its workers. */
export function signalReloader(host: Host): Reloader {
  const { clock, files, probe, processes, settings } = host
  /** How long the master took last. It reads everything anew, also where the test was of little. */
  let lastMs = 0

  const askGeneration = async (): Promise<string | undefined> => {
    const request = {
      address: '127.0.0.1',
      port: settings.NGINX_HTTP_PORT,
      host: GENERATION_NAME,
      path: '/',
      timeoutMs: PROBE_TIMEOUT_MS,
    }
    const answer = await probe.get(request)
    return 'status' in answer && answer.status === 200 ? answer.body.trim() : undefined
  }

  const pidPathOf = ({ snapshot, facts }: NginxInstance): string | undefined => {
    const path = snapshot.host.pid ?? facts.pidPath
    return path === undefined || path.startsWith('/') ? path : `${facts.prefix}/${path}`
  }

  const masterIn = (path: string): number | undefined => {
    const text = files.read(path)?.text ?? ''
    const pid = /^\d+\s*$/.test(text) ? Number(text) : 0
    return pid > 1 && processes.isNginxMaster(pid) ? pid : undefined
  }

  const findMaster = (observation: NginxInstance): number | undefined => {
    const path = pidPathOf(observation)
    // For a moment of an upgrade only the master that hands over is named.
    return path === undefined ? undefined : (masterIn(path) ?? masterIn(path + PREDECESSOR_SUFFIX))
  }

  const acceptingWorkers = (master: number): number =>
    processes.workersOf(master).filter((pid) => processes.workerState(pid) === 'accepting').length

  /** Another master's workers accept as well, or it has not yet left the pid file to its successor. */
  const isHandingOver = (observation: NginxInstance): boolean => {
    const path = pidPathOf(observation)
    const predecessor = path === undefined ? undefined : masterIn(path + PREDECESSOR_SUFFIX)
    if (predecessor === undefined) return false
    return findMaster(observation) === predecessor || acceptingWorkers(predecessor) > 0
  }

  const reloadMaster = async (
    master: number,
    observation: NginxInstance,
    generation: number | null,
    started: number,
    deadline: number,
  ): Promise<ReloadResult> => {
    const errorLog = logPath(observation)
    const findRefusal = errorLog === undefined ? undefined : followLog(files, errorLog, master)
    const old = processes.workersOf(master).filter((pid) => processes.workerState(pid) === 'accepting')
    if (!processes.sendHup(master)) {
      // Not ours to signal: a wrapper at NGINX_BIN may have the right.
      const sent = await host.runner.run(settings.NGINX_BIN, ['-s', 'reload', ...configurationArguments(settings)], {
        timeoutMs: COMMAND_TIMEOUT_MS,
      })
      if (sent.exitCode !== 0)
        return {
          ok: false,
          reason: 'refused',
          output: publicOutput(sent.output),
          diagnostics: parseDiagnostics(sent.output),
        }
    }
    const isWatched = old.length > 0
    let retiredAt: number | undefined
    let firstAnswerAt: number | undefined
    for (let polls = 1; clock.monotonicMs() < deadline; polls++) {
      if (isWatched)
        retiredAt ??= old.every((pid) => processes.workerState(pid) !== 'accepting') ? clock.monotonicMs() : undefined
      if (!isWatched || retiredAt !== undefined) {
        const answer = await askGeneration()
        const isNew = generation === null ? answer === undefined : answer === String(generation)
        const now = clock.monotonicMs()
        firstAnswerAt = isNew && !isHandingOver(observation) ? (firstAnswerAt ?? now) : undefined
        // Somebody else may have reloaded at the same moment: their workers accept as well, until the master retires them.
        const isAlone = isWatched && acceptingWorkers(master) <= old.length
        if (firstAnswerAt !== undefined && (isAlone || now - firstAnswerAt >= UNWATCHED_MS)) {
          const reloadedAt = retiredAt ?? firstAnswerAt
          return { ok: true, provedBy: 'generation_probe', reloadMs: reloadedAt - started, confirmMs: now - reloadedAt }
        }
      }
      if (polls % POLLS_PER_LOG_READ === 0) {
        const refusal = findRefusal?.()
        if (refusal !== undefined) return { ok: false, reason: 'refused', ...refusal }
        if (!processes.isNginxMaster(master)) {
          // Another binary may have taken over since; whether it has read the files of now is not known.
          const successor = findMaster(observation)
          if (successor === undefined) return notRunning()
          return await reloadMaster(successor, observation, generation, started, deadline)
        }
      }
      await clock.sleep(POLL_MS)
    }
    return { ok: false, reason: 'not_confirmed', output: '', diagnostics: [] }
  }

  return {
    findMaster,
    isAlone: async (observation) => {
      const deadline = clock.monotonicMs() + HAND_OVER_TIMEOUT_MS
      while (isHandingOver(observation)) {
        if (clock.monotonicMs() >= deadline) return false
        await clock.sleep(HAND_OVER_POLL_MS)
      }
      return true
    },
    servedGeneration: async () => {
      const answer = await askGeneration()
      return answer !== undefined && /^\d+$/.test(answer) ? Number(answer) : undefined
    },
    reload: async (observation, generation, testMs) => {
      const started = clock.monotonicMs()
      const master = findMaster(observation)
      if (master === undefined) return notRunning()
      const deadline = started + CONFIRM_TIMEOUT_MS + 2 * Math.max(testMs, lastMs)
      const reload = await reloadMaster(master, observation, generation, started, deadline)
      if (reload.ok) lastMs = reload.reloadMs
      return reload
    },
  }
}

/** Where nothing can be watched (a harness with bare folders): `-s reload`, and its exit status. */
export function commandReloader(host: Host): Reloader {
  return {
    findMaster: () => 0,
    isAlone: async () => true,
    servedGeneration: async () => undefined,
    reload: async () => {
      const started = host.clock.monotonicMs()
      const command = ['-s', 'reload', ...configurationArguments(host.settings)]
      const { exitCode, output } = await host.runner.run(host.settings.NGINX_BIN, command, {
        timeoutMs: COMMAND_TIMEOUT_MS,
      })
      if (exitCode !== 0)
        return { ok: false, reason: 'refused', output: publicOutput(output), diagnostics: parseDiagnostics(output) }
      return { ok: true, provedBy: 'exit_status', reloadMs: host.clock.monotonicMs() - started, confirmMs: 0 }
    },
  }
}
