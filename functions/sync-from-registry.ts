import * as v from 'valibot'
import { BULK_ERRORS, BulkSummary } from '../lib/http/answer-schemas.ts'
import { bulkAnswer } from '../lib/http/answers.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { DROPLET } from '../lib/http/openapi/samples.ts'
import { NoParams, SyncQuery } from '../lib/http/parameters.ts'

const Summary = v.object({
  synced: v.array(v.string()),
  synced_count: v.number(),
  ...BulkSummary.entries,
  next: v.optional(
    v.pipe(
      v.object({ method: v.literal('POST'), path: v.string(), reason: v.string() }),
      v.description('Only if a GET was made a dry run: the call that syncs'),
    ),
  ),
})

const PATH = '/proxy-manager/sync-from-registry'

/**
 * Brings routes in line with the Registry. The GET is for existing callers, and changes routes only for those who cannot be a web page: an image
 * in any page makes a browser send a GET (https://www.w3.org/TR/fetch-metadata/).
 */
export default endpoint(
  {
    operationId: 'syncFromRegistry',
    summary: 'Bring routes in line with the Registry, as one batch',
    description:
      'Records that cannot become a route are skipped, each with a reason. Routes that were created by a call to this API are never changed, and nothing is deleted without prune. The GET syncs for callers with a token; without one, it syncs for programs on this host if prune is not set, and is a dry run otherwise.',
    method: 'POST',
    path: PATH,
    aliases: [{ method: 'GET', path: PATH }],
    params: NoParams,
    query: SyncQuery,
    body: undefined,
    responses: {
      200: {
        description: 'What became of each record of the Registry, even if all were skipped',
        schema: Summary,
        example: {
          synced: [DROPLET],
          synced_count: 1,
          created: [DROPLET],
          updated: [],
          unchanged: [],
          deleted: [],
          skipped: [{ name: 'billing', reason: 'is not active (inactive)' }],
          skipped_count: 1,
          orphaned: [],
        },
      },
    },
    errors: [...BULK_ERRORS, 'REGISTRY_NOT_CONFIGURED', 'REGISTRY_UNAVAILABLE'],
  },
  async ({ method, query }, { engine, caller, origin, base = '' }) => {
    const { dry_run, prune, confirm, require_healthy, enable_ssl } = query
    const isTrusted = caller?.kind === 'token' || (caller?.kind === 'local' && !prune)
    const isOnlyShown = method === 'GET' && !dry_run && !isTrusted
    const summary = await engine.syncFromRegistry({
      dryRun: dry_run || isOnlyShown,
      prune,
      confirm,
      requireHealthy: require_healthy,
      enableSsl: enable_ssl,
      origin,
    })
    return bulkAnswer(summary, isOnlyShown ? { next: nextStep(base) } : {})
  },
)

function nextStep(base: string) {
  const reason =
    'This GET was a dry run, since any web page can make a browser send one: nothing was changed. Repeat it as a POST, with the same parameters'
  return { method: 'POST', path: `${base}${PATH}`, reason }
}
