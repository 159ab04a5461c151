/** System calls broken from outside: strace(1) kills the API's process at the n-th one of a kind, or makes it fail. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'

/** One call that a change makes, by its number; calls that others make as well, by their number on one path. */
export interface Call {
  readonly name: string
  readonly nth: number
  readonly path?: string
  /** Its file, relative to the traced directory. */
  readonly on: string
}

/** Kill: the process ends before the call returns. Error: the call does nothing, and fails. */
export type Injection = 'kill' | 'ENOSPC' | 'EIO'

/** Names differ between architectures; `?` skips those that do not exist. */
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

/** One thread does all of the API's asynchronous file work, so that its order is always the same. */
export const ONE_WORKER = { UV_THREADPOOL_SIZE: '1' }

export function hasStrace(): boolean {
  return spawnSync('strace', ['-V']).status === 0
}

interface Attached {
  /** Resolves once strace has detached, or the process has ended. */
  end(): Promise<void>
}

/** The calls that a job makes in a directory, in order. */
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
      // The thread also writes to wake the main one, and not always equally often.
      const path = /^\d+<([^>]+)>/.exec(rest)?.[1] ?? ''
      const isNamedByChance = path.includes('/.proxy-manager-')
      return path.startsWith(root) && !isNamedByChance
        ? [{ name, path, nth: count(`${name} ${path}`), on: path.slice(root.length) }]
        : []
    })
}

/** Breaks one call from now on, until `end`. */
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

/** A prefix for a command: kills it at its n-th call of this name, in any thread. The command keeps its process id. */
export function killedAt(name: string, nth: number): readonly string[] {
  const expression = ['-e', `trace=${name}`, '-e', `inject=${name}:signal=KILL:when=${nth}`]
  return ['strace', '-D', '-f', '--seccomp-bpf', '-qq', ...expression, '-o', '/dev/null']
}

async function attach(pid: number, options: readonly string[]): Promise<Attached> {
  const thread = readdirSync(`/proc/${pid}/task`).find(
    (id) => readFileSync(`/proc/${pid}/task/${id}/comm`, 'utf8').trim() === 'libuv-worker',
  )
  if (thread === undefined) throw new Error('the thread that does the file work was not found')
  const strace = spawn('strace', ['-p', thread, ...options], { stdio: ['ignore', 'ignore', 'pipe'] })
  const output = await firstWords(strace)
  if (!output.includes('attached')) throw new Error(`strace: ${output}`)
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
