/** What decides which certificate a route is given. */
import type { CertificateChoice, CheckedCertificate } from '../certificates/certificate.ts'

export interface CertificateWish {
  /** The names of the route, its domain first. */
  readonly names: readonly string[]
  /** What its caller has chosen; null if that is left to us. */
  readonly from: CertificateChoice | null
  /** The certificate that is about to be stored under the chosen name. */
  readonly uploaded?: CheckedCertificate | undefined
}

/** The same for wishes with the same certificate. */
export function wishKey({ names, from }: CertificateWish): string {
  return JSON.stringify([names, from])
}
