/** Commands: argv, an absolute path, a time limit, a limit on output. Never a shell. */

import type { ChildProcess } from 'node:child_process'
import { Socket } from 'node:net'
import { constants } from 'node:os'
import { x } from 'tinyexec'
import type { Clock } from './clock.ts'
import type { Log } from './log.ts'

/** Runs as `runner` does, and logs at level `debug` what was run, how it ended and how long it took. */
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
  /** The exit status; 124 after the time limit, 127 if there is no such binary, 126 if it cannot be run, 128+n after a signal. */
  readonly exitCode: number
  /** Standard output and error in the order they arrived, cut after 64 KiB. */
  readonly output: string
}

export interface RunOptions {
  readonly timeoutMs: number
  readonly graceMs?: number
  /** Variables that the command gets besides the inherited ones. */
  readonly variables?: Readonly<Record<string, string>>
}

export interface Runner {
  /** Resolves for every outcome. After `timeoutMs`, the process and everything it started get TERM, and KILL `graceMs` (2 s) later. */
  run(file: string, args: readonly string[], options: RunOptions): Promise<RunResult>
  /** Lets this process end while commands still run; they end by themselves. */
  detachRunning(): void
}

const OUTPUT_BYTES = 65536
const GRACE_MS = 2000
/** The variables that a child needs; tokens and the like are not passed on. */
const INHERITED = [
  ...['PATH', 'HOME', 'LANG', 'LC_ALL', 'TZ'],
  // How certbot reaches the CA, and whom it trusts.
  ...['REQUESTS_CA_BUNDLE', 'SSL_CERT_FILE', 'HTTPS_PROXY', 'https_proxy', 'NO_PROXY', 'no_proxy'],
]

/** Runs commands on this host, with the variables of `environment` that a child needs, and no others. */
export function hostRunner(environment: Readonly<Record<string, string | undefined>>): Runner {
  const running = new Map<ChildProcess, () => void>()
  return {
    detachRunning: () => {
      for (const [child, clearLimits] of running) {
        clearLimits()
        child.unref()
        for (const pipe of [child.stdout, child.stderr]) if (pipe instanceof Socket) pipe.unref()
      }
    },
    run: async (file, args, options) => {
      const command = x(file, [...args], {
        nodePath: false,
        throwOnError: false,
        // A process group of its own, so that the time limit reaches what the command starts; no input, which some commands would wait for.
        nodeOptions: {
          env: { ...variablesFor(environment), ...options.variables },
          detached: true,
          stdio: ['ignore', 'pipe', 'pipe'],
        },
      })
      // tinyexec's own promise of the same events: without a handler, its rejection would be unhandled.
      command.then(undefined, () => undefined)
      const child = command.process
      return child === undefined ? { exitCode: 127, output: '' } : await waitForEnd(child, options, running)
    },
  }
}

/** Collects the output of a child until it ends or reaches its time limit; meanwhile `running` has what clears the limit. */
async function waitForEnd(
  child: ChildProcess,
  { timeoutMs, graceMs = GRACE_MS }: RunOptions,
  running: Map<ChildProcess, () => void>,
): Promise<RunResult> {
  let output = ''
  let timedOut = false
  for (const pipe of [child.stdout, child.stderr]) {
    pipe?.setEncoding('utf8').on('data', (chunk: string) => {
      if (output.length < OUTPUT_BYTES) output = (output + chunk).slice(0, OUTPUT_BYTES)
    })
  }
  const kill: NodeJS.Timeout = setTimeout(() => {
    signalGroup(child, 'SIGKILL')
    child.stdout?.destroy()
    child.stderr?.destroy()
  }, timeoutMs + graceMs)
  const terminate = setTimeout(() => {
    timedOut = true
    signalGroup(child, 'SIGTERM')
  }, timeoutMs)
  const clearLimits = () => {
    clearTimeout(terminate)
    clearTimeout(kill)
  }
  running.set(child, clearLimits)
  const exitCode = await new Promise<number>((resolve) => {
    child.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ENOENT' ? 127 : 126))
    child.once('close', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])))
  })
  running.delete(child)
  clearLimits()
  return { exitCode: timedOut ? 124 : exitCode, output }
}

function signalGroup({ pid }: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal)
  } catch {
    // The group has ended already.
  }
}

/** tinyexec always adds this process's own variables: those are unset by name. */
function variablesFor(environment: Readonly<Record<string, string | undefined>>): NodeJS.ProcessEnv {
  const names = Object.keys({ ...process.env, ...environment })
  return Object.fromEntries(names.map((name) => [name, INHERITED.includes(name) ? environment[name] : undefined]))
}
