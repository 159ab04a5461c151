import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { DEFAULT_OPTIONS } from '../../lib/route/options.ts'
import { ProxyState, proxyState, statusOf } from '../../lib/route/state.ts'
import type { SnapshotRoute } from '../../lib/route/stored-route.ts'
import { NO_CHECKS, noteCheck } from '../../lib/upstream/health-history.ts'
import { routeRecord } from '../helpers/samples.ts'

const test = suite('state')

const certificate = {
  issuer: 'CN=Test CA',
  not_before: '2026-01-01T00:00:00.000Z',
  expiry: '2026-03-01T00:00:00.000Z',
  domains: ['app.example.com'],
  serial: '0a',
  fingerprint_sha256: 'ab'.repeat(32),
}

function route(own: Partial<SnapshotRoute> = {}): SnapshotRoute {
  return {
    record: routeRecord(),
    text: '',
    revision: '0123456789abcdef',
    digest: '',
    drifted: false,
    enabled: true,
    ...own,
  }
}

test('the most urgent status is the one that is shown', () => {
  assert.is(statusOf(route()), 'pending_ssl')
  assert.is(statusOf(route({ record: routeRecord({ enable_ssl: false }) })), 'active')
  assert.is(statusOf(route({ record: routeRecord({ certificate }) })), 'active')
  assert.is(statusOf(route({ drifted: true })), 'drifted')
  assert.is(statusOf(route({ drifted: true, enabled: false })), 'disabled')
})

test('a route is shown with its upstream as a URL and everything in its file', () => {
  const shown = proxyState(route({ record: routeRecord({ certificate, upstream_host: '::1' }) }))
  assert.equal(shown, {
    droplet_name: 'app',
    domain: 'app.example.com',
    path: '/',
    upstream: 'http://[::1]:8001',
    upstream_host: '::1',
    upstream_port: 8001,
    upstreams: [{ host: '::1', port: 8001, backup: false }],
    enable_ssl: true,
    ssl_enabled: true,
    status: 'active',
    source: 'api',
    options: DEFAULT_OPTIONS,
    last_health_status: 'healthy',
    last_health_checked_at: '2026-01-01T00:00:00.000Z',
    health: { status: 'unknown', since: null, latency_ms: null, recent: '' },
    certificate: { ...certificate, source: 'own', why: 'it was ordered for this route' },
    created_at: '2026-01-01T00:00:00.000Z',
    updated_at: '2026-01-01T00:00:00.000Z',
    updated_by: null,
    revision: '0123456789abcdef',
  })
  assert.ok(v.is(ProxyState, shown))
})

test('a later health check overrides the one in the file', () => {
  const atMs = Date.parse('2026-02-02T00:00:00.000Z')
  const checked = [1, 2, 3].reduce((known) => noteCheck(known, { atMs, ms: 4, failure: 'HTTP 500' }), NO_CHECKS)
  const shown = proxyState(route(), { history: checked })
  assert.is(shown.last_health_status, 'unhealthy')
  assert.is(shown.last_health_checked_at, '2026-02-02T00:00:00.000Z')
  assert.is(shown.revision, '0123456789abcdef')
})

test.run()
