/** Commands, and a line of the log for each. */
import type { Clock } from './clock.ts'
import type { Log } from './log.ts'
import type { Runner } from './runner.ts'

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
