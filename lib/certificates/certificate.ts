/** Reads certificates and decides which of them may be served. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import * as v from 'valibot'
import { coversName } from './coverage.ts'

/** A certificate that was checked, with the PEM texts that NGINX will read. */
export interface CheckedCertificate {
  readonly summary: CertificateSummary
  readonly fullchain: string
  readonly privkey: string
  /** A copy that NGINX reads, of which nothing else is left. */
  readonly isCopy?: true
}

/** A certificate, or why it may not be served. */
export type Checked = CheckedCertificate | { readonly fault: string }

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g

/**
 * Checks the two files of a certificate at a time (milliseconds since the epoch): the leaf comes first, is valid now and belongs to the key, and
 * each certificate of the chain is signed by the next. Returns `{ fault }`, a sentence, otherwise.
 */
export function checkPair(fullchain: string, privkey: string, nowMs: number): Checked {
  try {
    const chain = readChain(fullchain)
    const [leaf] = chain
    if (leaf === undefined) return { fault: 'the certificate file contains no certificate' }
    const key = createPrivateKey(privkey)
    if (!leaf.checkPrivateKey(key)) {
      const isLater = chain.some((certificate) => certificate.checkPrivateKey(key))
      return {
        fault: isLater
          ? 'the certificate of the private key is not the first of the chain'
          : 'the private key belongs to another certificate',
      }
    }
    if (leaf.validFromDate.getTime() > nowMs) return { fault: 'the certificate is not valid yet' }
    if (leaf.validToDate.getTime() <= nowMs) return { fault: 'the certificate has expired' }
    const isChained = chain.every((certificate, i) => {
      const issuer = chain[i + 1]
      return issuer === undefined || (certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey))
    })
    if (!isChained) return { fault: 'the certificates of the chain do not sign one another' }
    return { summary: summarize(leaf), fullchain, privkey }
  } catch {
    return { fault: 'the certificate or its key cannot be read' }
  }
}

/** The first certificate of a file, whether or not it may be served; `undefined` if it cannot be read. */
export function readCertificate(fullchain: string): CertificateSummary | undefined {
  try {
    const [leaf] = readChain(fullchain)
    return leaf && summarize(leaf)
  } catch {
    return undefined
  }
}

/** A checked certificate that covers this domain, or why it may not be served for it. */
export function checkedFor(checked: Checked, domain: string): Checked {
  if ('fault' in checked || coversName(checked.summary.domains, domain)) return checked
  return { fault: 'the certificate is for another name' }
}

const KEYS = 'the key is none that browsers and NGINX accept: use RSA with 2048 to 8192 bits, or EC on P-256 or P-384'

/**
 * A pair that a caller sends, in the form in which it is stored: only its certificates and its one key, as PKCS #8 (RFC 5958). Whatever else the
 * texts contain is left out. Returns `{ fault }` if it may not be served.
 */
export function checkUploaded(certificate: string, privateKey: string, nowMs: number): Checked {
  const pem = (certificate.match(PEM_CERTIFICATE) ?? []).map((text) => `${text.replaceAll('\r', '')}\n`).join('')
  if (isCutShort(certificate)) return { fault: 'a certificate of the chain is cut short' }
  if (/ENCRYPTED/.test(privateKey)) return { fault: 'the private key is encrypted: remove its passphrase' }
  try {
    const key = createPrivateKey(privateKey)
    if (!isServable(key)) return { fault: KEYS }
    const checked = checkPair(pem, key.export({ type: 'pkcs8', format: 'pem' }).toString(), nowMs)
    return 'fault' in checked || checked.summary.domains.length > 0
      ? checked
      : { fault: 'the certificate has no DNS name' }
  } catch {
    return { fault: 'the private key cannot be read' }
  }
}

function isServable({ asymmetricKeyType, asymmetricKeyDetails = {} }: KeyObject): boolean {
  const { modulusLength = 0, namedCurve = '' } = asymmetricKeyDetails
  if (asymmetricKeyType === 'rsa') return modulusLength >= 2048 && modulusLength <= 8192
  return asymmetricKeyType === 'ec' && ['prime256v1', 'secp384r1'].includes(namedCurve)
}

/**
 * Whether NGINX can load these two files, as the certificate with this fingerprint. That is enough for a copy that was verified when it was
 * made: like NGINX, this verifies neither signatures nor dates.
 */
export function isLoadable(fullchain: string, privkey: string, fingerprint: string): boolean {
  try {
    const [leaf] = readChain(fullchain)
    return leaf !== undefined && fingerprintOf(leaf) === fingerprint && leaf.checkPrivateKey(createPrivateKey(privkey))
  } catch {
    return false
  }
}

type Lifetime = Pick<CertificateSummary, 'not_before' | 'expiry'>

/** Whether less than a third of a certificate's lifetime is left, which suits 6 days as well as 90. */
export function isDueForRenewal(certificate: Lifetime, nowMs: number): boolean {
  return shareLeft(certificate, nowMs) < 1 / 3
}

