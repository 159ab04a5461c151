/** Figures for Prometheus. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

export interface Metrics {
  /** `operation` is `none` where no endpoint was reached. */
  request(operation: string, status: number, durationMs: number): void
  /** A change that ended: its outcome, or the code of its error. */
  change(result: string): void
  batch(changes: number): void
  nginxTest(ok: boolean, durationMs: number): void
  /** One that was not asked for, since it could not be proved, counts as one that failed. */
  nginxReload(result: string, durationMs: number): void
  certbotRun(result: string): void
  upstreamProbe(status: string): void
  /** Replaces what is told of the routes as they are now. */
  routes(state: RouteFigures): void
  /** Prometheus' text format 0.0.4. */
  text(): Promise<string>
}

export interface RouteFigures {
  /** How the host does: one of {@link HEALTH}. */
  readonly health: string
  /** Whether NGINX took the configuration as it is live at its last test; `undefined` where it has not been tested yet. */
  readonly configTestOk: boolean | undefined
  readonly generation: number
  readonly byStatus: ReadonlyMap<string, number>
  /** Name that is served over HTTPS -> seconds since the epoch. */
  readonly expiries: ReadonlyMap<string, number>
  readonly queueDepth: number
  /** NGINX's own counts of client connections, where it told them. */
  readonly connections: ReadonlyMap<string, number>
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const PREFIX = 'proxy_manager_'
const HEALTH = ['healthy', 'degraded', 'unhealthy']
const RELOAD_RESULTS = ['success', 'refused', 'not_confirmed', 'wrong_certificate', 'not_running', 'upgrading']

/** Collects in memory, the process's own figures included. */
export function promMetrics(): Metrics {
  const register = new Registry()
  collectDefaultMetrics({ register, prefix: PREFIX })
  const registers = [register]
  const counter = <L extends string>(name: string, help: string, ...labelNames: L[]) =>
    new Counter({ name: PREFIX + name, help, labelNames, registers })
  const gauge = <L extends string>(name: string, help: string, ...labelNames: L[]) =>
    new Gauge({ name: PREFIX + name, help, labelNames, registers })
  const histogram = <L extends string>(name: string, help: string, buckets: number[], ...labelNames: L[]) =>
    new Histogram({ name: PREFIX + name, help, buckets, labelNames, registers })

  const requests = histogram(
    'http_request_duration_seconds',
    'Requests by endpoint and status',
    SECONDS,
    'operation',
    'status',
  )
  const changes = counter('changes_total', 'Changes by outcome, or by the code of their error', 'result')
  const batches = histogram(
    'batch_changes',
    'Changes that shared one test and one reload',
    [1, 2, 5, 10, 25, 50, 100, 250],
  )
  const tests = histogram(
    'nginx_test_duration_seconds',
    'Configuration tests by verdict, those of changes that were refused and of plans among them',
    SECONDS,
    'ok',
  )
  const reloads = histogram(
    'nginx_reload_duration_seconds',
    'Reloads by result, from the signal to the proof',
    SECONDS,
    'result',
  )
  const certbotRuns = counter('certbot_runs_total', 'certbot runs by result', 'result')
  const probes = counter('upstream_probes_total', 'Health checks of upstreams by result', 'status')
  const health = gauge('health', '1 for what the host is, 0 for what it is not', 'status')
  const configTest = gauge('config_test_ok', '1 where NGINX would start with the configuration as it is live, else 0')
  const generation = gauge('generation', 'Generation of the configuration on disk')
  const routes = gauge('routes', 'Routes by status', 'status')
  const expiry = gauge(
    'certificate_expiry_timestamp_seconds',
    'When the certificate of a domain or alias expires',
    'domain',
  )
  const depth = gauge('queue_depth', 'Changes that wait')
  const connections = gauge('nginx_connections', "NGINX's client connections by state", 'state')

  // A series that begins with its first event shows no increase, and no alert would see it: these begin with 0.
  for (const result of RELOAD_RESULTS) reloads.zero({ result })
  for (const status of ['401', '403', '429']) requests.zero({ operation: 'none', status })
  for (const ok of ['true', 'false']) tests.zero({ ok })
  for (const result of ['success', 'failure']) certbotRuns.inc({ result }, 0)
  for (const status of ['healthy', 'unhealthy']) probes.inc({ status }, 0)

  return {
    request: (operation, status, durationMs) =>
      requests.observe({ operation, status: String(status) }, durationMs / 1000),
    change: (result) => changes.inc({ result }),
    batch: (count) => batches.observe(count),
    nginxTest: (ok, durationMs) => tests.observe({ ok: String(ok) }, durationMs / 1000),
    nginxReload: (result, durationMs) => reloads.observe({ result }, durationMs / 1000),
    certbotRun: (result) => certbotRuns.inc({ result }),
    upstreamProbe: (status) => probes.inc({ status }),
    routes: (state) => {
      for (const status of HEALTH) health.set({ status }, status === state.health ? 1 : 0)
      // Without a verdict it is no number, which no alert compares with.
      configTest.set(state.configTestOk === undefined ? Number.NaN : Number(state.configTestOk))
      generation.set(state.generation)
      depth.set(state.queueDepth)
      for (const known of [routes, expiry, connections]) known.reset()
      for (const [status, count] of state.byStatus) routes.set({ status }, count)
      for (const [domain, seconds] of state.expiries) expiry.set({ domain }, seconds)
      for (const [name, count] of state.connections) connections.set({ state: name }, count)
    },
    text: () => register.metrics(),
  }
}
