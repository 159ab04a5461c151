/** NGINX's processes, as Linux shows them in /proc. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { posix } from 'node:path'

/** What a worker does: it accepts connections, only finishes its present ones, or has exited. */
export type WorkerState = 'accepting' | 'shutting_down' | 'gone'

export interface Processes {
  /** Whether this process is an NGINX master, by its title or binary. */
  isNginxMaster(pid: number): boolean
  /** The path of the file that a process runs, with ` (deleted)` behind it if it was replaced; `undefined` if that may not be read. */
  executableOf(pid: number): string | undefined
  /** The workers of a master, without its cache processes. */
  workersOf(master: number): readonly number[]
  workerState(pid: number): WorkerState
  /** When a process started, in clock ticks since boot; empty if there is none. */
  startTime(pid: number): string
  /** Sends SIGHUP; false if there is no such process or it may not be signalled. */
  sendHup(pid: number): boolean
}

export function hostProcesses(): Processes {
  return {
    isNginxMaster: (pid) => {
      const title = titleOf(pid)
      // Without a title (a zombie, or titles disabled) the binary decides.
      return (
        title.startsWith('nginx: master process') ||
        (!title.startsWith('nginx: ') && posix.basename(executableOf(pid) ?? '').startsWith('nginx'))
      )
    },
    executableOf,
    workersOf: (master) =>
      readdirSync('/proc')
        .filter((name) => /^\d+$/.test(name) && parentOf(name) === master)
        .map(Number)
        .filter((pid) => titleOf(pid).startsWith('nginx: worker process')),
    workerState: (pid) => {
      const title = titleOf(pid)
      if (!title.startsWith('nginx: worker process')) return 'gone'
      // ngx_worker_process_cycle sets this title just before it closes its listening sockets.
      return title.includes('shutting down') ? 'shutting_down' : 'accepting'
    },
    startTime: (pid) => statOf(pid)[19] ?? '',
    sendHup: (pid) => {
      try {
        return process.kill(pid, 'SIGHUP')
      } catch {
        return false
      }
    },
  }
}

function titleOf(pid: number): string {
  return readProc(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')
}

function executableOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/exe`)
  } catch {
    return undefined
  }
}

function parentOf(pid: string): number {
  return Number(statOf(pid)[1])
}

/** The fields of proc_pid_stat(5) from the third on: the command's name before them may contain anything. */
function statOf(pid: number | string): string[] {
  const stat = readProc(`/proc/${pid}/stat`)
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

function readProc(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
