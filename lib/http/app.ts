/** Endpoints composed into one Fetch handler. */

import { Router } from 'itty-router'
import { ProxyManagerError } from '../errors.ts'
import { errorResponse, toResponse } from './error-response.ts'
import { guardRequest, requireGrant } from './guard.ts'
import { type Deps, type Endpoint, type InternalCall, type Method, NO_OPERATION } from './operation.ts'
import { correlationIdOf, failureFields } from './request-log.ts'

export interface Mounted {
  readonly endpoints: readonly Endpoint[]
  /** A path in front of every path, such as `/pm`; empty for none. */
  readonly base: string
  /** Describes these endpoints, in this version of the software. */
  readonly describe: (version: string) => object
}

/** The API as one Fetch handler, which never throws as long as `depsFor` does not; that makes what each request's handler is given. */
export function composeApp(
  depsFor: (request: Request) => Deps,
  { endpoints: mount, base, describe: describeApi }: Mounted,
): (request: Request) => Promise<Response> {
  const router = Router({ base })
  for (const endpoint of mount) {
    // The router only finds the endpoint: calling it is ours, so that nothing of the router's own gets into an answer.
    for (const { method, path } of [endpoint.operation, ...(endpoint.operation.aliases ?? [])])
      router[lowerCase(method)](path, () => endpoint)
  }
  const find = async (method: string, url: string): Promise<Endpoint | undefined> => await router.fetch({ method, url })

  const toJson = jsonWriter()
  let description: object | undefined
  /** Made once: it takes 10 ms, in which nothing else is done. */
  const describe = (version: string): object => {
    description ??= describeApi(version)
    return description
  }
  const operations = mount.map(({ operation }) => operation)

  const answer = async (request: Request, deps: Deps, correlationId: string): Promise<Response> => {
    const grant = await guardRequest(request, deps.settings, base, deps.engine.verifyToken)
    // The router takes trailing slashes along; here a resource has one address.
    if (!/^(\/[^/]+)+$/.test(new URL(request.url).pathname)) throw new ProxyManagerError('NOT_FOUND')
    const isHead = request.method === 'HEAD'
    const endpoint = await find(isHead ? 'GET' : request.method, request.url)
    // HEAD is for what only reads (RFC 9110, 9.2.1), whatever else answers a GET here.
    const isUnsafeHead = isHead && endpoint?.operation.method !== 'GET'
    if (endpoint === undefined || isUnsafeHead) return await answerUnrouted(request, correlationId)
    requireGrant(grant, endpoint.operation.method)
    const callApi = (call: InternalCall) =>
      dispatchInternal(request, call, base, correlationId, (inner) => answerWith(deps, inner))
    const appDeps = { base, correlationId, operations, toJson, callApi, describe: () => describe(deps.version) }
    const response = await endpoint(request, { ...deps, ...appDeps })
    return isHead ? new Response(null, response) : response
  }

  /** What there is no endpoint for: a method that the path does not take, or no such path. */
  const answerUnrouted = async ({ method, url }: Request, correlationId: string): Promise<Response> => {
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

  /** What a message asks for inside of its own call counts as that one call. */
  const handle = async (request: Request): Promise<Response> => {
    const deps = depsFor(request)
    const response = await answerWith(deps, request)
    deps.usage.record(response.status)
    return response
  }

  const answerWith = async (deps: Deps, request: Request): Promise<Response> => {
    const started = deps.clock.monotonicMs()
    const correlationId = correlationIdOf(request.headers.get('x-correlation-id'), deps.clock.randomId)
    return await answer(request, deps, correlationId).catch((error: unknown) => {
      const plain = errorResponse(error, correlationId)
      const { status } = plain
      deps.metrics.request(NO_OPERATION, status, deps.clock.monotonicMs() - started)
      const fields = { action: 'route', correlation_id: correlationId, status, ...failureFields(error) }
      deps.log.write(status >= 500 ? 'error' : 'warn', fields)
      return toResponse(plain)
    })
  }
  return handle
}

/** Another call of the same caller: what it may not do by itself, it may not do through a message either. */
async function dispatchInternal(
  outer: Request,
  { method, path, parameters = {}, body }: InternalCall,
  base: string,
  correlationId: string,
  handle: (request: Request) => Promise<Response>,
): Promise<{ readonly status: number; readonly body: unknown }> {
  const headers = new Headers({ 'x-correlation-id': correlationId })
  for (const name of ['authorization', 'x-api-token']) {
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

function lowerCase(method: Method): 'get' | 'put' | 'post' | 'delete' {
  const names = { GET: 'get', PUT: 'put', POST: 'post', DELETE: 'delete' } as const
  return names[method]
}

/**
 * Makes the JSON text of a body. The text of each object in a list is kept as long as that object is: a list of routes is asked for again and
 * again, and most of its routes are the ones of before. So no such object may change.
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
