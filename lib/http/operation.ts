/** What an operation of the API expects and answers. */
import type * as v from 'valibot'
import type { Clock } from '../adapters/clock.ts'
import type { Log } from '../adapters/log.ts'
import type { Metrics } from '../adapters/metrics.ts'
import type { Resources } from '../adapters/resources.ts'
import type { Engine } from '../engine/engine.ts'
import type { ErrorCode } from '../errors.ts'
import type { Origin } from '../events/event.ts'
import type { Usage } from '../health/usage.ts'
import type { Precondition } from '../plan/change.ts'
import type { Settings } from '../settings/settings.ts'
import type { Caller } from './access/guard.ts'
import type { Sessions } from './access/sessions.ts'
import type { PageFiles } from './page/page-files.ts'

/** What a handler is given with each request. */
export interface Deps {
  readonly settings: Settings
  readonly engine: Engine
  readonly log: Log
  readonly clock: Clock
  readonly metrics: Metrics
  /** The id of this request; if missing, it is read from `X-Correlation-ID` or generated. */
  readonly correlationId?: string
  /** Version of this software. */
  readonly version: string
  readonly usage: Usage
  readonly resources: Resources
  /** Serializes the body of an answer; `JSON.stringify` if missing. */
  readonly toJson?: (body: unknown) => string
  /** Aborted once the caller has gone; that of the request if missing. */
  readonly signal?: AbortSignal
  /** The page for people; without it, there is none. */
  readonly page?: () => PageFiles
  /** The sessions of people; `createApp` sets them. */
  readonly sessions?: Sessions
  /** Who calls. `createApp` sets this and what follows; a handler without it is called by whoever mounts it. */
  readonly caller?: Caller
  /** The caller as events name it. */
  readonly origin?: Origin
  /** The path in front of every path of the API. */
  readonly base?: string
  /** The operations that are mounted. */
  readonly operations?: readonly Operation[]
  /** Describes the API that is mounted. */
  readonly describe?: () => object
  /** Calls another endpoint of the same app, as the same caller. */
  readonly callApi?: (call: InternalCall) => Promise<{ readonly status: number; readonly body: unknown }>
}

export interface InternalCall {
  readonly method: Method
  readonly path: string
  /** Of its query. */
  readonly parameters?: Readonly<Record<string, string | undefined>>
  readonly body?: unknown
}

export type Method = 'GET' | 'PUT' | 'POST' | 'DELETE'

/** An operation as schemas: the source of the router's table, of validation and of the OpenAPI description. */
export interface Operation<P = unknown, Q = unknown, B = unknown> {
  readonly operationId: string
  readonly summary: string
  /** What a caller may rely on, if the summary does not say it. */
  readonly description: string
  readonly method: Method
  /** With `:name` for each parameter. */
  readonly path: string
  /** Other addresses of the same endpoint, with the same parameters, for callers that know it by them. */
  readonly aliases?: readonly { readonly method: Method; readonly path: string }[]
  readonly params: v.GenericSchema<unknown, P>
  readonly query: v.GenericSchema<unknown, Q>
  /** `undefined` if a body is ignored. */
  readonly body: v.GenericSchema<unknown, B> | undefined
  /** The largest body that is read, if that is more than what is usual. */
  readonly bodyLimitBytes?: number
  /** JSON if missing; otherwise the answers are text of this type. */
  readonly contentType?: string
  /** By status; errors are not among them. */
  readonly responses: Readonly<Record<number, ResponseSpec>>
  readonly errors: readonly ErrorCode[]
  /** A token for reading is enough, whatever the method is. */
  readonly isForReaders?: boolean
  /** It is a part of the page for people, and not of the API that is described. */
  readonly isPage?: boolean
  /** Whether `If-Match` and `If-None-Match` are honoured. */
  readonly supportsPreconditions?: boolean
}

/** What an operation answers with one status. */
export interface ResponseSpec {
  /** What the status means for this operation. */
  readonly description: string
  readonly schema: v.GenericSchema
  readonly example: unknown
  readonly headers?: ResponseHeaders
  /** The same as a stream, for whoever accepts this type. */
  readonly stream?: {
    readonly contentType: string
    /** What the data of each of its events is. */
    readonly data: v.GenericSchema
    readonly example: string
  }
}

/** Whether a header is sent with every response of a status; `X-Correlation-ID` always is. */
export type ResponseHeaders = { readonly [N in HeaderName]?: 'always' | 'sometimes' }
export type HeaderName = 'ETag' | 'Location' | 'Server-Timing' | 'WWW-Authenticate' | 'Set-Cookie' | 'Retry-After'

export interface Call<P, Q, B> {
  /** Of the request; another than the operation's own if it came by an alias. */
  readonly method: string
  readonly params: P
  readonly query: Q
  readonly body: B
  readonly precondition: Precondition
  readonly request: Request
  /** A header of the request. */
  readonly header: (name: string) => string | undefined
}

export interface Answer {
  readonly status: number
  /** A stream is sent as it is. */
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** Further fields of this request's log line. */
  readonly logFields?: Readonly<Record<string, unknown>>
}

/** A handler, which never throws, with its own operation. */
export interface Endpoint {
  (request: Request, deps: Deps): Promise<Response>
  readonly operation: Operation
}

/** A path with `{name}` for each parameter, as OpenAPI writes it. */
export function templatePath(path: string): string {
  return path.replace(/:(\w+)/g, '{$1}')
}

/** The operation under which metrics count requests that reached no endpoint: a caller could invent any number of paths. */
export const NO_OPERATION = 'none'
