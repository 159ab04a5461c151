/** Endpoints composed into one Fetch handler. */
import { Router } from 'itty-router'
import * as v from 'valibot'
import { ProxyManagerError } from '../errors.ts'
import type { Origin } from '../events/event.ts'
import { type FailedAttempts, failedAttempts } from './access/failed-attempts.ts'
import { type Caller, guardRequest, requireGrant } from './access/guard.ts'
import { memorySessions, type Sessions } from './access/sessions.ts'
import { errorResponse, toResponse } from './error-response.ts'
import { type Deps, type Endpoint, type InternalCall, NO_OPERATION } from './operation.ts'
import { correlationIdOf, failureFields } from './request-log.ts'

export interface Mounted {
  readonly endpoints: readonly Endpoint[]
  /** A path in front of every path, such as `/pm`; empty for none. */
  readonly base: string
  /** Describes these endpoints, in this version of the software. */
  readonly describe: (version: string) => object
}

/**
 * A Fetch handler that never throws. `context` is what a server passes beside the request: the caller's address is read from that of a Node server,
 * `{ req }`, and is unknown with any other.
 */
export type App = (request: Request, context?: unknown) => Promise<Response>

/** The API as one Fetch handler. `depsFor` makes what each request's handler is given; as long as it does not throw, the Fetch handler never does. */
export function composeApp(
  depsFor: (request: Request) => Deps,
  { endpoints, base, describe: describeApi }: Mounted,
): App {
  const find = endpointFinder(endpoints, base)
  const sessions = sessionsOfApp()
  const findCaller = callerFinder(base, sessions)
  const operations = endpoints.map(({ operation }) => operation).filter(({ isPage }) => isPage !== true)
  const own = { base, operations, toJson: jsonWriter() }
  const describe = onlyOnce(describeApi)

  const answer = async (
    request: Request,
    deps: Deps,
    correlationId: string,
    address: string | undefined,
  ): Promise<Response> => {
    const caller = await findCaller(request, deps, address)
    const isHead = request.method === 'HEAD'
    const endpoint = await find(isHead ? 'GET' : request.method, request.url)
    // The router ignores trailing slashes; here, a resource has only one address.
    if (!endpoint?.operation.isPage && !/^(\/[^/]+)+$/.test(new URL(request.url).pathname))
      throw new ProxyManagerError('NOT_FOUND')
    // HEAD must be safe (RFC 9110, 9.2.1): a GET that is the alias of an operation that changes something has none.
    const isUnsafeHead = isHead && endpoint?.operation.method !== 'GET'
    if (endpoint === undefined || isUnsafeHead) return await answerUnrouted(request, find, correlationId)
    requireGrant(caller, endpoint.operation)
    const answerInternal = (to: Request) => answerOrFail(to, { ...deps, signal: request.signal }, address)
    const callApi = (call: InternalCall) => dispatchInternal(request, call, base, correlationId, answerInternal)
    const origin: Origin = { actor: caller.actor ?? { kind: 'local' }, address, correlationId }
    const call = { caller, origin, correlationId, callApi, describe: () => describe(deps.version) }
    const response = await endpoint(request, { ...deps, ...own, sessions: sessions(deps), ...call })
    return isHead ? await withoutBody(response) : response
  }

  const answerOrFail = async (request: Request, deps: Deps, address: string | undefined): Promise<Response> => {
    const started = deps.clock.monotonicMs()
    const correlationId = correlationIdOf(request.headers.get('x-correlation-id'), deps.clock.randomId)
    return await answer(request, deps, correlationId, address).catch((error: unknown) => {
      const plain = errorResponse(error, correlationId)
      const { status } = plain
      deps.metrics.request(NO_OPERATION, status, deps.clock.monotonicMs() - started)
      const fields = { action: 'route', correlation_id: correlationId, status, ...failureFields(error) }
      // A locked-out caller has been logged once, and would fill the log.
      const isLockedOut = error instanceof ProxyManagerError && error.code === 'TOO_MANY_ATTEMPTS'
      if (!isLockedOut) deps.log.write(status >= 500 ? 'error' : 'warn', fields)
      return toResponse(plain)
    })
  }

  return async (request, context) => {
    const deps = { signal: request.signal, ...depsFor(request) }
    const response = await answerOrFail(request, deps, addressIn(context))
    // Here, so that a message counts as one call, whatever it calls itself.
    deps.usage.record(response.status)
    return response
  }
}

/** A description blocks the event loop for 10 ms. */
function onlyOnce(describe: Mounted['describe']): Mounted['describe'] {
  let description: object | undefined
  return (version) => (description ??= describe(version))
}

