/** The names that a route serves, and which of them its certificate covers. */
import { coversName } from '../certificates/coverage.ts'
import type { ProxyOptions } from './options.ts'

interface NamedRoute {
  readonly domain: string
  readonly options?: Pick<ProxyOptions, 'aliases'>
}

interface CertifiedRoute extends NamedRoute {
  readonly certificate: { readonly domains: readonly string[] } | null
}

/** The domain of a route, then its aliases. */
export function namesOf({ domain, options }: NamedRoute): readonly string[] {
  return [domain, ...(options?.aliases ?? [])]
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
