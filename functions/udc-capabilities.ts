import * as v from 'valibot'
import { endpoint } from '../lib/http/endpoint.ts'
import { VERSION } from '../lib/http/openapi/samples.ts'
import { templatePath } from '../lib/http/operation.ts'
import { NoParams, NoQuery } from '../lib/http/parameters.ts'

const FEATURES = [
  'reverse_proxy',
  'tls_certificates',
  'dry_run',
  'group_commit',
  'proved_reload',
  'rollback',
  'registry_sync',
]

/** What this droplet can do, and with which calls. */
export default endpoint(
  {
    operationId: 'udcCapabilities',
    summary: 'Capabilities, in the form that every droplet of the mesh has',
    description: 'What this droplet can do, and with which calls.',
    method: 'GET',
    path: '/capabilities',
    aliases: [{ method: 'GET', path: '/proxy-manager/capabilities' }],
    params: NoParams,
    query: NoQuery,
    body: undefined,
    responses: {
      200: {
        description: 'What this droplet can do',
        schema: v.object({
          service_name: v.string(),
          droplet_id: v.string(),
          version: v.string(),
          udc_version: v.literal('1.0'),
          features: v.array(v.string()),
          capabilities: v.array(v.string()),
          dependencies: v.array(v.string()),
          supported_operations: v.array(v.string()),
          integration_endpoints: v.record(v.string(), v.string()),
          metadata: v.object({ environment: v.string(), single_host: v.boolean() }),
        }),
        example: {
          service_name: 'proxy-manager',
          droplet_id: 'proxy-manager',
          version: VERSION,
          udc_version: '1.0',
          features: FEATURES.slice(0, 3),
          capabilities: FEATURES.slice(0, 3),
          dependencies: ['nginx', 'certbot', 'registry', 'acme_ca'],
          supported_operations: ['putProxy', 'udcHealth'],
          integration_endpoints: { putProxy: 'PUT /proxies/{droplet_name}', udcHealth: 'GET /health' },
          metadata: { environment: 'production', single_host: true },
        },
      },
    },
    errors: ['INVALID_REQUEST'],
  },
  async (_call, { engine, settings, version, base = '', operations = [] }) => ({
    status: 200,
    body: {
      service_name: settings.SERVICE_NAME,
      droplet_id: settings.DROPLET_ID,
      version,
      udc_version: '1.0',
      features: FEATURES,
      capabilities: FEATURES,
      dependencies: (await engine.readDependencies()).map(({ name }) => name),
      supported_operations: operations.map(({ operationId }) => operationId),
      integration_endpoints: Object.fromEntries(
        operations.map(({ operationId, method, path }) => [operationId, `${method} ${base}${templatePath(path)}`]),
      ),
      metadata: { environment: settings.ENVIRONMENT, single_host: true },
    },
  }),
)
