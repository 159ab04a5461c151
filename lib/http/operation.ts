/** What an operation of the API takes and gives. */

import type * as v from 'valibot'
import type { Clock } from '../adapters/clock.ts'
import type { Log } from '../adapters/log.ts'
import type { Resources } from '../adapters/resources.ts'
import type { Engine } from '../engine/engine.ts'
import type { ErrorCode } from '../errors.ts'
import type { Usage } from '../health/usage.ts'
import type { Precondition } from '../plan/change.ts'
import type { Settings } from '../settings/settings.ts'

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
  /** The path in front of every path of the API, if there is one. */
  readonly base?: string
  /** The endpoints that are mounted, where it is an app that calls. */
  readonly operations?: readonly Operation[]
  /** The description of the API that is mounted, where it is an app that calls. */
  readonly describe?: () => object
  /** Calls another endpoint of the same app, as the same caller, where it is an app that calls. */
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

/** What an endpoint takes and gives, as schemas; the source of the router's table and of the API's description. */
export interface Operation<P = unknown, Q = unknown, B = unknown> {
  readonly operationId: string
  readonly summary: string
  /** What the summary has no room for: what a caller may rely on. */
  readonly description: string
  readonly method: Method
  /** With `:name` for each parameter. */
  readonly path: string
  /** Other ways to the same endpoint, for callers that know it by them; with the same parameters. */
  readonly aliases?: readonly { readonly method: Method; readonly path: string }[]
  readonly params: v.GenericSchema<unknown, P>
  readonly query: v.GenericSchema<unknown, Q>
  /** `undefined` where a body is neither read nor looked at. */
  readonly body: v.GenericSchema<unknown, B> | undefined
  /** JSON where it is left out; a text of this type otherwise. */
  readonly contentType?: string
  readonly responses: Readonly<Record<number, v.GenericSchema>>
  readonly errors: readonly ErrorCode[]
  /** It honours `If-Match` and `If-None-Match`. */
  readonly supportsPreconditions?: boolean
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
  /** Further fields of this request's log line. */
  readonly logFields?: Readonly<Record<string, unknown>>
}

/** A handler: takes the request and its dependencies, never throws, and carries its own operation. */
export interface Endpoint {
  (request: Request, deps: Deps): Promise<Response>
  readonly operation: Operation
}

/** What a request that reached no endpoint is counted under: never its path, of which a caller could invent any number. */
export const NO_OPERATION = 'none'
