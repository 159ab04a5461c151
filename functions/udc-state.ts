import * as v from 'valibot'
import { endpoint } from '../lib/http/endpoint.ts'
import { AT, RECEIPT } from '../lib/http/openapi/samples.ts'
import { NoParams, NoQuery } from '../lib/http/parameters.ts'
import { udcStatus } from '../lib/mesh/announcements.ts'

/** The current state of this droplet. */
export default endpoint(
  {
    operationId: 'udcState',
    summary: 'State, in the form that every droplet of the mesh has',
    description:
      'Uptime, requests, errors, memory and the number of routes; status is error while the host is unhealthy.',
    method: 'GET',
    path: '/state',
    aliases: [{ method: 'GET', path: '/proxy-manager/state' }],
    params: NoParams,
    query: NoQuery,
    body: undefined,
    responses: {
      200: {
        description: 'The current state',
        schema: v.object({
          status: v.picklist(['active', 'error']),
          mode: v.string(),
          uptime_seconds: v.number(),
          requests_total: v.number(),
          requests_per_minute: v.number(),
          errors_last_hour: v.number(),
          memory_mb: v.number(),
          cpu_percent: v.number(),
          last_restart: v.string(),
          registered_routes: v.number(),
          metrics: v.object({
            generation: v.nullable(v.number()),
            active: v.number(),
            pending_ssl: v.number(),
            drifted: v.number(),
          }),
        }),
        example: {
          status: 'active',
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
    },
    errors: ['INVALID_REQUEST', 'CONFIG_READ_FAILED'],
  },
  async (_call, { engine, settings, usage, resources }) => {
    const [health, figures] = [await engine.readHealth(), usage.read()]
    const { total, active, pending_ssl, drifted_count: drifted } = health.routes
    return {
      status: 200,
      body: {
        status: udcStatus(health.status),
        mode: settings.ENVIRONMENT,
        uptime_seconds: figures.uptimeSeconds,
        requests_total: figures.requestsTotal,
        requests_per_minute: figures.requestsPerMinute,
        errors_last_hour: figures.errorsLastHour,
        memory_mb: resources.memoryMb(),
        cpu_percent: resources.cpuPercent(),
        last_restart: new Date(figures.startedAtMs).toISOString(),
        registered_routes: total,
        metrics: { generation: health.nginx.generation, active, pending_ssl, drifted },
      },
    }
  },
)
