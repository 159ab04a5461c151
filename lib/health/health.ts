/** Whether Proxy Manager can do its work on this host. */
import * as v from 'valibot'
import { readLastCertificate } from '../certificates/ledger-file.ts'
import type { ChangeContext } from '../change/context.ts'
import { readRecord } from '../host/json-record.ts'
import type { ManagerHealth } from './health-schema.ts'
import { liveTestReader } from './live-test.ts'
import { assess, type HealthFacts, namesByStatus } from './reasons.ts'
import { writeChecker } from './writable.ts'

const LastReload = v.object({ timestamp: v.string(), result: v.string() })

/** Reads health. The first call waits for one test of the configuration; none after it does. */
export function healthReader(context: ChangeContext): () => Promise<ManagerHealth> {
  const { host, state } = context
  const checkWrites = writeChecker(host, state)
  const readLiveTest = liveTestReader(context)

  return async () => {
    const observation = await context.observe([])
    const { facts: nginx, hasMainConfig } = observation
    // Until a change is confirmed, the previous configuration is still served: between its renames a route would look broken.
    const { snapshot } = state.unconfirmed ?? observation
    const writeFaults = await checkWrites(observation)
    const lastTest = nginx.present ? await readLiveTest() : state.lastTest
    return describeHealth({
      settings: host.settings,
      nowMs: host.clock.nowMs(),
      snapshot,
      hasMainConfig,
      isNginxPresent: nginx.present,
      nginxVersion: nginx.versionText,
      isNginxRunning: observation.nginx.findMaster() !== undefined,
      isCertbotPresent: host.files.stamp(host.settings.CERTBOT_BIN) !== undefined,
      writeFaults,
      lastTest,
      lastReload: readRecord(host, host.paths.lastReload, LastReload),
      lastCertificate: readLastCertificate(host),
      failedRollback: state.degraded,
      unreconciled: state.unreconciled,
    })
  }
}

function describeHealth(facts: HealthFacts): ManagerHealth {
  const { snapshot, lastTest, lastReload, lastCertificate, writeFaults } = facts
  const named = (status: Parameters<typeof namesByStatus>[1]) => namesByStatus(snapshot, status)
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
      drifted: named('drifted'),
      disabled: named('disabled'),
    },
  }
}
