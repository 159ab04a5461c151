/** The names that a route serves, and which of them its certificate covers. */
import type { CertificateChoice, CertificateSummary } from '../certificates/certificate.ts'
import { coversName } from '../certificates/coverage.ts'
import type { CertificateWish } from '../keyring/wish.ts'
import type { ProxyOptions } from './options.ts'

interface NamedRoute {
  readonly domain: string
  readonly options?: Pick<ProxyOptions, 'aliases'> | undefined
}

/** A route whose caller may have chosen its certificate. */
export interface ChoosingRoute extends NamedRoute {
  readonly certificate_from?: CertificateChoice | undefined
}

interface CertifiedRoute extends NamedRoute {
  readonly certificate: { readonly domains: readonly string[] } | null
}

/** The domain of a route, then its aliases. */
export function namesOf({ domain, options }: NamedRoute): readonly string[] {
  return [domain, ...(options?.aliases ?? [])]
}

/** What decides which certificate a route is given. */
export function wishOf(route: ChoosingRoute): CertificateWish {
  return { names: namesOf(route), from: route.certificate_from ?? null }
}

/** The lineages and uploaded certificates that a route has chosen, or is served with, as `lineage …` and `name …`; its own lineage is not among them. */
export function usedCertificates({
  certificate_from: from,
  certificate,
}: Pick<ChoosingRoute, 'certificate_from'> & {
  readonly certificate: Pick<CertificateSummary, 'source'> | null
}): ReadonlySet<string> {
  const used = [from, certificate?.source].filter((one) => one !== undefined)
  return new Set(used.map((one) => ('name' in one ? `name ${one.name}` : `lineage ${one.lineage}`)))
}

/** The names that are served over HTTPS: those that the route's certificate covers. */
export function securedNames(route: CertifiedRoute): readonly string[] {
  const { certificate } = route
  return certificate === null ? [] : namesOf(route).filter((name) => coversName(certificate.domains, name))
}

/** Whether HTTPS is enabled, but the certificate does not cover all names. */
export function awaitsCertificate(route: CertifiedRoute & { readonly enable_ssl: boolean }): boolean {
  return route.enable_ssl && unsecuredNames(route).length > 0
}

/** The names that are served only over HTTP. */
export function unsecuredNames(route: CertifiedRoute): readonly string[] {
  const secured = securedNames(route)
  return namesOf(route).filter((name) => !secured.includes(name))
}
