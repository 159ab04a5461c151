/**
 * Certificates on disk. NGINX never reads certbot's own files, which change one after another and can be torn: it reads copies that were
 * checked, in `<state>/certificates/<domain>/<fingerprint>/`, complete, root's alone, and never changed again.
 */
import type { FileText } from '../adapters/files.ts'
import { allSettledOrThrow } from '../host/all-settled.ts'
import type { Host } from '../host/host.ts'
import { writeFailure } from '../host/write-failure.ts'
import { type CertificateSummary, type CheckedCertificate, checkCertificate, isLoadable } from './certificate.ts'
import { lineageNameOf } from './lineage-name.ts'

/** A route as far as its certificate goes. */
export interface CertifiedRecord {
  readonly domain: string
  readonly certificate: Pick<CertificateSummary, 'fingerprint_sha256'> | null
}

export interface CertificateStore {
  /** The certificate that may be served for a domain: that of certbot's lineage of this name or, where it is none, the newest copy. */
  newest(domain: string): CheckedCertificate | undefined
  /** What is wrong with certbot's lineage of a domain; `undefined` where nothing is, or where there is none. */
  lineageFault(domain: string): string | undefined
  /** Whether the copy that a route's server block names is there, whole. */
  isCopied(record: CertifiedRecord): boolean
  /** Changes when the copy that a route's server block names does; empty where it names none. */
  copyStamp(record: CertifiedRecord): string
  /**
   * Copies certificates, by domain, to where NGINX will read them. Returns the folders that were made for it.
   * @throws {ProxyManagerError} CONFIG_WRITE_FAILED
   */
  copy(certificates: ReadonlyMap<string, CheckedCertificate>): Promise<readonly string[]>
  /** Removes the copies of these domains that no route names any more. */
  removeUnused(
    snapshot: { readonly routes: ReadonlyMap<string, { readonly record: CertifiedRecord }> },
    domains: readonly string[],
  ): Promise<void>
}

type Checked = CheckedCertificate | { readonly fault: string }

