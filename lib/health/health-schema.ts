/** The answer of the health endpoint. */
import * as v from 'valibot'

const NOT_FOR_STRANGERS = 'Missing if the host requires a token and the call has none that is valid'

export const ManagerHealth = v.object({
  status: v.picklist(['healthy', 'degraded', 'unhealthy']),
  reasons: v.pipe(
    v.array(v.string()),
    v.description('If the host requires a token and the call has none that is valid: only how many there are'),
  ),
  advice: v.array(v.string()),
  nginx: v.object({
    present: v.boolean(),
    version: v.nullable(v.string()),
    running: v.boolean(),
    includes_sites_enabled: v.boolean(),
    config_test_ok: v.nullable(v.boolean()),
    config_test_timestamp: v.nullable(v.string()),
    last_reload_timestamp: v.nullable(v.string()),
    last_reload_result: v.nullable(v.string()),
    generation: v.nullable(v.number()),
  }),
  ssl: v.object({
    certbot_present: v.boolean(),
    last_operation: v.nullable(v.picklist(['success', 'failure'])),
    last_operation_timestamp: v.nullable(v.string()),
    last_operation_domain: v.optional(v.pipe(v.nullable(v.string()), v.description(NOT_FOR_STRANGERS))),
    last_operation_reason: v.nullable(v.string()),
    orders_waiting: v.number(),
  }),
  folders: v.object({
    sites_available_writable: v.boolean(),
    sites_enabled_writable: v.boolean(),
    state_writable: v.boolean(),
  }),
  routes: v.object({
    total: v.number(),
    active: v.number(),
    pending_ssl: v.number(),
    drifted: v.optional(v.pipe(v.array(v.string()), v.description(NOT_FOR_STRANGERS))),
    drifted_count: v.number(),
    disabled: v.optional(v.pipe(v.array(v.string()), v.description(NOT_FOR_STRANGERS))),
    disabled_count: v.number(),
    unhealthy: v.optional(
      v.pipe(v.array(v.string()), v.description(`Routes whose upstream fails its health checks. ${NOT_FOR_STRANGERS}`)),
    ),
    unhealthy_count: v.number(),
  }),
})
export type ManagerHealth = v.InferOutput<typeof ManagerHealth>
