/** Every certificate that there is: certbot's lineages and uploaded ones, with the routes that use them. */
import * as v from 'valibot'
import { CertificateSummary, type Checked } from '../certificates/certificate.ts'
import { readLedger } from '../certificates/ledger-file.ts'
import { lineagesOf } from '../certificates/lineage.ts'
import { lineageNameOf, plainLineage } from '../certificates/lineage-name.ts'
import { budgetLeft, nextOrderAt, nextTryAt } from '../certificates/order-ledger.ts'
import type { ChangeContext } from '../change/context.ts'
import type { Host } from '../host/host.ts'
import { readUploaded } from '../keyring/choice.ts'
import { uploadedNames, uploadRecord } from '../keyring/uploads.ts'
import { usedCertificates } from '../route/names.ts'
import type { RouteRecord } from '../route/record.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'

const text = (help: string) => v.pipe(v.string(), v.description(help))
const maybe = (help: string) => v.nullable(text(help))
const { source: _, ...summaryEntries } = CertificateSummary.entries

export const CertificateEntry = v.object({
  source: v.pipe(
    v.picklist(['own', 'lineage', 'uploaded']),
    v.description('own: a lineage that Proxy Manager made; lineage: another one of certbot; uploaded'),
  ),
  name: text('Name of the lineage, or of the uploaded certificate'),
  expiry: maybe('When it expires; null if it cannot be served'),
  certificate: v.nullable(v.object(summaryEntries)),
  fault: v.optional(text('Why it cannot be served')),
  users: v.pipe(v.array(v.string()), v.description('The routes that have chosen it, or are served with it')),
  uploaded_at: v.optional(text('Only of an uploaded one')),
  last_attempt: v.pipe(
    v.nullable(v.object({ at: v.string(), result: v.picklist(['issued', 'failed']), reason: v.nullable(v.string()) })),
    v.description('The last order; null unless Proxy Manager orders it'),
  ),
  next_attempt_at: maybe('When it may be ordered again; null if it may be now, or unless Proxy Manager orders it'),
  budget_left: v.pipe(
    v.nullable(v.object({ failures: v.number(), certificates: v.number() })),
    v.description(
      'How many orders may fail in the present hour, and how many certificates may be issued in the present week',
    ),
  ),
})
export type CertificateEntry = v.InferOutput<typeof CertificateEntry>

const NOT_ORDERED = { last_attempt: null, next_attempt_at: null, budget_left: null }

/** Every certificate, sorted by name, lineages first. */
export async function listCertificates(context: ChangeContext): Promise<readonly CertificateEntry[]> {
  const { host, certificates, state, observe } = context
  const { routes } = (state.unconfirmed ?? (await observe([]))).snapshot
  const users = usersByCertificate(context, routes.values())
  const live = `${host.settings.CERTBOT_CONFIG_DIR}/live`
  const lineages = [...host.files.list(live)].sort().flatMap((name) => {
    const found = certificates.readFolder(`${live}/${name}`)
    return found === undefined ? [] : [lineageEntry(context, name, found, users.get(`lineage ${name}`) ?? [])]
  })
  const uploaded = uploadedNames(host).map((name) => {
    const found = readUploaded(host, certificates.readFolder, name)
    return uploadedEntry(name, found, users.get(`name ${name}`) ?? [], uploadRecord(host, name)?.uploaded_at)
  })
  return [...lineages, ...uploaded]
}

/** The routes that have chosen a certificate, or are served with it, by `lineage …` or `name …`. */
function usersByCertificate({ host }: ChangeContext, routes: Iterable<SnapshotRoute>) {
  const users = new Map<string, RouteRecord[]>()
  for (const { record } of routes) {
    const isOwn = record.certificate !== null && record.certificate.source === undefined
    const own = isOwn
      ? lineagesOf(host, record.domain)
          .filter(({ isOurs }) => isOurs)
          .slice(0, 1)
      : []
    for (const key of [...usedCertificates(record), ...own.map(({ name }) => `lineage ${name}`)])
      users.set(key, [...(users.get(key) ?? []), record])
  }
  return users
}

/** An uploaded certificate as the list has it; `uploadedAt` is ISO 8601. */
export function uploadedEntry(
  name: string,
  found: Checked,
  users: readonly RouteRecord[],
  uploadedAt: string | undefined,
): CertificateEntry {
  const at = uploadedAt === undefined ? {} : { uploaded_at: uploadedAt }
  return { source: 'uploaded', name, ...described(found), users: namesOf(users), ...at, ...NOT_ORDERED }
}

function lineageEntry(
  { host }: ChangeContext,
  name: string,
  found: Checked,
  users: readonly RouteRecord[],
): CertificateEntry {
  const plain = plainLineage(name)
  const isOurs = lineagesOf(host, plain).some((lineage) => lineage.name === name && lineage.isOurs)
  // The name of a lineage is the beginning of its domain if that is very long.
  const domain = users.find(({ domain }) => lineageNameOf(domain) === plain)?.domain ?? plain
  return {
    source: isOurs ? 'own' : 'lineage',
    name,
    ...described(found),
    users: namesOf(users),
    ...(isOurs ? attempts(host, domain) : NOT_ORDERED),
  }
}

function described(found: Checked): Pick<CertificateEntry, 'expiry' | 'certificate' | 'fault'> {
  if ('fault' in found) return { expiry: null, certificate: null, fault: found.fault }
  const { source: _, ...certificate } = found.summary
  return { expiry: certificate.expiry, certificate }
}

function attempts(host: Host, domain: string) {
  const { settings } = host
  const nowMs = host.clock.nowMs()
  const ledger = readLedger(host, domain)
  const last = ledger.entries.at(-1)
  const next = settings.SSL_AUTO_ISSUE ? nextTryAt(ledger, nowMs, settings) : nextOrderAt(ledger, nowMs, settings)
  return {
    last_attempt:
      last === undefined
        ? null
        : { at: new Date(last.at).toISOString(), result: last.result, reason: last.reason ?? null },
    next_attempt_at: next === undefined || next <= nowMs ? null : new Date(next).toISOString(),
    budget_left: budgetLeft(ledger, nowMs, settings),
  }
}

function namesOf(users: readonly RouteRecord[]): string[] {
  return users.map(({ droplet_name }) => droplet_name).sort()
}
