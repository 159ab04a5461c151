import type { RenderContext } from '../../lib/render/context.ts'
import { DEFAULT_OPTIONS } from '../../lib/route/options.ts'
import type { RouteRecord } from '../../lib/route/record.ts'

/** An ordinary host. */
export const context: RenderContext = {
  nginxVersion: [1, 22, 1],
  opensslVersion: [3, 0],
  missingModules: ['stub_status'],
  httpPort: 80,
  httpsPort: 443,
  httpListens: ['80', '[::]:80'],
  httpsListens: ['443', '[::]:443'],
  resolvers: ['192.0.2.53'],
  setByHost: new Map(),
  publicHttpPort: 80,
  publicHttpsPort: 443,
  trustedProxies: [],
  webroot: '/state/acme',
  certificates: '/state/certificates',
}

/** A route that is served over HTTP. */
export function routeRecord(own: Partial<RouteRecord> = {}): RouteRecord {
  return {
    version: 1,
    droplet_name: 'app',
    domain: 'app.example.com',
    upstream_host: 'localhost',
    upstream_port: 8001,
    upstream_addresses: ['127.0.0.1', '::1'],
    resolvers: [],
    enable_ssl: true,
    source: 'api',
    options: DEFAULT_OPTIONS,
    certificate: null,
    last_health_status: 'healthy',
    last_health_checked_at: '2026-01-01T00:00:00.000Z',
    created_at: '2026-01-01T00:00:00.000Z',
    updated_at: '2026-01-01T00:00:00.000Z',
    ...own,
  }
}
