/** What the answers to changes have in common: receipt, ETag, Server-Timing, the next step, and the plan of a dry run. */
import * as v from 'valibot'
import { describeChange } from '../core/diff.ts'
import type { ErrorCode } from '../core/errors.ts'
import { ProxyState, ProxyStatus } from '../core/proxy-state.ts'
import { CertificateSummary } from '../core/route-file.ts'
import { unsecuredNames } from '../core/route-names.ts'
import type { Changed, IssuedProxy, Rehearsed, RehearsedIssue as RehearsedCertificate } from '../engine/engine.ts'
import type { Answer } from './endpoint.ts'

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
export const PendingProxy = v.pipe(
  v.object({
    ...ChangedProxy.entries,
    next: v.pipe(
      v.object({ method: v.literal('POST'), path: v.string(), reason: v.string() }),
      v.description('The call that is still missing for HTTPS'),
    ),
  }),
  v.description(
    'Created, replaced or unchanged; HTTPS is wanted, and one of its names is served over HTTP until it has a certificate',
  ),
)
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
export const RehearsedIssue = v.object({
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
  'PROXY_CONFIG_FAILED',
  'NGINX_RELOAD_FAILED',
  'NGINX_ALREADY_BROKEN',
  'CONFIG_WRITE_FAILED',
  'BUSY',
] as const satisfies readonly ErrorCode[]

/** 201 created, 200 replaced or unchanged, 202 where HTTPS is wanted and has no certificate yet. */
export function putAnswer(changed: Changed, base = ''): Answer {
  const { proxy, receipt, outcome } = changed
  const isPending = proxy.status === 'pending_ssl'
  return {
    status: isPending ? 202 : outcome === 'created' ? 201 : 200,
    body: { ...proxy, receipt, ...(isPending ? { next: nextStep(proxy, base) } : {}) },
    headers: {
      etag: etagOf(proxy),
      ...(outcome === 'created' ? { location: `${base}/proxies/${proxy.droplet_name}` } : {}),
      ...serverTiming(changed),
    },
    logged: loggedOf(changed),
  }
}

export function certifiedAnswer(issued: IssuedProxy): Answer {
  const { proxy, receipt, ordered, preflight } = issued
  const { droplet_name, domain, status, certificate } = proxy
  return {
    status: 200,
    body: {
      droplet_name,
      domain,
      status,
      expiry: certificate?.expiry,
      issuer: certificate?.issuer,
      certificate,
      ordered,
      preflight,
      receipt,
    },
    headers: { etag: etagOf(proxy), ...serverTiming(issued) },
    logged: { ...loggedOf(issued), ordered },
  }
}

export function deleteAnswer(changed: Changed & { readonly certificateDeleted?: boolean }): Answer {
  const { proxy, receipt } = changed
  return {
    status: 200,
    body: {
      status: 'deleted',
      droplet_name: proxy.droplet_name,
      ...(changed.certificateDeleted === undefined ? {} : { certificate_deleted: changed.certificateDeleted }),
      receipt,
    },
    headers: serverTiming(changed),
    logged: loggedOf(changed),
  }
}

export function rehearsedPutAnswer(rehearsed: Rehearsed): Answer {
  return { status: 200, body: { ...rehearsed.proxy, plan: planOf(rehearsed) }, logged: { dry_run: true } }
}

export function rehearsedIssueAnswer(rehearsed: RehearsedCertificate): Answer {
  const { droplet_name, domain, status } = rehearsed.proxy
  const { wouldOrder: would_order, preflight } = rehearsed
  return {
    status: 200,
    body: { droplet_name, domain, status, would_order, preflight, plan: planOf(rehearsed) },
    logged: { dry_run: true },
  }
}

export function rehearsedDeleteAnswer(rehearsed: Rehearsed): Answer {
  const { droplet_name } = rehearsed.proxy
  return {
    status: 200,
    body: { status: 'would_delete', droplet_name, plan: planOf(rehearsed) },
    logged: { dry_run: true },
  }
}

/** A strong entity tag (RFC 9110, 8.8.3). */
export function etagOf(proxy: ProxyState): string {
  return `"${proxy.revision}"`
}

export function planOf({ files, test }: Pick<Rehearsed, 'files' | 'test'>): v.InferOutput<typeof Plan> {
  return { changes: files.map(describeChange), nginx_test: { ok: test.ok, output: test.output } }
}

function nextStep(proxy: ProxyState, base: string) {
  const names = unsecuredNames(proxy)
  const served = `${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} served over HTTP`
  return {
    method: 'POST',
    path: `${base}/proxies/${proxy.droplet_name}/ssl`,
    reason: `${served}; HTTPS is wanted and there is no certificate yet`,
  }
}

function serverTiming({ times }: Changed): Readonly<Record<string, string>> {
  const metrics = Object.entries(times).map(([name, ms]) => `${name};dur=${ms.toFixed(1)}`)
  return { 'server-timing': metrics.join(', ') }
}

function loggedOf({ outcome, proxy, receipt }: Changed): Readonly<Record<string, unknown>> {
  return {
    outcome,
    domain: proxy.domain,
    droplet_name: proxy.droplet_name,
    generation: receipt.generation,
    batch: receipt.batch,
  }
}
