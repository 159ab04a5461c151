/** The error body of the Universal Droplet Contract, and every detail that an error of this API may have. */
import * as v from 'valibot'
import { ERRORS } from '../../errors.ts'

const described = <T extends v.GenericSchema>(schema: T, description: string) =>
  v.pipe(schema, v.description(description))
const optional = <T extends v.GenericSchema>(schema: T, description: string) =>
  v.optional(described(schema, description))
const integer = v.pipe(v.number(), v.integer())
const codes = Object.keys(ERRORS)

export const ErrorDetails = v.looseObject({
  stage: described(v.string(), 'The step of the call at which it happened'),
  state: described(
    v.picklist(['unchanged', 'rolled_back', 'degraded']),
    'State of the host: nothing was changed, the change was rolled back, or the host needs attention',
  ),
  culprit: described(v.picklist(['caller', 'other_route', 'host', 'upstream', 'ca']), 'Who can do something about it'),
  retryable: described(v.boolean(), 'Whether the same call may succeed later'),
  correlation_id: described(v.string(), 'The id of this request, as in the log'),
  remedy: optional(v.string(), 'What to do about it'),
  issues: optional(
    v.array(v.object({ path: v.string(), message: v.string() })),
    'INVALID_REQUEST: every fault at once, each with its field or parameter',
  ),
  nginx_output: optional(v.string(), "NGINX's output about the configuration"),
  diagnostics: optional(
    v.array(
      v.object({ level: v.string(), file: v.nullable(v.string()), line: v.nullable(integer), message: v.string() }),
    ),
    'The same, parsed; files are named without their directories',
  ),
  reason: optional(v.string(), 'The cause as a keyword'),
  owner: optional(
    v.partial(v.object({ droplet_name: v.string(), domain: v.string(), file: v.string(), line: integer })),
    'What already uses the name: a route, or a file that was written by hand',
  ),
  domain: optional(v.string(), 'The name that it is about'),
  certificate_for: optional(v.string(), 'The name that a certificate was obtained for'),
  revision: optional(v.nullable(v.string()), "PRECONDITION_FAILED: the route's current revision"),
  upstream: optional(v.string(), 'The upstream of the route'),
  findings: optional(
    v.array(v.object({ file: v.string(), line: integer, directive: v.string(), text: v.string() })),
    'SITE_NOT_ADOPTABLE: each directive that a route cannot serve, or serves otherwise; files are named without their directories',
  ),
  health_status: optional(v.string(), 'UPSTREAM_UNHEALTHY: the result of its health check'),
  attempts: optional(
    v.array(
      v.object({
        address: v.string(),
        path: v.string(),
        status: v.optional(integer),
        failure: v.optional(v.string()),
        upstream: v.optional(v.string()),
      }),
    ),
    'UPSTREAM_UNHEALTHY: each address that was checked, and its answer',
  ),
  errno: optional(v.string(), "CONFIG_READ_FAILED, CONFIG_WRITE_FAILED: the system's error code"),
  file: optional(v.string(), 'CONFIG_READ_FAILED, CONFIG_WRITE_FAILED: the file, without its directories'),
  said: optional(v.string(), "The CA's message"),
  certbot_output: optional(v.string(), "certbot's output, without directories"),
  preflight: optional(
    v.array(
      v.partial(
        v.object({
          check: v.string(),
          domain: v.string(),
          ok: v.boolean(),
          detail: v.string(),
          certain: v.literal(true),
        }),
      ),
    ),
    'The checks that were made before the CA was called',
  ),
  limited_by: optional(
    v.picklist(['proxy_manager', 'ca']),
    "SSL_RATE_LIMITED: whose limit it is; Proxy Manager's are settings",
  ),
  retry_at: optional(v.string(), 'SSL_RATE_LIMITED: when a certificate may be ordered again'),
  users: optional(v.array(v.string()), 'CERTIFICATE_IN_USE, CERTIFICATE_INVALID: the routes that use the certificate'),
  orphaned: optional(v.array(v.string()), 'BLAST_RADIUS: the routes that would be deleted'),
  count: optional(integer, 'BLAST_RADIUS: how many these are, for confirm'),
  unconfirmed: optional(integer, 'BLAST_RADIUS: how many may be deleted without confirm'),
  failure: optional(v.string(), 'REGISTRY_UNAVAILABLE: what went wrong'),
  registry_status: optional(integer, "REGISTRY_UNAVAILABLE: the status of the Registry's answer"),
})

export const ErrorBody = v.strictObject({
  error: v.strictObject({ code: v.picklist(codes), message: v.string(), details: ErrorDetails }),
})
