/** The events that no single change causes. */
import { isExpiring } from '../certificates/certificate.ts'
import type { ChangeContext } from '../change/context.ts'
import { ProxyManagerError } from '../errors.ts'
import type { Origin } from '../events/event.ts'
import type { ManagerHealth } from '../health/health-schema.ts'
import type { UpstreamTurn } from '../health/watched-upstreams.ts'
import type { SyncRequest, SyncSummary } from '../mesh/sync.ts'
import type { Change } from '../plan/change.ts'
import { originOf } from '../plan/change-events.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'

/** A change, or a call that has not become one. */
export interface Refusable extends Pick<Change, 'dropletName' | 'kind'> {
  readonly origin?: Origin | undefined
}

/** Why a call to change a route was refused, as an event. Nobody has called for a job's changes, which are tried again and again. */
export async function noteRefusal(
  { events }: Pick<ChangeContext, 'events'>,
  change: Refusable,
  { code, message }: ProxyManagerError,
): Promise<void> {
  const origin = originOf(change)
  const isCall = change.kind !== 'certify' && origin.actor.kind !== 'sync'
  if (!isCall || code === 'BUSY') return
  await events.add({
    type: 'route.refused',
    origin,
    droplet_name: change.dropletName,
    error_code: code,
    details: { change: change.kind, message },
  })
}

/** Logs upstreams that become unhealthy, or healthy again, and adds their events. */
export function noteTurns({ host, events }: ChangeContext): (turn: UpstreamTurn) => void {
  return ({ type, dropletName, upstream, failure }) => {
    const fields = { action: 'check_upstream', droplet_name: dropletName, upstream }
    if (failure === null) host.log.write('info', { ...fields, result: 'success', outcome: 'healthy' })
    else host.log.write('warn', { ...fields, result: 'failure', outcome: 'unhealthy', cause: failure })
    const details = failure === null ? { upstream } : { upstream, failure }
    void events.add({ type, origin: { actor: { kind: 'timer' } }, droplet_name: dropletName, details })
  }
}

/** Runs a sync, and adds its event unless it is one of a timer that came to nothing new. */
export function loggedSync(
  { events }: Pick<ChangeContext, 'events'>,
  sync: (request: SyncRequest) => Promise<SyncSummary>,
): (request: SyncRequest) => Promise<SyncSummary> {
  let last = 'success'
  return async (request) => {
    const note = async (outcome: string, hasChanged: boolean, details: Readonly<Record<string, unknown>>) => {
      const isNews = hasChanged || outcome !== last || request.origin !== undefined
      last = outcome
      const error = outcome === 'success' ? { outcome } : { outcome: 'failure', error_code: outcome }
      if (isNews)
        await events.add({
          type: 'sync.finished',
          origin: request.origin ?? { actor: { kind: 'timer' } },
          ...error,
          details,
        })
    }
    try {
      const summary = await sync(request)
      const { created, updated, deleted, skipped_count: skipped } = summary
      const counts = { created: created.length, updated: updated.length, deleted: deleted.length }
      const hasChanged = counts.created + counts.updated + counts.deleted > 0
      if (!request.dryRun) await note('success', hasChanged, { ...counts, skipped })
      return summary
    } catch (error) {
      const code = error instanceof ProxyManagerError ? error.code : 'INTERNAL'
      if (!request.dryRun) await note(code, false, {})
      throw error
    }
  }
}

/** Health; what changes in it is an event. */
export function watchedHealth(
  context: ChangeContext,
  read: () => Promise<ManagerHealth>,
): () => Promise<ManagerHealth> {
  const watch = healthWatch(context)
  return async () => {
    const health = await read()
    watch(health)
    return health
  }
}

/** Compares what health finds with what it found before: a change of it, of a file or of the time that a certificate has left is an event. */
function healthWatch({ host, state, events }: ChangeContext): (health: ManagerHealth) => void {
  let status: ManagerHealth['status'] | undefined
  const drifted = new Set<string>()
  const expiring = new Set<string>()
  const origin: Origin = { actor: { kind: 'timer' } }
  const note = (
    known: Set<string>,
    key: string,
    isNow: boolean,
    type: 'route.drifted' | 'certificate.expiring',
    { record }: SnapshotRoute,
  ) => {
    if (!isNow) known.delete(key)
    if (!isNow || known.has(key)) return
    known.add(key)
    const { droplet_name, domain, certificate } = record
    const details = type === 'certificate.expiring' ? { expiry: certificate?.expiry } : {}
    void events.add({ type, origin, droplet_name, domain, details })
  }
  return (health) => {
    if (health.status !== (status ?? 'healthy'))
      void events.add({
        type: 'health.changed',
        origin,
        outcome: health.status,
        details: { from: status ?? null, reasons: health.reasons.slice(0, 5) },
      })
    status = health.status
    const routes = (state.unconfirmed ?? state.observed)?.snapshot.routes
    for (const [name, route] of routes ?? []) {
      const { certificate } = route.record
      const isOverdue = certificate !== null && isExpiring(certificate, host.clock.nowMs())
      note(drifted, name, route.drifted, 'route.drifted', route)
      note(expiring, name, isOverdue, 'certificate.expiring', route)
    }
  }
}
