import * as v from 'valibot'
import { endpoint } from '../lib/http/endpoint.ts'
import { AT, VERSION } from '../lib/http/openapi/samples.ts'
import { NoParams, NoQuery } from '../lib/http/parameters.ts'
import { udcStatus } from '../lib/mesh/announcements.ts'

/** The health of the Universal Droplet Contract: 200 as long as the process answers; `status` is that of the host. */
export default endpoint(
  {
    operationId: 'udcHealth',
    summary: 'Health, in the form that every droplet of the mesh has',
    description: '200 as long as the process answers; the status is that of /proxy-manager/health. Needs no token.',
    method: 'GET',
    path: '/health',
    params: NoParams,
    query: NoQuery,
    body: undefined,
    responses: {
      200: {
        description: 'The process answers, whatever the state of the host',
        schema: v.object({
          status: v.picklist(['healthy', 'degraded', 'unhealthy']),
          udc_status: v.picklist(['active', 'error']),
          service: v.string(),
          version: v.string(),
          timestamp: v.string(),
          uptime_seconds: v.number(),
        }),
        example: {
          status: 'healthy',
          udc_status: 'active',
          service: 'proxy-manager',
          version: VERSION,
          timestamp: AT,
          uptime_seconds: 5,
        },
      },
    },
    errors: ['INVALID_REQUEST'],
  },
  async (_call, { engine, settings, version, usage, clock }) => {
    const status = await engine.readHealth().then(
      (health) => health.status,
      () => 'unhealthy' as const,
    )
    const timestamp = new Date(clock.nowMs()).toISOString()
    const body = {
      status,
      udc_status: udcStatus(status),
      service: settings.SERVICE_NAME,
      version,
      timestamp,
      uptime_seconds: usage.read().uptimeSeconds,
    }
    return { status: 200, body }
  },
)
