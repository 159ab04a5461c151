import * as v from 'valibot'
import { Plan, planOf } from '../lib/http/change-answer.ts'
import { endpoint, flag, NoParams, unknownKey } from '../lib/http/endpoint.ts'

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
  plan: v.optional(Plan),
})
const word = v.picklist(['true', 'false'], 'must be true or false')
const query = v.strictObject(
  {
    dry_run: v.pipe(flag(), v.description('Answer what would change, and change nothing')),
    prune: v.pipe(flag(), v.description('Delete routes that a former sync made and the Registry has no more')),
    require_healthy: v.pipe(flag(), v.description('Skip droplets whose upstream is not healthy')),
    enable_ssl: v.optional(
      v.pipe(
        word,
        v.description('Whether HTTPS is wanted; left out, routes keep what they have, and new ones are HTTP'),
        v.transform((value) => value === 'true'),
      ),
    ),
    confirm: v.optional(
      v.pipe(
        v.string(),
        v.description('How many routes are to be deleted, where they are more than go unconfirmed (409 BLAST_RADIUS)'),
        v.regex(/^\d{1,6}$/, 'must be a number of routes'),
        v.transform(Number),
      ),
    ),
  },
  unknownKey,
)

/** Brings routes in line with the Registry. A POST says what it does; the GET is what existing callers send. */
export default endpoint(
  {
    operationId: 'syncFromRegistry',
    summary: 'Bring routes in line with the Registry, as one batch',
    description:
      'Records of which no route can be made are skipped, each with its reason. Routes that a call to this API made are never touched, and nothing is deleted without prune.',
    method: 'POST',
    path: '/proxy-manager/sync-from-registry',
    also: [{ method: 'GET', path: '/proxy-manager/sync-from-registry' }],
    params: NoParams,
    query,
    body: undefined,
    responses: { 200: Summary },
    errors: [
      'INVALID_REQUEST',
      'BLAST_RADIUS',
      'PROXY_CONFIG_FAILED',
      'REGISTRY_NOT_CONFIGURED',
      'REGISTRY_UNAVAILABLE',
      'NGINX_ALREADY_BROKEN',
      'CONFIG_WRITE_FAILED',
      'BUSY',
    ],
  },
  async ({ query: { dry_run, prune, confirm, require_healthy, enable_ssl } }, { engine }) => {
    const { rehearsal, ...summary } = await engine.syncFromRegistry({
      dryRun: dry_run,
      prune,
      confirm,
      requireHealthy: require_healthy,
      enableSsl: enable_ssl,
    })
    const { created, updated, deleted, skipped_count } = summary
    const logged = { created: created.length, updated: updated.length, deleted: deleted.length, skipped_count }
    const body = rehearsal === undefined ? summary : { ...summary, plan: planOf(rehearsal) }
    return { status: 200, body, logged }
  },
)
