/** A failure that no caller waits for, as a line in the log. */
import type { Level, LogFields } from '../adapters/log.ts'
import { errorText, ProxyManagerError } from '../errors.ts'
import type { Host } from './host.ts'

/** Makes a handler of rejections that writes one line: `fields`, the error's code if it has one, and its message. */
export function logFailure(
  { log }: Pick<Host, 'log'>,
  level: Level,
  fields: Omit<LogFields, 'result' | 'cause' | 'error_code'> & { readonly action: string },
): (error: unknown) => void {
  return (error) => {
    const code = error instanceof ProxyManagerError ? { error_code: error.code } : {}
    log.write(level, { ...fields, result: 'failure', ...code, cause: errorText(error) })
  }
}
