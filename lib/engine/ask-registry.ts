/** Calls of the Registry that the operator has named. */
import type { Download, ProbeAnswer } from '../adapters/probe.ts'
import type { Host } from './host.ts'

/** Asks for a path below REGISTRY_URL, as the holder of REGISTRY_TOKEN; resolves to `undefined` where there is no Registry. */
export async function askRegistry(
  { settings, probe }: Host,
  path: string,
  how: Omit<Download, 'url' | 'token'>,
): Promise<ProbeAnswer | undefined> {
  const { REGISTRY_URL, REGISTRY_TOKEN: token } = settings
  if (REGISTRY_URL === undefined) return undefined
  return await probe.download({
    url: `${REGISTRY_URL.replace(/\/+$/, '')}${path}`,
    ...(token === undefined ? {} : { token }),
    ...how,
  })
}
