/** One process per state folder. */
import { createHash } from 'node:crypto'
import { connect, createServer } from 'node:net'

export type LockResult = { readonly release: () => Promise<void> } | { readonly heldBy: string }

export interface Lock {
  /** Takes the lock of this name for the life of the process, or tells who holds it. */
  take(name: string): Promise<LockResult>
}

/**
 * A socket in Linux's abstract namespace (unix(7)): it belongs to the process, so it is gone at the very moment the process is, however it
 * ended, and no stale file is left. The name is a secret of the state folder, so that nobody else can hold it in advance.
 */
export function hostLock(): Lock {
  return {
    take: async (name) => {
      const path = `\0proxy-manager-${createHash('sha256').update(name).digest('hex')}`
      const server = createServer((socket) => {
        socket.on('error', () => socket.destroy())
        socket.end(String(process.pid))
      })
      const taken = await new Promise<boolean>((resolve) => {
        server.once('error', () => resolve(false))
        server.listen(path, () => resolve(true))
      })
      if (!taken) return { heldBy: await askHolder(path) }
      server.unref()
      return { release: () => new Promise((resolve) => server.close(() => resolve())) }
    },
  }
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
