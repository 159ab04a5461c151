/** Why a server cannot listen. */

/** By Node's code: which setting it is about, what to know, and whether another start may find it otherwise. */
const LISTEN_FAULTS: Readonly<Record<string, readonly [setting: string, words: string, mayPass: boolean]>> = {
  EADDRINUSE: ['PROXY_MANAGER_PORT', 'another process has it', false],
  EACCES: ['PROXY_MANAGER_PORT', 'this user may not have it', false],
  EADDRNOTAVAIL: ['PROXY_MANAGER_HOST', 'this host does not have that address, or not yet', true],
  ENOTFOUND: ['PROXY_MANAGER_HOST', 'that name has no address, or not yet', true],
  EAI_AGAIN: ['PROXY_MANAGER_HOST', 'that name cannot be looked up at the moment', true],
}

/** Why a server cannot listen, in a sentence that names the setting. */
export function describeListenFault(code: string, host: string, port: number): { fault: string; mayPass: boolean } {
  const [setting, words, mayPass] = LISTEN_FAULTS[code] ?? ['PROXY_MANAGER_HOST', 'that is no address for it', false]
  return { fault: `${setting}: port ${port} of ${host} cannot be listened on (${code}): ${words}`, mayPass }
}
