import * as v from 'valibot'
import { endpoint } from '../lib/http/endpoint.ts'
import { NoParams, NoQuery } from '../lib/http/parameters.ts'

/** What Prometheus collects. */
export default endpoint(
  {
    operationId: 'getMetrics',
    summary: 'Figures in the text format of Prometheus',
    description:
      'Of changes, NGINX, certbot, routes and certificates, each with proxy_manager_ in front, and of the process itself.',
    method: 'GET',
    path: '/proxy-manager/metrics',
    aliases: [{ method: 'GET', path: '/metrics' }],
    params: NoParams,
    query: NoQuery,
    body: undefined,
    contentType: 'text/plain; version=0.0.4; charset=utf-8',
    responses: { 200: v.pipe(v.string(), v.description('The figures as they are now')) },
    errors: ['INVALID_REQUEST'],
  },
  async (_call, { engine }) => ({ status: 200, body: await engine.readMetrics() }),
)
