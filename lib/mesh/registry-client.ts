/** Calls of the Registry that the operator has named. */
import type { HttpAnswer, HttpRequest } from '../adapters/http-client.ts'
import { ProxyManagerError } from '../errors.ts'
import type { Host } from '../host/host.ts'
import { singleFlight } from '../host/single-flight.ts'
import { type RegistryAnswer, readingRegistry } from './registry-records.ts'

const LIST_LIMITS = { timeoutMs: 5000, limitBytes: 4 * 1024 * 1024 }

/** Asks for a path below REGISTRY_URL, as the holder of REGISTRY_TOKEN; resolves to `undefined` where there is no Registry. */
export async function askRegistry(
  { settings, http }: Host,
  path: string,
  how: Omit<HttpRequest, 'url' | 'token'>,
): Promise<HttpAnswer | undefined> {
  const { REGISTRY_URL, REGISTRY_TOKEN: token } = settings
  if (REGISTRY_URL === undefined) return undefined
  return await http.request({
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

/**
 * Makes a reader of that list which reads once for all callers of the same moment: those who call during a reading share the next one, so that
 * nobody gets an answer that is older than the call.
 */
export function registryReader(host: Host): () => Promise<RegistryAnswer> {
  const reading = singleFlight<RegistryAnswer>()
  return async () => {
    const earlier = reading.running()
    if (earlier !== undefined) await Promise.allSettled([earlier])
    return await reading.run(() => fetchDroplets(host))
  }
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
