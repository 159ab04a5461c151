/** The metrics that are collected on request; the others are counted when they happen. */
import type { ChangeContext } from '../change/context.ts'
import type { ChangeQueue } from '../change/queue.ts'
import type { Host } from '../host/host.ts'
import type { DrainFigures } from '../nginx/draining.ts'
import { readStatusPage } from '../nginx/generation.ts'
import type { RenderContext } from '../render/context.ts'
import { securedNames } from '../route/names.ts'
import { statusOf } from '../route/state.ts'
import type { ManagerHealth } from './health-schema.ts'
import type { UpstreamChecks } from './upstream-checks.ts'

/** All metrics in Prometheus' text format. */
export async function readMetrics(
  { host, observe, state }: ChangeContext,
  queue: ChangeQueue,
  checks: Pick<UpstreamChecks, 'historyOf'>,
  readHealth: () => Promise<ManagerHealth>,
  readDraining: () => Promise<DrainFigures>,
): Promise<string> {
  const { snapshot } = state.unconfirmed ?? (await observe([]))
  const byStatus = new Map<string, number>([
    ['active', 0],
    ['pending_ssl', 0],
    ['drifted', 0],
    ['disabled', 0],
  ])
  const expiries = new Map<string, number>()
  const upstreams = new Map<string, boolean>()
  for (const route of snapshot.routes.values()) {
    const status = statusOf(route)
    byStatus.set(status, (byStatus.get(status) ?? 0) + 1)
    const health = checks.historyOf(route).status
    if (health !== 'unknown') upstreams.set(route.record.droplet_name, health === 'healthy')
    const { certificate } = route.record
    if (certificate === null) continue
    for (const name of securedNames(route.record)) expiries.set(name, Date.parse(certificate.expiry) / 1000)
  }
  const generation = snapshot.shared?.generation ?? 0
  const { status, nginx } = await readHealth()
  const draining = await readDraining()
  host.metrics.routes({
    health: status,
    configTestOk: nginx.config_test_ok ?? undefined,
    generation,
    byStatus,
    expiries,
    upstreams,
    queueDepth: queue.depth,
    connections: await readConnections(host, snapshot.context),
    drainingWorkers: draining.workers,
    drainingConnections: draining.connections,
  })
  return await host.metrics.text()
}

/** ngx_http_stub_status_module's page: "Active connections: 3", then "Reading: 0 Writing: 1 Waiting: 2". */
async function readConnections(host: Host, context: RenderContext): Promise<Map<string, number>> {
  const text = (await readStatusPage(host, context)) ?? ''
  const figures = [...text.matchAll(/(Active connections|Reading|Writing|Waiting): (\d+)/g)]
  return new Map(
    figures.map(([, name = '', count]) => [
      name === 'Active connections' ? 'active' : name.toLowerCase(),
      Number(count),
    ]),
  )
}
