/** This droplet's record at the Registry: made if it is missing, corrected if it is wrong. */
import { isDeepStrictEqual } from 'node:util'
import * as v from 'valibot'
import type { HttpAnswer } from '../adapters/http-client.ts'
import type { Host } from '../host/host.ts'
import type { registration } from './announcements.ts'
import { findRecord, requestRegistry } from './registry-client.ts'
import { RUNNING } from './registry-records.ts'

type Registration = ReturnType<typeof registration>

/** What was done, or why it could not be. */
export type Registered =
  | { readonly outcome: 'unchanged' | 'registered' | 'updated'; readonly failure?: undefined }
  | { readonly failure: string; readonly outcome?: undefined }

const LIMITS = { timeoutMs: 3000, limitBytes: 64 * 1024 }
/** The Registry already has a droplet of this name. */
const CONFLICT = 409

const Stored = v.looseObject({
  id: v.optional(v.union([v.string(), v.number()])),
  metadata: v.optional(v.nullable(v.looseObject({}))),
})

/** Makes the registrar. The verb resolves for every outcome. */
export function registrar(host: Pick<Host, 'settings' | 'http'>, own: Registration): () => Promise<Registered> {
  let isRegistered = false
  /** The record as it was after the last correction: a Registry that stores something else is not corrected again and again. */
  let corrected: unknown

  const create = async (): Promise<Registered> => {
    const answer = await requestRegistry(host, '/droplets', { ...LIMITS, json: own })
    const failure = failureOf(answer, CONFLICT)
    if (failure !== undefined) return { failure }
    isRegistered = true
    return { outcome: 'registered' }
  }

  return async () => {
    const found = await findRecord(host, own.name)
    if (found.kind === 'failed') return { failure: found.failure }
    // A Registry that does not show its records is asked once to add this one.
    if (found.kind === 'hidden' && isRegistered) return { outcome: 'unchanged' }
    if (found.kind !== 'found') return await create()
    isRegistered = true
    const { output: record, success } = v.safeParse(Stored, found.record)
    if (!success || isRight(record, own) || isDeepStrictEqual(record, corrected)) return { outcome: 'unchanged' }
    const { name: _, ...json } = own
    const path = `/droplets/${encodeURIComponent(record.id ?? own.name)}`
    const failure = failureOf(await requestRegistry(host, path, { ...LIMITS, json, method: 'PATCH' }))
    if (failure !== undefined) return { failure: `PATCH: ${failure}` }
    corrected = record
    return { outcome: 'updated' }
  }
}

/** Whether a record has what this droplet announces, in those fields that the Registry stores. */
function isRight({ metadata, ...record }: v.InferOutput<typeof Stored>, own: Registration): boolean {
  const hasOther = (stored: Readonly<Record<string, unknown>>, key: string, value: unknown) =>
    key in stored && stored[key] !== null && !isSame(key, stored[key], value)
  const { metadata: ownMetadata, ...fields } = own
  return (
    !Object.entries(fields).some(([key, value]) => hasOther(record, key, value)) &&
    !Object.entries(ownMetadata).some(([key, value]) => hasOther(metadata ?? {}, key, value))
  )
}

function isSame(key: string, stored: unknown, value: unknown): boolean {
  if (key === 'status') return RUNNING.includes(String(stored).toLowerCase())
  if (key === 'endpoint') return String(stored).replace(/\/+$/, '') === value
  return isDeepStrictEqual(stored, value)
}

/** Why an answer is a failure; a redirect is one, since it was not followed. */
export function failureOf(answer: HttpAnswer | undefined, alsoSuccess?: number): string | undefined {
  if (answer === undefined) return 'no Registry is configured'
  if ('failure' in answer) return answer.failure
  const isSuccess = (answer.status >= 200 && answer.status < 300) || answer.status === alsoSuccess
  return isSuccess ? undefined : `status ${answer.status}`
}