/** Whether less than a quarter is left: certbot's timer runs twice a day and has had time to renew, so something is wrong. */
export function isOverdueForRenewal(certificate: Lifetime, nowMs: number): boolean {
  return shareLeft(certificate, nowMs) < 1 / 4
}

/** Whether more than a sixth is left: whoever renews a lineage that is not ours does so at a third, and is not late yet. */
export function isBorrowable(certificate: Lifetime, nowMs: number): boolean {
  return shareLeft(certificate, nowMs) > 1 / 6
}

const UPLOAD_WARNING_MS = 30 * 24 * 3_600_000

/** Whether it should have been renewed by now; of an uploaded one, which nothing renews, at most 30 days before its end. */
export function isExpiring(certificate: Lifetime & Pick<CertificateSummary, 'source'>, nowMs: number): boolean {
  const isUploaded = certificate.source !== undefined && 'name' in certificate.source
  const isNear = !isUploaded || Date.parse(certificate.expiry) - nowMs < UPLOAD_WARNING_MS
  return isNear && isOverdueForRenewal(certificate, nowMs)
}

/** The name of the directory with the copy that NGINX reads: another chain of an uploaded certificate has another one. */
export function copyName({ fingerprint_sha256, source }: CopiedCertificate): string {
  return source !== undefined && 'name' in source ? source.chain_sha256 : fingerprint_sha256
}

/** Whether two certificates have the same copy, or both are none. */
export function isSameCopy(one: CopiedCertificate | null, other: CopiedCertificate | null): boolean {
  return one === null || other === null ? one === other : copyName(one) === copyName(other)
}

/** The certificate that was found, as the record of its route has it if it is the copy that is served: only the record knows what a copy is of. */
export function knownSummary(
  { summary, isCopy }: Pick<CheckedCertificate, 'summary' | 'isCopy'>,
  current: CertificateSummary | null | undefined,
): CertificateSummary {
  return isCopy === true && current?.fingerprint_sha256 === summary.fingerprint_sha256 ? current : summary
}

export type CopiedCertificate = Pick<CertificateSummary, 'fingerprint_sha256' | 'source'>

function shareLeft(certificate: Lifetime, nowMs: number): number {
  const [from, to] = [Date.parse(certificate.not_before), Date.parse(certificate.expiry)]
  return (to - nowMs) / (to - from)
}

/** Throws if one of the certificates cannot be read: NGINX rejects a file whose end is cut off. */
function readChain(fullchain: string): X509Certificate[] {
  if (isCutShort(fullchain)) throw new Error('cut short')
  return (fullchain.match(PEM_CERTIFICATE) ?? []).map((pem) => new X509Certificate(pem))
}

function isCutShort(fullchain: string): boolean {
  return fullchain.replaceAll(PEM_CERTIFICATE, '').includes('-----BEGIN CERTIFICATE')
}

function fingerprintOf(leaf: X509Certificate): string {
  return leaf.fingerprint256.replaceAll(':', '').toLowerCase()
}

function summarize(leaf: X509Certificate): CertificateSummary {
  return {
    issuer: leaf.issuer.split('\n').join(', '),
    not_before: leaf.validFromDate.toISOString(),
    expiry: leaf.validToDate.toISOString(),
    domains: (leaf.subjectAltName ?? '')
      .split(', ')
      .flatMap((name) => (name.startsWith('DNS:') ? [name.slice(4)] : [])),
    serial: leaf.serialNumber.toLowerCase(),
    fingerprint_sha256: fingerprintOf(leaf),
  }
}

const Sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))

const NAME = 'must be 1 to 63 of a-z, 0-9, ".", "_" and "-", beginning and ending with a letter or digit'
/** The name of an uploaded certificate, also that of its directory. */
export const CertificateName = v.pipe(
  v.string('must be a string'),
  v.description('Name of an uploaded certificate'),
  v.regex(/^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/, NAME),
)
/** The name of a lineage of certbot's, also that of its directory in `live`. */
const LineageName = v.pipe(
  v.string('must be a string'),
  v.description("Name of a lineage in certbot's configuration directory"),
  v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/, 'must be the name of a lineage, as "certbot certificates" shows it'),
)

/** The certificate that a caller chooses for a route. */
export const CertificateChoice = v.union(
  [v.strictObject({ lineage: LineageName }), v.strictObject({ name: CertificateName })],
  'must be null, or have the name of a lineage or of an uploaded certificate',
)
export type CertificateChoice = v.InferOutput<typeof CertificateChoice>

/** What a certificate is of that was not ordered for its route: a lineage, or an uploaded certificate with this chain. */
const Source = v.union([v.object({ lineage: v.string() }), v.object({ name: v.string(), chain_sha256: Sha256 })])

export const CertificateSummary = v.object({
  issuer: v.string(),
  not_before: v.string(),
  expiry: v.string(),
  domains: v.array(v.string()),
  serial: v.string(),
  fingerprint_sha256: Sha256,
  source: v.optional(Source),
})
export type CertificateSummary = v.InferOutput<typeof CertificateSummary>
