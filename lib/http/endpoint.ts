/** An endpoint: parse what comes in, call, answer, and catch everything. */
import * as v from 'valibot'
import type { Clock } from '../adapters/clock.ts'
import type { Log } from '../adapters/log.ts'
import type { Resources } from '../adapters/resources.ts'
import type { Precondition } from '../core/change.ts'
import { type ErrorCode, ProxyManagerError } from '../core/errors.ts'
import type { Settings } from '../core/settings.ts'
import type { Engine } from '../engine/engine.ts'
import { correlationIdOf } from './correlation.ts'
import { errorResponse, jsonResponse, textResponse, toResponse } from './error-response.ts'
import { failureFields, isRecord, subjectOf } from './log-fields.ts'
import { readJsonBody } from './read-body.ts'
import type { Usage } from './usage.ts'

/** What a handler is given with each request. */
export interface Deps {
  readonly settings: Settings
  readonly engine: Engine
  readonly log: Log
  readonly clock: Clock
  /** The id of this request; read from its `X-Correlation-ID`, or made, where it is left out. */
  readonly correlationId?: string
  /** Of this software. */
  readonly version: string
  readonly usage: Usage
  readonly resources: Resources
  /** Makes the text of an answer; `JSON.stringify` where it is left out. */
  readonly toJson?: (body: unknown) => string
  /** The path in front of every route, where there is one. */
  readonly base?: string
  /** The endpoints that are mounted, where it is an app that calls. */
  readonly routes?: readonly Route[]
  /** The description of the API that is mounted, where it is an app that calls. */
  readonly describe?: () => object
  /** Calls another endpoint of the same app, as the same caller, where it is an app that calls. */
  readonly callApi?: (call: InnerCall) => Promise<{ readonly status: number; readonly body: unknown }>
}

export interface InnerCall {
  readonly method: Method
  readonly path: string
  /** Of its query. */
  readonly parameters?: Readonly<Record<string, string | undefined>>
  readonly body?: unknown
}

export type Method = 'GET' | 'PUT' | 'POST' | 'DELETE'

/** What an endpoint takes and gives, as schemas; the source of the router's table and of the API's description. */
export interface Route<P = unknown, Q = unknown, B = unknown> {
  readonly operationId: string
  readonly summary: string
  /** What the summary has no room for: what a caller may rely on. */
  readonly description: string
  readonly method: Method
  /** With `:name` for each parameter. */
  readonly path: string
  /** Other ways to the same endpoint, for callers that know it by them; with the same parameters. */
  readonly also?: readonly { readonly method: Method; readonly path: string }[]
  readonly params: v.GenericSchema<unknown, P>
  readonly query: v.GenericSchema<unknown, Q>
  /** `undefined` where a body is neither read nor looked at. */
  readonly body: v.GenericSchema<unknown, B> | undefined
  /** JSON where it is left out; a text of this type otherwise. */
  readonly contentType?: string
  readonly responses: Readonly<Record<number, v.GenericSchema>>
  readonly errors: readonly ErrorCode[]
  /** It honours `If-Match` and `If-None-Match`. */
  readonly conditional?: boolean
}

export interface Call<P, Q, B> {
  readonly params: P
  readonly query: Q
  readonly body: B
  readonly precondition: Precondition
}

export interface Answer {
  readonly status: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** What the log line of this request says beside the usual. */
  readonly logged?: Readonly<Record<string, unknown>>
}

/** A handler: takes the request and its dependencies, never throws, and carries its own route. */
export interface Endpoint {
  (request: Request, deps: Deps): Promise<Response>
  readonly route: Route
}

