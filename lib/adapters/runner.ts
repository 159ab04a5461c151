/** Commands: argv, an absolute path, a time limit, a limit on output. Never a shell. */
import { x } from 'tinyexec'

export interface RunResult {
  /** The exit status; 124 after the time limit, 127 where there is no such binary, 126 where it may not run, 128+n after a signal. */
  readonly exitCode: number
  /** Standard output and error as they came, cut after 64 KiB. */
  readonly output: string
}

export interface Runner {
  /** Resolves for every outcome. After `timeoutMs` the process and all that it started get TERM, and KILL two seconds later. */
  run(file: string, args: readonly string[], options: { readonly timeoutMs: number }): Promise<RunResult>
}

const OUTPUT_BYTES = 65536
const KILL_AFTER_MS = 2000
/** What a child needs of our environment; tokens and the like stay here. */
const INHERITED = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TZ', 'REQUESTS_CA_BUNDLE']
const SIGNALS: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGSEGV: 11, SIGTERM: 15 }

/** Runs commands on this host, with those variables of `environment` that a child needs. */
export function hostRunner(environment: Readonly<Record<string, string | undefined>>): Runner {
  const env = Object.fromEntries(
    Object.keys(environment).map((name) => [name, INHERITED.includes(name) ? environment[name] : undefined]),
  )
  return {
    run: async (file, args, { timeoutMs }) => {
      const command = x(file, [...args], {
        nodePath: false,
        throwOnError: false,
        // A group of its own, so that the time limit reaches what the command starts; no input, which some commands would wait for.
        nodeOptions: { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] },
      })
      const child = command.process
      if (child === undefined) return { exitCode: 127, output: '' }
      let output = ''
      const collect = (chunk: Buffer) => {
        if (output.length < OUTPUT_BYTES) output = (output + chunk.toString('utf8')).slice(0, OUTPUT_BYTES)
      }
      child.stdout?.on('data', collect)
      child.stderr?.on('data', collect)
      return await new Promise<RunResult>((resolve) => {
        let timedOut = false
        const signalGroup = (signal: 'SIGTERM' | 'SIGKILL') => {
          try {
            if (child.pid !== undefined) process.kill(-child.pid, signal)
          } catch {
            // The group is gone already.
          }
        }
        const kill = setTimeout(() => {
          signalGroup('SIGKILL')
          child.stdout?.destroy()
          child.stderr?.destroy()
        }, timeoutMs + KILL_AFTER_MS)
        const terminate = setTimeout(() => {
          timedOut = true
          signalGroup('SIGTERM')
        }, timeoutMs)
        const settle = (exitCode: number) => {
          clearTimeout(terminate)
          clearTimeout(kill)
          resolve({ exitCode: timedOut ? 124 : exitCode, output })
        }
        child.once('error', (error: NodeJS.ErrnoException) => settle(error.code === 'ENOENT' ? 127 : 126))
        child.once('close', (code, signal) => settle(code ?? 128 + (SIGNALS[signal ?? ''] ?? 0)))
        // The promise is tinyexec's own account of the same events; without a listener its rejection would be a stray one.
        command.then(undefined, () => undefined)
      })
    },
  }
}
