/** One process per state folder. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, openSync } from 'node:fs'
import { connect, createServer } from 'node:net'

export type LockResult = { readonly release: () => Promise<void> } | { readonly heldBy: string }

export interface Lock {
  /** Takes the lock of this name, and that of this file, for the life of the process; or tells who holds them. */
  take(name: string, path: string): Promise<LockResult>
}

/**
 * Both locks belong to the process, so they are gone at the very moment the process is, however it ended, and nothing stale is left.
 * A socket in Linux's abstract namespace (unix(7)) can be asked who holds it; its name is a secret of the state folder, so that nobody else can
 * hold it in advance. It is not seen from another network namespace: there the lock of the file (flock(2)) counts.
 */
export function hostLock(): Lock {
  return {
    take: async (name, path) => {
      const address = `\0proxy-manager-${createHash('sha256').update(name).digest('hex')}`
      const server = createServer((socket) => {
        socket.on('error', () => socket.destroy())
        socket.end(String(process.pid))
      })
      const taken = await new Promise<boolean>((resolve) => {
        server.once('error', () => resolve(false))
        server.listen(address, () => resolve(true))
      })
      if (!taken) return { heldBy: await askHolder(address) }
      server.unref()
      const file = openSync(path, 'a', 0o600)
      const release = async () => {
        closeSync(file)
        await new Promise<void>((resolve) => server.close(() => resolve()))
      }
      if (await lockFile(file)) return { release }
      await release()
      return { heldBy: 'a process in another container or namespace' }
    },
  }
}

/** Locks an open file: flock(1) locks the descriptor that it inherits, and the lock stays with ours. Where there is no flock, the socket has to do. */
async function lockFile(file: number): Promise<boolean> {
  const child = spawn('/usr/bin/flock', ['--nonblock', '--exclusive', '3'], {
    stdio: ['ignore', 'ignore', 'ignore', file],
  })
  return await new Promise((resolve) => {
    child.once('error', () => resolve(true))
    child.once('exit', (code) => resolve(code === 0))
  })
}

async function askHolder(path: string): Promise<string> {
  return await new Promise((resolve) => {
    let answer = ''
    const socket = connect(path)
    socket.setTimeout(1000, () => socket.destroy())
    socket.on('data', (chunk) => {
      answer += chunk.toString()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(answer === '' ? 'another process' : `process ${answer}`))
  })
}
