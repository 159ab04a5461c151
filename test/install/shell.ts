/** Commands, their output and the log of a part. */
import { type ChildProcess, spawn } from 'node:child_process'
import { appendFileSync, globSync, openSync, readFileSync, readlinkSync } from 'node:fs'

/** Longer than any of them takes on a busy machine. */
const LIMIT_MS = 3_600_000

export interface Ended {
  readonly status: number
  /** Standard output and standard error. */
  readonly output: string
}

export interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>
  readonly cwd?: string
}

/** Starts commands whose output is appended to a log file. */
export interface Shell {
  run(command: readonly string[], options?: RunOptions): Promise<Ended>
  /** @throws if the exit status is another one, with the end of the output */
  mustRun(command: readonly string[], options?: RunOptions): Promise<string>
  /** Runs beside this process; its output goes to the log only. */
  start(command: readonly string[], options?: RunOptions): ChildProcess
}

export function createShell(log: string): Shell {
  const begin = ([file = '', ...args]: readonly string[], options: RunOptions, out: 'pipe' | number) => {
    appendFileSync(log, `\n$ ${[file, ...args].join(' ')}\n`)
    const { environment, cwd } = options
    const child = spawn(file, args, {
      stdio: ['ignore', out, out],
      env: { ...process.env, ...environment },
      ...(cwd === undefined ? {} : { cwd }),
    })
    child.once('error', () => undefined)
    return child
  }
  const run = async (command: readonly string[], options: RunOptions = {}): Promise<Ended> => {
    const child = begin(command, options, 'pipe')
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => {
        output += chunk.toString()
        appendFileSync(log, chunk)
      })
    const timer = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS)
    const status = await new Promise<number>((resolve) => {
      child.once('error', () => resolve(127))
      child.once('close', (code) => resolve(code ?? 137))
    })
    clearTimeout(timer)
    appendFileSync(log, `= ${status}\n`)
    return { status, output }
  }
  return {
    run,
    start: (command, options = {}) => begin(command, options, openSync(log, 'a')),
    mustRun: async (command, options) => {
      const { status, output } = await run(command, options)
      if (status !== 0)
        throw new Error(`exit status ${status}: ${output.trim().split('\n').slice(-3).join(' / ')} (see ${log})`)
      return output
    },
  }
}

/** Tries until it returns something, for a minute unless another time is given. @throws with the last reason */
export async function eventually<T>(attempt: () => Promise<T | undefined>, what: string, seconds = 60): Promise<T> {
  const until = performance.now() + seconds * 1000
  for (;;) {
    const result = await attempt().catch(() => undefined)
    if (result !== undefined) return result
    if (performance.now() > until) throw new Error(`${what}: not within ${seconds} s`)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

/** @throws if it is not true */
export function expect(condition: boolean, what: string): void {
  if (!condition) throw new Error(what)
}

/** The child of a process that is the first one in a namespace of its own. */
export function leaderBelow(parent: number | undefined): number | undefined {
  const own = readlinkSync('/proc/self/ns/pid')
  for (const path of globSync('/proc/[0-9]*/stat')) {
    try {
      const [pid = '', rest = ''] = readFileSync(path, 'utf8').split(/ \(.*\) /s)
      if (Number(rest.split(' ')[1]) === parent && readlinkSync(`/proc/${pid}/ns/pid`) !== own) return Number(pid)
    } catch {
      // It has ended in the meantime.
    }
  }
  return undefined
}
