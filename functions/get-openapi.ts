import * as v from 'valibot'
import { endpoint } from '../lib/http/endpoint.ts'
import { describeApi } from '../lib/http/openapi/describe-api.ts'
import { VERSION } from '../lib/http/openapi/samples.ts'
import { NoParams, NoQuery } from '../lib/http/parameters.ts'

/** The OpenAPI 3.1 description of the endpoints that are mounted. */
export default endpoint(
  {
    operationId: 'getOpenapi',
    summary: 'Describe this API in OpenAPI 3.1',
    description: 'Derived from the schemas that validate requests; has only the endpoints that are mounted.',
    method: 'GET',
    path: '/openapi.json',
    params: NoParams,
    query: NoQuery,
    body: undefined,
    responses: {
      200: {
        description: 'This description',
        schema: v.objectWithRest(
          { openapi: v.literal('3.1.0'), paths: v.record(v.string(), v.unknown()) },
          v.unknown(),
        ),
        example: {
          openapi: '3.1.0',
          info: { title: 'Proxy Manager', version: VERSION },
          servers: [{ url: '/' }],
          paths: { '/health': { get: { operationId: 'udcHealth', tags: ['service'] } } },
        },
      },
    },
    errors: ['INVALID_REQUEST'],
  },
  async (_call, { describe, version }) => ({ status: 200, body: describe?.() ?? describeApi([], version) }),
)
