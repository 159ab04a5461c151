/** The names that a route serves, and which of them its certificate is for. */
import type { ProxyOptions } from './proxy-options.ts'

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

/** Whether a certificate with these names is for this one; a wildcard stands for one label (RFC 6125, 6.4.3). */
export function coversName(certified: readonly string[], name: string): boolean {
  const wildcard = `*${name.slice(name.indexOf('.'))}`
  return certified.some((own) => [name, wildcard].includes(own.toLowerCase()))
}

/** Whether a certificate with these names is for every one of those. */
export function coversAll(certified: readonly string[], names: readonly string[]): boolean {
  return names.every((name) => coversName(certified, name))
}

/** The names that are served over HTTPS: those that the route's certificate is for. */
export function securedNames(route: CertifiedRoute): readonly string[] {
  const { certificate } = route
  return certificate === null ? [] : namesOf(route).filter((name) => coversName(certificate.domains, name))
}

/** Whether HTTPS is wanted, and one of the names is served over HTTP alone all the same. */
export function awaitsCertificate(route: CertifiedRoute & { readonly enable_ssl: boolean }): boolean {
  return route.enable_ssl && unsecuredNames(route).length > 0
}

/** The names that are served over HTTP alone. */
export function unsecuredNames(route: CertifiedRoute): readonly string[] {
  const secured = securedNames(route)
  return namesOf(route).filter((name) => !secured.includes(name))
}
