/** The log of what is tried again and again: a line where the outcome changes, and none while it stays. */
import type { Host } from './host.ts'

/**
 * Takes the outcome of each try: why it failed, or `undefined`. Failures of the same `kind` are one outcome; `last` is what counts as the one
 * before the first.
 */
export function logOnChange(
  { log }: Host,
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
