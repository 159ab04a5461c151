/** Hosts for the page for people, on fakes: a good day, and a night on which everything breaks. */
import { createServerAdapter } from '@whatwg-node/server'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import { type LoopbackServer, startServer } from '../../fixtures/loopback-server.ts'
import { createApp } from '../../functions/index.ts'
import { settled, writeAt } from './arrange.ts'
import { certbotThat, certbotThatIssues, certificateFor, DAY_MS, failing, issue, START_MS, upload } from './certbot.ts'

export interface PageHost extends LoopbackServer {
  readonly deps: FakeDeps
  /** The API on the same port, after `close`. */
  readonly reopen: () => Promise<LoopbackServer>
  /** Calls the API, as another program would; throws unless that is done. */
  readonly send: (method: string, path: string, body?: unknown) => Promise<void>
}

const MINUTE_MS = 60_000
const SITES = '/etc/nginx/sites-available'

/** An API on fakes, without routes. */
export async function startPageHost(settings: Readonly<Record<string, string>> = {}): Promise<PageHost> {
  const deps = await fakeDeps({ settings })
  const api = createServerAdapter(createApp(() => deps))
  const server = await startServer(api)
  const send = async (method: string, path: string, body: unknown = {}) => {
    const headers = { 'content-type': 'application/json' }
    const init = method === 'GET' ? {} : { body: JSON.stringify(body) }
    const response = await fetch(server.url + path, { method, headers, ...init })
    if (!response.ok) throw new Error(`${method} ${path}: ${await response.text()}`)
  }
  return { ...server, deps, send, reopen: () => startServer(api, server.port) }
}

/** Routes over HTTP, as many as wanted. */
export async function addRoutes({ send }: PageHost, count: number): Promise<void> {
  const route = (i: number) => ({ droplet_name: `app-${i}`, domain: `app-${i}.example.com`, upstream_port: 8001 })
  const routes = Array.from({ length: count }, (_, i) => ({ ...route(i), enable_ssl: false }))
  await send('POST', '/import', { version: 1, routes })
}

/** Three routes: one over HTTPS, one with several upstreams, and one that redirects. */
export async function addGoodDay({ deps, send }: PageHost): Promise<void> {
  certbotThatIssues(deps, certificateFor('shop.example.com', { aliases: ['www.shop.example.com'] }))
  const options = { aliases: ['www.shop.example.com'], hsts: true, read_timeout_s: 120 }
  await send('PUT', '/proxies/shop', { domain: 'shop.example.com', upstream_port: 8001, options })
  await issue(deps, 'shop')
  await deps.clock.sleep(30 * MINUTE_MS)
  const upstreams = [8002, 8003, 8004].map((port) => ({ host: 'localhost', port, backup: port === 8004 }))
  await send('PUT', '/proxies/api', { domain: 'api.example.com', upstreams, enable_ssl: false })
  const away = { redirect_to: 'shop.example.com' }
  await send('PUT', '/proxies/old-shop', { domain: 'old.example.com', enable_ssl: false, options: away })
  await checkOften(deps, 20)
}

/** On top of a good day: two droplets down, orders that fail, a file edited by hand, one disabled, one in maintenance, NGINX stopped. */
export async function addBadNight(host: PageHost): Promise<void> {
  const { deps, send } = host
  for (const [i, name] of ['blog', 'billing', 'intranet', 'legacy', 'mail'].entries())
    await send('PUT', `/proxies/${name}`, { domain: `${name}.example.com`, upstream_port: 8010 + i, enable_ssl: false })
  await send('PUT', '/proxies/billing', { domain: 'billing.example.com', upstream_port: 8011 })
  certbotThat(deps, failing(deps, 'challenge-not-found'))
  await issue(deps, 'billing').catch(() => undefined)
  await upload(deps, 'corp', certificateFor('corp.example.com', { fromMs: START_MS - 80 * DAY_MS, days: 84 }))
  const corp = { domain: 'corp.example.com', upstream_port: 8020, certificate: { name: 'corp' } }
  await send('PUT', '/proxies/corp', corp)
  await send('PUT', '/proxies/mail', {
    domain: 'mail.example.com',
    upstream_port: 8014,
    enable_ssl: false,
    options: { maintenance: true },
  })
  deps.nginx.upstreams.set(8010, 'ECONNREFUSED')
  deps.nginx.upstreams.set(8003, 'ETIMEDOUT')
  await checkOften(deps, 20)
  writeAt(deps.disk, `${SITES}/fpai-intranet.conf`, 'server { listen 80; server_name intranet.example.com; }\n')
  deps.disk.delete('/etc/nginx/sites-enabled/fpai-legacy.conf')
  deps.nginx.running = false
}

/** Checks every upstream once in 10 s, as a host does. */
export async function checkOften(deps: FakeDeps, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    await deps.engine.startDueChecks()
    await settled()
    await deps.clock.sleep(10_000)
  }
}
