/** Reads what the API knows into the state. */
import type { ManagerHealth } from '../health/health-schema.ts'
import type { CertificateEntry } from '../issuance/inventory.ts'
import type { ProxyDetails, ProxyState } from '../route/state.ts'
import { type ApiAnswer, ApiError, callApi, field } from './api.ts'
import { current, update } from './state.ts'

// The API's own tests hold its answers to its schemas: here they are believed.
const isRoute = (json: unknown): json is ProxyDetails => field(json, 'droplet_name') !== undefined
const isCertificate = (json: unknown): json is CertificateEntry => field(json, 'source') !== undefined
const isHealth = (json: unknown): json is ManagerHealth => field(json, 'nginx') !== undefined

export async function readInBackground(path: string): Promise<ApiAnswer> {
  try {
    return await callApi('GET', path, { isInBackground: true })
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) update({ access: 'login' })
    throw error
  }
}

export async function loadRoutes(): Promise<void> {
  const { json } = await readInBackground('/proxies')
  const routes: readonly ProxyState[] = Array.isArray(json) ? json.filter(isRoute) : []
  update({ access: 'open', routes: new Map(routes.map((route) => [route.droplet_name, route])) })
}

export async function loadHealth(): Promise<void> {
  const { json } = await readInBackground('/proxy-manager/health')
  if (isHealth(json)) update({ health: json })
}

export async function loadCertificates(): Promise<void> {
  const { json } = await readInBackground('/certificates')
  update({ certificates: Array.isArray(json) ? json.filter(isCertificate) : [] })
}

/** Reads one route; one that is gone leaves the list. */
export async function loadRoute(name: string): Promise<void> {
  const route = await readRoute(name)
  const routes = new Map(current().routes)
  if (route === undefined) routes.delete(name)
  else routes.set(name, route)
  update({ routes: new Map([...routes].sort(([a], [b]) => (a < b ? -1 : 1))) })
}

/** One route with each check of its upstream; `undefined` if there is none of this name. */
export async function readRoute(name: string): Promise<ProxyDetails | undefined> {
  try {
    const { json } = await readInBackground(`/proxies/${encodeURIComponent(name)}`)
    return isRoute(json) ? json : undefined
  } catch (error) {
    if (error instanceof ApiError && error.code === 'PROXY_NOT_FOUND') return undefined
    throw error
  }
}
