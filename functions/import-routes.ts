import { RoutesFile } from '../lib/bulk/routes-file.ts'
import { BULK_ERRORS, BulkSummary } from '../lib/http/answer-schemas.ts'
import { bulkAnswer } from '../lib/http/answers.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { DROPLET } from '../lib/http/openapi/samples.ts'
import { ImportQuery, NoParams } from '../lib/http/parameters.ts'

/** Makes the routes what a document says. */
export default endpoint(
  {
    operationId: 'importRoutes',
    summary: 'Make the routes what a document of GET /export says, as one batch',
    description:
      'Each route is put as by a PUT of its own. One that cannot be put is skipped with its reason, and the others are served. Nothing is deleted without prune.',
    method: 'POST',
    path: '/import',
    params: NoParams,
    query: ImportQuery,
    body: RoutesFile,
    bodyLimitBytes: 4 * 1024 * 1024,
    responses: {
      200: {
        description: 'What became of each route, even if all were skipped',
        schema: BulkSummary,
        example: {
          created: [DROPLET],
          updated: [],
          unchanged: [],
          deleted: [],
          skipped: [
            { name: 'billing', reason: 'DOMAIN_CONFLICT: Another route or file serves this domain (billing-2)' },
          ],
          skipped_count: 1,
          orphaned: [],
        },
      },
    },
    errors: [...BULK_ERRORS, 'PAYLOAD_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'],
  },
  async ({ query, body: file }, { engine, origin }) => {
    const { dry_run: dryRun, prune, confirm, require_healthy: requireHealthy } = query
    return bulkAnswer(await engine.importRoutes({ file, dryRun, prune, confirm, requireHealthy, origin }))
  },
)
