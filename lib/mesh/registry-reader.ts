/** The list of droplets that the Registry answers, read once for all who ask at the same time. */
import type { Host } from '../host/host.ts'
import { fetchDroplets } from './registry-client.ts'
import type { RegistryAnswer } from './registry-records.ts'

/**
 * Reads the list, one reading at a time. Calls that come meanwhile share the next one: none is told what the Registry said before it asked.
 * @throws {ProxyManagerError} REGISTRY_NOT_CONFIGURED, REGISTRY_UNAVAILABLE
 */
export function registryReader(host: Host): () => Promise<RegistryAnswer> {
  let running: Promise<RegistryAnswer> | undefined
  let next: Promise<RegistryAnswer> | undefined
  const start = (): Promise<RegistryAnswer> => {
    running = fetchDroplets(host).finally(() => {
      running = undefined
    })
    return running
  }
  return () => {
    if (next !== undefined) return next
    if (running === undefined) return start()
    const over = running.then(
      () => undefined,
      () => undefined,
    )
    next = over.then(() => {
      next = undefined
      return start()
    })
    return next
  }
}
