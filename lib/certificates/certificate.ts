/** Reads certificates and decides which of them may be served. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import * as v from 'valibot'

/** A certificate that was checked for a domain, with the PEM texts that NGINX will read. */
export interface CheckedCertificate {
  readonly summary: CertificateSummary
  readonly fullchain: string
  readonly privkey: string
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g

/**
 * Checks a lineage's two files for a domain at a time (milliseconds since the epoch): the leaf covers the name, is valid now, belongs to the
 * key, and each certificate of the chain is signed by the next. Returns `{ fault }`, a sentence, otherwise.
 */
export function checkCertificate(
  fullchain: string,
  privkey: string,
  domain: string,
  nowMs: number,
): CheckedCertificate | { readonly fault: string } {
  try {
    const chain = readChain(fullchain)
    const [leaf] = chain
    if (leaf === undefined) return { fault: 'the certificate file contains no certificate' }
    if (leaf.checkHost(domain, { subject: 'never' }) === undefined)
      return { fault: 'the certificate is for another name' }
    if (leaf.validFromDate.getTime() > nowMs) return { fault: 'the certificate is not valid yet' }
    if (leaf.validToDate.getTime() <= nowMs) return { fault: 'the certificate has expired' }
    if (!leaf.checkPrivateKey(createPrivateKey(privkey)))
      return { fault: 'the private key belongs to another certificate' }
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

function shareLeft(certificate: Lifetime, nowMs: number): number {
  const [from, to] = [Date.parse(certificate.not_before), Date.parse(certificate.expiry)]
  return (to - nowMs) / (to - from)
}

/** Throws if one of the certificates cannot be read: NGINX rejects a file whose end is cut off. */
function readChain(fullchain: string): X509Certificate[] {
  if (fullchain.replaceAll(PEM_CERTIFICATE, '').includes('-----BEGIN CERTIFICATE')) throw new Error('cut short')
  return (fullchain.match(PEM_CERTIFICATE) ?? []).map((pem) => new X509Certificate(pem))
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

export const CertificateSummary = v.object({
  issuer: v.string(),
  not_before: v.string(),
  expiry: v.string(),
  domains: v.array(v.string()),
  serial: v.string(),
  fingerprint_sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
})
export type CertificateSummary = v.InferOutput<typeof CertificateSummary>
