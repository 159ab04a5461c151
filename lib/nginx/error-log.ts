/** NGINX's error log after a signal: only there does the master report that it rejected a configuration. */
import type { Files } from '../adapters/files.ts'
import type { NginxInstance } from './binary.ts'
import { type Diagnostic, parseDiagnostics, publicOutput } from './config/diagnostic.ts'

export interface ReloadError {
  readonly output: string
  readonly diagnostics: readonly Diagnostic[]
}

/**
 * Follows the error log from its present end. Each call reads what was logged since the last one, and returns the master's errors once they mean
 * that it has rejected the new configuration.
 */
export function followLog(
  files: Pick<Files, 'readFrom' | 'size'>,
  path: string,
  master: number,
): () => ReloadError | undefined {
  let offset = files.size(path)
  const emergencies: string[] = []

  /** In a loop: a busy log grows by more than one read's worth between two calls. */
  const readOn = (): void => {
    for (;;) {
      const { size, text, next } = files.readFrom(path, offset)
      const isRotated = size < offset
      if (!isRotated && next === offset) return
      const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n')
      emergencies.push(...lines.filter((line) => line.includes(`[emerg] ${master}#`)))
      offset = isRotated ? 0 : next
    }
  }

  return () => {
    readOn()
    // NGINX tries to bind five times (ngx_open_listening_sockets): only its last message is final.
    const isFinal = emergencies.some((line) => !line.includes(' bind() to ') || line.includes('still could not bind()'))
    if (!isFinal) return undefined
    const output = emergencies.join('\n')
    return { output: publicOutput(output), diagnostics: parseDiagnostics(output) }
  }
}

/** The file that the master logs to; `undefined` for standard error, syslog or memory. */
export function logPath({ snapshot, facts }: NginxInstance): string | undefined {
  const path = snapshot.host.errorLog ?? facts.errorLogPath
  if (path === undefined || path === 'stderr' || path.startsWith('syslog:') || path.startsWith('memory:'))
    return undefined
  return path.startsWith('/') ? path : `${facts.prefix}/${path}`
}