/** Makes a handler of a route and the one engine call that it is for. */
export function endpoint<P, Q, B>(
  route: Route<P, Q, B>,
  handle: (call: Call<P, Q, B>, deps: Deps) => Promise<Answer>,
): Endpoint {
  const patterns = [route, ...(route.also ?? [])].map(({ path }) => pathPattern(path))
  const handler = async (request: Request, deps: Deps): Promise<Response> => {
    const started = deps.clock.monotonicMs()
    const correlationId =
      deps.correlationId ?? correlationIdOf(request.headers.get('x-correlation-id'), deps.clock.randomId)
    const logLine = (
      level: 'info' | 'warn' | 'error',
      fields: Readonly<Record<string, unknown>> & { readonly result: string },
    ) => {
      const duration_ms = Math.round(deps.clock.monotonicMs() - started)
      deps.log.write(level, { action: route.operationId, correlation_id: correlationId, duration_ms, ...fields })
    }
    let call: Call<P, Q, B> | undefined
    try {
      call = await parseCall(route, patterns, request)
      const { status, body, headers, logged } = await handle(call, { ...deps, correlationId })
      logLine('info', { result: 'success', status, ...subjectOf(call), ...logged })
      const plain = typeof body === 'string' && route.contentType !== undefined
      deps.engine.metrics.request(route.operationId, status, deps.clock.monotonicMs() - started)
      return toResponse(
        plain
          ? textResponse(status, correlationId, body, route.contentType ?? '')
          : jsonResponse(status, correlationId, body, headers, deps.toJson),
      )
    } catch (thrown) {
      const answer = errorResponse(thrown, correlationId)
      logLine(answer.status >= 500 ? 'error' : 'warn', {
        status: answer.status,
        ...subjectOf(call ?? { params: pathParams(patterns, request) }),
        ...failureFields(thrown),
      })
      deps.engine.metrics.request(route.operationId, answer.status, deps.clock.monotonicMs() - started)
      return toResponse(answer)
    }
  }
  return Object.assign(handler, { route })
}

/** What a request that reached no endpoint is counted under: never its path, of which a caller could invent any number. */
export const NO_OPERATION = 'none'

/** A parameter that is `true` or `false`, and false where it is left out. */
export function flag() {
  const word = v.picklist(['true', 'false'], 'must be true or false')
  return v.optional(
    v.pipe(
      word,
      v.transform((value) => value === 'true'),
    ),
    'false',
  )
}

/** `?dry_run=true`: say what would change, and change nothing. */
export const dryRunEntries = {
  dry_run: v.pipe(flag(), v.description('Answer what would change, and change nothing')),
}
export const DryRun = v.strictObject(dryRunEntries, unknownKey)
export const NoQuery = v.strictObject({}, unknownKey)
export const NoParams = v.strictObject({})

/** What is said of a query parameter that nobody knows. */
export function unknownKey(): string {
  return 'is not a known parameter'
}

async function parseCall<P, Q, B>(
  route: Route<P, Q, B>,
  patterns: readonly RegExp[],
  request: Request,
): Promise<Call<P, Q, B>> {
  const issues: { path: string; message: string }[] = []
  const params = check(route.params, pathParams(patterns, request), issues, unknownKey())
  const query = check(route.query, readQuery(request, issues), issues, unknownKey())
  const precondition = readPrecondition(request)
  // Without a body it is as if it were empty; `null` is a body, and not an object.
  const body =
    route.body === undefined
      ? undefined
      : check(route.body, await readJsonBody(request, {}), issues, 'is not a known field')
  if (issues.length > 0) throw new ProxyManagerError('INVALID_REQUEST', { details: { issues } })
  return { params, query, body, precondition } as Call<P, Q, B>
}

/** More unknown keys than this are not named one by one. */
const MOST_UNKNOWN = 20
const MOST_PARAMETERS = 64

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
  for (const path of [...strangers].slice(0, MOST_UNKNOWN)) issues.push({ path, message: unknown })
  const known =
    strangers.size > 0 && isRecord(value) ? Object.entries(value).filter(([key]) => !strangers.has(key)) : undefined
  const result = v.safeParse(schema, known === undefined ? value : Object.fromEntries(known))
  if (result.success) return strangers.size === 0 ? result.output : undefined
  for (const issue of result.issues) issues.push({ path: v.getDotPath(issue) ?? '', message: issue.message })
  return undefined
}

/** `/proxies/:droplet_name` as a pattern for the end of a path, so that a base in front does not matter. */
function pathPattern(path: string): RegExp {
  const source = path.replace(/[.]/g, '\\.').replace(/:(\w+)/g, '(?<$1>[^/]*)')
  return new RegExp(`${source}$`)
}

/** Parameters stay percent-encoded: no droplet name needs it, so nothing encoded is one. */
function pathParams(patterns: readonly RegExp[], request: Request): Record<string, string> {
  const { pathname } = new URL(request.url)
  return { ...patterns.map((pattern) => pattern.exec(pathname)).find((match) => match !== null)?.groups }
}

function readQuery(request: Request, issues: { path: string; message: string }[]): Record<string, string> {
  const query = new Map<string, string>()
  const { searchParams } = new URL(request.url)
  if (searchParams.size > MOST_PARAMETERS) {
    issues.push({ path: '', message: `has more than ${MOST_PARAMETERS} parameters` })
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
