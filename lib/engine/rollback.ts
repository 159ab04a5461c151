/** The way back to an earlier version of a route. */
import * as v from 'valibot'
import type { ChangeContext } from '../change/context.ts'
import type { ChangeQueue } from '../change/queue.ts'
import { ProxyManagerError } from '../errors.ts'
import { type Version, versionsOf } from '../history/history.ts'
import { PutProxyBody } from '../route/spec.ts'
import { servedRoutes } from './arrivals.ts'
import type { Engine, PutRequest, RollbackRequest } from './engine.ts'

type RollbackVerbs = Pick<Engine, 'rollbackProxy' | 'dryRunRollback' | 'readHistory'>

/** Makes the operations on versions; `put` and `dryRunPut` are those of the engine. */
export function rollbackVerbs(
  context: ChangeContext,
  queue: Pick<ChangeQueue, 'exclusively'>,
  { putProxy, dryRunPut }: Pick<Engine, 'putProxy' | 'dryRunPut'>,
): RollbackVerbs {
  const readHistory = async (dropletName: string): Promise<readonly Version[]> => {
    // A change is recorded after its answer, and before the next job of the queue.
    await queue.exclusively(async () => undefined)
    const current = (await servedRoutes(context)).get(dropletName)?.record
    const versions = versionsOf(context.host, dropletName, current)
    if (versions.length === 0) throw new ProxyManagerError('PROXY_NOT_FOUND')
    return versions
  }
  const requestFor = async ({ to, ...request }: RollbackRequest): Promise<PutRequest> => {
    const versions = await readHistory(request.dropletName)
    const found = to === undefined ? versions.slice(1).find(({ route }) => route !== null) : findVersion(versions, to)
    if (found?.route == null) throw new ProxyManagerError('VERSION_NOT_FOUND')
    const spec = v.safeParse(PutProxyBody, found.route)
    if (spec.success) return { ...request, spec: spec.output, mode: 'replace', rollbackTo: found.version }
    const issues = spec.issues.map((issue) => ({ path: v.getDotPath(issue) ?? '', message: issue.message }))
    throw new ProxyManagerError('INVALID_REQUEST', { details: { issues } })
  }
  return {
    readHistory,
    rollbackProxy: async (request) => putProxy(await requestFor(request)),
    dryRunRollback: async (request) => dryRunPut(await requestFor(request)),
  }
}

function findVersion(versions: readonly Version[], wanted: number): Version | undefined {
  return versions.find(({ version }) => version === wanted)
}
