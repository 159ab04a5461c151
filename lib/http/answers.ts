/** What the answers to changes have in common: receipt, ETag, Server-Timing, the next step, and the plan of a dry run. */

import type * as v from 'valibot'
import type { ImportSummary } from '../bulk/import.ts'
import type { ChangeDryRun, Changed, DeletedProxy, IssueDryRun, IssuedProxy, RouteChanged } from '../engine/engine.ts'
import type { UploadDryRun, Uploaded } from '../issuance/upload.ts'
import { describeChange } from '../plan/diff.ts'
import { unsecuredNames } from '../route/names.ts'
import type { ProxyState } from '../route/state.ts'
import type { Plan } from './answer-schemas.ts'
import type { Answer } from './operation.ts'

/** 201 if created, 200 if replaced or unchanged, 202 if HTTPS is wanted and there is no certificate yet. */
export function putAnswer(changed: RouteChanged, base = ''): Answer {
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
    logFields: changeLogFields(changed),
  }
}

export function renameAnswer(changed: RouteChanged): Answer {
  const { proxy, receipt } = changed
  return {
    status: 200,
    body: { ...proxy, receipt },
    headers: { etag: etagOf(proxy), ...serverTiming(changed) },
    logFields: changeLogFields(changed),
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
    logFields: { ...changeLogFields(issued), ordered },
  }
}

export function deleteAnswer(changed: DeletedProxy): Answer {
  const { proxy, receipt, certificateDeleted, certificateKept } = changed
  return {
    status: 200,
    body: {
      status: 'deleted',
      droplet_name: proxy.droplet_name,
      ...(certificateDeleted === undefined ? {} : { certificate_deleted: certificateDeleted }),
      ...(certificateKept === undefined ? {} : { certificate_kept: certificateKept }),
      receipt,
    },
    headers: serverTiming(changed),
    logFields: changeLogFields(changed),
  }
}

export function putDryRunAnswer(dryRun: ChangeDryRun): Answer {
  return { status: 200, body: { ...dryRun.proxy, plan: planOf(dryRun) }, logFields: { dry_run: true } }
}

export function issueDryRunAnswer(dryRun: IssueDryRun): Answer {
  const { droplet_name, domain, status } = dryRun.proxy
  const { wouldOrder: would_order, preflight, lineage } = dryRun
  return {
    status: 200,
    body: {
      droplet_name,
      domain,
      status,
      would_order,
      ...(lineage === undefined ? {} : { lineage }),
      preflight,
      plan: planOf(dryRun),
    },
    logFields: { dry_run: true },
  }
}

export function deleteDryRunAnswer(dryRun: ChangeDryRun): Answer {
  const { droplet_name } = dryRun.proxy
  return {
    status: 200,
    body: { status: 'would_delete', droplet_name, plan: planOf(dryRun) },
    logFields: { dry_run: true },
  }
}

/** What became of many routes; `extra` is in the body as well. */
export function bulkAnswer({ dryRun, ...summary }: ImportSummary, extra: object = {}): Answer {
  const { created, updated, deleted, skipped_count } = summary
  const logFields = { created: created.length, updated: updated.length, deleted: deleted.length, skipped_count }
  if (dryRun === undefined) return { status: 200, body: summary, logFields }
  const body = { ...summary, dry_run: true, ...extra, plan: planOf(dryRun) }
  return { status: 200, body, logFields: { ...logFields, dry_run: true } }
}

/** 201 if there was no certificate of this name. */
export function uploadAnswer({ outcome, certificate, skipped, receipt }: Uploaded): Answer {
  return {
    status: outcome === 'created' ? 201 : 200,
    body: { ...certificate, skipped, ...(receipt === undefined ? {} : { receipt }) },
    logFields: { outcome, certificate: certificate.name, users: certificate.users.length },
  }
}

export function uploadDryRunAnswer({ certificate, skipped, ...dryRun }: UploadDryRun): Answer {
  return { status: 200, body: { ...certificate, skipped, plan: planOf(dryRun) }, logFields: { dry_run: true } }
}

/** A strong entity tag (RFC 9110, 8.8.3). */
export function etagOf(proxy: ProxyState): string {
  return `"${proxy.revision}"`
}

export function planOf({ files, test }: Pick<ChangeDryRun, 'files' | 'test'>): v.InferOutput<typeof Plan> {
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

function changeLogFields({ outcome, proxy, receipt }: Changed): Readonly<Record<string, unknown>> {
  return {
    outcome,
    domain: proxy.domain,
    droplet_name: proxy.droplet_name,
    generation: receipt.generation,
    batch: receipt.batch,
  }
}
