/** What the answers of this service about itself look like, for the API's description. */
import { type AnswerExamples, AT, DOMAIN, PROXY, RECEIPT, VERSION } from './sample.ts'

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
  },
  folders: { sites_available_writable: true, sites_enabled_writable: true, state_writable: true },
  routes: { total: 1, active: 1, pending_ssl: 0, drifted: [], disabled: [] },
}
const ABILITIES = ['reverse_proxy', 'tls_certificates', 'dry_run']

/** The first lines of what Prometheus collects, in its text format. */
const METRICS = `# HELP proxy_manager_changes_total Changes by outcome, or by the code of their error
# TYPE proxy_manager_changes_total counter
proxy_manager_changes_total{result="created"} 1
# HELP proxy_manager_health 1 for what the host is, 0 for what it is not
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

export const SERVICE_EXAMPLES: AnswerExamples = {
  getManagerHealth: {
    200: HEALTHY,
    503: {
      ...HEALTHY,
      status: 'unhealthy',
      reasons: ['NGINX is not running: start it (systemctl start nginx)'],
      nginx: { ...HEALTHY.nginx, running: false },
    },
  },
  getMetrics: { 200: METRICS },
  getOpenapi: {
    200: {
      openapi: '3.1.0',
      info: { title: 'Proxy Manager', version: VERSION },
      servers: [{ url: '/' }],
      paths: { '/health': { get: { operationId: 'udcHealth', tags: ['service'] } } },
    },
  },
  udcHealth: {
    200: { status: 'healthy', service: 'proxy-manager', version: VERSION, timestamp: AT, uptime_seconds: 5 },
  },
  udcCapabilities: {
    200: {
      service_name: 'proxy-manager',
      droplet_id: 'proxy-manager',
      version: VERSION,
      udc_version: '1.0',
      features: ABILITIES,
      capabilities: ABILITIES,
      dependencies: ['nginx', 'certbot', 'registry', 'acme_ca'],
      supported_operations: ['putProxy', 'udcHealth'],
      integration_endpoints: { putProxy: 'PUT /proxies/{droplet_name}', udcHealth: 'GET /health' },
      metadata: { environment: 'production', single_host: true },
    },
  },
  udcState: {
    200: {
      status: 'healthy',
      mode: 'production',
      uptime_seconds: 5,
      requests_total: 13,
      requests_per_minute: 13,
      errors_last_hour: 0,
      memory_mb: 125,
      cpu_percent: 5.6,
      last_restart: AT,
      registered_routes: 1,
      metrics: { generation: RECEIPT.generation, active: 1, pending_ssl: 0, drifted: 0 },
    },
  },
  udcDependencies: {
    200: {
      required: ['nginx'],
      optional: ['certbot', 'registry', 'acme_ca'],
      missing: ['registry'],
      required_services: [{ name: 'nginx', status: 'available', checked_at: AT }],
      optional_services: [
        { name: 'certbot', status: 'available', checked_at: AT },
        { name: 'registry', status: 'unavailable', checked_at: AT },
      ],
      external_apis: [{ name: 'acme_ca', status: 'available', checked_at: AT }],
    },
  },
  udcMessage: {
    200: {
      received: true,
      trace_id: 't-1',
      message_id: 'b3c7361a-f76f-4a6e-a2fe-b1ffef21ad2b',
      processed_at: AT,
      status: 'processed',
      result: PROXY,
    },
  },
}
