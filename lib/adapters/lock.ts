/** One process per state folder. */
import { spawn } from 'node:child_process'
import { closeSync, fstatSync, openSync, readdirSync, readFileSync } from 'node:fs'

export type LockResult = { readonly release: () => Promise<void> } | { readonly heldBy: string }

export interface Lock {
  /** Takes the lock of this file for the life of the process, or tells who has it. Rejects where the file or flock(1) cannot be used. */
  take(path: string): Promise<LockResult>
}

/**
 * The lock is the file's flock(2). It belongs to the process, so it is gone at the very moment the process is, however it ended, and nothing
 * stale is left; containers that share the folder share it. Whoever cannot open the file, which is its owner's alone, cannot have it.
 */
export function hostLock({ flock = '/usr/bin/flock', proc = '/proc' } = {}): Lock {
  return {
    take: async (path) => {
      const file = openSync(path, 'a', 0o600)
      let isOpen = true
      const release = async () => {
        // A second time the number may be another file's.
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
    },
  }
}

/** Locks an open file: flock(1) locks the descriptor that it inherits, and the lock stays with ours. */
async function lockFile(file: number, flock: string): Promise<boolean> {
  const child = spawn(flock, ['--nonblock', '--exclusive', '3'], { stdio: ['ignore', 'ignore', 'ignore', file] })
  return await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (status, signal) => {
      if (status === 0 || status === 1) resolve(status === 0)
      else reject(new Error(`${flock} ended with ${status ?? signal}`))
    })
  })
}

/** The process through whose open file the kernel shows the lock (proc_pid_fdinfo(5)), of those that it shows to this one. */
function holderOf(file: number, proc: string): string {
  const lock = new RegExp(`^lock:.* FLOCK .*:${fstatSync(file).ino} `, 'm')
  const pid = numbersIn(proc).find((pid) =>
    numbersIn(`${proc}/${pid}/fdinfo`).some((number) => lock.test(textOf(`${proc}/${pid}/fdinfo/${number}`))),
  )
  return pid === undefined ? 'a process that cannot be seen from here, of another user or container' : `process ${pid}`
}

function numbersIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).filter((name) => /^\d+$/.test(name))
  } catch {
    // It has ended by now, or is another user's.
    return []
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
