/** Commands: argv, an absolute path, a time limit, a limit on output. Never a shell. */

import type { ChildProcess } from 'node:child_process'
import { Socket } from 'node:net'
import { constants } from 'node:os'
import { x } from 'tinyexec'
import type { Clock } from './clock.ts'
import type { Log } from './log.ts'

/** Runs as `runner` does, and tells at the level `debug` what was run, how it ended and how long it took. */
export function loggingRunner(runner: Runner, log: Log, { monotonicMs }: Pick<Clock, 'monotonicMs'>): Runner {
  return {
    ...runner,
    run: async (file, args, options) => {
      const started = monotonicMs()
      const ended = await runner.run(file, args, options)
      log.write('debug', {
        action: 'run',
        result: ended.exitCode === 0 ? 'success' : 'failure',
        duration_ms: Math.round(monotonicMs() - started),
        command: [file, ...args].join(' '),
        exit_status: ended.exitCode,
      })
      return ended
    },
  }
}

export interface RunResult {
  /** The exit status; 124 after the time limit, 127 where there is no such binary, 126 where it may not run, 128+n after a signal. */
  readonly exitCode: number
  /** Standard output and error as they came, cut after 64 KiB. */
  readonly output: string
}

export interface RunOptions {
  readonly timeoutMs: number
  readonly graceMs?: number
}

export interface Runner {
  /** Resolves for every outcome. After `timeoutMs` the process and all that it started get TERM, and KILL `graceMs` (2 s) later. */
  run(file: string, args: readonly string[], options: RunOptions): Promise<RunResult>
  /** Lets this process end although commands still run; they end by themselves. */
  detachRunning(): void
}

const OUTPUT_BYTES = 65536
const GRACE_MS = 2000
/** What a child needs of our environment; tokens and the like stay here. */
const INHERITED = [
  ...['PATH', 'HOME', 'LANG', 'LC_ALL', 'TZ'],
  // How certbot reaches the CA, and whom it trusts.
  ...['REQUESTS_CA_BUNDLE', 'SSL_CERT_FILE', 'HTTPS_PROXY', 'https_proxy', 'NO_PROXY', 'no_proxy'],
]

/** Runs commands on this host, with those variables of `environment` that a child needs, and no others. */
export function hostRunner(environment: Readonly<Record<string, string | undefined>>): Runner {
  const running = new Map<ChildProcess, () => void>()
  return {
    detachRunning: () => {
      for (const [child, forgetLimits] of running) {
        forgetLimits()
        child.unref()
        for (const pipe of [child.stdout, child.stderr]) if (pipe instanceof Socket) pipe.unref()
      }
    },
    run: async (file, args, { timeoutMs, graceMs = GRACE_MS }) => {
      const command = x(file, [...args], {
        nodePath: false,
        throwOnError: false,
        // A group of its own, so that the time limit reaches what the command starts; no input, which some commands would wait for.
        nodeOptions: { env: variablesFor(environment), detached: true, stdio: ['ignore', 'pipe', 'pipe'] },
      })
      const child = command.process
      if (child === undefined) return { exitCode: 127, output: '' }
      let output = ''
      const collect = (chunk: string) => {
        if (output.length < OUTPUT_BYTES) output = (output + chunk).slice(0, OUTPUT_BYTES)
      }
      child.stdout?.setEncoding('utf8').on('data', collect)
      child.stderr?.setEncoding('utf8').on('data', collect)
      return await new Promise<RunResult>((resolve) => {
        let timedOut = false
        const signalGroup = (signal: 'SIGTERM' | 'SIGKILL') => {
          try {
            if (child.pid !== undefined) process.kill(-child.pid, signal)
          } catch {
            // The group is gone already.
          }
        }
        const kill: NodeJS.Timeout = setTimeout(() => {
          signalGroup('SIGKILL')
          child.stdout?.destroy()
          child.stderr?.destroy()
        }, timeoutMs + graceMs)
        const terminate = setTimeout(() => {
          timedOut = true
          signalGroup('SIGTERM')
        }, timeoutMs)
        running.set(child, () => {
          clearTimeout(terminate)
          clearTimeout(kill)
        })
        const settle = (exitCode: number) => {
          running.delete(child)
          clearTimeout(terminate)
          clearTimeout(kill)
          resolve({ exitCode: timedOut ? 124 : exitCode, output })
        }
        child.once('error', (error: NodeJS.ErrnoException) => settle(error.code === 'ENOENT' ? 127 : 126))
        child.once('close', (code, signal) => settle(code ?? 128 + (signal === null ? 0 : constants.signals[signal])))
        // The promise is tinyexec's own account of the same events; without a listener its rejection would be a stray one.
        command.then(undefined, () => undefined)
      })
    },
  }
}

/** tinyexec adds all of this process's own, whatever it is given: those are unset by name. */
function variablesFor(environment: Readonly<Record<string, string | undefined>>): NodeJS.ProcessEnv {
  const names = Object.keys({ ...process.env, ...environment })
  return Object.fromEntries(names.map((name) => [name, INHERITED.includes(name) ? environment[name] : undefined]))
}
