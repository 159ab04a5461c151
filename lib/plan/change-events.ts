/** What a change did, as events. */
import { type DatedEvent, datedEvent, type EventDraft, type EventType, type Origin } from '../events/event.ts'
import { pathField } from '../net/path.ts'
import { entriesOf, type RouteRecord } from '../route/record.ts'
import { asServed } from '../route/site.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import { upstreamOf } from '../upstream/upstream.ts'
import type { Change } from './change.ts'
import type { BatchPlan } from './plan-batch.ts'
import type { AcceptedChange } from './plan-change.ts'

/** Who a change is for; without a change, it is a reconcile of the shared file. */
export function originOf(change: Asked | undefined): Origin {
  if (change?.origin !== undefined) return change.origin
  if (change === undefined || change.kind === 'rerender') return { actor: { kind: 'reconcile' } }
  return { actor: { kind: change.kind === 'certify' ? 'renewal' : 'local' } }
}

/** A change, or one that is still to be prepared. */
interface Asked {
  readonly kind: Change['kind']
  readonly origin?: Origin | undefined
}

/** The events of a batch, all of the same time; `found` are the routes before it. */
export function changeEvents(
  { changes, outcomes, generation, events }: BatchPlan,
  found: ReadonlyMap<string, SnapshotRoute>,
  isReloaded: boolean,
  nowMs: number,
): readonly DatedEvent[] {
  const done = changes.flatMap((change, i): EventDraft[] => {
    const planned = outcomes[i]
    if (planned === undefined || planned.outcome === 'refused' || planned.outcome === 'unchanged') return []
    const former = found.get(change.dropletName)
    const before = former && asServed(former)
    // A route that is only rendered again is as it was.
    const isSame = before !== undefined && changedFields(before, asServed(planned.route)).length === 0
    return change.kind === 'rerender' && isSame ? [] : [eventOf(change, planned, before)]
  })
  const rendered = changes.filter(({ kind }) => kind === 'rerender').map(({ dropletName }) => dropletName)
  // Only a reconcile has no change of a route: then just the shared file is rendered again.
  const reconciled: EventDraft[] =
    rendered.length === changes.length
      ? [
          {
            type: 'host.reconciled',
            origin: originOf(changes[0]),
            details: { routes: rendered.slice(0, MAX_NAMES), count: rendered.length },
          },
        ]
      : []
  const reloaded: EventDraft[] = isReloaded
    ? [{ type: 'nginx.reloaded', origin: originOf(changes[0]), details: { batch: done.length } }]
    : []
  return [...done, ...events, ...reconciled, ...reloaded].map((draft) => datedEvent({ ...draft, generation }, nowMs))
}

const MAX_NAMES = 50

function eventOf(change: Change, { outcome, route }: AcceptedChange, before: RouteRecord | undefined): EventDraft {
  const record = asServed(route)
  return {
    type: typeOf(change, outcome, before),
    origin: originOf(change),
    droplet_name: record.droplet_name,
    domain: record.domain,
    outcome,
    details: {
      ...(change.kind === 'rename' ? { former_name: change.dropletName } : {}),
      ...(change.kind === 'put' && change.rollbackTo !== undefined ? { version: change.rollbackTo } : {}),
      ...pathField(record),
      upstream: upstreamOf(record)?.url ?? null,
      ssl_enabled: record.certificate !== null,
      ...(record.certificate === null ? {} : { expiry: record.certificate.expiry }),
      ...(outcome === 'replaced' && before !== undefined ? { changed: changedFields(before, record) } : {}),
    },
  }
}

function typeOf(change: Change, outcome: AcceptedChange['outcome'], before: RouteRecord | undefined): EventType {
  if (change.kind === 'rename') return 'route.renamed'
  if (change.kind === 'put' && change.rollbackTo !== undefined) return 'route.rolled_back'
  if (change.kind === 'certify' && before?.certificate !== null) return 'certificate.renewed'
  if (outcome === 'deleted') return 'route.deleted'
  return outcome === 'created' ? 'route.created' : 'route.replaced'
}

/** The fields that a caller sets, and the certificate. */
const FIELDS = [
  'domain',
  'path',
  'upstream_host',
  'upstream_port',
  'upstreams',
  'enable_ssl',
  'options',
  'certificate_from',
  'certificate',
] as const

function changedFields(before: RouteRecord, after: RouteRecord): readonly string[] {
  const [from, to] = [before, after].map((record) => ({
    ...record,
    upstreams: record.upstreams === undefined ? [] : entriesOf(record),
  }))
  return FIELDS.filter((name) => JSON.stringify(from?.[name]) !== JSON.stringify(to?.[name]))
}
