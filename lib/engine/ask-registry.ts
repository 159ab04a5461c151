/** Calls of the Registry that the operator has named. */
import type { Download, ProbeAnswer } from '../adapters/probe.ts'
import type { Host } from './host.ts'

/** Asks for a path below REGISTRY_URL; resolves to `undefined` where there is no Registry. */
export async function askRegistry(
  { settings, probe }: Host,
  path: string,
  limits: Omit<Download, 'url'>,
): Promise<ProbeAnswer | undefined> {
  const { REGISTRY_URL } = settings
  if (REGISTRY_URL === undefined) return undefined
  return await probe.download({ url: `${REGISTRY_URL.replace(/\/+$/, '')}${path}`, ...limits })
}
