/** The route table: every endpoint of the API, composed into one Fetch handler. */
import { Router } from 'itty-router'
import { ProxyManagerError } from '../lib/core/errors.ts'
import { correlationIdOf } from '../lib/http/correlation.ts'
import type { Deps, Endpoint } from '../lib/http/endpoint.ts'
import { errorResponse, toResponse } from '../lib/http/error-response.ts'
import { guardRequest } from '../lib/http/guard.ts'
import createProxy from './create-proxy.ts'
import deleteProxy from './delete-proxy.ts'
import getManagerHealth from './get-manager-health.ts'
import getProxy from './get-proxy.ts'
import issueCertificate from './issue-certificate.ts'
import listProxies from './list-proxies.ts'
import putProxy from './put-proxy.ts'

export const endpoints: readonly Endpoint[] = [
  putProxy,
  createProxy,
  listProxies,
  getProxy,
  deleteProxy,
  issueCertificate,
  getManagerHealth,
]

export interface AppOptions {
  /** A path in front of every route, such as `/pm`. */
  readonly base?: string
  /** The endpoints to mount; all of them where left out. */
  readonly mount?: readonly Endpoint[]
}

/** The API as one Fetch handler; `depsFor` makes what each request's handler is given. It never throws. */
export function createApp(
  depsFor: (request: Request) => Deps,
  options: AppOptions = {},
): (request: Request) => Promise<Response> {
  const { base = '', mount = endpoints } = options
  const router = Router({ base })
  for (const endpoint of mount) {
    // The router only finds the endpoint: calling it is ours, so that nothing of the router's own gets into an answer.
    router[lowerCase(endpoint.route.method)](endpoint.route.path, () => endpoint)
  }
  const find = async (method: string, url: string): Promise<Endpoint | undefined> => await router.fetch({ method, url })

  return async (request) => {
    const deps = depsFor(request)
    const correlationId = correlationIdOf(request.headers.get('x-correlation-id'), deps.clock.randomId)
    try {
      guardRequest(request, deps.settings, base)
      // The router takes trailing slashes along; here a resource has one address.
      if (!/^(\/[^/]+)+$/.test(new URL(request.url).pathname)) throw new ProxyManagerError('NOT_FOUND')
      const isHead = request.method === 'HEAD'
      const endpoint = await find(isHead ? 'GET' : request.method, request.url)
      if (endpoint !== undefined) {
        const response = await endpoint(request, { ...deps, correlationId })
        return isHead ? new Response(null, response) : response
      }
      const allowed: string[] = []
      for (const method of ['GET', 'PUT', 'POST', 'DELETE']) {
        if ((await find(method, request.url)) !== undefined)
          allowed.push(...(method === 'GET' ? ['GET', 'HEAD'] : [method]))
      }
      if (allowed.length === 0) throw new ProxyManagerError('NOT_FOUND')
      const allow = [...allowed, 'OPTIONS'].join(', ')
      if (request.method === 'OPTIONS')
        return new Response(null, { status: 204, headers: { allow, 'x-correlation-id': correlationId } })
      throw new ProxyManagerError('METHOD_NOT_ALLOWED', { headers: { allow } })
    } catch (error) {
      const answer = errorResponse(error, correlationId)
      const code = error instanceof ProxyManagerError ? error.code : 'INTERNAL'
      deps.log.write('warn', {
        action: 'route',
        result: 'failure',
        correlation_id: correlationId,
        status: answer.status,
        error_code: code,
      })
      return toResponse(answer)
    }
  }
}

function lowerCase(method: Endpoint['route']['method']): 'get' | 'put' | 'post' | 'delete' {
  const names = { GET: 'get', PUT: 'put', POST: 'post', DELETE: 'delete' } as const
  return names[method]
}
