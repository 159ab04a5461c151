/** The answer of the health endpoint. */
import * as v from 'valibot'

export const ManagerHealth = v.object({
  status: v.picklist(['healthy', 'degraded', 'unhealthy']),
  reasons: v.array(v.string()),
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
    last_operation_domain: v.nullable(v.string()),
    last_operation_reason: v.nullable(v.string()),
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
    drifted: v.array(v.string()),
    disabled: v.array(v.string()),
  }),
})
export type ManagerHealth = v.InferOutput<typeof ManagerHealth>
