/** Periodic jobs. */

import type { Engine } from './engine/engine.ts'
import type { Host } from './host/host.ts'
import { logFailure } from './host/log-failure.ts'
import type { MeshMember } from './mesh/member.ts'
import type { Webhook } from './mesh/webhook.ts'
import { heartbeatUrl } from './settings/settings.ts'

/** Starts a job every `everyMs` milliseconds, except while its previous run has not ended. */
export function repeat(everyMs: number, job: () => Promise<void>, onFailure: (error: Error) => void): NodeJS.Timeout {
  let isRunning = false
  return setInterval(async () => {
    if (isRunning) return
    isRunning = true
    await job().catch(onFailure)
    isRunning = false
  }, everyMs)
}

const ADOPT_EVERY_MS = 1000
const CHECK_EVERY_MS = 1000
const ORDER_EVERY_MS = 30_000
const RESTORE_EVERY_MS = 10_000
const RECONCILE_EVERY_MS = 60_000
const PROVE_EVERY_MS = 60_000
const WATCH_DRAINING_EVERY_MS = 10_000
const RENEW_OVERDUE_EVERY_MS = 60_000
const COMMENT_EVERY_MS = 15_000
const WATCH_EVERY_MS = 60_000
const REGISTER_CHECK_MS = 1000
const DELIVER_EVERY_MS = 1000
const HEARTBEAT_MS = 60_000

/**
 * Adopts renewed certificates, undoes what certbot's nginx plugin has put back, retries a failed rollback, renders files again that no longer fit
 * the host, proves what NGINX serves, checks upstreams, and notices former upstreams that are drained; renews certificates that are overdue; orders and renews others, and syncs with the Registry if configured.
 */
export function startTimers({ settings, log }: Host, engine: Engine): NodeJS.Timeout[] {
  const every = repeater(log)
  const { certificates } = engine
  const renewEveryMs = settings.SSL_RENEW_INTERVAL_HOURS * 3_600_000
  return [
    every(ADOPT_EVERY_MS, 'adopt_renewals', certificates.adoptRenewals),
    every(ADOPT_EVERY_MS, 'undo_put_back', engine.undoPutBack),
    every(RESTORE_EVERY_MS, 'retry_restore', engine.retryRestore),
    every(RECONCILE_EVERY_MS, 'reconcile', engine.keepReconciled),
    every(PROVE_EVERY_MS, 'confirm_served', engine.proveServed),
    every(WATCH_DRAINING_EVERY_MS, 'watch_draining', engine.watchDraining),
    every(RENEW_OVERDUE_EVERY_MS, 'renew_overdue', certificates.renewOverdue),
    every(COMMENT_EVERY_MS, 'keep_streams', async () => engine.streams.keepAlive()),
    every(WATCH_EVERY_MS, 'watch_health', async () => void (await engine.readHealth())),
    ...(settings.HEALTH_CHECK_INTERVAL_S > 0 ? [every(CHECK_EVERY_MS, 'check_upstreams', engine.startDueChecks)] : []),
    ...(settings.SSL_AUTO_ISSUE ? [every(ORDER_EVERY_MS, 'issue_pending', certificates.issuePending)] : []),
    ...(settings.REGISTRY_SYNC_INTERVAL_S > 0
      ? [every(settings.REGISTRY_SYNC_INTERVAL_S * 1000, 'sync_from_registry', () => scheduledSync(engine))]
      : []),
    ...(renewEveryMs > 0 ? [every(renewEveryMs, 'renew_due', certificates.renewDue)] : []),
  ]
}

/** Registers this service with the Registry and sends heartbeats to the Orchestrator: at once, then periodically. */
export function startAnnouncements(
  { settings, log }: Host,
  mesh: MeshMember,
  hook: Webhook,
): readonly NodeJS.Timeout[] {
  const every = repeater(log)
  const { REGISTRY_REGISTER } = settings
  void mesh.register()
  void mesh.sendHeartbeat()
  return [
    ...(REGISTRY_REGISTER ? [every(REGISTER_CHECK_MS, 'register', mesh.register)] : []),
    ...(settings.EVENTS_URL === undefined ? [] : [every(DELIVER_EVERY_MS, 'send_events', hook.deliver)]),
    ...(heartbeatUrl(settings) === undefined ? [] : [every(HEARTBEAT_MS, 'heartbeat', mesh.sendHeartbeat)]),
  ]
}

/** {@link repeat} with failures logged under `action`. */
function repeater(log: Host['log']) {
  return (ms: number, action: string, job: () => Promise<void>): NodeJS.Timeout =>
    repeat(ms, job, logFailure({ log }, 'error', { action }))
}

/** A sync without a caller: it deletes nothing. */
async function scheduledSync(engine: Engine): Promise<void> {
  await engine.syncFromRegistry({
    dryRun: false,
    prune: false,
    confirm: undefined,
    requireHealthy: false,
    enableSsl: undefined,
  })
}
