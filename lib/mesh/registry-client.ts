/** Calls of the Registry that the operator has named. */
import type { Download, ProbeAnswer } from '../adapters/probe.ts'
import { ProxyManagerError } from '../errors.ts'
import type { Host } from '../host/host.ts'
import { type RegistryAnswer, readingRegistry } from './registry-records.ts'

const LIST_LIMITS = { timeoutMs: 5000, limitBytes: 4 * 1024 * 1024 }

/** Asks for a path below REGISTRY_URL, as the holder of REGISTRY_TOKEN; resolves to `undefined` where there is no Registry. */
export async function askRegistry(
  { settings, probe }: Host,
  path: string,
  how: Omit<Download, 'url' | 'token'>,
): Promise<ProbeAnswer | undefined> {
  const { REGISTRY_URL, REGISTRY_TOKEN: token } = settings
  if (REGISTRY_URL === undefined) return undefined
  return await probe.download({
    url: `${REGISTRY_URL}${path}`,
    ...(token === undefined ? {} : { token }),
    ...how,
  })
}

/**
 * The droplets that the Registry has.
 * @throws {ProxyManagerError} REGISTRY_NOT_CONFIGURED, REGISTRY_UNAVAILABLE
 */
export async function fetchDroplets(host: Host): Promise<RegistryAnswer> {
  const answer = await askRegistry(host, '/droplets', LIST_LIMITS)
  if (answer === undefined) throw new ProxyManagerError('REGISTRY_NOT_CONFIGURED')
  if ('failure' in answer) throw unavailable({ failure: answer.failure })
  if (answer.status !== 200) throw unavailable({ registry_status: answer.status })
  const listing = parseJson(answer.body)
  if (listing === undefined) throw unavailable({ registry_status: 200, failure: 'its answer is not JSON' })
  const droplets = await readPiecemeal(host, listing)
  if (droplets === undefined) throw unavailable({ registry_status: 200, failure: 'its answer is no list of droplets' })
  return droplets
}

/** A list of 4 MiB has room for 100000 records: calls are answered between two pieces of it. */
async function readPiecemeal({ clock }: Host, listing: unknown): Promise<RegistryAnswer | undefined> {
  const reading = readingRegistry(listing)
  for (;;) {
    const { done, value } = reading.next()
    if (done === true) return value
    await clock.sleep(0)
  }
}

function unavailable(found: Readonly<Record<string, unknown>>): ProxyManagerError {
  const remedy = 'Look whether REGISTRY_URL is right and the Registry runs; all routes stand as they were'
  return new ProxyManagerError('REGISTRY_UNAVAILABLE', { details: { ...found, remedy } })
}

/** `undefined` where it is none: JSON has no such value. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
