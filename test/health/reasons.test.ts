import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import type { HealthFacts } from '../../lib/health/facts.ts'
import { assess } from '../../lib/health/reasons.ts'
import { context, routeRecord } from '../helpers/samples.ts'

const test = suite('health: reasons')

const { settings } = await fakeDeps()
const NOW_MS = Date.parse('2026-01-01T00:00:00.000Z')
const WRITABLE = { sitesAvailable: undefined, sitesEnabled: undefined, state: undefined, configuration: undefined }
const HEALTHY: HealthFacts = {
  settings,
  nowMs: NOW_MS,
  snapshot: {
    sitesAvailable: '/etc/nginx/sites-available',
    sitesEnabled: '/etc/nginx/sites-enabled',
    routes: new Map(),
    unmanagedFiles: new Set(),
    shared: undefined,
    enabledImages: new Map(),
    availableImages: new Map(),
    host: {
      mainPath: '/etc/nginx/nginx.conf',
      includesSitesEnabled: true,
      pid: undefined,
      errorLogs: [],
      servers: [],
      mainDirectives: new Set(['worker_shutdown_timeout']),
      loadedModules: new Set(),
      files: [],
      folders: [],
      httpDirectives: new Map(),
    },
    context,
    certificates: new Map(),
  },
  hasMainConfig: true,
  unreconciled: undefined,
  tokensFault: undefined,
  ordersWaiting: 0,
  overdueWorkers: [],
  unhealthyDroplets: [],
  isHttpsTaken: false,
  isNginxPresent: true,
  nginxVersion: '1.22.1',
  isAngie: false,
  running: { kind: 'installed' },
  isNginxRunning: true,
  isCertbotPresent: true,
  readFault: undefined,
  writeFaults: WRITABLE,
  lastTest: { ok: true, output: '', atMs: NOW_MS, endedMs: 0 },
  lastReload: { timestamp: '2026-01-01T00:00:00.000Z', result: 'success' },
  lastCertificate: undefined,
  failedRollback: undefined,
}

function withRoute(record: Parameters<typeof routeRecord>[0], snapshot: Partial<HealthFacts['snapshot']> = {}) {
  const route = { record: routeRecord(record), revision: 'r', digest: 'd', drifted: false, enabled: true, text: '' }
  return { snapshot: { ...HEALTHY.snapshot, routes: new Map([['app', route]]), ...snapshot } }
}

const certificate = {
  issuer: 'CN=test',
  not_before: '2025-10-03T00:00:00.000Z',
  expiry: '2026-01-01T00:00:00.000Z',
  domains: ['app.example.com'],
  serial: '01',
  fingerprint_sha256: 'a'.repeat(64),
}
const lastCertificate = {
  timestamp: '2026-01-01T00:00:00.000Z',
  domain: 'app.example.com',
  result: 'failure',
  reason: 'dns: no',
} as const

const CASES: readonly (readonly [what: string, facts: Partial<HealthFacts>, status: string, reasons: RegExp])[] = [
  ['nothing unusual', {}, 'healthy', /^$/],
  [
    'a missing binary, though nothing runs',
    { isNginxPresent: false, isNginxRunning: false },
    'unhealthy',
    /^NGINX cannot be run at NGINX_BIN \(nginx\): [^|]*$/,
  ],
  ['a stopped NGINX', { isNginxRunning: false }, 'unhealthy', /^NGINX is not running: /],
  ['a directory that cannot be written', { writeFaults: { ...WRITABLE, state: 'full' } }, 'unhealthy', /^full$/],
  ['a rollback that failed', { failedRollback: 'half done' }, 'unhealthy', /^half done$/],
  [
    'a test that failed, by its first [emerg] or [warn]',
    { lastTest: { ok: false, output: 'a\n[emerg] b\n[warn] c', atMs: 0, endedMs: 0 } },
    'unhealthy',
    /^the configuration fails nginx -t: \[emerg\] b$/,
  ],
  [
    'a test that failed without either, by its first line',
    { lastTest: { ok: false, output: 'a\nb', atMs: 0, endedMs: 0 } },
    'unhealthy',
    /nginx -t: a$/,
  ],
  ['no test yet', { lastTest: undefined }, 'healthy', /^$/],
  [
    'a reload that failed',
    { lastReload: { timestamp: '', result: 'refused' } },
    'degraded',
    /^the last reload failed \(refused\)/,
  ],
  ['no reload yet', { lastReload: undefined }, 'healthy', /^$/],
  [
    'a failed order whose route still wants HTTPS',
    { ...withRoute({}), lastCertificate },
    'degraded',
    /^the last certificate order, for app\.example\.com, failed: dns: no$/,
  ],
  ['a failed order whose route wants HTTP', { ...withRoute({ enable_ssl: false }), lastCertificate }, 'healthy', /^$/],
  [
    'certbot missing, and a route that wants HTTPS',
    { ...withRoute({}), isCertbotPresent: false },
    'degraded',
    /^certbot is missing/,
  ],
  [
    'certbot missing, and no such route',
    { ...withRoute({ enable_ssl: false }), isCertbotPresent: false },
    'healthy',
    /^$/,
  ],
  ['an expired certificate', withRoute({ certificate }), 'degraded', /^the certificate of app has expired: /],
  [
    'a certificate in the last quarter of its life',
    { ...withRoute({ certificate }), nowMs: NOW_MS - 86_400_000 },
    'degraded',
    /^the certificate of app expires on 2026-01-01/,
  ],
  [
    'a certificate in its third quarter',
    { ...withRoute({ certificate }), nowMs: NOW_MS - 30 * 86_400_000 },
    'healthy',
    /^$/,
  ],
  [
    'a damaged file',
    withRoute({}, { availableImages: new Map([['fpai-x.conf', { text: '' }]]) }),
    'degraded',
    /^fpai-x\.conf is damaged/,
  ],
  [
    'reasons of both kinds, the unhealthy first',
    { isNginxRunning: false, lastReload: { timestamp: '', result: 'refused' } },
    'unhealthy',
    /^NGINX is not running[^|]*\|the last reload failed/,
  ],
]