/** The answer to a HEAD. A stream ends when nobody reads it. */
async function withoutBody(response: Response): Promise<Response> {
  await response.body?.cancel()
  return new Response(null, response)
}

const NodeContext = v.object({ req: v.object({ socket: v.object({ remoteAddress: v.string() }) }) })

/** The remote address of the caller, if a Node server passes its request. */
function addressIn(context: unknown): string | undefined {
  const node = v.safeParse(NodeContext, context)
  return node.success ? node.output.req.socket.remoteAddress : undefined
}

type FindCaller = (request: Request, deps: Deps, address: string | undefined) => Promise<Caller>

/** The sessions of one app, which last as long as it does. */
function sessionsOfApp(): (deps: Pick<Deps, 'clock'>) => Sessions {
  let sessions: Sessions | undefined
  return ({ clock }) => (sessions ??= memorySessions(clock.monotonicMs))
}

/** The guard of one app, with a memory of failed attempts. */
function callerFinder(base: string, sessionsOf: ReturnType<typeof sessionsOfApp>): FindCaller {
  let attempts: FailedAttempts | undefined
  return async (request, deps, address) => {
    const { settings, engine, log, clock } = deps
    attempts ??= failedAttempts(clock.monotonicMs)
    const onLockOut = () => log.write('warn', { action: 'lock_out', result: 'started', address })
    const { verifyToken, findToken } = engine
    const { nowMs } = clock
    const sessions = sessionsOf(deps)
    const gate = { settings, base, verifyToken, findToken, attempts, sessions, nowMs, address, onLockOut }
    return await guardRequest(request, gate)
  }
}

type FindEndpoint = (method: string, url: string) => Promise<Endpoint | undefined>

/** The router only finds the endpoint; it is called here, so that the router adds nothing to an answer. */
function endpointFinder(endpoints: readonly Endpoint[], base: string): FindEndpoint {
  const router = Router({ base })
  const add = { GET: router.get, PUT: router.put, POST: router.post, DELETE: router.delete }
  for (const endpoint of endpoints) {
    const { operation } = endpoint
    for (const { method, path } of [operation, ...(operation.aliases ?? [])]) add[method](path, () => endpoint)
  }
  return async (method, url) => await router.fetch({ method, url })
}

/**
 * Answers a request that no endpoint is for: OPTIONS, or an error.
 * @throws {ProxyManagerError} NOT_FOUND, METHOD_NOT_ALLOWED
 */
async function answerUnrouted({ method, url }: Request, find: FindEndpoint, correlationId: string): Promise<Response> {
  const allowed: string[] = []
  for (const other of ['GET', 'PUT', 'POST', 'DELETE']) {
    const endpoint = await find(other, url)
    if (endpoint !== undefined) allowed.push(other, ...(endpoint.operation.method === 'GET' ? ['HEAD'] : []))
  }
  if (allowed.length === 0) throw new ProxyManagerError('NOT_FOUND')
  const allow = [...allowed, 'OPTIONS'].join(', ')
  if (method === 'OPTIONS')
    return new Response(null, { status: 204, headers: { allow, 'x-correlation-id': correlationId } })
  throw new ProxyManagerError('METHOD_NOT_ALLOWED', { headers: { allow } })
}

/** Another call of the same caller, with the same token: a message can do no more than its caller can. */
async function dispatchInternal(
  outer: Request,
  { method, path, parameters = {}, body }: InternalCall,
  base: string,
  correlationId: string,
  handle: (request: Request) => Promise<Response>,
): Promise<{ readonly status: number; readonly body: unknown }> {
  const headers = new Headers({ 'x-correlation-id': correlationId })
  for (const name of ['authorization', 'x-api-token', 'cookie', 'x-session-key']) {
    const value = outer.headers.get(name)
    if (value !== null) headers.set(name, value)
  }
  if (body !== undefined) headers.set('content-type', 'application/json')
  const init = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) }
  const url = new URL(base + path, outer.url)
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) url.searchParams.set(name, value)
  const response = await handle(new Request(url, init))
  return { status: response.status, body: await response.json() }
}

/**
 * Serializes bodies. Contract: an object in a list must not change once it was answered, because its text is kept as long as the object is.
 * The engine lists a route as the same object until something about it changes (engine/route-view.ts), which saves a fifth of the processor
 * time of a list of 1,000.
 */
export function jsonWriter(): (body: unknown) => string {
  const texts = new WeakMap<object, string>()
  const textOf = (item: unknown): string => {
    if (typeof item !== 'object' || item === null) return JSON.stringify(item ?? null)
    const text = texts.get(item) ?? JSON.stringify(item)
    texts.set(item, text)
    return text
  }
  return (body) => (Array.isArray(body) ? `[${body.map(textOf).join(',')}]` : JSON.stringify(body))
}
