/** Figures for Prometheus. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

export interface Metrics {
  /** `operation` is `none` if no endpoint was reached. */
  request(operation: string, status: number, durationMs: number): void
  /** A change that ended: its outcome, or the code of its error. */
  change(result: string): void
  batch(changes: number): void
  nginxTest(ok: boolean, durationMs: number): void
  /** A reload that was not attempted, because it could not be proved, counts as failed. */
  nginxReload(result: string, durationMs: number): void
  certbotRun(result: string): void
  upstreamProbe(status: string): void
  /** A health check apart from any change. */
  upstreamCheck(durationMs: number): void
  /** This many events were not sent to EVENTS_URL, and never will be. */
  eventsDropped(count: number): void
  /** Replaces the figures of the present state. */
  routes(state: RouteFigures): void
  /** Prometheus' text format 0.0.4. */
  text(): Promise<string>
}

export interface RouteFigures {
  /** The host's status: one of {@link HEALTH}. */
  readonly health: string
  /** Whether the last test of the live configuration passed; `undefined` if it has not been tested yet. */
  readonly configTestOk: boolean | undefined
  readonly generation: number
  readonly byStatus: ReadonlyMap<string, number>
  /** Name that is served over HTTPS -> expiry of its certificate in seconds since the epoch. */
  readonly expiries: ReadonlyMap<string, number>
  /** Droplet name -> whether its upstream is healthy, unless that is not known. */
  readonly upstreams: ReadonlyMap<string, boolean>
  readonly queueDepth: number
  /** NGINX's own counts of client connections; empty if it does not report them. */
  readonly connections: ReadonlyMap<string, number>
  /** Workers of former configurations; `undefined` if they cannot be seen. */
  readonly drainingWorkers: number | undefined
  /** Droplet -> connections of these workers to its former upstreams. */
  readonly drainingConnections: ReadonlyMap<string, number>
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const PREFIX = 'proxy_manager_'
/** Sums of figures that are there as well, with names of counters although they are none, which promtool rejects. */
const MISNAMED = ['handles', 'requests', 'resources'].map((what) => `${PREFIX}nodejs_active_${what}_total`)
const HEALTH = ['healthy', 'degraded', 'unhealthy']
const RELOAD_RESULTS = ['success', 'refused', 'not_confirmed', 'wrong_certificate', 'not_running', 'upgrading']

/** Collects in memory, the process's own figures included. */
export function promMetrics(): Metrics {
  const register = new Registry()
  collectDefaultMetrics({ register, prefix: PREFIX })
  for (const name of MISNAMED) register.removeSingleMetric(name)
  const { requests, changes, batches, tests, reloads, certbotRuns, probes, checks, droppedEvents } =
    eventMetrics(register)
  const { health, configTest, generation, routes, expiry, upstreams, depth, connections, oldWorkers, oldConnections } =
    stateMetrics(register)
  return {
    request: (operation, status, durationMs) =>
      requests.observe({ operation, status: String(status) }, durationMs / 1000),
    change: (result) => changes.inc({ result }),
    batch: (count) => batches.observe(count),
    nginxTest: (ok, durationMs) => tests.observe({ ok: String(ok) }, durationMs / 1000),
    nginxReload: (result, durationMs) => reloads.observe({ result }, durationMs / 1000),
    certbotRun: (result) => certbotRuns.inc({ result }),
    upstreamProbe: (status) => probes.inc({ status }),
    upstreamCheck: (durationMs) => checks.observe(durationMs / 1000),
    eventsDropped: (count) => droppedEvents.inc(count),
    routes: (state) => {
      for (const status of HEALTH) health.set({ status }, status === state.health ? 1 : 0)
      // NaN if it is not known: no alert's comparison is true for it.
      configTest.set(state.configTestOk === undefined ? Number.NaN : Number(state.configTestOk))
      generation.set(state.generation)
      depth.set(state.queueDepth)
      for (const known of [routes, expiry, upstreams, connections, oldConnections]) known.reset()
      oldWorkers.set(state.drainingWorkers ?? Number.NaN)
      for (const [status, count] of state.byStatus) routes.set({ status }, count)
      for (const [domain, seconds] of state.expiries) expiry.set({ domain }, seconds)
      for (const [name, isUp] of state.upstreams) upstreams.set({ droplet_name: name }, Number(isUp))
      for (const [name, count] of state.connections) connections.set({ state: name }, count)
      for (const [name, count] of state.drainingConnections) oldConnections.set({ droplet_name: name }, count)
    },
    text: () => register.metrics(),
  }
}

/** What is counted when it happens. */
function eventMetrics(register: Registry) {
  const registers = [register]
  const counter = <L extends string>(name: string, help: string, ...labelNames: L[]) =>
    new Counter({ name: PREFIX + name, help, labelNames, registers })
  const histogram = <L extends string>(name: string, help: string, buckets: number[], ...labelNames: L[]) =>
    new Histogram({ name: PREFIX + name, help, buckets, labelNames, registers })

  const metrics = {
    requests: histogram(
      'http_request_duration_seconds',
      'Requests by endpoint and status',
      SECONDS,
      'operation',
      'status',
    ),
    changes: counter('changes_total', 'Changes by outcome, or by the code of their error', 'result'),
    batches: histogram('batch_changes', 'Changes that shared one test and one reload', [1, 2, 5, 10, 25, 50, 100, 250]),
    tests: histogram(
      'nginx_test_duration_seconds',
      'Configuration tests by result, including those of refused changes and dry runs',
      SECONDS,
      'ok',
    ),
    reloads: histogram(
      'nginx_reload_duration_seconds',
      'Reloads by result, from the signal to the proof',
      SECONDS,
      'result',
    ),
    certbotRuns: counter('certbot_runs_total', 'certbot runs by result', 'result'),
    droppedEvents: counter('events_dropped_total', 'Events that EVENTS_URL did not get'),
    probes: counter('upstream_probes_total', 'Health checks of upstreams before changes, by result', 'status'),
    checks: histogram('upstream_check_duration_seconds', 'Health checks of upstreams between changes', SECONDS),
  }
  // A series that begins with its first event shows no increase, and no alert would see it: these begin with 0.
  for (const result of RELOAD_RESULTS) metrics.reloads.zero({ result })
  for (const status of ['401', '403', '429']) metrics.requests.zero({ operation: 'none', status })
  for (const ok of ['true', 'false']) metrics.tests.zero({ ok })
  for (const result of ['success', 'failure']) metrics.certbotRuns.inc({ result }, 0)
  for (const status of ['healthy', 'unhealthy']) metrics.probes.inc({ status }, 0)
  return metrics
}

/** What is read when the metrics are. */
function stateMetrics(register: Registry) {
  const gauge = <L extends string>(name: string, help: string, ...labelNames: L[]) =>
    new Gauge({ name: PREFIX + name, help, labelNames, registers: [register] })
  return {
    health: gauge('health', '1 for the status of this host, 0 for the others', 'status'),
    configTest: gauge('config_test_ok', '1 if NGINX would start with the live configuration, else 0'),
    generation: gauge('generation', 'Generation of the configuration on disk'),
    routes: gauge('routes', 'Routes by status', 'status'),
    expiry: gauge(
      'certificate_expiry_timestamp_seconds',
      'When the certificate of a domain or alias expires',
      'domain',
    ),
    upstreams: gauge('upstream_up', '1 if the upstream of a route is healthy, 0 if it is not', 'droplet_name'),
    depth: gauge('queue_depth', 'Changes that wait'),
    connections: gauge('nginx_connections', "NGINX's client connections by state", 'state'),
    oldWorkers: gauge('draining_workers', "NGINX's workers of former configurations"),
    oldConnections: gauge(
      'draining_connections',
      'Connections of these workers to the former upstreams of a droplet',
      'droplet_name',
    ),
  }
}
