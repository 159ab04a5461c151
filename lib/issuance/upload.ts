/** Certificates that callers upload: stored, replaced on every route that uses them, and deleted. */
import { posix } from 'node:path'
import { UNTESTED } from '../candidate/nginx-control.ts'
import { removeTemporaries } from '../candidate/stage.ts'
import { type CheckedCertificate, checkUploaded } from '../certificates/certificate.ts'
import { coversAll } from '../certificates/coverage.ts'
import type { BatchDryRun, ChangeContext, Receipt } from '../change/context.ts'
import { dryRun, prepare, runBatch } from '../change/pipeline.ts'
import { ProxyManagerError } from '../errors.ts'
import type { EventDraft, Origin } from '../events/event.ts'
import type { FileChange, FileImage } from '../host/file-image.ts'
import type { Host } from '../host/host.ts'
import { replaceText } from '../host/replace-file.ts'
import { writeFailure } from '../host/write-failure.ts'
import { asUploaded, recordPath, recordText, sweepUploads, uploadRecord, writeVersion } from '../keyring/uploads.ts'
import type { CertifyChange } from '../plan/change.ts'
import { namesOf, usedCertificates } from '../route/names.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import { type CertificateEntry, uploadedEntry } from './inventory.ts'

export interface UploadRequest {
  readonly name: string
  /** The leaf and its chain, PEM. */
  readonly certificate: string
  /** PEM. */
  readonly privateKey: string
  readonly origin?: Origin | undefined
}

export interface DeletionRequest extends Pick<UploadRequest, 'name' | 'origin'> {}

type Outcome = 'created' | 'replaced' | 'unchanged'

export interface Uploaded {
  readonly outcome: Outcome
  readonly certificate: CertificateEntry
  /** Routes that use it, and are not switched to it: edited by hand, or disabled. */
  readonly skipped: readonly string[]
  /** Absent if no route is served with it. */
  readonly receipt?: Receipt
}

/** What an upload or a deletion would do. */
export interface UploadDryRun extends Omit<Uploaded, 'receipt'>, Pick<BatchDryRun, 'files' | 'test'> {}

/**
 * Stores a certificate, and switches every route that uses its name to it, as one batch: all of them serve it, proved by handshakes, or everything is
 * as before. To be called while no change is applied.
 * @throws {ProxyManagerError} CERTIFICATE_INVALID, and whatever a change may fail with
 */
export async function putUploaded(context: ChangeContext, request: UploadRequest): Promise<Uploaded> {
  const plan = await planUpload(context, request)
  const { host, state, events } = context
  const { name, outcome, certificate, skipped, changes, companion, checked } = plan
  const uploaded = { outcome, certificate, skipped }
  try {
    await writeVersion(host, name, checked).catch((error: unknown) => {
      throw writeFailure(error)
    })
    if (changes.length > 0) return { ...uploaded, receipt: await switchRoutes(context, plan) }
    if (companion !== undefined) {
      await replaceRecord(host, companion.file)
      await events.add(companion.event)
    }
    return uploaded
  } finally {
    // If a rollback has failed, its record may still name either version.
    if (state.degraded === undefined) await sweepUploads(host, [name]).catch(() => undefined)
  }
}

/** @throws {ProxyManagerError} CERTIFICATE_INVALID, and whatever the test of a change may fail with */
export async function dryRunUpload(context: ChangeContext, request: UploadRequest): Promise<UploadDryRun> {
  const { outcome, certificate, skipped, changes, companion } = await planUpload(context, request)
  const uploaded = { outcome, certificate, skipped }
  const record = companion === undefined ? [] : [companion.file]
  if (changes.length === 0) return { ...uploaded, files: record, test: UNTESTED }
  const { files, test } = await dryRun(context, changes)
  return { ...uploaded, files: [...files, ...record], test }
}

/**
 * Deletes an uploaded certificate. To be called while no change is applied.
 * @throws {ProxyManagerError} CERTIFICATE_NOT_FOUND, CERTIFICATE_IN_USE, CONFIG_WRITE_FAILED
 */
export async function deleteUploaded(context: ChangeContext, { name, origin = LOCAL }: DeletionRequest): Promise<void> {
  const { host, events } = context
  await replaceRecord(host, await planDeletion(context, name))
  await sweepUploads(host, [name]).catch(() => undefined)
  await events.add({ type: 'certificate.deleted', origin, details: { name } })
}

/** The file that a deletion would remove. @throws {ProxyManagerError} CERTIFICATE_NOT_FOUND, CERTIFICATE_IN_USE */
export async function planDeletion({ host, observe }: ChangeContext, name: string): Promise<FileChange> {
  const { routes } = (await observe([])).snapshot
  const path = recordPath(host, name)
  const text = host.files.read(path)?.text
  if (text === undefined) {
    const remedy = 'GET /certificates lists the existing certificates'
    throw new ProxyManagerError('CERTIFICATE_NOT_FOUND', { details: { remedy } })
  }
  const users = usersOf(routes, name)
  if (users.length === 0) return { path, before: { text }, after: null }
  const remedy = 'Choose another certificate for the routes in details.users, or delete them, then call again'
  throw new ProxyManagerError('CERTIFICATE_IN_USE', { details: { users: users.map(nameOf), remedy } })
}

