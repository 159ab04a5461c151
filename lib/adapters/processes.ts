/** NGINX's processes, as Linux shows them in /proc. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { posix } from 'node:path'
import { readTcpTable, type TcpSocket } from '../net/tcp-table.ts'
import { ifPresent } from './disk/if-present.ts'

/**
 * What a worker does: it accepts connections, only finishes its present ones, or has exited. `unknown` here and below: /proc cannot be read now, or
 * hides the processes of other users (`hidepid` in proc(5), `ProtectProc=` of systemd), so that nothing may be concluded.
 */
export type WorkerState = 'accepting' | 'shutting_down' | 'gone' | 'unknown'

export interface Processes {
  /** Whether this process is an NGINX master, by its title or binary. */
  isNginxMaster(pid: number): boolean | 'unknown'
  /**
   * The path of the file that a process runs, with ` (deleted)` behind it if it was replaced; `undefined` if that may not be read.
   * @throws {Error} Node's error if it cannot be read for another reason
   */
  executableOf(pid: number): string | undefined
  /** The workers of a master, without its cache processes. */
  workersOf(master: number): readonly number[] | 'unknown'
  workerState(pid: number): WorkerState
  /** When a process started, in clock ticks since boot; empty if there is none, or it cannot be read. */
  startTime(pid: number): string
  /** The sockets that a process has open, by their inodes; none if it has ended. `unknown` also without CAP_SYS_PTRACE, for a process of another user. */
  socketsOf(pid: number): ReadonlySet<string> | 'unknown'
  /** Every TCP socket of the network namespace that a process is in. */
  tcpTable(pid: number): readonly TcpSocket[] | 'unknown'
  /** The effective user of a process. */
  userOf(pid: number): number | 'unknown'
  /** Sends SIGHUP; false if there is no such process or it may not be signalled. */
  sendHup(pid: number): boolean
}

/** The processes that `proc` shows. */
export function hostProcesses({ proc = '/proc' } = {}): Processes {
  const { titleOf, statOf, childrenOf, executableOf, linksOf, read } = processTable(proc)
  const isNginxMaster = (pid: number): boolean | 'unknown' => {
    const title = titleOf(pid)
    if (title === undefined) return exists(pid) ? 'unknown' : false
    if (title.startsWith('nginx: master process')) return true
    if (title.startsWith('nginx: ') || statOf(pid)[0] === 'Z') return false
    // If titles are disabled, the binary decides.
    const executable = executableOf(pid)
    if (executable !== undefined) return posix.basename(executable).startsWith('nginx')
    return /^(\S*\/)?nginx|^$/.test(title) ? 'unknown' : false
  }
  return {
    isNginxMaster: (pid) => unlessUnreadable(() => isNginxMaster(pid)),
    executableOf,
    workersOf: (master) =>
      unlessUnreadable(() => {
        const children = childrenOf(master)
        if (children.length === 0 && titleOf(master) === undefined && exists(master)) return 'unknown'
        return children.filter((pid) => titleOf(pid)?.startsWith('nginx: worker process'))
      }),
    workerState: (pid) =>
      unlessUnreadable(() => {
        const title = titleOf(pid)
        if (title === undefined && exists(pid)) return 'unknown'
        if (!title?.startsWith('nginx: worker process')) return 'gone'
        // ngx_worker_process_cycle sets this title just before it closes its listening sockets.
        return title.includes('shutting down') ? 'shutting_down' : 'accepting'
      }),
    startTime: (pid) => {
      const fields = unlessUnreadable(() => statOf(pid))
      return fields === 'unknown' ? '' : (fields[19] ?? '')
    },
    socketsOf: (pid) =>
      unlessUnreadable(() => new Set(linksOf(pid).flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []))),
    tcpTable: (pid) =>
      unlessUnreadable(() => {
        const table = read(`${pid}/net/tcp`)
        // Without IPv6 there is no second table.
        return table === undefined ? 'unknown' : readTcpTable(`${table}\n${read(`${pid}/net/tcp6`) ?? ''}`)
      }),
    userOf: (pid) =>
      unlessUnreadable(() => {
        const uid = /^Uid:\s+\d+\s+(\d+)/m.exec(read(`${pid}/status`) ?? '')?.[1]
        return uid === undefined ? 'unknown' : Number(uid)
      }),
    sendHup: (pid) => {
      try {
        return process.kill(pid, 'SIGHUP')
      } catch {
        return false
      }
    },
  }
}

/** Reads what proc(5) shows of processes; throws Node's error if there is something that cannot be read. */
function processTable(proc: string) {
  const read = (path: string) => ifPresent(() => readFileSync(`${proc}/${path}`, 'utf8'))
  const statOf = (pid: number): readonly string[] => {
    const stat = read(`${pid}/stat`) ?? ''
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  }
  return {
    read,
    /** The fields of proc_pid_stat(5) from the third on: the command's name before them may contain anything. */
    statOf,
    /**
     * The processes that a process has started. Its own list of them (proc_pid_children(5)) may lack some if another one, which it still has, ends
     * while it is read; two equal reads are complete. A kernel without CONFIG_PROC_CHILDREN has no such list: every process is looked at then.
     */
    childrenOf: (pid: number): readonly number[] => {
      const list = () => read(`${pid}/task/${pid}/children`)
      const listed = list()
      if (listed !== undefined && listed === list()) return listed.split(' ').filter(Boolean).map(Number)
      const pids = readdirSync(proc).filter((name) => /^\d+$/.test(name))
      return pids.map(Number).filter((one) => Number(statOf(one)[1]) === pid)
    },
    /** What the open descriptors of a process are. */
    linksOf: (pid: number): readonly string[] =>
      (ifPresent(() => readdirSync(`${proc}/${pid}/fd`)) ?? []).flatMap(
        (descriptor) => ifPresent(() => readlinkSync(`${proc}/${pid}/fd/${descriptor}`)) ?? [],
      ),
    /** The arguments of a process, separated by spaces; `undefined` if it is not shown. */
    titleOf: (pid: number) => read(`${pid}/cmdline`)?.replaceAll('\0', ' '),
    executableOf: (pid: number): string | undefined => {
      try {
        return ifPresent(() => readlinkSync(`${proc}/${pid}/exe`))
      } catch (error) {
        if (isForbidden(error)) return undefined
        throw error
      }
    },
  }
}

/** Whether there is such a process, even if /proc does not show it. */
function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return isForbidden(error)
  }
}

function isForbidden(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EACCES' || error.code === 'EPERM')
}

function unlessUnreadable<T>(look: () => T): T | 'unknown' {
  try {
    return look()
  } catch {
    return 'unknown'
  }
}
