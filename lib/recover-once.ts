/** Recovery without the API: for the moment before NGINX starts. */
import { hostFiles } from './adapters/files.ts'
import { hostRunner } from './adapters/runner.ts'
import { createEngine } from './engine/create-engine.ts'
import { statePaths } from './host/state-folder.ts'
import { nginxFactsReader } from './nginx/binary.ts'
import { type Environment, type HostFault, openHost } from './open-host.ts'
import type { Settings } from './settings/settings.ts'

/** How long to wait for a change that the running API is making. */
const CHANGE_MS = 15_000

/**
 * The steps that could not be done, by name; `seenToBy` is the process that holds the lock, if the running API has recovered already.
 * `proxy-manager recover --json` prints it.
 */
export type Recovery = { readonly undone: readonly string[]; readonly seenToBy?: string } | HostFault

/**
 * Runs only the start-up recovery, before NGINX starts. If the API runs, it has recovered already: then this waits for a change in progress,
 * so that NGINX never reads half of one. Log lines go to standard error.
 */
export async function recoverOnce(environment: Environment): Promise<Recovery> {
  const opened = await openHost(environment, process.stderr)
  if ('fault' in opened) return opened
  const { host, lock } = opened
  if ('heldBy' in lock) {
    const { journal } = statePaths(host.settings)
    const isUnderWay = (): boolean => {
      try {
        return host.files.read(journal) !== undefined
      } catch {
        return true
      }
    }
    const until = host.clock.monotonicMs() + CHANGE_MS
    while (isUnderWay() && host.clock.monotonicMs() < until) await host.clock.sleep(100)
    return { undone: isUnderWay() ? ['recover_journal'] : [], seenToBy: lock.heldBy }
  }
  const engine = createEngine(host)
  const undone = await engine.recover()
  await engine.idle()
  await lock.release()
  await host.log.flush()
  return { undone }
}

/** What units depend on, besides the settings. */
export interface UnitHost {
  /** NGINX's main configuration, from NGINX_CONF or the binary; `undefined` if neither names one. */
  readonly nginxConf: string | undefined
  /** NGINX's configuration names a file below /home or /root; one that cannot be read may. */
  readonly namesHome: boolean
  /** It is a symlink, or below one. */
  isLinked(path: string): boolean
}

/** Looks at the host for which units are printed. */
export async function readUnitHost(settings: Settings, environment: Environment): Promise<UnitHost> {
  const [files, runner] = [hostFiles(), hostRunner(environment)]
  const { confPath: nginxConf } = await nginxFactsReader({ settings, files, runner })()
  const conf = settings.NGINX_CONF === undefined ? [] : ['-c', settings.NGINX_CONF]
  const { exitCode, output } = await runner.run(settings.NGINX_BIN, ['-T', '-q', ...conf], { timeoutMs: 15_000 })
  const isMissing = exitCode === 127
  return {
    nginxConf,
    namesHome: exitCode === 0 ? /\/(home|root)\//.test(output) : !isMissing,
    isLinked: (path) => ![undefined, path].includes(files.realPath(path)),
  }
}
