/** One process per state directory, and per pair of sites directories. */
import { spawn } from 'node:child_process'
import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync } from 'node:fs'

export type LockResult = { readonly release: () => Promise<void> } | { readonly heldBy: string }

export interface Lock {
  /** Takes the lock of this file for the lifetime of the process, or returns who holds it. Rejects if the file or flock(1) cannot be used. */
  take(path: string): Promise<LockResult>
  /** The same for a directory, in which nothing is created. */
  takeFolder(path: string): Promise<LockResult>
}

/**
 * The lock is flock(2) on the file, or on the directory itself. The kernel releases it when the process exits, however that happens, so no stale
 * lock is left; containers that share the directory share it. Only the file's owner can open it, and so hold the lock.
 */
export function hostLock({ flock = '/usr/bin/flock', proc = '/proc' } = {}): Lock {
  const lock = async (file: number): Promise<LockResult> => {
    let isOpen = true
    const release = async () => {
      // Closed twice, the descriptor could by then be another file's.
      if (isOpen) closeSync(file)
      isOpen = false
    }
    let isTaken = false
    try {
      isTaken = await lockFile(file, flock)
      return isTaken ? { release } : { heldBy: holderOf(file, proc) }
    } finally {
      if (!isTaken) await release()
    }
  }
  const { O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, O_RDWR } = constants
  return {
    take: async (path) => await lock(openSync(path, O_CREAT | O_RDWR | O_NOFOLLOW, 0o600)),
    takeFolder: async (path) => await lock(openSync(path, O_RDONLY | O_DIRECTORY)),
  }
}

/** Locks an open file: flock(1) locks the descriptor that it inherits, and the lock stays with our descriptor of the same open file. */
async function lockFile(file: number, flock: string): Promise<boolean> {
  const child = spawn(flock, ['--nonblock', '--exclusive', '3'], { stdio: ['ignore', 'ignore', 'ignore', file] })
  return await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (status, signal) => {
      if (status === 0 || status === 1) resolve(status === 0)
      else reject(new Error(`${flock} exited with ${status ?? signal}`))
    })
  })
}

/** The process whose open file has the lock (proc_pid_fdinfo(5)), among those that this process can see. */
function holderOf(file: number, proc: string): string {
  const lock = new RegExp(`^lock:.* FLOCK .*:${fstatSync(file).ino} `, 'm')
  const pid = numbersIn(proc).find((pid) =>
    numbersIn(`${proc}/${pid}/fdinfo`).some((number) => lock.test(readOrEmpty(`${proc}/${pid}/fdinfo/${number}`))),
  )
  return pid === undefined ? 'a process of another user or container, which is not visible from here' : `process ${pid}`
}

function numbersIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).filter((name) => /^\d+$/.test(name))
  } catch {
    // The process has ended, or is another user's.
    return []
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
