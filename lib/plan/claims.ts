/** Which route has what: each name belongs to one domain, and each path of a domain to one route. */
import { ProxyManagerError } from '../errors.ts'
import { pathField, pathOf } from '../net/path.ts'
import { ownerOf } from '../nginx/config/listens.ts'
import { namesOf } from '../route/names.ts'
import type { ProxyOptions } from '../route/options.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'

/** For each name, and each domain with a path, who has it, and through which droplets. */
export type Claims = Map<string, { readonly holder: string; readonly droplets: Set<string> }>

interface Claimant {
  readonly domain: string
  readonly path?: string | undefined
  readonly options?: Pick<ProxyOptions, 'aliases'>
}

/** What a route claims: a path of its domain for its droplet, and its names for its domain, which has them together with its other routes. */
export function claimsOf(route: Claimant, dropletName: string): readonly (readonly [key: string, holder: string])[] {
  const names = namesOf(route).map((name) => [name, route.domain] as const)
  return [[route.domain + pathOf(route), dropletName], ...names]
}

/** Claims what nobody else has. */
export function claim(claims: Claims, route: Claimant, dropletName: string): void {
  for (const [key, holder] of claimsOf(route, dropletName)) {
    const present = claims.get(key)
    if (present === undefined) claims.set(key, { holder, droplets: new Set([dropletName]) })
    else if (present.holder === holder) present.droplets.add(dropletName)
  }
}

export function release(claims: Claims, keys: Iterable<string>, dropletName: string): void {
  for (const key of keys) {
    const present = claims.get(key)
    if (present?.droplets.delete(dropletName) === true && present.droplets.size === 0) claims.delete(key)
  }
}

/** Whether a droplet has all that its route claims. */
export function hasClaims(claims: Claims, route: Claimant, dropletName: string): boolean {
  return claimsOf(route, dropletName).every(([key]) => claims.get(key)?.droplets.has(dropletName) === true)
}

/** The droplets that have what a route claims, instead of it. */
export function rivalsOf(claims: Claims, route: Claimant, dropletName: string): readonly string[] {
  return claimsOf(route, dropletName).flatMap(([key, holder]) => {
    const present = claims.get(key)
    return present === undefined || present.holder === holder ? [] : [...present.droplets]
  })
}

/** The error if something else serves what a route claims: another route, or a server block written by hand. */
export function findConflict(
  { context, host }: Snapshot,
  claims: Claims,
  route: Claimant,
  dropletName: string,
): ProxyManagerError | undefined {
  for (const [key, holder] of claimsOf(route, dropletName)) {
    const present = claims.get(key)
    const owner =
      present?.holder === holder ? undefined : [...(present?.droplets ?? [])].find((one) => one !== dropletName)
    if (owner === undefined) continue
    const path = key.includes('/') ? pathField(route) : {}
    const domain = key.replace(/\/.*/, '')
    return new ProxyManagerError('DOMAIN_CONFLICT', { details: { domain, ...path, owner: { droplet_name: owner } } })
  }
  for (const domain of namesOf(route)) {
    const server = ownerOf(domain, host.servers, [context.httpPort, context.httpsPort])
    if (server === undefined) continue
    return new ProxyManagerError('DOMAIN_CONFLICT', {
      message: 'A server block written by hand already serves this domain',
      details: {
        domain,
        culprit: 'host',
        owner: { file: server.file, line: server.line },
        remedy: 'Remove the name from that server block, or choose another domain',
      },
    })
  }
  return undefined
}
