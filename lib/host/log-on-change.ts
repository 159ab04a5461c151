/** The log of what is repeated: a line when the outcome changes, and none while it stays the same. */
import type { Host } from './host.ts'

/**
 * Makes a logger of outcomes: why an attempt failed, or `undefined`. Failures of the same `kind` are one outcome; `last` is the outcome assumed
 * before the first attempt.
 */
export function logOnChange(
  { log }: Pick<Host, 'log'>,
  action: string,
  last?: string,
): (failure: string | undefined, kind?: string) => void {
  let lastKind = last
  return (failure, kind = failure) => {
    if (kind === lastKind) return
    lastKind = kind
    if (failure === undefined) log.write('info', { action, result: 'success' })
    else log.write('warn', { action, result: 'failure', cause: failure })
  }
}
