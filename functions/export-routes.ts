import { RoutesFile } from '../lib/bulk/routes-file.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { EXPORTED } from '../lib/http/openapi/samples.ts'
import { NoParams, NoQuery } from '../lib/http/parameters.ts'

/** All routes as one document. */
export default endpoint(
  {
    operationId: 'exportRoutes',
    summary: 'All routes as one document, for a backup, a review or another host',
    description:
      'Sorted, without times, secrets, and options that have their defaults: the same bytes as long as no route changes. POST /import makes the routes of a host what it says.',
    method: 'GET',
    path: '/export',
    params: NoParams,
    query: NoQuery,
    body: undefined,
    responses: { 200: { description: 'The document', schema: RoutesFile, example: EXPORTED } },
    errors: ['INVALID_REQUEST', 'CONFIG_READ_FAILED'],
  },
  async (_, { engine }) => ({ status: 200, body: await engine.exportRoutes() }),
)
