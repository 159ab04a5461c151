/** System calls broken from outside: strace(1) kills the API's process at the n-th one of a kind, or has that one fail. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'

/** One call that a change makes, found by its number; calls that others make as well, by their number on one path. */
export interface Call {
  readonly name: string
  readonly nth: number
  readonly path?: string
  /** The file that it was about, without the folder that was looked at. */
  readonly on: string
}

/** By signal: the process is gone before the call returns. By error: the call does nothing, and fails. */
export type Injection = 'kill' | 'ENOSPC' | 'EIO'

/** Names differ between processors; what one of them has not is left out (`?`). */
const NAMED = [
  'rename',
  'renameat',
  'renameat2',
  'link',
  'linkat',
  'symlink',
  'symlinkat',
  'unlink',
  'unlinkat',
  'rmdir',
]
const OPENED = ['mkdir', 'mkdirat', 'openat', 'fsync', 'fdatasync', 'ftruncate', 'chmod', 'fchmod']
const WRITTEN = ['write', 'pwrite64', 'writev', 'pwritev']

/** All of the API's asynchronous file work is done by one thread then, in an order that does not change. */
export const ONE_WORKER = { UV_THREADPOOL_SIZE: '1' }

export function hasStrace(): boolean {
  return spawnSync('strace', ['-V']).status === 0
}

interface Attached {
  /** Resolves once strace has let the process go, or the process is gone. */
  end(): Promise<void>
}

/** The calls that something makes in a folder, in their order. */
export async function listCalls(pid: number, root: string, act: () => Promise<unknown>): Promise<Call[]> {
  const log = `${root}/.strace.log`
  const names = [...NAMED, ...OPENED, ...WRITTEN].map((name) => `?${name}`).join(',')
  const attached = await attach(pid, ['-y', '-s', '4096', '-e', `trace=${names}`, '-o', log])
  await act()
  await attached.end()
  const seen = new Map<string, number>()
  const count = (key: string) => {
    seen.set(key, (seen.get(key) ?? 0) + 1)
    return seen.get(key) ?? 0
  }
  return readFileSync(log, 'utf8')
    .split('\n')
    .flatMap((line): Call[] => {
      const [, name, rest = ''] = /^(\w+)\((.*)$/.exec(line) ?? []
      if (name === undefined) return []
      if (!WRITTEN.includes(name)) {
        const nth = count(name)
        const on = rest.slice(rest.lastIndexOf(root) + root.length).match(/^[^">]*/)?.[0] ?? ''
        return rest.includes(root) ? [{ name, nth, on }] : []
      }
      // The thread wakes the main one by writing, too, and not always as often.
      const path = /^\d+<([^>]+)>/.exec(rest)?.[1] ?? ''
      const isNamedByChance = path.includes('/.proxy-manager-')
      return path.startsWith(root) && !isNamedByChance
        ? [{ name, path, nth: count(`${name} ${path}`), on: path.slice(root.length) }]
        : []
    })
}

/** From now on until `end`, breaks one call. */
export async function inject(pid: number, { name, nth, path }: Call, injection: Injection): Promise<Attached> {
  const what = injection === 'kill' ? 'signal=KILL' : `error=${injection}`
  const only = path === undefined ? [] : ['-P', path]
  return await attach(pid, [
    ...only,
    '-e',
    `trace=${name}`,
    '-e',
    `inject=${name}:${what}:when=${nth}`,
    '-o',
    '/dev/null',
  ])
}

/** In front of a command: kills it at its n-th call of this name, or of its threads. The command keeps its process id. */
export function killedAt(name: string, nth: number): readonly string[] {
  const expression = ['-e', `trace=${name}`, '-e', `inject=${name}:signal=KILL:when=${nth}`]
  return ['strace', '-D', '-f', '--seccomp-bpf', '-qq', ...expression, '-o', '/dev/null']
}

async function attach(pid: number, options: readonly string[]): Promise<Attached> {
  const thread = readdirSync(`/proc/${pid}/task`).find(
    (id) => readFileSync(`/proc/${pid}/task/${id}/comm`, 'utf8').trim() === 'libuv-worker',
  )
  if (thread === undefined) throw new Error('the thread that does the file work is not to be found')
  const strace = spawn('strace', ['-p', thread, ...options], { stdio: ['ignore', 'ignore', 'pipe'] })
  const said = await firstWords(strace)
  if (!said.includes('attached')) throw new Error(`strace: ${said}`)
  return {
    end: async () => {
      if (strace.exitCode !== null || strace.signalCode !== null) return
      const gone = once(strace, 'exit')
      strace.kill('SIGINT')
      await gone
    },
  }
}

async function firstWords(strace: ChildProcess): Promise<string> {
  const [words] = await Promise.race([once(strace.stderr ?? strace, 'data'), once(strace, 'exit')])
  return String(words)
}
