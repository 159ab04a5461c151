/**
 * Certificates that callers have uploaded: `<state>/uploads/<name>/record.json` says which one is current, and `<chain_sha256>/` beside it has its
 * chain and key. A version is complete and durable before the record names it, and is never changed.
 */
import { hash } from 'node:crypto'
import * as v from 'valibot'
import { CertificateName, CertificateSummary, type CheckedCertificate } from '../certificates/certificate.ts'
import type { Host } from '../host/host.ts'

type UploadsHost = Pick<Host, 'files' | 'paths'>

const RECORD = 'record.json'
const UploadRecord = v.object({ ...CertificateSummary.entries, chain_sha256: v.string(), uploaded_at: v.string() })
export interface UploadRecord extends Readonly<v.InferOutput<typeof UploadRecord>> {}

/** The names under which something was uploaded, sorted. */
export function uploadedNames({ files, paths }: UploadsHost): readonly string[] {
  return [...files.list(paths.uploads)].filter((name) => v.is(CertificateName, name)).sort()
}

/**
 * What is stored under a name; `undefined` if that is nothing, or if its record is damaged.
 * @throws {Error} if the record cannot be read
 */
export function uploadRecord(host: UploadsHost, name: string): UploadRecord | undefined {
  const text = host.files.read(recordPath(host, name))?.text ?? ''
  try {
    return v.parse(UploadRecord, JSON.parse(text))
  } catch {
    return undefined
  }
}

export function recordPath({ paths }: Pick<Host, 'paths'>, name: string): string {
  return `${paths.uploads}/${name}/${RECORD}`
}

/** Whether a path is one of {@link recordPath}: the only file outside of the sites directories that a change replaces. */
export function isRecordPath({ paths }: Pick<Host, 'paths'>, path: string): boolean {
  const [name, ...rest] = path.startsWith(`${paths.uploads}/`) ? path.slice(paths.uploads.length + 1).split('/') : []
  return rest.join('/') === RECORD && v.is(CertificateName, name)
}

/** The text of the record; it has no secret. */
export function recordText({ summary: { source: _, ...summary }, fullchain }: CheckedCertificate, at: string): string {
  const record: UploadRecord = { ...summary, chain_sha256: hash('sha256', fullchain), uploaded_at: at }
  return `${JSON.stringify(record, undefined, 2)}\n`
}

/** The directory of the current version; `undefined` if there is none. */
export function uploadedFolder(host: UploadsHost, name: string): string | undefined {
  const chain = uploadRecord(host, name)?.chain_sha256
  return chain === undefined ? undefined : folderOf(host, name, chain)
}

/** A checked certificate as the one of this name. */
export function asUploaded(checked: CheckedCertificate, name: string): CheckedCertificate {
  const source = { name, chain_sha256: hash('sha256', checked.fullchain) }
  return { ...checked, summary: { ...checked.summary, source } }
}

/**
 * Stores a version durably, without making it the current one.
 * @throws {Error} Node's error if it cannot be written
 */
export async function writeVersion(
  { files, paths }: UploadsHost,
  name: string,
  { fullchain, privkey }: CheckedCertificate,
): Promise<void> {
  const folder = folderOf({ paths }, name, hash('sha256', fullchain))
  const texts = { 'fullchain.pem': fullchain, 'privkey.pem': privkey }
  if (Object.entries(texts).every(([file, text]) => files.read(`${folder}/${file}`)?.text === text)) return
  await files.makeFolder(`${paths.uploads}/${name}`, 0o700)
  await files.removeFolder(folder)
  await files.makeFolder(folder, 0o700)
  for (const [file, text] of Object.entries(texts)) {
    await files.write(`${folder}/${file}`, text, 0o600)
    await files.syncFile(`${folder}/${file}`)
  }
  await files.syncFolder(folder)
  await files.syncFolder(`${paths.uploads}/${name}`)
  await files.syncFolder(paths.uploads)
}

/** Removes what no record names: what a failed upload, a replaced version or a deletion has left. Not while a journal waits, which may name it. */
export async function sweepUploads(
  host: UploadsHost,
  names: readonly string[] = host.files.list(host.paths.uploads),
): Promise<void> {
  const { files, paths } = host
  for (const name of names) {
    const record = uploadRecord(host, name)
    const folder = `${paths.uploads}/${name}`
    if (files.lstat(recordPath(host, name)) === undefined) await files.removeFolder(folder)
    // With a damaged record nothing says which version is current.
    const isUsed = (entry: string) => record === undefined || [RECORD, record.chain_sha256].includes(entry)
    for (const entry of files.list(folder)) if (!isUsed(entry)) await files.removeFolder(`${folder}/${entry}`)
  }
}

function folderOf({ paths }: Pick<Host, 'paths'>, name: string, chain: string): string {
  return `${paths.uploads}/${name}/${chain}`
}
