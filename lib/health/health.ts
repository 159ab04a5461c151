/** Whether Proxy Manager can do its work on this host. */
import * as v from 'valibot'
import { readLastCertificate } from '../certificates/ledger-file.ts'
import type { ChangeContext, ObservedHost } from '../change/context.ts'
import { ProxyManagerError } from '../errors.ts'
import { readRecord } from '../host/json-record.ts'
import type { OrderQueue } from '../issuance/order-queue.ts'
import type { DrainFigures } from '../nginx/draining.ts'
import { wishOf } from '../route/names.ts'
import { asServed } from '../route/site.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { HealthFacts } from './facts.ts'
import type { ManagerHealth } from './health-schema.ts'
import { liveTestReader } from './live-test.ts'
import { assess, namesByStatus } from './reasons.ts'
import type { UpstreamChecks } from './upstream-checks.ts'
import { writeChecker } from './writable.ts'

const LastReload = v.object({ timestamp: v.string(), result: v.string() })

/** Reads health. The first call waits for one test of the configuration; none after it does. */
export function healthReader(
  context: ChangeContext,
  orders: Pick<OrderQueue, 'waiting'>,
  tokensFault: () => string | undefined,
  readDraining: () => Promise<DrainFigures>,
  checks: Pick<UpstreamChecks, 'historyOf'>,
): () => Promise<ManagerHealth> {
  const { host, state } = context
  const checkWrites = writeChecker(host, state)
  const readLiveTest = liveTestReader(context)

  /** The host; if it cannot be read now, as it was when it could, and why it cannot. */
  const observe = async (): Promise<{ readonly observation: ObservedHost; readonly readFault: string | undefined }> => {
    try {
      const observation = await context.observe([])
      const waiting = [...observation.snapshot.routes.values()].find(isWaiting)
      // Only a look for a certificate shows whether something else has the port.
      const looked = waiting === undefined ? observation : await context.observe([wishOf(waiting.record)])
      return { observation: looked, readFault: undefined }
    } catch (error) {
      if (!(error instanceof ProxyManagerError) || state.observed === undefined) throw error
      const { file, errno, remedy } = error.details
      return { observation: state.observed, readFault: `${file ?? 'this host'} cannot be read (${errno}): ${remedy}` }
    }
  }

  return async () => {
    const { observation, readFault } = await observe()
    const { facts: nginx, running, hasMainConfig } = observation
    // Until a change is confirmed, the previous configuration is still served: between its renames a route would look broken.
    const { snapshot } = state.unconfirmed ?? observation
    const writeFaults = await checkWrites(observation)
    const lastTest = nginx.present ? await readLiveTest() : state.lastTest
    return describeHealth({
      settings: host.settings,
      nowMs: host.clock.nowMs(),
      snapshot,
      hasMainConfig,
      isHttpsTaken: observation.isHttpsTaken,
      isNginxPresent: nginx.present,
      nginxVersion: nginx.versionText,
      isAngie: nginx.isAngie,
      running,
      isNginxRunning: unlessUnreadable(() => observation.nginx.findMaster() !== undefined),
      isCertbotPresent: unlessUnreadable(() => host.files.stamp(host.settings.CERTBOT_BIN) !== undefined),
      readFault,
      writeFaults,
      lastTest,
      lastReload: readRecord(host, host.paths.lastReload, LastReload),
      lastCertificate: readLastCertificate(host),
      failedRollback: state.degraded,
      tokensFault: tokensFault(),
      unreconciled: state.unreconciled,
      ordersWaiting: orders.waiting,
      overdueWorkers: (await readDraining()).overdue,
      unhealthyDroplets: unhealthyAmong(snapshot.routes.values(), checks),
    })
  }
}

function unhealthyAmong(routes: Iterable<SnapshotRoute>, { historyOf }: Pick<UpstreamChecks, 'historyOf'>): string[] {
  const unhealthy = [...routes].filter((route) => historyOf(route).status === 'unhealthy')
  return unhealthy.map(({ record }) => record.droplet_name).sort()
}

/** HTTPS is wanted, and not served yet. */
function isWaiting(route: SnapshotRoute): boolean {
  const record = asServed(route)
  return record.enable_ssl && record.certificate === null
}

/** What a look at the host finds; true if it fails, since nothing is known to be missing then. */
function unlessUnreadable(look: () => boolean): boolean {
  try {
    return look()
  } catch {
    return true
  }
}

function describeHealth(facts: HealthFacts): ManagerHealth {
  const { snapshot, lastTest, lastReload, lastCertificate, writeFaults } = facts
  const named = (status: Parameters<typeof namesByStatus>[1]) => namesByStatus(snapshot, status)
  const [drifted, disabled] = [named('drifted'), named('disabled')]
  return {
    ...assess(facts),
    nginx: {
      present: facts.isNginxPresent,
      version: facts.nginxVersion,
      running: facts.isNginxRunning,
      includes_sites_enabled: snapshot.host.includesSitesEnabled,
      config_test_ok: lastTest?.ok ?? null,
      config_test_timestamp: lastTest === undefined ? null : new Date(lastTest.atMs).toISOString(),
      last_reload_timestamp: lastReload?.timestamp ?? null,
      last_reload_result: lastReload?.result ?? null,
      generation: snapshot.shared?.generation ?? null,
    },
    ssl: {
      certbot_present: facts.isCertbotPresent,
      last_operation: lastCertificate?.result ?? null,
      last_operation_timestamp: lastCertificate?.timestamp ?? null,
      last_operation_domain: lastCertificate?.domain ?? null,
      last_operation_reason: lastCertificate?.reason ?? null,
      orders_waiting: facts.ordersWaiting,
    },
    folders: {
      sites_available_writable: writeFaults.sitesAvailable === undefined,
      sites_enabled_writable: writeFaults.sitesEnabled === undefined,
      state_writable: writeFaults.state === undefined,
    },
    routes: {
      total: snapshot.routes.size,
      active: named('active').length,
      pending_ssl: named('pending_ssl').length,
      drifted,
      drifted_count: drifted.length,
      disabled,
      disabled_count: disabled.length,
      unhealthy: [...facts.unhealthyDroplets],
      unhealthy_count: facts.unhealthyDroplets.length,
    },
  }
}

/** Health for whoever may not know the routes of this host: without names, domains, files and the texts that have them. */
export function withoutNames(health: ManagerHealth): ManagerHealth {
  const { last_operation_domain: _, ...ssl } = health.ssl
  const { drifted: __, disabled: ___, unhealthy: ____, ...routes } = health.routes
  const { length } = health.reasons
  const reasons =
    length === 0 ? [] : [`${length} ${length === 1 ? 'reason' : 'reasons'}: call with a token to read more`]
  return { ...health, reasons, advice: [], ssl, routes }
}
