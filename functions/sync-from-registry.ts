import * as v from 'valibot'
import { Plan } from '../lib/http/answer-schemas.ts'
import { planOf } from '../lib/http/answers.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { DROPLET } from '../lib/http/openapi/samples.ts'
import { NoParams, SyncQuery } from '../lib/http/parameters.ts'

const Summary = v.object({
  synced: v.array(v.string()),
  synced_count: v.number(),
  created: v.array(v.string()),
  updated: v.array(v.string()),
  unchanged: v.array(v.string()),
  deleted: v.array(v.string()),
  skipped: v.array(v.object({ name: v.string(), reason: v.string() })),
  skipped_count: v.number(),
  orphaned: v.array(v.string()),
  confirm_needed: v.optional(
    v.pipe(
      v.number(),
      v.description(
        'Only in the answer to a dry run: without this number as confirm, the call fails (409 BLAST_RADIUS)',
      ),
    ),
  ),
  plan: v.optional(Plan),
})

/** Brings routes in line with the Registry. The GET is for existing callers; it changes routes as the POST does. */
export default endpoint(
  {
    operationId: 'syncFromRegistry',
    summary: 'Bring routes in line with the Registry, as one batch',
    description:
      'Records that cannot become a route are skipped, each with a reason. Routes that were created by a call to this API are never changed, and nothing is deleted without prune.',
    method: 'POST',
    path: '/proxy-manager/sync-from-registry',
    aliases: [{ method: 'GET', path: '/proxy-manager/sync-from-registry' }],
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
    errors: [
      'INVALID_REQUEST',
      'BLAST_RADIUS',
      'PROXY_CONFIG_FAILED',
      'REGISTRY_NOT_CONFIGURED',
      'REGISTRY_UNAVAILABLE',
      'NGINX_RELOAD_FAILED',
      'NGINX_ALREADY_BROKEN',
      'CONFIG_WRITE_FAILED',
      'BUSY',
    ],
  },
  async ({ query: { dry_run, prune, confirm, require_healthy, enable_ssl } }, { engine }) => {
    const { dryRun, ...summary } = await engine.syncFromRegistry({
      dryRun: dry_run,
      prune,
      confirm,
      requireHealthy: require_healthy,
      enableSsl: enable_ssl,
    })
    const { created, updated, deleted, skipped_count } = summary
    const logFields = { created: created.length, updated: updated.length, deleted: deleted.length, skipped_count }
    const body = dryRun === undefined ? summary : { ...summary, plan: planOf(dryRun) }
    return { status: 200, body, logFields }
  },
)