for (const [what, facts, status, reasons] of CASES) {
  test(`${what}: ${status}`, () => {
    const assessed = assess({ ...HEALTHY, ...facts })
    assert.is(assessed.status, status)
    assert.match(assessed.reasons.join('|'), reasons)
    assert.equal(assessed.advice, [])
  })
}

test('advice leaves the status as it is', () => {
  const host = { ...HEALTHY.snapshot.host, mainDirectives: new Set<string>() }
  const { status, advice } = assess({ ...HEALTHY, snapshot: { ...HEALTHY.snapshot, host } })
  assert.is(status, 'healthy')
  assert.match(advice.join('|'), /^set "worker_shutdown_timeout 1h;" [^|]* outside its http block: [^|]*$/)
})

test('a held HTTPS port is a reason, and names the port', () => {
  const { status, reasons } = assess({ ...HEALTHY, isHttpsTaken: true })
  assert.is(status, 'degraded')
  assert.match(reasons.join(), /^port 443 is held by another process/)
})

test('with the PROXY protocol, realip is advised unless it is set', () => {
  const withProtocol = { ...context, httpsListens: ['443 ssl proxy_protocol'] }
  const snapshot = { ...HEALTHY.snapshot, context: withProtocol }
  assert.match(assess({ ...HEALTHY, snapshot }).advice.join(), /real_ip_header proxy_protocol/)
  const host = { ...HEALTHY.snapshot.host, httpDirectives: new Map([['real_ip_header', ['proxy_protocol']]]) }
  assert.equal(assess({ ...HEALTHY, snapshot: { ...snapshot, host } }).advice, [])
})

test('if NGINX listens only on loopback, it is advised how routes are reached from elsewhere', () => {
  const adviceFor = (httpListens: readonly string[]) =>
    assess({ ...HEALTHY, snapshot: { ...HEALTHY.snapshot, context: { ...context, httpListens } } }).advice
  assert.match(adviceFor(['127.0.0.9:80', '[::1]:80']).join(), /add "listen 80;"/)
  assert.equal(adviceFor(['127.0.0.1:80', '203.0.113.5:80']), [])
})

test('with trusted proxies, routes that redirect to HTTPS are named; without them nothing is advised', () => {
  const fresh = { ...certificate, not_before: '2025-12-31T00:00:00.000Z', expiry: '2026-03-31T00:00:00.000Z' }
  const adviceFor = (trustedProxies: readonly string[], record: Parameters<typeof routeRecord>[0]) =>
    assess({ ...HEALTHY, ...withRoute(record, { context: { ...context, trustedProxies } }) }).advice
  assert.match(
    adviceFor(['192.0.2.7'], { certificate: fresh }).join(),
    /redirected to HTTPS by app: .*"enable_ssl": false/,
  )
  assert.equal(adviceFor(['192.0.2.7'], {}), [])
  assert.equal(adviceFor([], { certificate: fresh }), [])
})

test('networks that NGINX cannot compare with are a reason, addresses are none', () => {
  const reasonsFor = (...trustedProxies: readonly string[]) => {
    const lacking = { ...context, trustedProxies, missingModules: ['geo'] as const }
    return assess({ ...HEALTHY, snapshot: { ...HEALTHY.snapshot, context: lacking } }).reasons
  }
  assert.match(reasonsFor('192.0.2.0/24').join(), /^TRUSTED_PROXIES: .*ngx_http_geo_module/)
  assert.equal(reasonsFor('192.0.2.7'), [])
})

test.run()
