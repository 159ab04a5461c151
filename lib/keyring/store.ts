/**
 * Certificates on disk. NGINX never reads certbot's own files, which change one after another and can be torn: it reads verified copies in
 * `<state>/certificates/<domain>/<fingerprint>/`, which only root can read and which are never changed again.
 */
import type { Files, FileText } from '../adapters/files.ts'
import {
  type CertificateSummary,
  type Checked,
  type CheckedCertificate,
  type CopiedCertificate,
  checkedFor,
  checkPair,
  copyName,
  isLoadable,
} from '../certificates/certificate.ts'
import { lineagesOf } from '../certificates/lineage.ts'
import { allSettledOrThrow } from '../host/all-settled.ts'
import type { Host } from '../host/host.ts'
import { writeFailure } from '../host/write-failure.ts'
import { type Chooser, chooser } from './choice.ts'

/** What a route says about its certificate. */
export interface CertifiedRecord {
  readonly domain: string
  readonly certificate: CopiedCertificate | null
}

export interface CertificateStore {
  /** Makes a {@link Chooser} for the certificates as they are now. It reads each lineage at most once. */
  look(): Chooser
  /** The certificate that our last order for a domain obtained, if it may be served; or what is wrong with its lineage. */
  ordered(domain: string): Checked | undefined
  /** The lineages of a domain that we did not make, each with its certificate if that may be served. */
  others(domain: string): readonly { readonly name: string; readonly certificate: CertificateSummary | undefined }[]
  /** The certificate in a directory, whatever its names; `undefined` if there is none. */
  readFolder(folder: string): Checked | undefined
  /** Whether the copy that a route's server block names exists and can be loaded. */
  isCopied(record: CertifiedRecord): boolean
  /** Changes when the copy that a route's server block names does; empty if it names none. */
  copyStamp(record: CertifiedRecord): string
  /**
   * Copies certificates, by domain, to where NGINX will read them. Returns the directories that were created.
   * @throws {ProxyManagerError} CONFIG_WRITE_FAILED
   */
  copy(certificates: ReadonlyMap<string, CheckedCertificate>): Promise<readonly string[]>
  /** Removes the copies of these domains that no route names any more; the routes are read only if there are copies. */
  removeUnused(
    domains: readonly string[],
    readRoutes: () => Promise<ReadonlyMap<string, { readonly record: CertifiedRecord }>>,
  ): Promise<void>
}

type StoreHost = Pick<Host, 'files' | 'paths' | 'settings' | 'clock'>

export function certificateStore(host: StoreHost): CertificateStore {
  const { files, paths, settings } = host
  const copies = paths.certificates
  const readFolder = pairReader(host)
  const readFor = (folder: string, domain: string) => {
    const checked = readFolder(folder)
    return checked === undefined ? undefined : checkedFor(checked, domain)
  }
  const readLineage = (name: string, domain: string) => readFor(`${settings.CERTBOT_CONFIG_DIR}/live/${name}`, domain)
  return {
    look: () => chooser(host, readFolder),
    readFolder,
    ordered: (domain) => {
      const ours = lineagesOf(host, domain).find(({ isOurs }) => isOurs)
      return ours === undefined ? undefined : readLineage(ours.name, domain)
    },
    others: (domain) =>
      lineagesOf(host, domain).flatMap(({ name, isOurs }) => {
        const checked = isOurs ? undefined : readLineage(name, domain)
        if (checked === undefined) return []
        return [{ name, certificate: 'fault' in checked ? undefined : checked.summary }]
      }),
    isCopied: ({ certificate, domain }) => {
      if (certificate === null) return true
      const folder = `${copies}/${domain}/${copyName(certificate)}`
      const [fullchain, key] = ['fullchain', 'privkey'].map((name) => files.read(`${folder}/${name}.pem`)?.text)
      // NGINX starts with an expired certificate, but not with one that it cannot load.
      const { fingerprint_sha256: fingerprint } = certificate
      return fullchain !== undefined && key !== undefined && isLoadable(fullchain, key, fingerprint)
    },
    copyStamp: ({ certificate, domain }) => {
      if (certificate === null) return ''
      const folder = `${copies}/${domain}/${copyName(certificate)}`
      return `${files.stamp(`${folder}/fullchain.pem`)} ${files.stamp(`${folder}/privkey.pem`)}`
    },
    copy: (certificates) => copyMissing(host, certificates),
    removeUnused: async (domains, readRoutes) => {
      const copied = domains.filter((domain) => files.list(`${copies}/${domain}`).length > 0)
      if (copied.length === 0) return
      const used = new Set(
        [...(await readRoutes()).values()].flatMap(({ record: { domain, certificate } }) =>
          certificate === null ? [] : [`${domain}/${copyName(certificate)}`],
        ),
      )
      for (const domain of new Set(copied)) await removeUnusedCopies(host, domain, used)
    },
  }
}

