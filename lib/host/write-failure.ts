/** A failed write as an error of the catalogue. */
import { posix } from 'node:path'
import { ProxyManagerError, withDetails } from '../errors.ts'

/** CONFIG_WRITE_FAILED with the errno and the file (without its directory); a ProxyManagerError is returned as it is, a failed read with the stage `write`. */
export function writeFailure(cause: unknown, details: Readonly<Record<string, unknown>> = {}): ProxyManagerError {
  if (cause instanceof ProxyManagerError)
    return cause.code === 'CONFIG_READ_FAILED' ? withDetails(cause, { stage: 'write' }) : cause
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
  return REMEDIES[errno] ?? 'See the log for the system error'
}

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: 'The disk is full: free some space, then call again',
  EDQUOT: 'The disk quota is exhausted: free some space, then call again',
  EROFS: 'The file system is read-only: mount it writable, then call again',
  EACCES: 'Permission denied: grant its user write access, then call again',
  EPERM: 'Permission denied: grant its user write access, then call again',
  EMFILE: 'Too many open files: raise the limit (LimitNOFILE), then call again',
  EISDIR: 'A directory has the name of a file that Proxy Manager writes: move it away, then call again',
  ENOENT: 'A directory is missing: create sites-available and sites-enabled, then call again',
}
