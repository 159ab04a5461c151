/** A failed read in the words of the error catalogue: what cannot be read may be there, so nothing may be concluded from it. */
import { posix } from 'node:path'
import type { Files } from '../adapters/files.ts'
import type { Network } from '../adapters/network.ts'
import type { Processes } from '../adapters/processes.ts'
import { ProxyManagerError } from '../errors.ts'

const RETRY_AFTER_S = 5

/**
 * The result of a read.
 * @throws {ProxyManagerError} CONFIG_READ_FAILED if the read fails with an errno: which one, and on which file (without its directories)
 */
function orReadFailure<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    const { code: errno, path } = error instanceof Error ? (error as NodeJS.ErrnoException) : {}
    if (errno === undefined || error instanceof ProxyManagerError) throw error
    const file = path === undefined ? {} : { file: posix.basename(path) }
    throw new ProxyManagerError('CONFIG_READ_FAILED', {
      details: {
        errno,
        ...file,
        remedy: REMEDIES[errno] ?? "Look into the log for the system's message, then call again",
      },
      cause: error,
      retryAfterS: RETRY_AFTER_S,
    })
  }
}

/** The same files; a read that fails throws CONFIG_READ_FAILED. */
export function filesWithReadFailures(files: Files): Files {
  return {
    ...files,
    list: (folder) => orReadFailure(() => files.list(folder)),
    lstat: (path) => orReadFailure(() => files.lstat(path)),
    access: (path) => orReadFailure(() => files.access(path)),
    read: (path) => orReadFailure(() => files.read(path)),
    realPath: (path) => orReadFailure(() => files.realPath(path)),
    stamp: (path) => orReadFailure(() => files.stamp(path)),
    size: (path) => orReadFailure(() => files.size(path)),
    readFrom: (path, offset) => orReadFailure(() => files.readFrom(path, offset)),
  }
}

/** The same network; if what the kernel and the resolver's files say of it cannot be read, it throws CONFIG_READ_FAILED. */
export function networkWithReadFailures(network: Network): Network {
  return {
    ...network,
    hostsFile: (name) => orReadFailure(() => network.hostsFile(name)),
    systemResolvers: () => orReadFailure(network.systemResolvers),
    localAddresses: () => orReadFailure(network.localAddresses),
    listeners: (port) => orReadFailure(() => network.listeners(port)),
    hasIpv6: () => orReadFailure(network.hasIpv6),
  }
}

/** The same processes; if the file that one runs cannot be read, though it may be, it throws CONFIG_READ_FAILED. */
export function processesWithReadFailures(processes: Processes): Processes {
  return { ...processes, executableOf: (pid) => orReadFailure(() => processes.executableOf(pid)) }
}

const REMEDIES: Readonly<Record<string, string>> = {
  EMFILE: 'Too many open files: raise the limit (LimitNOFILE), then call again',
  ENFILE: 'Too many open files on this host: raise fs.file-max, then call again',
  EACCES: 'Proxy Manager may not read it: give its user the right, then call again',
  EPERM: 'Proxy Manager may not read it: give its user the right, then call again',
  EIO: 'The disk does not answer: check it and the kernel log, then call again',
  ESTALE: 'The network file system was exported or mounted again: mount it again, then call again',
  ELOOP: 'Symlinks lead to each other: correct them, then call again',
}
