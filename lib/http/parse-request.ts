/** Requests become parsed calls, with every fault at once. */

import * as v from 'valibot'
import { ProxyManagerError } from '../errors.ts'
import type { Precondition } from '../plan/change.ts'
import type { Call, Operation } from './operation.ts'
import { unknownKey } from './parameters.ts'
import { readJsonBody } from './read-body.ts'
import { isRecord } from './request-log.ts'

export async function parseCall<P, Q, B>(
  operation: Operation<P, Q, B>,
  patterns: readonly RegExp[],
  request: Request,
): Promise<Call<P, Q, B>> {
  const issues: { path: string; message: string }[] = []
  const params = check(operation.params, pathParams(patterns, request), issues, unknownKey())
  const query = check(operation.query, readQuery(request, issues), issues, unknownKey())
  const precondition = readPrecondition(request)
  // Without a body it is as if it were empty; `null` is a body, and not an object.
  const body =
    operation.body === undefined
      ? undefined
      : check(operation.body, await readJsonBody(request, {}), issues, 'is not a known field')
  if (issues.length > 0) throw new ProxyManagerError('INVALID_REQUEST', { details: { issues } })
  return { params, query, body, precondition } as Call<P, Q, B>
}

/** More unknown keys than this are not named one by one. */
const MAX_UNKNOWN = 20
const MAX_PARAMETERS = 64

/**
 * Collects every fault of one part; the value only counts where there was none. valibot stops at the first unknown key, so those are told
 * apart first.
 */
function check<T>(
  schema: v.GenericSchema<unknown, T>,
  value: unknown,
  issues: { path: string; message: string }[],
  unknown: string,
): T | undefined {
  if (Array.isArray(value)) {
    issues.push({ path: '', message: 'must be a JSON object' })
    return undefined
  }
  const entries = 'entries' in schema && isRecord(schema.entries) ? schema.entries : {}
  const isStrict = schema.type === 'strict_object' && isRecord(value)
  const strangers = new Set(isStrict ? Object.keys(value).filter((key) => !Object.hasOwn(entries, key)) : [])
  for (const path of [...strangers].slice(0, MAX_UNKNOWN)) issues.push({ path, message: unknown })
  const known =
    strangers.size > 0 && isRecord(value) ? Object.entries(value).filter(([key]) => !strangers.has(key)) : undefined
  const result = v.safeParse(schema, known === undefined ? value : Object.fromEntries(known))
  if (result.success) return strangers.size === 0 ? result.output : undefined
  for (const issue of result.issues) issues.push({ path: v.getDotPath(issue) ?? '', message: issue.message })
  return undefined
}

/** `/proxies/:droplet_name` as a pattern for the end of a path, so that a base in front does not matter. */
export function pathPattern(path: string): RegExp {
  const source = path.replace(/[.]/g, '\\.').replace(/:(\w+)/g, '(?<$1>[^/]*)')
  return new RegExp(`${source}$`)
}

/** Parameters stay percent-encoded: no droplet name needs it, so nothing encoded is one. */
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
    if (query.has(name)) issues.push({ path: name, message: 'is given twice' })
    query.set(name, value)
  }
  return Object.fromEntries(query)
}

/** RFC 9110, 13.1: weak tags never match strongly, so they are left out and match nothing. */
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
