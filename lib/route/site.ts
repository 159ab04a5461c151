/**
 * A site: the routes of one domain. Its server blocks are in the file of one of them, the owner: the route with the path `/`, or else the first by
 * name. The others are mounts, whose files have only their upstream.
 */
import { type CertificateSummary, isSameCopy } from '../certificates/certificate.ts'
import { byPath, isMounted, pathOf } from '../net/path.ts'
import type { RouteRecord } from './record.ts'
import type { SnapshotRoute } from './stored-route.ts'

/** What a route is in its site. A route that has its domain for itself has neither. */
export interface PlaceInSite {
  /** Of an owner: the records of the mounts that are enabled, by path. */
  readonly mounts?: readonly RouteRecord[]
  /** Of a mount: the owner. */
  readonly servedBy?: ServedBy
}

/** What a mount has of its owner. */
export interface ServedBy {
  readonly droplet_name: string
  readonly enabled: boolean
  readonly drifted: boolean
  readonly certificate: CertificateSummary | null
}

type Member = Pick<SnapshotRoute, 'record' | 'enabled' | 'drifted'>

/** The routes of a domain. */
export function siteOf<T extends { readonly record: RouteRecord }>(routes: Iterable<T>, domain: string): T[] {
  return [...routes].filter(({ record }) => record.domain === domain)
}

/** The owner among the routes of one domain; `undefined` if there are none. */
export function ownerIn<T extends { readonly record: RouteRecord }>(site: readonly T[]): T | undefined {
  const whole = site.filter(({ record }) => !isMounted(record))
  const [first, ...others] = whole.length > 0 ? whole : site
  return others.reduce((a, b) => (a !== undefined && a.record.droplet_name < b.record.droplet_name ? a : b), first)
}

/** The place of each route of one domain. */
export function placesIn<T extends Member>(site: readonly T[]): ReadonlyMap<T, PlaceInSite> {
  const owner = ownerIn(site)
  if (owner === undefined || site.length === 1) return new Map()
  const { record, enabled, drifted } = owner
  const servedBy = { droplet_name: record.droplet_name, enabled, drifted, certificate: record.certificate }
  const others = site.filter((route) => route !== owner)
  // Files that were copied or edited can have one path twice, which NGINX would refuse: the first has it.
  const taken = new Set([pathOf(record)])
  const isFirst = (mount: RouteRecord) => taken.size < taken.add(pathOf(mount)).size
  const mounts = others
    .filter((route) => route.enabled)
    .map((route) => route.record)
    .sort(byPath)
    .filter(isFirst)
  return new Map<T, PlaceInSite>([[owner, { mounts }], ...others.map((route) => [route, { servedBy }] as const)])
}

/** Makes a function that gives each route its place; the objects stay the same until their places change, so that results can be cached by them. */
export function siteLinker(): (routes: ReadonlyMap<string, SnapshotRoute>) => ReadonlyMap<string, SnapshotRoute> {
  const linked = new WeakMap<SnapshotRoute, SnapshotRoute>()
  const linkOf = (route: SnapshotRoute, place: PlaceInSite): SnapshotRoute => {
    const before = linked.get(route)
    if (before !== undefined && isSamePlace(before, place)) return before
    const now = { ...route, ...place }
    linked.set(route, now)
    return now
  }
  return (routes) => {
    const domains = new Set([...routes.values()].flatMap(({ record }) => (isMounted(record) ? [record.domain] : [])))
    if (domains.size === 0) return routes
    const sites = Map.groupBy(routes.values(), ({ record }) => record.domain)
    const after = new Map(routes)
    for (const domain of domains)
      for (const [route, place] of placesIn(sites.get(domain) ?? []))
        after.set(route.record.droplet_name, linkOf(route, place))
    return after
  }
}

/** Whether a route would be rendered and shown the same in another place. */
export function isSamePlace(one: PlaceInSite, other: PlaceInSite): boolean {
  const [mounts, others] = [one.mounts ?? [], other.mounts ?? []]
  const areMountsSame = mounts.length === others.length && mounts.every((record, i) => record === others[i])
  return areMountsSame && isSameOwner(one.servedBy, other.servedBy)
}

function isSameOwner(one: ServedBy | undefined, other: ServedBy | undefined): boolean {
  if (one === undefined || other === undefined) return one === other
  return (
    one.droplet_name === other.droplet_name &&
    one.enabled === other.enabled &&
    one.drifted === other.drifted &&
    isSameCopy(one.certificate, other.certificate)
  )
}

type Placed = Pick<SnapshotRoute, 'record'> & PlaceInSite

/** The record of a route with the certificate that it is served with. */
export function asServed({ record, servedBy }: Placed): RouteRecord {
  return servedBy === undefined ? record : { ...record, certificate: servedBy.certificate }
}

/** The record of an owner, with HTTPS wanted if any route of its site wants it. */
export function asOwner({ record, mounts = [] }: Placed): RouteRecord {
  return mounts.some((mount) => mount.enable_ssl) ? { ...record, enable_ssl: true } : record
}

/** The records of a site with its certificate where it belongs: with the owner, if any of them wants HTTPS. Those that have it right stay the same objects. */
export function withCertificate(
  site: readonly RouteRecord[],
  certificate: CertificateSummary | null,
): readonly RouteRecord[] {
  const owner = ownerIn(site.map((record) => ({ record })))?.record
  const wanted = site.some(({ enable_ssl }) => enable_ssl) ? certificate : null
  return site.map((record) => {
    const own = record === owner ? wanted : null
    return isSameCopy(record.certificate, own) ? record : { ...record, certificate: own }
  })
}
