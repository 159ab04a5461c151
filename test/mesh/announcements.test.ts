import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { heartbeat, registration } from '../../lib/mesh/announcements.ts'
import { parseSettings } from '../../lib/settings/parse-settings.ts'
import type { Settings } from '../../lib/settings/settings.ts'
import { publicUrl } from '../../lib/settings/settings.ts'
import { readRegistry } from '../helpers/read-registry.ts'

const test = suite('announcements')

function settings(environment: Readonly<Record<string, string>> = {}): Settings {
  const parsed = parseSettings(environment)
  if ('faults' in parsed) throw new Error(parsed.faults.join('; '))
  return parsed
}

test("the announced address is the API's own, unless a public URL is set", () => {
  for (const [environment, url] of [
    [{}, 'http://127.0.0.1:8100'],
    [{ PROXY_MANAGER_HOST: '::1', PROXY_MANAGER_PORT: '81' }, 'http://[::1]:81'],
    [{ PROXY_MANAGER_PUBLIC_URL: 'https://edge.example.com/' }, 'https://edge.example.com'],
    [{ PROXY_MANAGER_PUBLIC_URL: 'http://edge.internal:8100/pm//' }, 'http://edge.internal:8100/pm'],
  ] as const)
    assert.is(publicUrl(settings(environment)), url)
})

test('the record for the Registry has name, address and endpoints of this droplet', () => {
  const own = { SERVICE_NAME: 'edge', DROPLET_ID: 'edge-7', ENVIRONMENT: 'staging' }
  assert.equal(registration(settings({ ...own, PROXY_MANAGER_PUBLIC_URL: 'http://edge.internal:8100/pm' }), '1.2.3'), {
    name: 'edge',
    host: 'edge.internal',
    port: 8100,
    status: 'active',
    endpoint: 'http://edge.internal:8100/pm',
    metadata: {
      droplet_id: 'edge-7',
      version: '1.2.3',
      environment: 'staging',
      udc_version: '1.0',
      udc: {
        health: '/health',
        capabilities: '/capabilities',
        state: '/state',
        dependencies: '/dependencies',
        message: '/message',
      },
    },
  })
})

test('a sync of another Proxy Manager reads the record, once it has a domain', () => {
  for (const [url, host, port] of [
    ['http://edge.internal:8100', 'edge.internal', 8100],
    ['https://edge.example.com', 'edge.example.com', 443],
    ['http://10.0.0.7', '10.0.0.7', 80],
    ['http://[2001:db8::7]:8100', '2001:db8::7', 8100],
  ] as const) {
    const record = registration(settings({ PROXY_MANAGER_PUBLIC_URL: url }), '1.2.3')
    assert.equal(readRegistry([{ ...record, domain: 'edge.example.com' }])?.routes, [
      { dropletName: 'proxy-manager', domain: 'edge.example.com', upstream_host: host, upstream_port: port },
    ])
    assert.equal(readRegistry([record])?.skipped, [
      { name: 'proxy-manager', reason: 'has no domain (looked for domain, metadata.domain, fqdn, url, metadata.url)' },
    ])
  }
})

test('a heartbeat has the names and the status of this droplet', () => {
  const condition = { status: 'degraded', version: '1.2.3', nowMs: 1_800_000_000_000, uptimeSeconds: 61 } as const
  assert.equal(heartbeat(settings({ DROPLET_ID: 'edge-7' }), condition), {
    id: 'edge-7',
    droplet_id: 'edge-7',
    service: 'proxy-manager',
    status: 'active',
    health: 'degraded',
    version: '1.2.3',
    timestamp: '2027-01-15T08:00:00.000Z',
    uptime_seconds: 61,
    endpoint: 'http://127.0.0.1:8100',
  })
})

test('a heartbeat has a number as its id if the identity is one, and the status error if the host is unhealthy', () => {
  const condition = { status: 'unhealthy', version: '1.2.3', nowMs: 0, uptimeSeconds: 61 } as const
  const { id, droplet_id, status, health } = heartbeat(settings({ DROPLET_ID: '18' }), condition)
  assert.equal([id, droplet_id, status, health], [18, '18', 'error', 'unhealthy'])
})

test.run()
