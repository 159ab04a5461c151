import * as v from 'valibot'
import { endpoint } from '../lib/http/endpoint.ts'
import { DOMAIN, RECEIPT } from '../lib/http/openapi/samples.ts'
import { NoParams, NoQuery } from '../lib/http/parameters.ts'

/** Excerpts, in Prometheus' text format. */
const EXAMPLE = `# HELP proxy_manager_changes_total Changes by outcome, or by the code of their error
# TYPE proxy_manager_changes_total counter
proxy_manager_changes_total{result="created"} 1
# HELP proxy_manager_health 1 for the status of this host, 0 for the others
# TYPE proxy_manager_health gauge
proxy_manager_health{status="healthy"} 1
proxy_manager_health{status="degraded"} 0
proxy_manager_health{status="unhealthy"} 0
# HELP proxy_manager_generation Generation of the configuration on disk
# TYPE proxy_manager_generation gauge
proxy_manager_generation ${RECEIPT.generation}
# HELP proxy_manager_routes Routes by status
# TYPE proxy_manager_routes gauge
proxy_manager_routes{status="active"} 1
proxy_manager_routes{status="pending_ssl"} 0
proxy_manager_routes{status="drifted"} 0
proxy_manager_routes{status="disabled"} 0
# HELP proxy_manager_certificate_expiry_timestamp_seconds When the certificate of a domain or alias expires
# TYPE proxy_manager_certificate_expiry_timestamp_seconds gauge
proxy_manager_certificate_expiry_timestamp_seconds{domain="${DOMAIN}"} 1775001600
`

/** What Prometheus scrapes. */
export default endpoint(
  {
    operationId: 'getMetrics',
    summary: 'Metrics in the text format of Prometheus',
    description:
      'About changes, NGINX, certbot, routes, certificates and the process itself; every name begins with proxy_manager_.',
    method: 'GET',
    path: '/proxy-manager/metrics',
    aliases: [{ method: 'GET', path: '/metrics' }],
    params: NoParams,
    query: NoQuery,
    body: undefined,
    contentType: 'text/plain; version=0.0.4; charset=utf-8',
    responses: { 200: { description: 'The current values', schema: v.string(), example: EXAMPLE } },
    errors: ['INVALID_REQUEST'],
  },
  async (_call, { engine }) => ({ status: 200, body: await engine.readMetrics() }),
)
