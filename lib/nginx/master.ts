/** NGINX's masters and their workers, as the pid file and the process table show them. */
import type { WorkerState } from '../adapters/processes.ts'
import type { Host } from '../host/host.ts'
import type { NginxInstance } from './binary.ts'

export interface Masters {
  /**
   * The process ID of the master that a reload signals; `undefined` if NGINX does not run. A process of the pid file that cannot be looked at is
   * taken for it: the error would be to call NGINX stopped.
   */
  find(nginx: NginxInstance): number | undefined
  /** The process IDs of a master's workers that accept connections. */
  acceptingWorkers(master: number): readonly number[] | 'unknown'
  /** The process IDs of the workers that only finish their present connections; during an upgrade of the binary those of the old master as well. */
  retiringWorkers(nginx: NginxInstance): readonly number[] | 'unknown'
  /** During an upgrade of the binary: the old master's workers still accept connections, as far as that is known, or its successor has not written the pid file yet. */
  isHandingOver(nginx: NginxInstance): boolean
  /** Waits until an upgrade of the binary has ended, at most 10 s; false if it has not. */
  isAlone(nginx: NginxInstance): Promise<boolean>
}

const HAND_OVER_TIMEOUT_MS = 10_000
const HAND_OVER_POLL_MS = 20
/** NGINX appends this to the pid file's name of a master that has started a new binary (NGX_OLDPID_EXT). */
const PREDECESSOR_SUFFIX = '.oldbin'

/** Finds the masters of this host. */
export function nginxMasters({ clock, files, processes }: Pick<Host, 'clock' | 'files' | 'processes'>): Masters {
  const masterIn = (path: string): number | undefined => {
    const text = files.read(path)?.text ?? ''
    const pid = /^\d+\s*$/.test(text) ? Number(text) : 0
    return pid > 1 && processes.isNginxMaster(pid) !== false ? pid : undefined
  }
  const find = (nginx: NginxInstance): number | undefined => {
    const path = pidPathOf(nginx)
    // For a moment of an upgrade only the old master has a pid file.
    return path === undefined ? undefined : (masterIn(path) ?? masterIn(path + PREDECESSOR_SUFFIX))
  }
  const acceptingWorkers: Masters['acceptingWorkers'] = (master) => {
    const workers = processes.workersOf(master)
    return workers === 'unknown' ? workers : workers.filter((pid) => mayAccept(processes.workerState(pid)))
  }
  const retiringWorkers: Masters['retiringWorkers'] = (nginx) => {
    const path = pidPathOf(nginx)
    if (path === undefined) return 'unknown'
    const retiring: number[] = []
    for (const master of [masterIn(path), masterIn(path + PREDECESSOR_SUFFIX)]) {
      const workers = master === undefined ? [] : processes.workersOf(master)
      const states = workers === 'unknown' ? ['unknown' as const] : workers.map(processes.workerState)
      if (workers === 'unknown' || states.includes('unknown')) return 'unknown'
      retiring.push(...workers.filter((_, i) => states[i] === 'shutting_down'))
    }
    return retiring
  }
  const isHandingOver = (nginx: NginxInstance): boolean => {
    const path = pidPathOf(nginx)
    const predecessor = path === undefined ? undefined : masterIn(path + PREDECESSOR_SUFFIX)
    if (predecessor === undefined) return false
    const workers = find(nginx) === predecessor ? 'unknown' : acceptingWorkers(predecessor)
    return workers === 'unknown' || workers.length > 0
  }
  return {
    find,
    acceptingWorkers,
    retiringWorkers,
    isHandingOver,
    isAlone: async (nginx) => {
      const deadline = clock.monotonicMs() + HAND_OVER_TIMEOUT_MS
      while (isHandingOver(nginx)) {
        if (clock.monotonicMs() >= deadline) return false
        await clock.sleep(HAND_OVER_POLL_MS)
      }
      return true
    },
  }
}

/** Whether a worker accepts connections, unless it is known not to. */
export function mayAccept(state: WorkerState): boolean {
  return state === 'accepting' || state === 'unknown'
}

function pidPathOf({ snapshot, facts }: NginxInstance): string | undefined {
  const path = snapshot.host.pid ?? facts.pidPath
  return path === undefined || path.startsWith('/') ? path : `${facts.prefix}/${path}`
}
