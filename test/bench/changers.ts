/** Two programs that are configured over HTTP, behind one interface: ours and Caddy. */
import { call } from '../../fixtures/call.ts'
import { freePort } from '../../fixtures/free-port.ts'
import { caddyRoute, startCaddy } from './caddy-instance.ts'
import { createRoutes, domainOf, startHost } from './managed-host.ts'
import { allAtOnce } from './turns.ts'
import type { Undo } from './undo.ts'

export interface Changer {
  readonly name: string
  /** Where its routes are served, in plain HTTP. */
  readonly port: number
  /** Changes the upstream of a route. */
  change(name: string, upstreamPort: number): Promise<void>
  /** Creates a route. */
  add(name: string, upstreamPort: number): Promise<void>
  /** How many routes it reports. */
  count(): Promise<number>
  /** Removes those that were added. */
  removeAdded(names: readonly string[]): Promise<void>
}

/** How many routes there are at the start, and their upstream. */
interface Start {
  readonly routes: number
  readonly upstreamPort: number
}

export async function startOurs(undo: Undo, start: Start, stopped: AbortSignal): Promise<Changer> {
  const host = await startHost(undo, stopped)
  await createRoutes(host, { ...start, scheme: 'http', stopped })
  const put = async (name: string, upstreamPort: number) => {
    await host.put(name, upstreamPort, 'http')
  }
  const names = async () =>
    [...(await get(`${host.url}/proxies`)).matchAll(/"droplet_name":"([^"]+)"/g)].map(([, n]) => n)
  return {
    name: 'Proxy Manager',
    port: host.nginx.httpPort,
    change: put,
    add: put,
    count: async () => (await names()).length,
    removeAdded: async (added) => {
      const present = (await names()).flatMap((name) => (name !== undefined && added.includes(name) ? [name] : []))
      await allAtOnce(present.length, (i) => host.remove(present[i] ?? ''))
    },
  }
}

export async function startTheirs(undo: Undo, { routes, upstreamPort }: Start): Promise<Changer> {
  const port = await freePort()
  const first = Array.from({ length: routes }, (_, i) => caddyRoute(`bench-${i}`, domainOf(`bench-${i}`), upstreamPort))
  const server = { listen: [`127.0.0.1:${port}`], automatic_https: { disable: true }, routes: first }
  const { admin } = await startCaddy(undo, { http: { servers: { bench: server } } })
  const list = `${admin}/config/apps/http/servers/bench/routes`
  return {
    name: 'Caddy',
    port,
    // By its id, which is how Caddy changes one route without touching the others.
    change: (name, upstream) => send('PATCH', `${admin}/id/${name}`, caddyRoute(name, domainOf(name), upstream)),
    // POST to a list appends.
    add: (name, upstream) => send('POST', list, caddyRoute(name, domainOf(name), upstream)),
    count: async () => [...(await get(list)).matchAll(/"@id":/g)].length,
    removeAdded: () => send('PATCH', list, first),
  }
}

async function get(url: string): Promise<string> {
  const { status, text } = await call(url)
  if (status !== 200) throw new Error(`GET ${url}: ${status} ${text}`)
  return text
}

async function send(method: string, url: string, body: unknown): Promise<void> {
  const { status, text } = await call(url, { method, body })
  if (status !== 200) throw new Error(`${method} ${url}: ${status} ${text}`)
}