/** The routes that have chosen an uploaded certificate, or are served with it. */
function usersOf(routes: ReadonlyMap<string, SnapshotRoute>, name: string): readonly SnapshotRoute[] {
  return [...routes.values()].filter(({ record }) => usedCertificates(record).has(`name ${name}`))
}

/** Replaces or removes a record that no route depends on. @throws {ProxyManagerError} CONFIG_WRITE_FAILED; then it is as before */
async function replaceRecord(host: Pick<Host, 'files'>, { path, before, after }: FileChange): Promise<void> {
  const put = async (image: FileImage | null): Promise<void> => {
    if (image !== null && 'text' in image) return await replaceText(host, path, image.text)
    await host.files.remove(path)
    await host.files.syncFolder(posix.dirname(path))
  }
  try {
    await put(after)
  } catch (error) {
    await put(before).catch(() => undefined)
    await removeTemporaries(host, [{ path, before, after }])
    throw writeFailure(error)
  }
}

const LOCAL: Origin = { actor: { kind: 'local' } }

interface UploadPlan extends Omit<Uploaded, 'receipt'> {
  readonly name: string
  readonly checked: CheckedCertificate
  /** Of the routes that are served with it. */
  readonly changes: readonly CertifyChange[]
  /** The record; `undefined` if it is as it has to be. */
  readonly companion: { readonly file: FileChange; readonly event: EventDraft } | undefined
}

async function planUpload({ host, observe }: ChangeContext, request: UploadRequest): Promise<UploadPlan> {
  const { name, origin = LOCAL } = request
  const nowMs = host.clock.nowMs()
  const found = checkUploaded(request.certificate, request.privateKey, nowMs)
  if ('fault' in found) throw invalid(found.fault, 'Correct the pair, then call again')
  const checked = asUploaded(found, name)
  const { routes } = (await observe([])).snapshot
  const users = usersOf(routes, name).filter(({ record }) => record.certificate_from !== undefined)
  const uncovered = users.filter(({ record }) => !coversAll(checked.summary.domains, namesOf(record)))
  if (uncovered.length > 0)
    throw invalid(
      'it does not cover every name of the routes that use it',
      'Upload one that covers the names of the routes in details.users, or choose another certificate for them',
      { users: uncovered.map(nameOf) },
    )
  const isServed = ({ enabled, drifted, record }: SnapshotRoute) => enabled && !drifted && record.enable_ssl
  const path = recordPath(host, name)
  const before = host.files.read(path)?.text
  const formerAt = uploadRecord(host, name)?.uploaded_at
  const isSame = formerAt !== undefined && recordText(checked, formerAt) === before
  const at = new Date(nowMs).toISOString()
  const text = isSame ? before : recordText(checked, at)
  const { expiry, domains, fingerprint_sha256 } = checked.summary
  const details = { name, expiry, domains: domains.slice(0, 20), fingerprint_sha256 }
  const outcome = isSame ? 'unchanged' : before === undefined ? 'created' : 'replaced'
  const file = { path, before: before === undefined ? null : { text: before }, after: { text } }
  return {
    name,
    checked,
    outcome,
    certificate: uploadedEntry(
      name,
      checked,
      users.map(({ record }) => record),
      isSame ? formerAt : at,
    ),
    skipped: users.filter((route) => route.record.enable_ssl && !isServed(route)).map(nameOf),
    changes: users.filter(isServed).map(({ record: { droplet_name: dropletName, domain } }) => ({
      kind: 'certify',
      dropletName,
      domain,
      uploaded: checked,
      origin,
    })),
    companion: isSame ? undefined : { file, event: { type: 'certificate.uploaded', origin, outcome, details } },
  }
}

/** @throws {ProxyManagerError} whatever a change may fail with; then no route is switched */
async function switchRoutes(context: ChangeContext, { changes, companion }: UploadPlan): Promise<Receipt> {
  const options = { allowStoppedNginx: false, isIndivisible: true }
  const prepared = await prepare(context, changes, { companion })
  const { results, failure, cleanup } = await runBatch(context, changes, options, prepared)
  await cleanup().catch(() => undefined)
  for (const result of results) if (result instanceof ProxyManagerError) throw failure ?? result
  const [first] = results
  if (first === undefined || first instanceof ProxyManagerError) throw new ProxyManagerError('INTERNAL')
  return first.receipt
}

function invalid(fault: string, remedy: string, details: Readonly<Record<string, unknown>> = {}): ProxyManagerError {
  const message = `The certificate may not be served: ${fault}`
  return new ProxyManagerError('CERTIFICATE_INVALID', { message, details: { ...details, remedy } })
}

function nameOf({ record }: SnapshotRoute): string {
  return record.droplet_name
}
