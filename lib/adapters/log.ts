/** The log: one JSON object per line on standard output. */
import { Logger } from 'tslog'

export type Level = 'debug' | 'info' | 'warn' | 'error'

/** What was done is in `outcome`, why it failed in `cause`, the error's code in `error_code`. */
export type LogResult = 'started' | 'success' | 'failure'

/** The fields of a line besides its time and level. Values are plain: errors are converted to text before. */
export interface LogFields {
  readonly action: string
  readonly result: LogResult
  readonly correlation_id?: string
  readonly [field: string]: unknown
}

export interface Log {
  write(level: Level, fields: LogFields): void
  /** Resolves once every line has been passed to the system. */
  flush(): Promise<void>
}

const LEVELS: Readonly<Record<Level, number>> = { debug: 2, info: 3, warn: 4, error: 5 }

/** Logs through tslog to `stdout`: lines of `minLevel` and above. */
export function hostLog(minLevel: Level, stdout: NodeJS.WritableStream, now: () => number): Log {
  const logger = new Logger<LogFields>({ type: 'hidden', minLevel: LEVELS[minLevel], stack: { capture: 'off' } })
  let pending: Promise<void> = Promise.resolve()
  // If the reader has gone, or its disk is full, lines are lost, and the service continues.
  stdout.on('error', () => undefined)
  logger.attachTransport((record) => {
    const { _logMeta: _, ...fields } = record as Record<string, unknown>
    const line = `${JSON.stringify(fields)}\n`
    pending = new Promise((resolve) => {
      stdout.write(line, () => resolve())
    })
  })
  return {
    write: (level, fields) => {
      const entry = { timestamp: new Date(now()).toISOString(), level, ...fields }
      if (level === 'debug') logger.debug(entry)
      else if (level === 'info') logger.info(entry)
      else if (level === 'warn') logger.warn(entry)
      else logger.error(entry)
    },
    flush: async () => {
      await logger.flush()
      await pending
    },
  }
}
