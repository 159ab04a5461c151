/** A real NGINX with the real API beside it, as these tests use them. */
import { request as httpRequest } from 'node:http'
import * as v from 'valibot'
import { call as callOnce } from '../../../fixtures/call.ts'
import { type Droplet, startDroplet } from '../../../fixtures/droplet.ts'
import { type Manager, startManager } from '../../../fixtures/manager.ts'
import { createNginx, type NginxInstance, type NginxOptions } from '../../../fixtures/nginx-instance.ts'
import { assertDescribed } from '../described.ts'

export interface RealHost {
  readonly nginx: NginxInstance
  /** The API's process; a new one after `restart`. */
  readonly manager: Manager
  readonly droplet: (name: string) => Promise<Droplet>
  /** Ends the API, if it still runs, and starts it again; `before` is a command that runs it as its own process. */
  readonly restart: (signal: NodeJS.Signals, before?: readonly string[]) => Promise<void>
  readonly close: () => Promise<void>
}

/** Starts both; `close` ends them and removes every trace. */
export async function startHost(
  options: NginxOptions = {},
  environment: Readonly<Record<string, string>> = {},
): Promise<RealHost> {
  const nginx = await createNginx(options)
  // The droplets run in this process, which may be busy for longer than a separate droplet would be. What the API shows changes with each check.
  const own = { HEALTH_CHECK_TIMEOUT_MS: '20000', HEALTH_CHECK_INTERVAL_S: '0' }
  const settings = { ...own, ...nginx.environment, ...environment }
  const starting = nginx.start().then(() => startManager(settings))
  let manager = await starting.catch(async (error) => {
    await nginx.remove()
    throw error
  })
  const droplets: Droplet[] = []
  return {
    nginx,
    get manager() {
      return manager
    },
    droplet: async (name) => {
      const droplet = await startDroplet(name)
      droplets.push(droplet)
      return droplet
    },
    restart: async (signal, before) => {
      await manager.end(signal)
      manager = await startManager(settings, manager.port, before)
    },
    close: async () => {
      await manager.end()
      await Promise.all(droplets.map((droplet) => droplet.close()))
      await nginx.remove()
    },
  }
}

/** The parts of an answer that tests look at. */
export const Body = v.looseObject({
  status: v.optional(v.string()),
  domain: v.optional(v.string()),
  revision: v.optional(v.string()),
  rendered: v.optional(v.array(v.string())),
  reasons: v.optional(v.array(v.string())),
  skipped: v.optional(v.array(v.object({ name: v.string() })), []),
  receipt: v.optional(
    v.object({
      generation: v.number(),
      reloaded: v.boolean(),
      proved_by: v.string(),
      proved_ms: v.number(),
      batch: v.number(),
    }),
  ),
  error: v.optional(v.object({ code: v.string(), message: v.string(), details: v.record(v.string(), v.unknown()) })),
})
export type Body = v.InferOutput<typeof Body>

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Body
}

/** Calls the API; every answer must be one that it describes. */
export async function call(
  manager: Manager,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  // The other side may close a kept connection just when the next call is sent: each call has its own.
  const { status, headers: raw, text } = await callOnce(manager.url + path, { method, headers, body })
  if (status === 0) throw new Error(`no answer to ${method} ${path}`)
  const json: unknown = text === '' ? {} : JSON.parse(text)
  const sent = new Headers(Object.entries(raw).map(([name, value]) => [name, String(value)]))
  assertDescribed(method, path, { status, headers: sent, text, body: json })
  return {
    status,
    headers: sent,
    body: v.parse(Body, Array.isArray(json) ? { list: json } : json),
  }
}

export async function putRoute(
  manager: Manager,
  name: string,
  domain: string,
  port: number,
  more: Record<string, unknown> = {},
): Promise<Answer> {
  return await call(manager, 'PUT', `/proxies/${name}`, { domain, upstream_port: port, enable_ssl: false, ...more })
}

/** One request through NGINX over its own connection: the body, or the failure's name. */
export async function through(port: number, domain: string, path = '/'): Promise<string> {
  return await new Promise((resolve) => {
    const request = httpRequest(
      { host: '127.0.0.1', port, path, headers: { host: domain }, agent: false },
      (response) => {
        let text = ''
        response.on('data', (chunk: Buffer) => {
          text += chunk.toString()
        })
        response.on('end', () => resolve(response.statusCode === 200 ? text : `status ${response.statusCode}`))
        response.on('error', (error) => resolve(error.message))
      },
    )
    request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    request.setTimeout(60_000, () => request.destroy(new Error('timeout')))
    request.end()
  })
}
