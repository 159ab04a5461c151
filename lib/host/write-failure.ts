/** A failed write in the words of the error catalogue. */
import { posix } from 'node:path'
import { ProxyManagerError } from '../errors.ts'

/** An effect's failure in the catalogue's words: which errno, on which file (without its folders). */
export function writeFailure(cause: unknown, details: Readonly<Record<string, unknown>> = {}): ProxyManagerError {
  if (cause instanceof ProxyManagerError) return cause
  const { code, path } = cause instanceof Error ? (cause as NodeJS.ErrnoException) : {}
  const errno = code ?? 'UNKNOWN'
  const remedy = remedyFor(errno)
  return new ProxyManagerError('CONFIG_WRITE_FAILED', {
    details: {
      errno,
      ...(path === undefined ? {} : { file: posix.basename(path) }),
      remedy,
      ...details,
    },
    cause,
  })
}

/** What an operator can do about an errno of the file system. */
export function remedyFor(errno: string): string {
  return REMEDIES[errno] ?? "Look into the log for the system's own words"
}

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: 'The disk is full: free some space, then call again',
  EDQUOT: 'The quota is used up: free some space, then call again',
  EROFS: 'The file system is read-only: mount it writable, then call again',
  EACCES: 'Proxy Manager may not write there: give its user the right, then call again',
  EPERM: 'Proxy Manager may not write there: give its user the right, then call again',
  EMFILE: 'Too many open files: raise the limit (LimitNOFILE), then call again',
  ENOENT: 'A folder is missing: create sites-available and sites-enabled, then call again',
}
