/** What a call finds when it arrives: other calls that wait for their droplets, and the routes that are served now. */
import type { ChangeContext } from '../change/context.ts'
import type { ChangeQueue } from '../change/queue.ts'
import { failedPrecondition } from '../plan/plan-change.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import type { DeleteRequest } from './engine.ts'
import type { HealthWaits } from './health-waits.ts'

interface ArrivingCall extends Pick<DeleteRequest, 'dropletName' | 'precondition'> {
  /** Of a rename, which is a call of both droplets. */
  readonly newName?: string
}

/**
 * A call ends the wait of an earlier one of the same droplet, unless its precondition fails.
 * @throws {ProxyManagerError} PRECONDITION_FAILED if it would have to wait only to fail then
 */
export async function arrive(
  context: ChangeContext,
  waits: HealthWaits,
  { dropletName, newName, precondition }: ArrivingCall,
  waitS: number,
): Promise<void> {
  const names = newName === undefined ? [dropletName] : [dropletName, newName]
  if (waitS === 0 && !names.some(waits.isWaiting)) return
  const failed = failedPrecondition(precondition, (await servedRoutes(context)).get(dropletName))
  if (failed === undefined) names.forEach(waits.supersede)
  else if (waitS > 0) throw failed
}

export async function counted<T>(arriving: { count: number }, prepare: () => Promise<T>): Promise<T> {
  arriving.count++
  return await prepare().finally(() => {
    arriving.count--
  })
}

/** The routes that are served now: while a change is not confirmed, the previous ones. */
export async function servedRoutes({ state, observe }: ChangeContext): Promise<Snapshot['routes']> {
  return (state.unconfirmed ?? (await observe([]))).snapshot.routes
}

/** The queue for changes that are of no single call: each ends the wait of a call for its droplet. */
export function superseding(queue: ChangeQueue, waits: HealthWaits): ChangeQueue {
  return {
    ...queue,
    submit: (change) => {
      waits.supersede(change.dropletName)
      return queue.submit(change)
    },
  }
}
