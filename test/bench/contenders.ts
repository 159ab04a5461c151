/** Three proxies in front of the same upstreams, with the same certificate: what the API renders, a hand-tuned NGINX, and Caddy. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../fixtures/free-port.ts'
import { createNginx, type NginxInstance } from '../../fixtures/nginx-instance.ts'
import { workersOf } from '../helpers/system/workers.ts'
import { caddyRoute, startCaddy } from './caddy-instance.ts'
import { domainOf, type ManagedHost, type RouteOptions, startHost } from './managed-host.ts'
import type { Scheme } from './options.ts'
import type { Undo } from './undo.ts'

export interface Contender {
  readonly name: string
  portOf(scheme: Scheme): number
  /** The processes that serve. */
  pids(): readonly number[]
}

/** The routes: one served over HTTP, one over HTTPS, and one over HTTP to the echo. */
export const OPEN = 'open'
export const SECURE = 'secure'
export const ECHO = 'echo'

export interface Upstreams {
  readonly port: number
  readonly echoPort: number
}

export interface Pair {
  readonly host: ManagedHost
  readonly ours: Contender
  readonly tuned: Contender
}

/** h2load does not reconnect after the 1000 requests for which NGINX keeps a connection by default. */
const KEPT = 'keepalive_requests 1000000;'

/** Starts an upstream that is faster than any proxy in front of it: an NGINX worker that answers a few bytes. */
export async function startUpstream(undo: Undo): Promise<number> {
  const port = await freePort()
  const http = `${KEPT} server { listen 127.0.0.1:${port} backlog=4096; location / { return 200 "hello\\n"; } }`
  const nginx = await createNginx({ workers: 1, http })
  undo.push(() => nginx.remove())
  await nginx.start()
  return port
}

/** Starts ours, and a tuned one with its certificate and its TLS profile. */
export async function startPair(
  undo: Undo,
  upstreams: Upstreams,
  stopped: AbortSignal,
  options: RouteOptions = {},
): Promise<Pair> {
  const host = await startHost(undo, stopped, { secureNames: [SECURE], http: KEPT })
  await host.put(OPEN, upstreams.port, 'http', options)
  await host.put(ECHO, upstreams.echoPort, 'http', options)
  await host.put(SECURE, upstreams.port, 'https', options)
  const tuned = await createNginx({ http: KEPT })
  undo.push(() => tuned.remove())
  writeFileSync(join(tuned.root, 'conf.d', 'tuned.conf'), tunedConfiguration(tuned, host, upstreams))
  await tuned.start()
  return { host, ours: served('Proxy Manager', host.nginx), tuned: served('tuned NGINX', tuned) }
}

export async function startCaddyContender(undo: Undo, host: ManagedHost, upstreams: Upstreams): Promise<Contender> {
  const ports = { http: await freePort(), https: await freePort() }
  const { certificate, key } = certificateOf(host)
  const automatic_https = { disable: true }
  const open = [caddyRoute(OPEN, domainOf(OPEN), upstreams.port), caddyRoute(ECHO, domainOf(ECHO), upstreams.echoPort)]
  const secure = [caddyRoute(SECURE, domainOf(SECURE), upstreams.port)]
  const servers = {
    open: { listen: [`127.0.0.1:${ports.http}`], automatic_https, routes: open },
    secure: {
      listen: [`127.0.0.1:${ports.https}`],
      automatic_https,
      protocols: ['h1', 'h2'],
      routes: secure,
      tls_connection_policies: [{}],
    },
  }
  const tls = { certificates: { load_files: [{ certificate, key }] } }
  const { pid } = await startCaddy(undo, { http: { servers }, tls })
  return { name: 'Caddy', portOf: (scheme) => ports[scheme], pids: () => [pid] }
}

function served(name: string, nginx: NginxInstance): Contender {
  return {
    name,
    portOf: (scheme) => (scheme === 'http' ? nginx.httpPort : nginx.httpsPort),
    pids: () => workersOf(nginx),
  }
}

/** The paths of certbot's own files. */
function certificateOf({ nginx }: ManagedHost) {
  const live = `${nginx.environment.CERTBOT_CONFIG_DIR}/live/${domainOf(SECURE)}`
  return { certificate: `${live}/fullchain.pem`, key: `${live}/privkey.pem` }
}

/** A configuration for speed only: kept connections to the upstream, the fewest headers, NGINX's default buffering. */
function tunedConfiguration(tuned: NginxInstance, host: ManagedHost, { port, echoPort }: Upstreams): string {
  const { certificate, key } = certificateOf(host)
  const rendered = readFileSync(join(host.nginx.sitesAvailable, `fpai-${SECURE}.conf`), 'utf8')
  const profile = rendered.match(/^\s*ssl_(?!certificate)\w+ [^;]+;$/gm) ?? []
  const webroot = `location /.well-known/acme-challenge/ { root ${host.nginx.root}/state/acme; }`
  const headers = (connection: string) =>
    `proxy_http_version 1.1; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header Connection ${connection};`
  return `
upstream tuned { server 127.0.0.1:${port}; keepalive 64; }
server { listen ${tuned.httpPort}; server_name ${domainOf(OPEN)};
    location / { proxy_pass http://tuned; ${headers('""')} } }
server { listen ${tuned.httpPort}; server_name ${domainOf(ECHO)};
    location / { proxy_pass http://127.0.0.1:${echoPort}; ${headers('upgrade')} proxy_set_header Upgrade $http_upgrade; } }
server { listen ${tuned.httpsPort} ssl http2; server_name ${domainOf(SECURE)};
    ssl_certificate ${certificate}; ssl_certificate_key ${key};
    ${profile.join('\n')}
    ${webroot}
    location / { proxy_pass http://tuned; ${headers('""')} } }
`
}
