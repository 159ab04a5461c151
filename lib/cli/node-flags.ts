/** How Node runs the API. */

/** Loads the API, which most commands do not need. */
export const loadMain = () => import('../main.ts')

/**
 * Short-lived objects are collected after 4 MiB instead of up to 32, and all of them for the first time at 32 MiB instead of up to 256: the process
 * needs about half the memory, and is as fast. SIGUSR1, which makes NGINX reopen its logs, must not open Node's debugger, through which every local
 * user could run code as root.
 */
export const NODE_FLAGS: readonly string[] = [
  '--max-semi-space-size=4',
  '--initial-old-space-size=32',
  '--disable-sigusr1',
]
