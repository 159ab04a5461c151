/** The shapes of the answers to changes. */

import * as v from 'valibot'
import { CertificateSummary } from '../certificates/certificate.ts'
import type { ErrorCode } from '../errors.ts'
import { ProxyState, ProxyStatus } from '../route/state.ts'

const count = (words: string) => v.pipe(v.number(), v.description(words))

export const Receipt = v.pipe(
  v.object({
    generation: count('Number of the configuration that NGINX serves with the change in it'),
    reloaded: v.pipe(v.boolean(), v.description('False where everything was so already, and NGINX was not asked')),
    proved_by: v.pipe(
      v.picklist(['generation_probe', 'tls_handshake', 'exit_status', 'files_unchanged']),
      v.description('How it is known that NGINX serves it'),
    ),
    proved_ms: count('Milliseconds from the reload until the proof'),
    batch: count('Changes that shared the test and the reload'),
  }),
  v.description('The proof that every connection from now on is served by the new configuration'),
)

export const Plan = v.pipe(
  v.object({
    changes: v.array(
      v.object({ path: v.string(), action: v.picklist(['create', 'replace', 'delete']), diff: v.string() }),
    ),
    nginx_test: v.object({ ok: v.boolean(), output: v.string() }),
  }),
  v.description('In the answer to a dry run: what would change on disk, and what NGINX says of it'),
)

/** A dry run answers the route as it would be, and the plan; a real change the route and its receipt. */
export const ChangedProxy = v.object({ ...ProxyState.entries, receipt: v.optional(Receipt), plan: v.optional(Plan) })
export const PendingProxy = v.object({
  ...ChangedProxy.entries,
  next: v.pipe(
    v.object({ method: v.literal('POST'), path: v.string(), reason: v.string() }),
    v.description('The call that is still missing for HTTPS'),
  ),
})
export const DeletedProxy = v.object({
  status: v.picklist(['deleted', 'would_delete']),
  droplet_name: v.string(),
  certificate_deleted: v.optional(v.boolean()),
  receipt: v.optional(Receipt),
  plan: v.optional(Plan),
})
const Preflight = v.pipe(
  v.array(
    v.object({
      check: v.picklist(['dns', 'challenge', 'caa']),
      domain: v.string(),
      ok: v.boolean(),
      detail: v.string(),
    }),
  ),
  v.description('What was looked at before the CA is asked; empty where it is not'),
)

/** The certificate that is served, and whether the CA had to be asked for it. */
export const CertifiedProxy = v.object({
  droplet_name: v.string(),
  domain: v.string(),
  status: ProxyStatus,
  expiry: v.string(),
  issuer: v.string(),
  certificate: CertificateSummary,
  ordered: v.boolean(),
  preflight: Preflight,
  receipt: Receipt,
})

/** What a call for a certificate would do, and nothing done. */
export const IssueDryRun = v.object({
  droplet_name: v.string(),
  domain: v.string(),
  status: ProxyStatus,
  would_order: v.pipe(
    v.boolean(),
    v.description('Whether the CA would be asked; else the certificate that is there is served'),
  ),
  preflight: Preflight,
  plan: Plan,
})

/** What a route that is to be put may be refused for, or fail by. */
export const PUT_ERRORS = [
  'INVALID_REQUEST',
  'DROPLET_EXISTS',
  'DOMAIN_CONFLICT',
  'PRECONDITION_FAILED',
  'PAYLOAD_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
  'UPSTREAM_UNHEALTHY',
  'UPSTREAM_UNRESOLVABLE',
  'UPSTREAM_FORBIDDEN',
  'NGINX_UNSUPPORTED',
  'PROXY_CONFIG_FAILED',
  'NGINX_RELOAD_FAILED',
  'NGINX_ALREADY_BROKEN',
  'CONFIG_WRITE_FAILED',
  'BUSY',
] as const satisfies readonly ErrorCode[]
