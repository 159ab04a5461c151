import { withoutNames } from '../lib/health/health.ts'
import { ManagerHealth } from '../lib/health/health-schema.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { AT, DOMAIN, RECEIPT } from '../lib/http/openapi/samples.ts'
import { NoParams, NoQuery } from '../lib/http/parameters.ts'

const HEALTHY = {
  status: 'healthy',
  reasons: [],
  advice: [],
  nginx: {
    present: true,
    version: '1.26.3',
    running: true,
    includes_sites_enabled: true,
    config_test_ok: true,
    config_test_timestamp: AT,
    last_reload_timestamp: AT,
    last_reload_result: 'success',
    generation: RECEIPT.generation,
  },
  ssl: {
    certbot_present: true,
    last_operation: 'success',
    last_operation_timestamp: AT,
    last_operation_domain: DOMAIN,
    last_operation_reason: null,
    orders_waiting: 0,
  },
  folders: { sites_available_writable: true, sites_enabled_writable: true, state_writable: true },
  routes: {
    total: 1,
    active: 1,
    pending_ssl: 0,
    drifted: [],
    drifted_count: 0,
    disabled: [],
    disabled_count: 0,
    unhealthy: [],
    unhealthy_count: 0,
  },
}
const NOT_RUNNING = {
  ...HEALTHY,
  status: 'unhealthy',
  reasons: ['NGINX is not running: start it (systemctl start nginx)'],
  nginx: { ...HEALTHY.nginx, running: false },
}

/** Whether this host's NGINX, directories and routes are as they should be, and what to do if not. */
export default endpoint(
  {
    operationId: 'getManagerHealth',
    summary: 'Show whether Proxy Manager can do its work',
    description:
      '503 if a change would fail. Reasons say what is wrong, advice what could be better. Needs no token; if the host requires one, an answer without it has no names, domains and reasons.',
    method: 'GET',
    path: '/proxy-manager/health',
    params: NoParams,
    query: NoQuery,
    body: undefined,
    responses: {
      200: { description: 'Healthy or degraded: changes work', schema: ManagerHealth, example: HEALTHY },
      503: { description: 'Unhealthy: a change would fail', schema: ManagerHealth, example: NOT_RUNNING },
    },
    errors: ['INVALID_REQUEST'],
  },
  async (_call, { engine, caller }) => {
    const health = await engine.readHealth()
    const body = caller?.kind === 'stranger' ? withoutNames(health) : health
    return { status: health.status === 'unhealthy' ? 503 : 200, body }
  },
)
