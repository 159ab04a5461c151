/** Why a server cannot listen. */

/** By Node's code: the setting that it is about, what is wrong, and whether a later start may succeed. */
const LISTEN_FAULTS: Readonly<Record<string, readonly [setting: string, message: string, isTransient: boolean]>> = {
  EADDRINUSE: ['PROXY_MANAGER_PORT', 'address already in use', false],
  EACCES: ['PROXY_MANAGER_PORT', 'permission denied', false],
  EADDRNOTAVAIL: ['PROXY_MANAGER_HOST', 'this host does not have that address, or not yet', true],
  ENOTFOUND: ['PROXY_MANAGER_HOST', 'that name has no address, or not yet', true],
  EAI_AGAIN: ['PROXY_MANAGER_HOST', 'that name cannot be resolved at the moment', true],
}

/** Why a server cannot listen, in a message that names the setting. */
export function describeListenFault(
  code: string,
  host: string,
  port: number,
): { readonly fault: string; readonly isTransient: boolean } {
  const [setting, message, isTransient] = LISTEN_FAULTS[code] ?? [
    'PROXY_MANAGER_HOST',
    'not a valid listen address',
    false,
  ]
  return { fault: `${setting}: cannot listen on ${host}:${port} (${code}): ${message}`, isTransient }
}
