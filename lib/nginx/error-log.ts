/** NGINX's error logs after a signal: only there does the master report that it rejected a configuration. */
import type { Files } from '../adapters/files.ts'
import type { NginxInstance } from './binary.ts'
import { type Diagnostic, parseDiagnostics, publicOutput } from './config/diagnostic.ts'

export interface ReloadError {
  readonly output: string
  readonly diagnostics: readonly Diagnostic[]
}

/**
 * Follows the error logs from their present ends. Each call reads what was logged since the last one, and returns the master's errors once they
 * mean that it has rejected the new configuration. A visitor can write lines of this shape (NGINX logs the decoded path of a file, line breaks
 * included), so an error is a reason to doubt a reload, and a proof of the new configuration outweighs it.
 */
export function followLogs(
  files: Pick<Files, 'readFrom' | 'size'>,
  paths: readonly string[],
  master: number,
): () => ReloadError | undefined {
  const logs = paths.map((path) => followLines(files, path))
  // The shape of every line that NGINX logs (ngx_log_error_core); clients' header values only occur further inside a line.
  const shape = new RegExp(`^\\d{4}/\\d\\d/\\d\\d \\d\\d:\\d\\d:\\d\\d \\[emerg\\] ${master}#`)
  const emergencies = new Set<string>()
  return () => {
    for (const readLines of logs) for (const line of readLines()) if (shape.test(line)) emergencies.add(line)
    const lines = [...emergencies]
    // NGINX tries to bind five times (ngx_open_listening_sockets): only its last message is final.
    const isFinal = lines.some((line) => !line.includes(' bind() to ') || line.includes('still could not bind()'))
    if (!isFinal) return undefined
    const output = lines.join('\n')
    return { output: publicOutput(output), diagnostics: parseDiagnostics(output) }
  }
}

/** Each call returns the whole lines that were appended since the last one. The log only shortens the wait for the proof: what cannot be read of it fails no change. */
function followLines(files: Pick<Files, 'readFrom' | 'size'>, path: string): () => string[] {
  let offset = unlessUnreadable(() => files.size(path))
  return () => {
    const lines: string[] = []
    // In a loop: a busy log grows by more than one read's worth between two calls.
    for (;;) {
      const from = offset
      const read = from === undefined ? undefined : unlessUnreadable(() => files.readFrom(path, from))
      if (from === undefined || read === undefined) return lines
      const { size, text, next } = read
      const isRotated = size < from
      if (!isRotated && next === from) return lines
      lines.push(...text.slice(0, text.lastIndexOf('\n') + 1).split('\n'))
      offset = isRotated ? 0 : next
    }
  }
}

/**
 * The files that the master logs to: it writes to every `error_log` of the main context (since NGINX 1.5.2), and no level hides `emerg`. None if
 * it logs only to standard error, syslog or memory.
 */
export function logPaths({ snapshot, facts }: NginxInstance): readonly string[] {
  const { errorLogs } = snapshot.host
  const paths = errorLogs.length > 0 ? errorLogs : [facts.errorLogPath ?? 'stderr']
  const files = paths.filter((path) => path !== 'stderr' && !/^(syslog|memory):/.test(path))
  return [...new Set(files.map((path) => (path.startsWith('/') ? path : `${facts.prefix}/${path}`)))]
}

function unlessUnreadable<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