export function certificateStore(host: Host): CertificateStore {
  const copies = host.paths.certificates
  const known = new WeakMap<
    FileText,
    { readonly key: FileText; readonly domain: string; readonly checked: CheckedCertificate }
  >()

  /** Signatures are checked once for each pair of files; whether it has expired, every time. */
  const readPair = (folder: string, domain: string): Checked | undefined => {
    const nowMs = host.clock.nowMs()
    const fullchain = host.files.read(`${folder}/fullchain.pem`)
    const key = host.files.read(`${folder}/privkey.pem`)
    if (fullchain === undefined && key === undefined) return undefined
    if (fullchain === undefined || key === undefined) return { fault: 'one of its files is missing' }
    const before = known.get(fullchain)
    if (before?.key === key && before.domain === domain && isValidAt(before.checked, nowMs)) return before.checked
    const chain = host.files.read(`${folder}/chain.pem`)?.text.trim() ?? ''
    if (!fullchain.text.includes(chain)) return { fault: 'its chain is not complete' }
    const checked = checkCertificate(fullchain.text, key.text, domain, nowMs)
    if (!('fault' in checked)) known.set(fullchain, { key, domain, checked })
    return checked
  }
  const readLineage = (domain: string) =>
    readPair(`${host.settings.CERTBOT_CONFIG_DIR}/live/${lineageNameOf(domain)}`, domain)
  const isWhole = (folder: string, { fullchain, privkey }: CheckedCertificate) =>
    host.files.read(`${folder}/fullchain.pem`)?.text === fullchain &&
    host.files.read(`${folder}/privkey.pem`)?.text === privkey

  return {
    newest: (domain) => {
      const lineage = readLineage(domain)
      if (lineage !== undefined && !('fault' in lineage)) return lineage
      const folders = host.files.list(`${copies}/${domain}`).map((fingerprint) => `${copies}/${domain}/${fingerprint}`)
      const [newest] = folders
        .map((folder) => readPair(folder, domain))
        .flatMap((checked) => (checked === undefined || 'fault' in checked ? [] : [checked]))
        .sort((a, b) => b.summary.not_before.localeCompare(a.summary.not_before))
      return newest
    },
    lineageFault: (domain) => {
      const lineage = readLineage(domain)
      return lineage !== undefined && 'fault' in lineage ? lineage.fault : undefined
    },
    isCopied: ({ certificate, domain }) => {
      if (certificate === null) return true
      const fingerprint = certificate.fingerprint_sha256
      const folder = `${copies}/${domain}/${fingerprint}`
      const [fullchain, key] = ['fullchain', 'privkey'].map((name) => host.files.read(`${folder}/${name}.pem`)?.text)
      // An expired one still lets NGINX start: only what cannot be read keeps it from starting.
      return fullchain !== undefined && key !== undefined && isLoadable(fullchain, key, fingerprint)
    },
    copyStamp: ({ certificate, domain }) => {
      if (certificate === null) return ''
      const folder = `${copies}/${domain}/${certificate.fingerprint_sha256}`
      return `${host.files.stamp(`${folder}/fullchain.pem`)} ${host.files.stamp(`${folder}/privkey.pem`)}`
    },
    copy: async (certificates) => {
      const missing = [...certificates]
        .map(([domain, certificate]) => {
          const parent = `${copies}/${domain}`
          return { certificate, parent, folder: `${parent}/${certificate.summary.fingerprint_sha256}` }
        })
        .filter(({ folder, certificate }) => !isWhole(folder, certificate))
      if (missing.length === 0) return []
      const made = missing.map(({ parent, folder }) => (host.files.lstat(parent) === undefined ? parent : folder))
      try {
        // A batch may bring hundreds: the disk takes them together in the time of a few.
        await allSettledOrThrow(missing.map((copy) => writeCopy(host, copy)))
        await allSettledOrThrow(missing.map(({ folder }) => host.files.syncFolder(folder)))
        await allSettledOrThrow(missing.map(({ parent }) => host.files.syncFolder(parent)))
        await host.files.syncFolder(copies)
      } catch (error) {
        throw writeFailure(error)
      }
      return made
    },
    removeUnused: async ({ routes }, domains) => {
      const used = new Set(
        [...routes.values()].map(({ record }) => `${record.domain}/${record.certificate?.fingerprint_sha256}`),
      )
      for (const domain of new Set(domains)) {
        const fingerprints = host.files.list(`${copies}/${domain}`)
        const unused = fingerprints.filter((fingerprint) => !used.has(`${domain}/${fingerprint}`))
        if (unused.length === 0) continue
        // With its last copy the folder of a domain goes as well.
        const isLast = unused.length === fingerprints.length
        const gone = isLast
          ? [`${copies}/${domain}`]
          : unused.map((fingerprint) => `${copies}/${domain}/${fingerprint}`)
        for (const path of gone) await host.files.remove(path)
      }
    },
  }
}

interface Copy {
  readonly certificate: CheckedCertificate
  readonly parent: string
  readonly folder: string
}

/** Writes a copy anew; its folders are still to be synced. */
async function writeCopy({ files }: Host, { certificate, parent, folder }: Copy): Promise<void> {
  await files.remove(folder)
  await files.makeFolder(parent, 0o700)
  await files.makeFolder(folder, 0o700)
  await files.write(`${folder}/fullchain.pem`, certificate.fullchain, 0o600)
  await files.write(`${folder}/privkey.pem`, certificate.privkey, 0o600)
  await Promise.all(['fullchain.pem', 'privkey.pem'].map((name) => files.syncFile(`${folder}/${name}`)))
}

function isValidAt({ summary }: CheckedCertificate, nowMs: number): boolean {
  return Date.parse(summary.not_before) <= nowMs && nowMs < Date.parse(summary.expiry)
}
