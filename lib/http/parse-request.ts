/** Parses a request into a call, and reports every fault at once; of a body beyond the usual size, the first. */
import * as v from 'valibot'
import { ProxyManagerError } from '../errors.ts'
import type { Precondition } from '../plan/change.ts'
import type { Call, Operation } from './operation.ts'
import { unknownKey } from './parameters.ts'
import { BODY_LIMIT_BYTES, readJsonBody } from './read-body.ts'
import { isRecord } from './request-log.ts'

/** @throws {ProxyManagerError} INVALID_REQUEST, PAYLOAD_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE */
export async function parseCall<P, Q, B>(
  operation: Operation<P, Q, B>,
  patterns: readonly RegExp[],
  request: Request,
): Promise<Call<P, Q, B>> {
  const issues: { path: string; message: string }[] = []
  const params = check(operation.params, pathParams(patterns, request), issues, unknownKey())
  const query = check(operation.query, readQuery(request, issues), issues, unknownKey())
  const precondition = readPrecondition(request)
  // A missing body is an empty object; `null` is a body, and not an object.
  const body =
    operation.body === undefined
      ? undefined
      : check(operation.body, await readJsonBody(request, {}, operation.bodyLimitBytes), issues, 'is not a known field')
  if (issues.length > 0) throw new ProxyManagerError('INVALID_REQUEST', { details: { issues } })
  const header = (name: string) => request.headers.get(name) ?? undefined
  return { method: request.method, request, params, query, body, precondition, header } as Call<P, Q, B>
}

/** Further unknown keys are not reported. */
const MAX_UNKNOWN = 20
const MAX_PARAMETERS = 64

/**
 * Adds every fault of one part to `issues`; the value only counts if there is none. valibot stops at the first unknown key, so unknown keys are
 * reported here.
 */
function check<T>(
  schema: v.GenericSchema<unknown, T>,
  value: unknown,
  issues: { path: string; message: string }[],
  unknownMessage: string,
): T | undefined {
  if (Array.isArray(value)) {
    issues.push({ path: '', message: 'must be a JSON object' })
    return undefined
  }
  const entries = 'entries' in schema && isRecord(schema.entries) ? schema.entries : {}
  const isStrict = schema.type === 'strict_object' && isRecord(value)
  const unknownKeys = new Set(isStrict ? Object.keys(value).filter((key) => !Object.hasOwn(entries, key)) : [])
  for (const path of [...unknownKeys].slice(0, MAX_UNKNOWN)) issues.push({ path, message: unknownMessage })
  const known =
    unknownKeys.size > 0 && isRecord(value) ? Object.entries(value).filter(([key]) => !unknownKeys.has(key)) : undefined
  const part = known === undefined ? value : Object.fromEntries(known)
  const first = v.safeParse(schema, part, { abortEarly: true })
  if (first.success) return unknownKeys.size === 0 ? first.output : undefined
  // A million entries have millions of faults: to collect them would block the event loop for a minute.
  const result = JSON.stringify(part).length > BODY_LIMIT_BYTES ? first : v.safeParse(schema, part)
  if (result.issues === undefined) return undefined
  for (const issue of result.issues) issues.push({ path: v.getDotPath(issue) ?? '', message: issue.message })
  return undefined
}

/** `/proxies/:droplet_name` as a pattern for the end of a path, because there may be a base in front. */
export function pathPattern(path: string): RegExp {
  const source = path.replace(/[.]/g, '\\.').replace(/:(\w+)/g, '(?<$1>[^/]*)')
  return new RegExp(`${source}$`)
}

/** Parameters stay percent-encoded: no valid droplet name needs encoding. */
export function pathParams(patterns: readonly RegExp[], request: Request): Record<string, string> {
  const { pathname } = new URL(request.url)
  return { ...patterns.map((pattern) => pattern.exec(pathname)).find((match) => match !== null)?.groups }
}

function readQuery(request: Request, issues: { path: string; message: string }[]): Record<string, string> {
  const query = new Map<string, string>()
  const { searchParams } = new URL(request.url)
  if (searchParams.size > MAX_PARAMETERS) {
    issues.push({ path: '', message: `has more than ${MAX_PARAMETERS} parameters` })
    return {}
  }
  for (const [name, value] of searchParams) {
    if (query.has(name)) issues.push({ path: name, message: 'duplicate parameter' })
    query.set(name, value)
  }
  return Object.fromEntries(query)
}

/** RFC 9110, 13.1: If-Match compares strongly, so weak tags are dropped and match nothing. */
function readPrecondition(request: Request): Precondition {
  const ifMatch = request.headers.get('if-match')
  const ifNoneMatch = request.headers.get('if-none-match')
  const tags = (header: string) =>
    [...header.matchAll(/(W\/)?"([^"]*)"/g)].flatMap(([, weak, tag]) => (weak === undefined ? [tag ?? ''] : []))
  return {
    ...(ifMatch === null ? {} : { ifMatch: ifMatch.trim() === '*' ? ('*' as const) : tags(ifMatch) }),
    ...(ifNoneMatch?.trim() === '*' ? { ifNoneMatchAny: true } : {}),
  }
}
