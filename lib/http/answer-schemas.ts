/** The schemas of the answers to changes. */

import * as v from 'valibot'
import type { ErrorCode } from '../errors.ts'
import { CertificateEntry } from '../issuance/inventory.ts'
import { ProxyState, ProxyStatus, ShownCertificate } from '../route/state.ts'

const count = (description: string) => v.pipe(v.number(), v.description(description))

export const Receipt = v.pipe(
  v.object({
    generation: count('Number of the configuration with the change, which NGINX serves'),
    reloaded: v.pipe(v.boolean(), v.description('False if nothing had to be changed and NGINX was not reloaded')),
    proved_by: v.pipe(
      v.picklist(['generation_probe', 'tls_handshake', 'exit_status', 'config_test', 'files_unchanged']),
      v.description('What proves that NGINX serves it'),
    ),
    proved_ms: count('Milliseconds from the reload to the proof'),
    batch: count('Changes that shared the test and the reload'),
    former: v.optional(
      v.pipe(
        v.array(
          v.object({
            upstream: v.string(),
            drained: v.pipe(
              v.nullable(v.boolean()),
              v.description(
                'Whether its droplet may be stopped: nothing that NGINX has accepted can reach it any more. Null if that cannot be seen, or if a route leads to the same port of the same host',
              ),
            ),
            connections: v.pipe(
              v.nullable(v.number()),
              v.description("What NGINX's old workers have open to it; null if that cannot be seen"),
            ),
            waited_ms: count('Milliseconds'),
          }),
        ),
        v.description('Of a change of a route: the upstream that it replaced or removed; empty if there was none'),
      ),
    ),
  }),
  v.description('The proof that the new configuration serves every connection from now on'),
)

export const Plan = v.pipe(
  v.object({
    changes: v.array(
      v.object({ path: v.string(), action: v.picklist(['create', 'replace', 'delete']), diff: v.string() }),
    ),
    nginx_test: v.object({ ok: v.boolean(), output: v.string() }),
  }),
  v.description("Only in the answer to a dry run: what would change on disk, and the result of NGINX's test"),
)

/** A dry run answers the route as it would be and the plan; a real change answers the route and its receipt. */
export const ChangedProxy = v.object({
  ...ProxyState.entries,
  receipt: v.optional(Receipt),
  plan: v.optional(Plan),
})
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
  certificate_kept: v.optional(v.pipe(v.string(), v.description('Why it, or a part of it, was not deleted'))),
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
      certain: v.optional(
        v.pipe(v.literal(true), v.description('Of a check that failed: the CA would certainly fail too')),
      ),
    }),
  ),
  v.description('The checks that are made before the CA is called; empty if it is not called'),
)

/** The certificate that is served, and whether it was ordered from the CA. */
export const CertifiedProxy = v.object({
  droplet_name: v.string(),
  domain: v.string(),
  status: ProxyStatus,
  expiry: v.string(),
  issuer: v.string(),
  certificate: ShownCertificate,
  ordered: v.boolean(),
  preflight: Preflight,
  receipt: Receipt,
})

/** What a call for a certificate would do. */
export const IssueDryRun = v.object({
  droplet_name: v.string(),
  domain: v.string(),
  status: ProxyStatus,
  would_order: v.pipe(
    v.boolean(),
    v.description('Whether a certificate would be ordered from the CA; otherwise, the existing one is served'),
  ),
  lineage: v.optional(
    v.object({
      name: v.pipe(v.string(), v.description('The lineage that certbot would write')),
      others: v.pipe(
        v.array(v.object({ name: v.string(), domains: v.array(v.string()) })),
        v.description(
          'Lineages of the domain that Proxy Manager did not make, and the names that they are for: they stay as they are',
        ),
      ),
    }),
  ),
  preflight: Preflight,
  plan: Plan,
})

/** An uploaded certificate, and what was done with it. */
export const StoredCertificate = v.object({
  ...CertificateEntry.entries,
  skipped: v.pipe(
    v.array(v.string()),
    v.description('Routes that use it and are not switched to it, since they were edited by hand or are disabled'),
  ),
  receipt: v.optional(v.pipe(Receipt, v.description('Absent if no route is served with it'))),
  plan: v.optional(Plan),
})
export const DeletedCertificate = v.object({
  status: v.picklist(['deleted', 'would_delete']),
  name: v.string(),
  plan: v.optional(Plan),
})

/** Errors of every operation that changes what NGINX serves. */
export const CHANGE_ERRORS = [
  'PROXY_CONFIG_FAILED',
  'NGINX_RELOAD_FAILED',
  'NGINX_ALREADY_BROKEN',
  'CONFIG_READ_FAILED',
  'CONFIG_WRITE_FAILED',
  'BUSY',
] as const satisfies readonly ErrorCode[]

/** Errors of the two operations that put a route. */
export const PUT_ERRORS = [
  'INVALID_REQUEST',
  'DROPLET_EXISTS',
  'DOMAIN_CONFLICT',
  'SUPERSEDED',
  'PRECONDITION_FAILED',
  'PAYLOAD_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
  'CERTIFICATE_INVALID',
  'UPSTREAM_UNHEALTHY',
  'UPSTREAM_UNRESOLVABLE',
  'UPSTREAM_FORBIDDEN',
  'NGINX_UNSUPPORTED',
  ...CHANGE_ERRORS,
] as const satisfies readonly ErrorCode[]

/** What became of many routes at once. */
export const BulkSummary = v.object({
  created: v.array(v.string()),
  updated: v.array(v.string()),
  unchanged: v.array(v.string()),
  deleted: v.array(v.string()),
  skipped: v.array(v.object({ name: v.string(), reason: v.string() })),
  skipped_count: v.number(),
  orphaned: v.array(v.string()),
  confirm_needed: v.optional(
    count('Only in the answer to a dry run: without this number as confirm, the call fails (409 BLAST_RADIUS)'),
  ),
  dry_run: v.optional(v.pipe(v.literal(true), v.description('Only in the answer to a dry run: nothing was changed'))),
  plan: v.optional(Plan),
})

/** Errors of the operations that change many routes. */
export const BULK_ERRORS = ['INVALID_REQUEST', 'BLAST_RADIUS', ...CHANGE_ERRORS] as const satisfies readonly ErrorCode[]
