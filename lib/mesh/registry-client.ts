/** Requests to the Registry that the operator has configured. */
import * as v from 'valibot'
import type { HttpAnswer, HttpRequest } from '../adapters/http-client.ts'
import { ProxyManagerError } from '../errors.ts'
import type { Host } from '../host/host.ts'
import { singleFlight } from '../host/single-flight.ts'
import { Listing, parseRegistry, type RegistryAnswer } from './registry-records.ts'

type RegistryHost = Pick<Host, 'settings' | 'http' | 'clock'>

const ONE_LIMITS = { timeoutMs: 3000, limitBytes: 64 * 1024 }
const LIST_LIMITS = { timeoutMs: 5000, limitBytes: 4 * 1024 * 1024 }

/** Requests a path below REGISTRY_URL, with REGISTRY_TOKEN if it is set; resolves to `undefined` without a Registry. */
export async function requestRegistry(
  { settings, http }: Pick<Host, 'settings' | 'http'>,
  path: string,
  options: Omit<HttpRequest, 'url' | 'token'>,
): Promise<HttpAnswer | undefined> {
  const { REGISTRY_URL, REGISTRY_TOKEN: token } = settings
  if (REGISTRY_URL === undefined) return undefined
  return await http.request({
    url: `${REGISTRY_URL}${path}`,
    ...(token === undefined ? {} : { token }),
    ...options,
  })
}

/** A droplet's record as the Registry stores it; `hidden` if the Registry does not show its records. */
export type FoundRecord =
  | { readonly kind: 'found'; readonly record: unknown }
  | { readonly kind: 'absent' | 'hidden' }
  | { readonly kind: 'failed'; readonly failure: string }

const NamedRecord = v.looseObject({ name: v.string() })
const OneRecord = v.union([
  v.pipe(
    v.looseObject({ droplet: NamedRecord }),
    v.transform(({ droplet }) => droplet),
  ),
  NamedRecord,
])

/** Looks for the record of a name: at `/droplets/name/<name>`, or in the list if that has none. */
export async function findRecord(host: Pick<Host, 'settings' | 'http'>, name: string): Promise<FoundRecord> {
  const one = await requestRegistry(host, `/droplets/name/${encodeURIComponent(name)}`, ONE_LIMITS)
  const parsed = v.safeParse(OneRecord, jsonOf(one))
  if (parsed.success && parsed.output.name === name) return { kind: 'found', record: parsed.output }
  const all = await requestRegistry(host, '/droplets', LIST_LIMITS)
  if (all === undefined || 'failure' in all)
    return { kind: 'failed', failure: all?.failure ?? 'no Registry is configured' }
  if (all.status >= 500) return { kind: 'failed', failure: `status ${all.status}` }
  const list = v.safeParse(Listing, jsonOf(all))
  if (!list.success) return { kind: 'hidden' }
  const record = list.output.find((entry) => v.is(NamedRecord, entry) && entry.name === name)
  return record === undefined ? { kind: 'absent' } : { kind: 'found', record }
}

/** The JSON of a 200; `undefined` for anything else. */
function jsonOf(answer: HttpAnswer | undefined): unknown {
  return answer !== undefined && 'status' in answer && answer.status === 200 ? parseJson(answer.body) : undefined
}

/**
 * Reads the Registry's list of droplets.
 * @throws {ProxyManagerError} REGISTRY_NOT_CONFIGURED, REGISTRY_UNAVAILABLE
 */
export async function fetchDroplets(host: RegistryHost): Promise<RegistryAnswer> {
  const answer = await requestRegistry(host, '/droplets', LIST_LIMITS)
  if (answer === undefined) throw new ProxyManagerError('REGISTRY_NOT_CONFIGURED')
  if ('failure' in answer) throw unavailable({ failure: answer.failure })
  if (answer.status !== 200) throw unavailable({ registry_status: answer.status })
  const listing = parseJson(answer.body)
  if (listing === undefined) throw unavailable({ registry_status: 200, failure: 'its answer is not JSON' })
  const droplets = await parseInChunks(host, listing)
  if (droplets === undefined)
    throw unavailable({ registry_status: 200, failure: 'its answer is not a list of droplets' })
  return droplets
}

/**
 * Makes a reader of that list which reads once for all callers of the same moment: those who call during a reading share the next one, so that
 * nobody gets an answer that is older than the call.
 */
export function registryReader(host: RegistryHost): () => Promise<RegistryAnswer> {
  const reading = singleFlight<RegistryAnswer>()
  return async () => {
    const earlier = reading.running()
    if (earlier !== undefined) await Promise.allSettled([earlier])
    return await reading.run(() => fetchDroplets(host))
  }
}

/** A list of 4 MiB can have 100,000 records: other calls are answered between two chunks of it. */
async function parseInChunks({ clock }: RegistryHost, listing: unknown): Promise<RegistryAnswer | undefined> {
  const parsing = parseRegistry(listing)
  for (;;) {
    const { done, value } = parsing.next()
    if (done === true) return value
    await clock.sleep(0)
  }
}

function unavailable(cause: Readonly<Record<string, unknown>>): ProxyManagerError {
  const remedy = 'Check REGISTRY_URL and that the Registry is running; no routes were changed'
  return new ProxyManagerError('REGISTRY_UNAVAILABLE', { details: { ...cause, remedy } })
}

/** `undefined` if it is not JSON, which has no such value. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
