/** What NGINX's master says after a signal: that it gives a configuration up stands in its error log alone. */
import type { Files } from '../adapters/files.ts'
import type { NginxInstance } from './binary.ts'
import { type Diagnostic, parseDiagnostics, publicOutput } from './config/diagnostic.ts'

export interface ReloadError {
  readonly output: string
  readonly diagnostics: readonly Diagnostic[]
}

/** Looks from here on for words of the master that mean it gave the new configuration up; each call reads what was logged since the last one. */
export function followLog(files: Pick<Files, 'tail'>, path: string, master: number): () => ReloadError | undefined {
  let offset = files.tail(path, Number.POSITIVE_INFINITY).size
  const emergencies: string[] = []

  /** A busy log grows by more than one piece between two looks. */
  const readOn = (): void => {
    for (;;) {
      const { size, text, next } = files.tail(path, offset)
      const isRotated = size < offset
      if (!isRotated && next === offset) return
      const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n')
      emergencies.push(...lines.filter((line) => line.includes(`[emerg] ${master}#`)))
      offset = isRotated ? 0 : next
    }
  }

  return () => {
    readOn()
    // Binding is tried five times: only the last word counts.
    const isFinal = emergencies.some((line) => !line.includes(' bind() to ') || line.includes('still could not bind()'))
    if (!isFinal) return undefined
    const output = emergencies.join('\n')
    return { output: publicOutput(output), diagnostics: parseDiagnostics(output) }
  }
}

/** The file that the master logs to; `undefined` where it goes to standard error or syslog. */
export function logPath({ snapshot, facts }: NginxInstance): string | undefined {
  const path = snapshot.host.errorLog ?? facts.errorLogPath
  if (path === undefined || path === 'stderr' || path.startsWith('syslog:') || path.startsWith('memory:'))
    return undefined
  return path.startsWith('/') ? path : `${facts.prefix}/${path}`
}
