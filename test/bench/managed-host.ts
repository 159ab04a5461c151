/** A real NGINX with the API as its own process, and lineages for its HTTPS routes. */
import { setTimeout } from 'node:timers/promises'
import * as v from 'valibot'
import { call } from '../../fixtures/call.ts'
import { freePort } from '../../fixtures/free-port.ts'
import { type Manager, startManager } from '../../fixtures/manager.ts'
import { createNginx, type NginxInstance } from '../../fixtures/nginx-instance.ts'
import { makeLineages } from './certificates.ts'
import type { Scheme } from './options.ts'
import { allAtOnce, LIMIT_MS } from './turns.ts'
import type { Undo } from './undo.ts'

export interface ManagedHost {
  readonly nginx: NginxInstance
  /** The port on which NGINX serves this scheme. */
  portOf(scheme: Scheme): number
  readonly url: string
  /** The URL of the API. */
  readonly pid: number
  /** Puts a route; an HTTPS one must be served over HTTPS by the time of the answer. */
  put(name: string, upstreamPort: number, scheme: Scheme, options?: RouteOptions): Promise<Change>
  remove(name: string): Promise<void>
  /** Ends the API and starts it again, with these settings besides; milliseconds until it listens and has answered a list. */
  restart(environment?: Readonly<Record<string, string>>): Promise<number>
}

/** The options of a route that are measured. */
export interface RouteOptions {
  readonly buffering?: boolean
}

export interface Change {
  readonly generation: number
  readonly reloaded: boolean
  /** Its parts in milliseconds, by their names in Server-Timing. */
  readonly steps: readonly (readonly [step: string, ms: number])[]
}

const ReceiptOf = v.object({ receipt: v.object({ generation: v.number(), reloaded: v.boolean() }) })
/** Fewer than the limit of the queue. */
const CREATED_AT_ONCE = 500

/** The domain of a route. */
export function domainOf(name: string): string {
  return `${name}.example.com`
}

interface HostOptions {
  /** Routes that will be HTTPS, and have lineages from the start. */
  readonly secureNames?: readonly string[]
  /** Further lines in NGINX's http block. */
  readonly http?: string
}

/** Starts it. */
export async function startHost(
  undo: Undo,
  stopped: AbortSignal,
  { secureNames = [], http = '' }: HostOptions = {},
): Promise<ManagedHost> {
  const nginx = await createNginx({ http })
  undo.push(() => nginx.remove())
  if (secureNames.length > 0)
    await makeLineages(nginx.environment.CERTBOT_CONFIG_DIR ?? '', secureNames.map(domainOf), stopped)
  await nginx.start()
  const port = await freePort()
  let manager: Manager = await startManager(nginx.environment, port)
  undo.push(() => manager.end())
  return {
    nginx,
    portOf: (scheme) => (scheme === 'http' ? nginx.httpPort : nginx.httpsPort),
    url: manager.url,
    get pid() {
      return manager.pid
    },
    put: (name, upstreamPort, scheme, options = {}) => put(manager.url, name, { upstreamPort, scheme, options }),
    remove: async (name) => {
      const { status, text } = await call(`${manager.url}/proxies/${name}`, { method: 'DELETE' })
      if (status !== 200) throw new Error(`DELETE ${name}: ${status} ${text}`)
    },
    restart: async (environment = {}) => {
      await manager.end()
      const failed = new AbortController()
      const started = performance.now()
      const starting = startManager({ ...nginx.environment, ...environment }, port).then(
        (next) => {
          manager = next
        },
        (error: unknown) => {
          failed.abort()
          throw error
        },
      )
      const [at] = await Promise.all([firstAnswer(`${manager.url}/proxies`, failed.signal), starting])
      return at - started
    },
  }
}

/** Puts routes `bench-0` to `bench-<count - 1>`, many at once. */
export async function createRoutes(
  host: ManagedHost,
  { routes, upstreamPort, scheme, stopped }: Routes & { readonly stopped: AbortSignal },
): Promise<void> {
  for (let from = 0; from < routes; from += CREATED_AT_ONCE) {
    stopped.throwIfAborted()
    const count = Math.min(CREATED_AT_ONCE, routes - from)
    await allAtOnce(count, (i) => host.put(`bench-${from + i}`, upstreamPort, scheme))
  }
}

export interface Routes {
  readonly routes: number
  readonly upstreamPort: number
  readonly scheme: Scheme
}

async function put(
  url: string,
  name: string,
  {
    upstreamPort,
    scheme,
    options,
  }: { readonly upstreamPort: number; readonly scheme: Scheme; readonly options: RouteOptions },
): Promise<Change> {
  const body = { domain: domainOf(name), upstream_port: upstreamPort, enable_ssl: scheme === 'https', options }
  const { status, headers, text } = await call(`${url}/proxies/${name}`, { method: 'PUT', body })
  if (status !== 200 && status !== 201) throw new Error(`PUT ${name}: ${status} ${text}`)
  const timing = String(headers['server-timing'])
  const steps = [...timing.matchAll(/(\w+);dur=([\d.]+)/g)].map(([, step = '', ms]) => [step, Number(ms)] as const)
  return { ...v.parse(ReceiptOf, JSON.parse(text)).receipt, steps }
}

/** The time of the first answer to a list. */
async function firstAnswer(url: string, failed: AbortSignal): Promise<number> {
  const deadline = performance.now() + LIMIT_MS
  while (performance.now() < deadline && !failed.aborted) {
    const answer = await call(url).catch(() => undefined)
    if (answer?.status === 200) return performance.now()
    await setTimeout(1)
  }
  throw new Error(`${url} does not answer`)
}