/** Makes a reader of a directory's certificate and key. Signatures are verified once for each pair of files, the dates every time. */
function pairReader({ files, clock }: StoreHost): (folder: string) => Checked | undefined {
  const known = new WeakMap<FileText, { readonly key: FileText; readonly checked: CheckedCertificate }>()
  return (folder) => {
    const nowMs = clock.nowMs()
    const fullchain = files.read(`${folder}/fullchain.pem`)
    const key = files.read(`${folder}/privkey.pem`)
    if (fullchain === undefined && key === undefined) return undefined
    if (fullchain === undefined || key === undefined) return { fault: 'one of its files is missing' }
    const before = known.get(fullchain)
    if (before?.key === key && isValidAt(before.checked, nowMs)) return before.checked
    const chain = files.read(`${folder}/chain.pem`)?.text.trim() ?? ''
    if (!fullchain.text.includes(chain)) return { fault: 'its chain is not complete' }
    const checked = checkPair(fullchain.text, key.text, nowMs)
    if (!('fault' in checked)) known.set(fullchain, { key, checked })
    return checked
  }
}

function isValidAt({ summary }: CheckedCertificate, nowMs: number): boolean {
  return Date.parse(summary.not_before) <= nowMs && nowMs < Date.parse(summary.expiry)
}

async function copyMissing(
  { files, paths }: StoreHost,
  certificates: ReadonlyMap<string, CheckedCertificate>,
): Promise<readonly string[]> {
  const missing = [...certificates]
    .map(([domain, certificate]) => {
      const parent = `${paths.certificates}/${domain}`
      return { certificate, parent, folder: `${parent}/${copyName(certificate.summary)}` }
    })
    .filter(
      ({ folder, certificate: { fullchain, privkey } }) =>
        files.read(`${folder}/fullchain.pem`)?.text !== fullchain ||
        files.read(`${folder}/privkey.pem`)?.text !== privkey,
    )
  if (missing.length === 0) return []
  const created = missing.map(({ parent, folder }) => (files.lstat(parent) === undefined ? parent : folder))
  try {
    // A batch may have hundreds: the disk syncs them together in the time of a few.
    await allSettledOrThrow(
      missing.map(({ parent, folder, certificate }) => writeCopy(files, parent, folder, certificate)),
    )
    await allSettledOrThrow(missing.map(({ folder }) => files.syncFolder(folder)))
    await allSettledOrThrow(missing.map(({ parent }) => files.syncFolder(parent)))
    await files.syncFolder(paths.certificates)
  } catch (error) {
    throw writeFailure(error)
  }
  return created
}

/** Replaces a copy; its directories are still to be synced. */
async function writeCopy(
  files: Files,
  parent: string,
  folder: string,
  { fullchain, privkey }: CheckedCertificate,
): Promise<void> {
  await files.removeFolder(folder)
  await files.makeFolder(parent, 0o700)
  await files.makeFolder(folder, 0o700)
  await files.write(`${folder}/fullchain.pem`, fullchain, 0o600)
  await files.write(`${folder}/privkey.pem`, privkey, 0o600)
  await Promise.all(['fullchain.pem', 'privkey.pem'].map((name) => files.syncFile(`${folder}/${name}`)))
}

/** Removes the copies of a domain that are not in `used` (`domain/fingerprint`); with its last copy, the directory of the domain as well. */
async function removeUnusedCopies(
  { files, paths }: StoreHost,
  domain: string,
  used: ReadonlySet<string>,
): Promise<void> {
  const copies = files.list(`${paths.certificates}/${domain}`).map((fingerprint) => `${domain}/${fingerprint}`)
  const unused = copies.filter((copy) => !used.has(copy))
  const gone = unused.length === copies.length ? [domain] : unused
  if (unused.length > 0) for (const copy of gone) await files.removeFolder(`${paths.certificates}/${copy}`)
}
